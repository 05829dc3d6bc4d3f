/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A device behind one connection of a vhost-user front end.
 *
 *	message.c	bytes and fds from the socket
 *	session.c	what each request does
 *	vring.c		a ring: where it is, its eventfds, whether it runs
 *	inflight.c	the file with the requests in flight
 *	binding.c	a part in the vas that the memory is
 *	request.c	what the front end is told without having asked
 *	iommu.c		what iovas of a guest with an IOMMU stand for
 *
 * Whatever a request changes, the queues that use it stand still meanwhile, with nothing in flight.
 * One thread reads requests, and each queue that runs has its own.
 */
#ifndef DEVICE_VHOST_USER_SESSION_H
#define DEVICE_VHOST_USER_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "device/queue.h"
#include "device/vhost_user/message.h"

/* Features of vhost-user's own, of which a device knows nothing. */
#define TRANSPORT_FEATURES (1ull << VHOST_USER_F_PROTOCOL_FEATURES | 1ull << VHOST_F_LOG_ALL)

struct session_ring {
	struct device_queue queue;
	struct vhost_user_vring_addr addr;
	bool has_addr;
	bool is_started; /* by SET_VRING_KICK, until GET_VRING_BASE */
	bool is_enabled;
};

#define REQUESTS_MAX   256u /* misses that the front end has not dealt with */
#define REQUESTS_AHEAD 192u /* then none are added that nobody waits for */
#define REQUESTS_HELD  64u  /* are sent at once */

struct request_reply {
	uint32_t request, flags, size;
	uint64_t u64;
} __attribute__((packed));

struct request_iotlb {
	uint32_t request, flags, size;
	struct vhost_user_iotlb iotlb;
} __attribute__((packed));

struct request_miss {
	uint64_t iova;
	bool is_answered; /* by an update */
	bool has_reply;	  /* will have one, and all before it are dealt with then */
};

/* The front end's socket for what it is told without having asked. */
struct requests {
	pthread_mutex_t lock; /* all of it */
	int sock;	      /* or -1 */
	/* That are not dealt with: nr from the first on, round and round. */
	struct request_miss misses[REQUESTS_MAX];
	uint32_t first, nr;
	/* The last nr_held of them are not sent yet. */
	struct request_iotlb held[REQUESTS_HELD];
	uint32_t nr_held;
	struct request_reply reply; /* so much of one as has come */
	uint32_t reply_len;
};

struct session {
	int sock;
	struct requests requests;
	struct vas_device *device;
	struct memory memory;
	struct vas_iommu_view *view; /* NULL: there was no need of one yet */
	bool repeats_regions;	     /* the front end has added one that is there */
	struct shared_map inflight;
	uint32_t inflight_queues, inflight_descs;
	uint64_t features, protocol_features; /* that the front end has accepted */
	uint8_t status;
	uint64_t poll_ns, miss_ns;
	struct session_ring *vrings; /* device->max_queues */
	uint32_t nr_running;
};

struct vhost_user_options {
	uint64_t poll_ns; /* how long an idle queue is looked at before its thread sleeps */
	int look_fd; /* an eventfd or signalfd that says: look at what the device works on; or -1 */
	uint64_t miss_ns; /* for the answer to a miss of an IOMMU's; 0: the usual time */
};

/*
 * Serve a front end until it goes: 0; stop_fd is readable: -ECANCELED; or it does what makes no
 * sense: another -errno, and vas_error() says what. The socket stays the caller's.
 */
int vhost_user_serve(int sock, int stop_fd, struct vas_device *device,
		     const struct vhost_user_options *options);

/* ---- session.c's own ---------------------------------------------------------------------- */

int vrings_init(struct session *session);
void vrings_clean(struct session *session);

/* NULL: there is no such queue, and vas_error() says so. */
struct session_ring *vring_get(struct session *session, uint64_t index);

/* Stop it, with nothing in flight; have it run if it can. -errno: it should, and cannot. */
void vring_pause(struct session *session, struct session_ring *vring);
int vring_resume(struct session *session, struct session_ring *vring);
void vrings_pause(struct session *session);
void vrings_resume(struct session *session);

/* As if the front end had just come, but for where each stands: not started, not enabled. */
void vrings_reset(struct session *session);

enum vring_event { VRING_KICK, VRING_CALL, VRING_ERR };

/* SET_VRING_KICK and its like. */
int vring_set_event(struct session *session, struct vhost_user_message *message,
		    enum vring_event event);

/*
 * The table of memory has changed, while no queue runs: take part in the vas that it is, or no
 * more. fd: a file that has come with it, or -1.
 */
void binding_update(struct session *session, int fd);
void binding_end(struct session *session);

/* SET_BACKEND_REQ_FD; what the device works on may have changed; the end. */
int requests_init(struct session *session);
int request_set(struct session *session, struct vhost_user_message *message);
void request_look(struct session *session);
void requests_end(struct session *session);

/*
 * Of queues' threads: an iova is missed, or may not be used. Then, of the session's: there is an
 * update of a range, which is not in the view yet; the front end replies.
 */
int request_miss(void *session, uint64_t iova, uint32_t prot);
void request_fault(void *session, uint64_t iova, uint32_t prot);
void request_answer(struct session *session, uint64_t iova, uint64_t size);
int request_receive(struct session *session);

/* Addresses are iovas. There is a view from iommu_begin() on. */
bool iommu_is_used(const struct session *session);
int iommu_begin(struct session *session);
void iommu_end(struct session *session);

/* IOTLB_MSG. */
int iommu_message(struct session *session, const struct vhost_user_message *message);

/* All of the view goes: what is in use now stays in use until the queues are stopped. */
void iommu_forget(struct session *session);

/* GET_INFLIGHT_FD: the answer's payload, and its fd (-1: there is none); SET_INFLIGHT_FD. */
int inflight_make(const struct session *session, struct vhost_user_inflight *inflight, int *fd);
int inflight_set(struct session *session, struct vhost_user_message *message);
void *inflight_of(const struct session *session, uint32_t index);

#endif
