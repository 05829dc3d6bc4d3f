/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a provider and the owner say over a socket: whole messages of one size, with up to two fds.
 * What is a state lies in the vas, core/protocol/device.h; here is what cannot lie there.
 *
 *	provider			owner
 *	OFFER	the device, by name
 *					REFUSED	and a sentence
 *					GRANT	now, or when the one before is gone
 *					QUEUE	its eventfds, each time that one is started
					LEAVE	another offers, and asks for it
 *	CONFIG	the config space
 *	BROKEN
 */
#ifndef LIB_BUS_MESSAGE_H
#define LIB_BUS_MESSAGE_H

#include <vas/device.h>

#define BUS_MAX_FDS 2u

enum bus_message_type {
	BUS_OFFER = 1,
	BUS_REFUSED,
	BUS_GRANT,
	BUS_QUEUE,
	BUS_CONFIG,
	BUS_BROKEN,
	BUS_LEAVE,
};

struct bus_message {
	uint64_t magic;
	uint32_t type;
	uint32_t pad;
	union {
		struct {
			uint64_t features;
			uint32_t tag; /* of the provider's handle */
			uint32_t kind;
			uint32_t nr_queues;
			uint32_t queue_size;
			uint32_t config_size;
			uint32_t flags; /* VAS_OFFER_* */
			char name[VAS_REGION_NAME_LEN];
			uint8_t config[VAS_DEVICE_CONFIG_SIZE];
		} offer;
		struct {
			int32_t err;
			char text[236];
		} refused;
		struct {
			uint32_t device; /* index of its entry */
			uint32_t grant;
		} grant;
		struct {
			uint32_t index;
			uint32_t life;
		} queue; /* fds: kick; call, if there is one */
		uint8_t config[VAS_DEVICE_CONFIG_SIZE];
	};
};

/* Neither waits. -EAGAIN: the socket is full, or empty; -ECONNRESET: the peer is gone. */
int bus_send(int sock, enum bus_message_type type, struct bus_message *message, const int *fds,
	     uint32_t nr_fds);

/*
 * -EPROTO: no such message. The fds are the caller's, eventfds all of them; those of what is no
 * message are closed.
 */
int bus_receive(int sock, struct bus_message *message, int fds[BUS_MAX_FDS], uint32_t *nr_fds);

#endif
