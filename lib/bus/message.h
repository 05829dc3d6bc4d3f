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
 *					LEAVE	another offers, and asks for it
 *	CONFIG	the config space
 *	BROKEN
 *
 * and of a device behind an IOMMU, docs/design/iommu.md:
 *
 *	MISSES	iovas, numbered
 *					MAPS	and what is refused
 *					UNMAP	counted
 */
#ifndef LIB_BUS_MESSAGE_H
#define LIB_BUS_MESSAGE_H

#include <vas/device.h>

#define BUS_MAX_FDS    2u
#define BUS_MAX_MAPS   9u /* of one message */
#define BUS_MAX_MISSES 19u

enum bus_message_type {
	BUS_OFFER = 1,
	BUS_REFUSED,
	BUS_GRANT,
	BUS_QUEUE,
	BUS_CONFIG,
	BUS_BROKEN,
	BUS_LEAVE,
	BUS_MISSES,
	BUS_MAPS,
	BUS_UNMAP,
};

struct bus_map {
	uint64_t iova, size, gpa;
	uint32_t prot;	 /* 0: misses of this iova are refused, */
	uint32_t number; /* up to this one */
};

struct bus_miss {
	uint64_t iova;
	uint32_t prot; /* with VAS_IOMMU_MORE: nobody waits for it yet */
	uint32_t pad;
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
			uint32_t gone; /* vas_device_told.gone */
		} grant;
		struct {
			uint32_t index;
			uint32_t life;
		} queue; /* fds: kick; call, if there is one */
		uint8_t config[VAS_DEVICE_CONFIG_SIZE];
		struct {
			uint32_t number; /* of the message: counts */
			uint32_t nr;
			struct bus_miss at[BUS_MAX_MISSES];
		} misses;
		struct {
			uint32_t count; /* of the last unmap before them */
			uint32_t nr;
			struct bus_map at[BUS_MAX_MAPS];
		} maps;
		struct {
			uint64_t iova, size; /* 0: up to the end */
			uint32_t count;	     /* of this one */
		} unmap;
	};
};

/* Neither waits. -EAGAIN: the socket is full, or empty; -ECONNRESET: the peer is gone. */
int bus_send(int sock, enum bus_message_type type, struct bus_message *message, const int *fds,
	     uint32_t nr_fds);

/*
 * The same while half of the socket is free, which is for all other messages: what is said of an
 * IOMMU is much, and can be said in another way.
 */
int bus_send_if_room(int sock, enum bus_message_type type, struct bus_message *message);

/*
 * -EPROTO: no such message. The fds are the caller's, eventfds all of them; those of what is no
 * message are closed.
 */
int bus_receive(int sock, struct bus_message *message, int fds[BUS_MAX_FDS], uint32_t *nr_fds);

#endif
