/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The virtual bus: a guest's virtio devices, served by processes that have its vas and nothing
 * else. A device is an entry in the vas, found by its name. The process that serves it, its
 * provider, may be killed at any time: the guest sees a stall, and the next provider goes on where
 * the one before died.
 *
 *	owner (the VMM)					provider (a process, or a thread)
 *	vas_device_add(vas, &options, &device)
 *	vas_serve(vas, path, mode, &serve)		vas_connect(path, 0, &vas, &sock)
 *	vas_device_wait(device, timeout) <------------- vas_device_offer(vas, sock, &offer, &it)
 *	vas_device_server(device): to a transport,
 *	  whose calls become what is demanded --------> vas_provider_look(provider, &demand)
 *	  and wait for the answer <-------------------- vas_provider_answer(provider, change)
 *
 * The transport is that of <vas/virtio.h>. Its eventfds go to the provider, and to no other: each
 * has those of its own device, and so has each successor.
 *
 * A device may be behind an IOMMU that the owner emulates. Its provider then asks what an iova
 * stands for, is told, and is told when that ends, as with a view of <vas/iommu.h>.
 *
 *	vas_device_map(device, iova, ...) <-- options.miss() <-- a queue misses something
 *	vas_device_unmap(device, iova, size) -----------------> it is found no more
 *	vas_device_invalidate(device) <------------------------ vas_provider_settle(provider)
 *
 * Nobody takes a device from a provider that lives; but it is told when a successor, such as a
 * newer version of it, asks it to leave. The owner may kill a provider, and does so when that does
 * not stop in time.
 */
#ifndef VAS_DEVICE_H
#define VAS_DEVICE_H

#include <vas/handle.h>
#include <vas/iommu.h>
#include <vas/virtio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the owner's side --------------------------------------------------------------------- */

struct vas_bus_device;

struct vas_device_options {
	const char *name;    /* up to 23 bytes, unique among the devices of the vas */
	uint32_t kind;	     /* virtio's: 1 net, 2 block, ... */
	uint32_t nr_queues;  /* at most so many for the guest; 0: as many as the first offer has */
	uint32_t queue_size; /* at most; 0: as the first offer */

	/*
	 * The device is behind an IOMMU: it offers VIRTIO_F_ACCESS_PLATFORM, which a driver has to
	 * accept, and the addresses of its rings and in them are iovas. NULL: there is none.
	 *
	 * Its provider wants to use `iova` in the ways that prot, VAS_IOMMU_*, says, and was not
	 * told what it stands for. With VAS_IOMMU_MORE in prot nobody waits for the answer yet: a
	 * refusal is then no fault of the driver's, which may have unmapped it. Answer by
	 * vas_device_map() or
	 * vas_device_refuse(), before this returns or later, by any thread. An error is a refusal.
	 * Called by the thread of vas_serve(), with no lock of the library's held, perhaps before
	 * vas_device_add() has returned; it must not wait for long, as others are served by that
	 * thread, nor remove the device.
	 */
	int (*miss)(struct vas_bus_device *device, void *user, uint64_t iova, uint32_t prot);
	void *miss_user;

	/* For a provider to do what it is told, before it is killed. 0: two seconds. */
	uint64_t answer_ns;
};

/*
 * Put a device on the bus. *device is good until vas_device_remove(), which comes after it was
 * taken off its transport, or until the handle ends. An entry of this name and kind that an earlier
 * owner has left is taken over, with its provider and what is in flight.
 *
 * Both may be called at any time, also while others are served. A provider of one that is removed
 * has stopped before vas_device_remove() returns, or was killed, as with a reset; it is told by
 * vas_provider_look().
 *
 * The thread that removes a device behind an IOMMU must hold no lock that miss() takes:
 * vas_device_remove() waits for a miss() that is under way.
 *
 * -EPERM: not the owner, or a share. -EINVAL: a name or number that makes no sense. -EEXIST: the
 * name is taken. -ENOSPC: 32 devices exist. -EOPNOTSUPP: the vas is in huge pages, or was made by a
 * libvas that had no bus. -ENOMEM.
 */
VAS_API int vas_device_add(struct vas *vas, const struct vas_device_options *options,
			   struct vas_bus_device **device);
VAS_API void vas_device_remove(struct vas_bus_device *device);

/* Wait until somebody has offered to serve it. -ETIMEDOUT. */
VAS_API int vas_device_wait(struct vas_bus_device *device, uint64_t timeout_ns);

/*
 * The device for a transport. Not before vas_device_wait() has returned 0: the features and the
 * config space are those of the first offer, and later ones have to have the same features.
 *
 * Its ops wait for the provider, options.answer_ns at most; if it has not answered by then, it is
 * killed. Where the owner itself is short of CPU it may be five times that, and time in which the
 * owner was stopped is not counted. A provider that cannot be killed, as a thread of this process,
 * is left alone: nobody serves the device until it ends, and the driver is told that the device
 * needs a reset. With no provider all ops succeed at once, and hold for the next one.
 */
VAS_API struct vas_virtio_server *vas_device_server(struct vas_bus_device *device);

/*
 * Kill the provider (SIGKILL) and return when it is dead; another one takes over. -ESRCH: there is
 * none. -EPERM: it is this process, or another user's. -ETIMEDOUT: it is not dead after 5 s.
 */
VAS_API int vas_device_kill(struct vas_bus_device *device);

/* ---- behind an IOMMU ---------------------------------------------------------------------- */

/*
 * All three return at once, and may be called at any time, by any thread, inside of miss() or not.
 * The provider is told in the order of these calls. So look into the tables, and map what is there,
 * under the same lock under which the tables are changed, and unmapped:
 *
 *	lock					lock
 *	look into the tables			change the tables
 *	vas_device_map(), or _refuse()		vas_device_unmap()
 *	unlock					unlock
 *						vas_device_invalidate()
 *						tell the guest
 *
 * The library keeps nothing of it: the provider knows as much as its view has room for, and asks
 * again for what it has forgotten. It forgets all when it or the owner is replaced, when the
 * connection is lost, and when it could not be told of something.
 */

/*
 * [iova, iova + size), which may end with the address space, is [gpa, gpa + size), and prot,
 * VAS_IOMMU_*, is allowed there. The answer to misses in there, or unasked. Without a provider it
 * is not kept. -EINVAL: size is 0, a range wraps, or prot is none. -EOPNOTSUPP: no IOMMU.
 */
VAS_API int vas_device_map(struct vas_bus_device *device, uint64_t iova, uint64_t size,
			   uint64_t gpa, uint32_t prot);

/* The answer to misses of this iova that are not answered yet: there is no such memory. */
VAS_API void vas_device_refuse(struct vas_bus_device *device, uint64_t iova);

/*
 * The range, up to the end of the address space where it is longer or size is 0, stands for nothing
 * any more. The provider may still use it: see vas_device_invalidate(). More may go than this: what
 * was mapped by one call goes as a whole. It costs nothing where the provider was told of nothing.
 */
VAS_API void vas_device_unmap(struct vas_bus_device *device, uint64_t iova, uint64_t size);

/*
 * Wait until the provider uses nothing any more that was unmapped before this call: 0. After
 * options.answer_ns it is killed, as for the ops of vas_device_server(), and 0 is returned when it
 * is dead. With no provider at once. -ETIMEDOUT: it cannot be killed, and may still reach it.
 */
VAS_API int vas_device_invalidate(struct vas_bus_device *device);

/* ---- for everybody ------------------------------------------------------------------------ */

enum vas_device_queue_state {
	VAS_DEVICE_QUEUE_STOPPED,
	VAS_DEVICE_QUEUE_RUNNING,
	VAS_DEVICE_QUEUE_BROKEN, /* its driver broke the rules: it stands still until it is reset */
};

/* As its providers say. */
struct vas_device_queue_info {
	uint32_t size; /* 0: the driver has not made it */
	uint32_t state;
	struct vas_device_counters counters;
};

struct vas_device_info {
	char name[VAS_REGION_NAME_LEN];
	uint32_t kind;
	uint32_t state;	       /* enum vas_device_state */
	uint32_t provider_pid; /* by its own word; 0: none */
	char provider[16];     /* its name, likewise */
	uint32_t grants;       /* goes up each time it is granted to somebody */
	uint32_t status;       /* virtio's */
	uint64_t offered;      /* features */
	uint64_t accepted;
	uint32_t queue_size;
	uint32_t nr_queues;
	struct vas_device_queue_info queues[VAS_DEVICE_MAX_QUEUES];
};

/*
 * Store up to nr devices and return how many there are. By any role, from what the owner and
 * providers say in the vas. Takes no memory of the vas.
 */
VAS_API ssize_t vas_devices(struct vas *vas, struct vas_device_info *devices, size_t nr);

/*
 * All devices as bytes, malloced: the entries, with where each queue stands and what is in flight,
 * and no config spaces. By any role. Of one moment if the vas is frozen: a provider's queues stand
 * still then. *size 0: there are none. -EAGAIN: an entry is being written all the time. -ENOMEM.
 *
 * The other way: into a vas of the caller's that has no devices. Each is as if its owner had died
 * and its provider, too: vas_device_add() takes it over, and a queue that is started where it was
 * goes on with its life and what is in flight. The bytes may be anybody's. -EPROTO: they make no
 * sense, and nothing was done. -EEXIST: there are devices. -EPERM, -EOPNOTSUPP, -ENOMEM, as
 * vas_device_add().
 */
VAS_API int vas_devices_save(struct vas *vas, void **bytes, size_t *size);
VAS_API int vas_devices_load(struct vas *vas, const void *bytes, size_t size);

/* ---- the provider's side ------------------------------------------------------------------ */

struct vas_provider;

/*
 * Ask who serves the device to leave, once the owner finds nothing wrong with this offer. Whether
 * and when it does is its own matter; until then the offer stands. Of the offer's first grant only.
 */
#define VAS_OFFER_TAKE_OVER 1u

struct vas_offer {
	const char *name;
	uint32_t kind;
	uint32_t nr_queues;  /* that it serves: at least as many as the device has */
	uint32_t queue_size; /* at most VAS_DEVICE_QUEUE_SIZE */
	uint32_t config_size;
	uint32_t flags;	   /* VAS_OFFER_* */
	uint64_t features; /* those of rings among them, and VIRTIO_F_VERSION_1 */
	uint8_t config[VAS_DEVICE_CONFIG_SIZE];
};

/*
 * Offer to serve a device, by a socket of vas_connect(), which is the provider's from now on (also
 * after an error). It does not wait: whether it is granted is for vas_provider_look() to see. While
 * another serves the device the offer stands, and is granted when that one is gone.
 *
 * One thread at a time uses a provider. vas_provider_close() is for who serves no queue any more:
 * the device is free for the next. It comes before vas_unbind().
 *
 * -EPERM: an observer. -EINVAL: the offer makes no sense. -EOPNOTSUPP, as vas_device_add().
 * -ENOMEM, -EMFILE.
 */
VAS_API int vas_device_offer(struct vas *vas, int sock, const struct vas_offer *offer,
			     struct vas_provider **provider);
VAS_API void vas_provider_close(struct vas_provider *provider);

/*
 * Polls readable when there may be something to look at, and when <vas/handle.h>'s
 * vas_notifications() may have something to tell. It is the provider's.
 */
VAS_API int vas_provider_fd(struct vas_provider *provider);

/* A queue as it is to be served. */
struct vas_provider_queue {
	uint32_t size;
	uint32_t life; /* another one: nothing of an earlier life is in flight, and `base` counts */
	uint32_t base; /* of a new life, as vhost-user encodes it */
	int enabled;   /* serve it; else stop it */
	uint64_t desc, driver, device; /* gpas */
	int kick_fd, call_fd;	       /* the provider's, good until an answer to a later life */
};

struct vas_demand {
	int is_granted;	     /* else it waits */
	int is_disconnected; /* go on; vas_provider_resume() when there is a connection */
	uint32_t grant;	     /* counts */
	uint32_t change;     /* of this state: for vas_provider_answer() */
	uint32_t resets;     /* counts how often the driver has reset the device */
	uint32_t nr_queues;
	uint64_t features; /* that the driver has accepted */
	struct vas_provider_queue queues[VAS_DEVICE_MAX_QUEUES];
};

/*
 * What is to be done now; a queue is enabled only when its eventfds have come. Never waits. An
 * error ends it, and vas_error() says why. -ECONNREFUSED: the owner does not take the offer.
 * -EOPNOTSUPP: the device is behind an IOMMU, and the offer has no VIRTIO_F_ACCESS_PLATFORM.
 * -ENOENT: the owner has no device of this name, which may still come: offer it later, by another
 * connection. -ENODEV: the device was removed, and -ESTALE: it is another's by now: stop at once.
 * -ESHUTDOWN: somebody waits to take over: stop what runs, and close. -EPROTO: what comes over the
 * socket makes no sense. Only -EAGAIN ends nothing: the owner is writing its half of the device
 * just now. Go on as before; the fd is readable when there is something to see.
 */
VAS_API int vas_provider_look(struct vas_provider *provider, struct vas_demand *demand);

/*
 * What a device that is behind an IOMMU sees of memory, <vas/iommu.h>, with room for max_entries,
 * and nr_slots for those who use it: made by the first call, and good until vas_provider_close(),
 * before which all slots are released. The owner of it is the bus: what the device's owner says is
 * put into it by vas_provider_look(), and what it is asked goes to the device's owner, without a
 * deadline: an owner that stands still is a guest that does. For who has VIRTIO_F_ACCESS_PLATFORM
 * in its offer, which says that it can; the device has it only if it is behind an IOMMU, and is
 * refused to whoever cannot. Errors as vas_iommu_view_create().
 */
VAS_API int vas_provider_view(struct vas_provider *provider, uint32_t max_entries,
			      uint32_t nr_slots, struct vas_iommu_view **view);

/*
 * A TLB in the place of the view above, for queues that are served elsewhere: by a kernel module,
 * say, that the provider has lent them to. It is told what the view would be told, in the same
 * order: map, refuse, unmap and invalidate are as vas_iommu_map() and so on. They are called by the
 * thread that uses the provider, within its calls, and must not call the library. Only invalidate
 * waits.
 */
struct vas_iotlb {
	void *user;
	int fd; /* polls readable while there is something for misses() */
	int (*map)(void *user, uint64_t iova, uint64_t size, uint64_t gpa, uint32_t prot);
	void (*refuse)(void *user, uint64_t iova);
	/* From 0 with size 0, of everything: what is missed still is told again. */
	void (*unmap)(void *user, uint64_t iova, uint64_t size);
	int (*invalidate)(void *user, uint64_t timeout_ns);
	/* At most nr that were missed since the last call: how many. It does not wait. */
	uint32_t (*misses)(void *user, struct vas_iommu_want *wants, uint32_t nr);
};

/*
 * From now on this TLB, which is empty, is told, and what it misses is asked for, until another
 * call, with NULL, say, or vas_provider_close(). One at a time. -EBUSY: there is a view already,
 * whose sections the owner sees. Or another -errno: its fd cannot be watched.
 */
VAS_API int vas_provider_set_iotlb(struct vas_provider *provider, const struct vas_iotlb *iotlb);

/*
 * After each vas_provider_look(): wait until no section of the view uses what the owner has taken
 * away, nor anybody elsewhere, and tell the owner. 0, also if there is nothing to wait for.
 * -ETIMEDOUT: not in timeout_ns; call it again. The owner waits as long as it likes, two seconds
 * mostly. With no view, nor a TLB, it never waits.
 */
VAS_API int vas_provider_settle(struct vas_provider *provider, uint64_t timeout_ns);

/* The state with this `change` is in effect: what was to stop has stopped. */
VAS_API void vas_provider_answer(struct vas_provider *provider, uint32_t change);

/* Offer again, over another socket, after the connection was lost: the same provider goes on. */
VAS_API int vas_provider_resume(struct vas_provider *provider, int sock);

/*
 * Memory of VAS_DEVICE_INFLIGHT_SIZE bytes in the vas, zeroes at first, for what a provider keeps
 * of a queue's requests in flight: its successor finds it. Anybody who may write the vas may write
 * it. Only of a queue that is enabled, and NULL if index is none.
 */
VAS_API void *vas_provider_inflight(struct vas_provider *provider, uint32_t index);

/*
 * Memory of VAS_DEVICE_KEPT_SIZE bytes in the vas, aligned to 8, for what a provider keeps of the
 * device itself: what the driver has asked for by commands, say. Its successor finds it. It belongs
 * to a count of the driver's resets, which the provider keeps there, too. Anybody who may write the
 * vas may write it. NULL: it was never granted.
 */
VAS_API void *vas_provider_kept(struct vas_provider *provider);

/* Where a queue stands and what it does, for all to see. `base` counts when it has stopped. */
VAS_API void vas_provider_tell(struct vas_provider *provider, uint32_t index,
			       enum vas_device_queue_state state, uint32_t base);

/* A queue's counters, in the vas. Who serves the queue adds to them. NULL if index is none. */
VAS_API struct vas_device_counters *vas_provider_counters(struct vas_provider *provider,
							  uint32_t index);

/*
 * The config space has changed; or a queue's driver has broken the rules, and the device needs a
 * reset. The guest is told. -ENOTCONN: it will be when there is a connection again.
 */
VAS_API int vas_provider_config(struct vas_provider *provider,
				const uint8_t config[VAS_DEVICE_CONFIG_SIZE]);
VAS_API int vas_provider_broken(struct vas_provider *provider);

#ifdef __cplusplus
}
#endif

#endif
