/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The virtual bus. docs/design/devices.md.
 *
 *	device.c	the owner's devices: on and off the bus, what a transport wants of them
 *	grant.c		who serves one: offers, death, the end of one that does not stop
 *	list.c		what there is, for everybody
 *	save.c		all of them as bytes, for streams and snapshots
 *	provider.c	the other side
 *	message.c	what both say over a socket
 *
 * lib/serve has the socket.
 *
 * All of a device but what is constant is under the handle's lock; nobody waits while it is held.
 */
#ifndef LIB_BUS_BUS_H
#define LIB_BUS_BUS_H

#include <stdbool.h>

#include <vas/device.h>

#include "core/protocol/device.h"
#include "lib/bus/message.h"
#include "lib/handle/handle.h"

/* A device, as its owner has it: what it decides from. */
struct vas_bus_device {
	struct vas_virtio_server server;
	struct vas *vas;
	uint32_t index;
	struct vas_device_entry *entry; /* shared */
	struct vas_device_told told;
	uint8_t config[VAS_DEVICE_CONFIG_SIZE];
	uint32_t config_generation;
	bool is_offered; /* to this owner: server is filled in */
	bool is_revoked; /* the provider did not stop in time, and could not be killed */
	uint32_t asked;	 /* the grant whose provider was asked to leave */
	int sock;	 /* the provider's connection, which serve.c closes; -1: none */
	int pidfd;	 /* the provider's process, ours to close; -1: unknown */
	pid_t pid;
	struct {
		int kick, call; /* the transport's, duplicated; -1 */
	} fds[VAS_DEVICE_MAX_QUEUES];
};

struct bus {
	struct vas_bus_device *devices[VAS_MAX_DEVICES];
	/* Held while a transport is told something, so that its device stays. Before vas.lock. */
	pthread_mutex_t telling;
};

static inline struct vas_device_entry *bus_entry(const struct vas *vas, uint32_t index)
{
	return (struct vas_device_entry *)vas_extent(vas, VAS_EXT_DEVICES) + index;
}

/* -EOPNOTSUPP: this vas has no bus. */
int bus_check(const struct vas *vas);

/* The handle ends: what it has of devices goes, and the devices stay for the next owner. */
void bus_free(struct vas *vas);

/* ---- list.c ------------------------------------------------------------------------------- */

/* What the owner tells, from the file: looking at it takes no memory. 0, -ENOENT, -EAGAIN. */
int bus_read_told(struct vas *vas, uint32_t index, struct vas_device_told *told);

/* ---- device.c ----------------------------------------------------------------------------- */

/* The lock is held. The provider is to follow; whoever waits is woken. */
void bus_publish_change(struct vas_bus_device *device);

/* The lock is held. Send the provider the eventfds of a queue that is enabled. */
void bus_send_queue(struct vas_bus_device *device, uint32_t index);

/* ---- grant.c ------------------------------------------------------------------------------ */

/* The peer behind a connection. */
struct bus_peer {
	int sock;
	int pidfd; /* or -1 */
	pid_t pid;
};

/*
 * An offer of a peer's: 0, granted, and *index is the device; -EBUSY: another serves it; or another
 * -errno: refused.
 */
int bus_offer(struct vas *vas, const struct bus_message *offer, const struct bus_peer *peer,
	      uint32_t *index);

/* The connection goes: nothing is sent to it any more. */
void bus_forget(struct vas *vas, int sock);

/* The lock is held. Whether it has a provider that lives; if that has died, it is orphaned. */
bool bus_is_served(struct vas_bus_device *device);

/* The provider has to be gone: it is killed. */
void bus_end_provider(struct vas_bus_device *device);

/* Of the device that is served by this connection, if one is: its config space has changed. */
void bus_set_config(struct vas *vas, int sock, const uint8_t config[VAS_DEVICE_CONFIG_SIZE]);

/* Its transport is told: vas_virtio_changed(), vas_virtio_broken(). */
void bus_tell(struct vas *vas, int sock, void (*tell)(struct vas_virtio_server *server));

#endif
