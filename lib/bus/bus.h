/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The virtual bus. docs/design/devices.md.
 *
 *	device.c	the owner's devices: on and off the bus, what a transport wants of them
 *	grant.c		who serves one: offers, death, the end of one that does not stop
 *	list.c		what there is, for everybody
 *	save.c		all of them as bytes, for streams and snapshots
 *	iommu.c		what a provider is told of the IOMMU that a device is behind
 *	provider.c	the other side
 *	view.c		what that knows of an IOMMU
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

/* What the owner of a device behind an IOMMU knows of what it has told its provider. */
struct bus_iommu {
	/* NULL: there is none */
	int (*miss)(struct vas_bus_device *device, void *user, uint64_t iova, uint32_t prot);
	void *user;
	uint32_t count; /* of unmaps, which the provider answers */
	bool is_due;	/* some have taken something from this provider */
	/* All that it was told of since all was gone lies in there; first > last: nothing. */
	uint64_t first, last;
	uint32_t number;    /* of the misses that were put to the owner last */
	uint32_t nr_asking; /* threads in miss(): answers are sent together when they are out */
	uint32_t nr_held;
	struct bus_map held[BUS_MAX_MAPS];
};

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
	struct bus_iommu iommu;
	uint64_t answer_ns; /* for the provider to do what is demanded */
	uint32_t asked;	    /* the grant whose provider was asked to leave */
	int sock;	    /* the provider's connection, which serve.c closes; -1: none */
	int pidfd;	    /* the provider's process, ours to close; -1: unknown */
	pid_t pid;
	struct {
		int kick, call; /* the transport's, duplicated; -1 */
	} fds[VAS_DEVICE_MAX_QUEUES];
};

struct bus {
	struct vas_bus_device *devices[VAS_MAX_DEVICES];
	/* Held while a transport is told something, so that its device stays. Before vas.lock. */
	pthread_mutex_t telling;
	pthread_cond_t asked; /* with vas.lock: a miss was dealt with */
};

static inline struct vas_device_entry *bus_entry(const struct vas *vas, uint32_t index)
{
	return (struct vas_device_entry *)vas_extent(vas, VAS_EXT_DEVICES) + index;
}

/* Of a vas that was handed over, the entry is the next owner's, and so is the provider. */
static inline bool bus_is_ours(const struct vas_bus_device *device)
{
	return __atomic_load_n(&device->vas->role, __ATOMIC_RELAXED) == VAS_ROLE_OWNER;
}

/* -EOPNOTSUPP: this vas has no bus. */
int bus_check(const struct vas *vas);

/* How many unmaps there were, for who is about to begin a section. */
static inline void bus_tell_unmaps(const struct vas_bus_device *device)
{
	vas_device_tell_unmaps(device->entry,
			       VAS_DEVICE_UNMAPS(device->told.grant, device->iommu.count));
}

/* The handle ends: what it has of devices goes, and the devices stay for the next owner. */
void bus_free(struct vas *vas);

/* ---- list.c ------------------------------------------------------------------------------- */

/* What the owner tells, from the file: looking at it takes no memory. 0, -ENOENT, -EAGAIN. */
int bus_read_told(struct vas *vas, uint32_t index, struct vas_device_told *told);

/* ---- device.c ----------------------------------------------------------------------------- */

/* The lock is held. The provider is to follow; whoever waits is woken. */
void bus_publish_change(struct vas_bus_device *device);

/* The lock is held. The provider takes nothing any more: it finds its connection ended. */
void bus_cut_connection(struct vas_bus_device *device);

/* The lock is held. Send the provider the eventfds of a queue that is enabled. */
void bus_send_queue(struct vas_bus_device *device, uint32_t index);

/*
 * Until the provider has answered what `has_answered` looks for: 0; or nobody is there who has to:
 * -ENOENT; -ETIMEDOUT, and it was killed, if that can be. The lock is not held.
 */
int bus_wait_for_answer(struct vas_bus_device *device, uint32_t count,
			bool (*has_answered)(const struct vas_device_entry *entry, uint32_t grant,
					     uint32_t count));

/* ---- iommu.c ------------------------------------------------------------------------------ */

void bus_iommu_init(struct vas_bus_device *device, const struct vas_device_options *options);

/* The lock is held. All that a provider was told is gone; the caller publishes what says so. */
void bus_iommu_lose(struct vas_bus_device *device);

/* The lock is held. The provider, which lives, has lost its connection. */
void bus_iommu_disconnect(struct vas_bus_device *device);

/* The lock is held. Its provider is another from now on, which was told of nothing. */
void bus_iommu_begin(struct vas_bus_device *device);

/* It is off the bus, and the lock is not held: until no thread is in its miss(). */
void bus_iommu_wait(struct vas_bus_device *device);

/* Of the device that is served by this connection: -EPROTO: it is behind no IOMMU. */
int bus_misses(struct vas *vas, int sock, const struct bus_message *message);

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

/* The lock is held: the device that is served by this connection, or NULL. */
struct vas_bus_device *bus_find_by_sock(struct vas *vas, int sock);

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
