/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Give a vas's guest a device that another process serves, by vhost-user: qemu-storage-daemon,
 * passt, DPDK, "vas device". This is the front end, as a consumer of the vas: the back end's memory
 * follows the layout, it stops for a freeze, and what it writes is in the dirty log. The guest's
 * driver reaches it through a transport, by <vas/virtio.h>.
 *
 *	transport		this			back end
 *	queue_start() --------> size, base, addresses,
 *				eventfds -------------> serves the queue
 *	a layout comes -------> ADD_MEM_REG ----------> has it
 *	one goes -------------> GET_VRING_BASE -------> has done what it had taken
 *				REM_MEM_REG ----------> has it no more
 *				SET_VRING_*, KICK ----> goes on
 *	vas_freeze() ---------> GET_VRING_BASE -------> stands still
 *
 * Memory is handed over as the files that it lies in: a back end can map all of such a file, and
 * keep it mapped. Who is not to have the control area gets a vas whose RAM is apart, or a share.
 * What has no file (VAS_REGION_LOCAL), is read-only or is a device's is left out. A back end may
 * hold its memory in place (VAS_CONSUMER_PINS): none comes lazily or is discarded meanwhile.
 *
 * A change of the layout is refused, with a sentence, if the back end has no room for so many
 * regions (-ENOSPC: with neighbours that are neighbours in their file taken as one), if a queue's
 * ring would go (-EBUSY), or if the back end does not take it (-EREMOTEIO).
 *
 * A back end may be silent, wrong, or gone. Each message has its time. Who answers wrongly or
 * not at all is disconnected, and vas_vhost_user_status() says why. The guest's requests stand
 * still from then on, and the layout changes without it, until vas_vhost_user_connect() has a
 * successor: that is given the layout, the queues as they stand, and the file of requests in flight
 * of the one before, if both have such a thing. A back end that was disconnected may have the
 * memory mapped, and write to it, as long as its process lives.
 *
 * One that does not log what it writes (VHOST_F_LOG_ALL, LOG_SHMFD) can be used, but the vas cannot
 * be tracked while it is attached: VAS_CONSUMER_UNLOGGED.
 */
#ifndef VAS_VHOST_USER_H
#define VAS_VHOST_USER_H

#include <vas/consumer.h>
#include <vas/virtio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vas_vhost_user;

struct vas_vhost_user_options {
	const char *name;    /* whom errors and vas_info name; NULL: "vhost-user" */
	uint32_t device_id;  /* virtio's: what the back end serves, which it does not say itself */
	uint32_t nr_queues;  /* 0: as many as the back end says, or 1 */
	uint32_t queue_size; /* the largest; 0: 256 */
	uint32_t config_size;
	/*
	 * The config space of a device whose back end has none (its protocol feature CONFIG): a
	 * network device's address, say. config_size bytes, which are copied; NULL: it comes from
	 * the back end.
	 */
	const void *config;
	uint64_t timeout_ns; /* of each message, and for attaching; 0: five seconds */
	uint64_t reserved[2];
};

/*
 * Attach the vas (this handle must own it) to a back end on a connected Unix stream socket, which
 * is duplicated. *front is freed by vas_vhost_user_detach(), which comes before vas_unbind().
 *
 * -EINVAL: options; -EPERM: not the owner; -ENOTSOCK: the fd; -EOPNOTSUPP: the back end lacks what
 * is needed, which vas_error() names; -EPROTO, -ECONNRESET, -ETIMEDOUT: it answers wrongly, closes,
 * or is silent; -EBUSY: the vas is tracked, and the back end does not log; or the timeout; else as
 * a change of the layout, above. After an error nothing is attached.
 */
VAS_API int vas_vhost_user_attach(struct vas *vas, int sock,
				  const struct vas_vhost_user_options *options,
				  struct vas_vhost_user **front);

/*
 * Disconnect, and free it. The device was removed from its transport before. NULL is allowed.
 */
VAS_API void vas_vhost_user_detach(struct vas_vhost_user *front);

/* The consumer that it is. */
VAS_API struct vas_consumer *vas_vhost_user_consumer(struct vas_vhost_user *front);

/* The device, for a transport: with the features of the back end. */
VAS_API struct vas_virtio_server *vas_vhost_user_server(struct vas_vhost_user *front);

/*
 * Whether there is a back end: 0, or why it was disconnected, a negative errno; vas_error() says so
 * in words. It is found out when it is talked to, or by vas_vhost_user_serve().
 */
VAS_API int vas_vhost_user_status(struct vas_vhost_user *front);

/*
 * An fd that polls readable when the back end has said something, or has gone; and what is to be
 * done then, from any thread: it waits for nobody, and returns as vas_vhost_user_status(). Without
 * it, a back end that is late for a thaw goes on only when the next call finds that out.
 */
VAS_API int vas_vhost_user_fd(const struct vas_vhost_user *front);
VAS_API int vas_vhost_user_serve(struct vas_vhost_user *front);

/*
 * Have a successor on another socket serve the device. Whoever is connected is disconnected first.
 * Queues go on where their used rings stand; a packed one can go on only by the file of requests in
 * flight, else this is refused (-EOPNOTSUPP), as is a successor that lacks features in use. Errors
 * as of vas_vhost_user_attach(); there is no back end then.
 */
VAS_API int vas_vhost_user_connect(struct vas_vhost_user *front, int sock);

#ifdef __cplusplus
}
#endif

#endif
