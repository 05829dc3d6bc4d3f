/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A vhost-user front end, and which file does what with it:
 *
 *	vhost_user.c	attach and detach, the ops
 *	connect.c	what is agreed on with a back end, first or successor
 *	server.c	the device that a transport sees
 *	pump.c		what is wanted, against what the back end has: the next request
 *	memory.c	prepare, commit, abort: regions
 *	queue.c		queues, as the back end has them
 *	log.c		what the back end has written
 *	channel.c	the connection
 *
 * Nobody sends a sequence of requests and waits. There is what is wanted, and what the back end has
 * been told and has acknowledged; front_pump() finds the first difference, sends one request about
 * it, and takes the answer when it is there. So whoever stops waiting leaves nothing half done: who
 * pumps next goes on. And a successor, which has nothing yet, is one for whom everything differs.
 *
 *	wanted				differs			request
 *	frozen, or what follows		a queue runs		GET_VRING_BASE, until it is drained
 *	is_log_wanted			is_log_sent		SET_LOG_BASE
 *	features			sent_features		SET_FEATURES
 *	entries' is_wanted		is_sent			REM_MEM_REG, ADD_MEM_REG; or
 *								SET_MEM_TABLE
 *	a file of requests in flight	is_inflight_sent	GET_INFLIGHT_FD, SET_INFLIGHT_FD
 *	queues' is_wanted		is_running		SET_VRING_...
 */
#ifndef CONSUMER_VHOST_USER_FRONT_H
#define CONSUMER_VHOST_USER_FRONT_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include <vas/vhost_user.h>

#include "consumer/ring.h"
#include "consumer/vhost_user/channel.h"

#define FRONT_WHY_LEN	256
#define FRONT_ANSWER_NS (5 * NSEC_PER_SEC)

/* One request that is on its way. */
enum front_action {
	FRONT_NONE,
	FRONT_CALL, /* of a thread that waits for the answer */
	FRONT_QUEUE_BASE,
	FRONT_LOG,
	FRONT_FEATURES,
	FRONT_MEMORY_REMOVE,
	FRONT_MEMORY_ADD,
	FRONT_MEMORY_TABLE,
	FRONT_INFLIGHT_GET,
	FRONT_INFLIGHT_SET,
	FRONT_QUEUE_START, /* one of those that start a queue */
};

/* What a back end is given as one region: a region of the layout, or neighbours. */
struct front_entry {
	uint64_t gpa, size, offset;
	uint32_t backing;
	unsigned int is_wanted : 1;   /* it is to have it */
	unsigned int is_sent : 1;     /* it has it */
	unsigned int is_next : 1;     /* of the layout that is prepared */
	unsigned int is_present : 1;  /* of the one in force */
	unsigned int is_in_table : 1; /* it was in the last SET_MEM_TABLE */
};

struct front_entries {
	struct front_entry *at;
	size_t nr, room;
};

/* Regions that a back end can be given, sorted. */
struct front_layout {
	struct vas_region *at;
	size_t nr;
};

struct front_queue {
	struct vas_virtio_queue queue; /* its eventfds are duplicates; base: if it does not run */
	unsigned int is_wanted : 1;    /* the driver wants it served */
	unsigned int is_running : 1;   /* the back end may be serving it */
	unsigned int is_draining : 1;  /* no more, but it has requests under way still */
	unsigned int is_base_unknown : 1; /* whoever served it did not say where it stands */
	uint32_t step;			  /* of those that start it: the next one */
};

enum front_call_state { CALL_NONE, CALL_WAITING, CALL_SENT, CALL_DONE };

/* Bytes of an answer's payload. most 0: the request has none, and is acknowledged. */
struct front_answer {
	uint32_t least, most;
};

#define FRONT_NUMBER	   ((struct front_answer){ sizeof(uint64_t), sizeof(uint64_t) })
#define FRONT_ACKNOWLEDGED ((struct front_answer){ 0, 0 })

/* A request whose answer a thread waits for. */
struct front_call {
	enum front_call_state state;
	struct channel_request request;
	struct front_answer expected;
	int err;
	uint32_t answer_size;
	uint64_t number; /* the same bytes */
	struct vhost_user_config answer;
	char why[FRONT_WHY_LEN];
};

struct vas_vhost_user {
	struct vas_consumer consumer; /* first: the ops cast */
	struct vas_consumer_ops ops;  /* with this one's name */
	struct vas_virtio_server server;
	char name[VAS_REGION_NAME_LEN];
	struct vas *vas;
	uint64_t log_words;
	int epoll_fd, timer_fd; /* has news; when to look again without any */
	uint8_t config[VHOST_USER_MAX_CONFIG];
	int has_own_config;

	pthread_mutex_t calls; /* public calls, one at a time; taken above the lock */
	pthread_mutex_t lock;  /* all below; never held while anybody is waited for */

	struct channel channel;
	enum front_action action; /* of the request that is on its way */
	size_t action_index;
	struct front_call call;
	int has_been_connected;
	int is_ready;	    /* all is agreed on: what is wanted may be sent */
	uint64_t protocol;  /* protocol features in use */
	uint32_t nr_queues; /* that the back end has */
	int gone;	    /* why there is no connection, or 0 */
	char why[FRONT_WHY_LEN];
	uint32_t config_generation;

	/* Somebody waits for what is wanted, and hears of a refusal; else that is the end. */
	void (*step_undo)(
		struct vas_vhost_user *front); /* of the step that is under way, or NULL */
	int call_waits;
	int refused;
	char refusal[FRONT_WHY_LEN];

	struct front_layout layout, next; /* next: prepared */
	int is_prepared;
	struct front_entries entries;
	uint32_t max_entries;

	int is_started;
	int is_frozen, is_layout_frozen;
	uint64_t features, sent_features; /* the driver's, and all that the back end has */
	uint64_t told_features;		  /* in the request that is on its way */
	uint64_t transport_features;	  /* those of them that are vhost-user's own */
	struct front_queue *queues;	  /* server.nr_queues */

	int is_log_wanted, is_log_sent;
	int log_fd; /* -1: there is none */
	uint64_t *log;

	int inflight_fd; /* of the back end's; -1: there is none */
	int has_asked_inflight, is_inflight_sent;
	struct vhost_user_inflight inflight;
};

/* For all requests that start a queue, or that a successor is told. */
static inline struct deadline front_queue_deadline(const struct vas_vhost_user *front)
{
	uint64_t ns = front->channel.answer_ns;

	return deadline_in(ns < UINT64_MAX / 2 ? 2 * ns : UINT64_MAX);
}

static inline struct vas_vhost_user *front_of(struct vas_consumer *consumer)
{
	return (struct vas_vhost_user *)consumer;
}

static inline int front_has(const struct vas_vhost_user *front, int protocol_feature)
{
	return front->protocol >> protocol_feature & 1;
}

static inline int front_is_packed(const struct vas_vhost_user *front)
{
	return front->features >> 34 & 1; /* VIRTIO_F_RING_PACKED */
}

/* ---- pump.c: all with the lock held -------------------------------------------------------- */

/*
 * Do what can be done. 0: the back end has what is wanted, or there is none; or somebody else is
 * to hear of a refusal first; VAS_CONSUMER_UNDER_WAY: not yet; -errno: it was just disconnected.
 */
int vas_front_pump(struct vas_vhost_user *front);

/* The same for who waits: also -EREMOTEIO, refused. vas_error() says what. */
int vas_front_result(struct vas_vhost_user *front);

/* No back end any more, for the reason in vas_error(). */
void vas_front_lose(struct vas_vhost_user *front, int err);

/* Until done(); the lock is given up meanwhile. As vas_front_result(), or -ETIMEDOUT. */
int vas_front_wait(struct vas_vhost_user *front, int (*done)(const struct vas_vhost_user *front),
		   struct deadline deadline);

/* For an undo, or what cannot fail: wait a moment; who pumps next does the rest. */
void vas_front_settle(struct vas_vhost_user *front);

/*
 * An op has changed what is wanted: as vas_front_result(), and 0 also if the back end has closed
 * the connection. After an error undo() was called. finish() calls it again; what ends the step
 * early ends it by the second one.
 */
int vas_front_step(struct vas_vhost_user *front, void (*undo)(struct vas_vhost_user *front));
void vas_front_step_end(struct vas_vhost_user *front);

/* Send a request of an action: with an answer of its own, or acknowledged. */
void vas_front_ask(struct vas_vhost_user *front, enum front_action action, size_t index,
		   const struct channel_request *request, struct front_answer answer);
void vas_front_tell(struct vas_vhost_user *front, enum front_action action, size_t index,
		    const struct channel_request *request);
/* What was sent is not wanted any more: an answer to it, if there is to be one, says nothing. */
void vas_front_forget(struct vas_vhost_user *front, enum front_action action);

/*
 * Without the lock: a request and its answer, which is in front->call then, for a thread that holds
 * `calls`. 0, -ENOTCONN, -EREMOTEIO (refused), or why the connection has ended.
 */
int vas_front_call(struct vas_vhost_user *front, const struct channel_request *request,
		   struct front_answer answer);

/* ---- memory.c, queue.c, log.c: with the lock held, for the pump ------------------------------ */

/* It has all that is wanted, and no more. */
int vas_front_memory_is_told(const struct vas_vhost_user *front);
/* Something has to go before anything else: queues stand meanwhile. */
int vas_front_memory_is_late(const struct vas_vhost_user *front);
/* Send the next request, if there is one: 1, else 0. */
int vas_front_memory_send(struct vas_vhost_user *front);
void vas_front_memory_done(struct vas_vhost_user *front, enum front_action action, size_t index);
/* The region that has [gpa, +size), all of it, or NULL. */
const struct vas_region *vas_front_memory_find(const struct vas_vhost_user *front, uint64_t gpa,
					       uint64_t size);
/* The same address for the back end's table of regions and for rings. */
uint64_t vas_front_user_address(uint64_t gpa);
void vas_front_memory_clean(struct vas_vhost_user *front);

int vas_front_prepare(struct vas_consumer *consumer, const struct vas_delta *delta,
		      uint64_t deadline_ns);
int vas_front_commit(struct vas_consumer *consumer, const struct vas_delta *delta);
void vas_front_abort(struct vas_consumer *consumer, const struct vas_delta *delta);
int vas_front_retry(struct vas_consumer *consumer);
/* The change holds: what it takes away goes now. And if it does not hold after all. */
void vas_front_memory_follow(struct vas_vhost_user *front);
void vas_front_memory_return(struct vas_vhost_user *front);
/* Another back end is to be given all of it, as far as it has room. */
int vas_front_memory_again(struct vas_vhost_user *front);

/* Those that are not wanted, or all. 1: sent; 0: they stand; FRONT_LOOK_AGAIN: one is draining. */
#define FRONT_LOOK_AGAIN 2
int vas_front_queues_stop(struct vas_vhost_user *front, int all);
int vas_front_inflight_send(struct vas_vhost_user *front);
int vas_front_inflight_take(struct vas_vhost_user *front);
int vas_front_queues_start(struct vas_vhost_user *front);
/* An answer: -EPROTO if it makes no sense. */
int vas_front_queue_base_take(struct vas_vhost_user *front, size_t index);
void vas_front_queue_started(struct vas_vhost_user *front, size_t index);
/* Where it stands, if it stands. */
uint32_t vas_front_queue_base(struct vas_vhost_user *front, uint32_t index);
/* Whether those that are wanted run; in a frozen vas, or without a back end, they will. */
int vas_front_queues_run(const struct vas_vhost_user *front);
/* The back end is gone. */
void vas_front_queues_lose(struct vas_vhost_user *front);
/* Whether a successor can go on with them. */
int vas_front_queues_check(const struct vas_vhost_user *front);
int vas_front_queue_set(struct vas_vhost_user *front, uint32_t index,
			const struct vas_virtio_queue *queue);
void vas_front_queue_clean(struct vas_vhost_user *front, uint32_t index);
uint64_t vas_front_ring_gpa(const struct vas_virtio_queue *queue, enum ring_part part);
void vas_front_inflight_forget(struct vas_vhost_user *front);

int vas_front_log_send(struct vas_vhost_user *front);
uint64_t vas_front_features(const struct vas_vhost_user *front);
int vas_front_track(struct vas_consumer *consumer, uint64_t deadline_ns);
void vas_front_untrack(struct vas_consumer *consumer);
int vas_front_harvest(struct vas_consumer *consumer);

/* ---- connect.c, server.c --------------------------------------------------------------------- */

/* With `calls` held, and not the lock. The socket is taken over. */
int vas_front_connect(struct vas_vhost_user *front, int sock);
/* The config space, as the back end has it now. */
int vas_front_config_fetch(struct vas_vhost_user *front);
extern const struct vas_virtio_ops vas_front_server_ops;

#endif
