/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A back end in a thread, which serves nothing: it keeps the regions that it was given and what it
 * was told of queues, answers as it must, and at one request does what it must not.
 */
#ifndef TESTS_CONSUMER_VHOST_USER_FAKE_BACK_END_H
#define TESTS_CONSUMER_VHOST_USER_FAKE_BACK_END_H

#include <pthread.h>
#include <stdint.h>

#include "core/vhost_user/protocol.h"

#define FAKE_MAX_REGIONS 96
#define FAKE_MAX_QUEUES	 4

enum fault {
	FAULT_NONE,
	FAULT_SILENT,	  /* no answer, and the connection stays */
	FAULT_DRIBBLE,	  /* a byte of the answer each 100 ms */
	FAULT_OTHER,	  /* the answer to another request */
	FAULT_SHORT,	  /* a byte less than it has */
	FAULT_LONG,	  /* says that it has a gigabyte */
	FAULT_FDS,	  /* fds beside it */
	FAULT_TWICE,	  /* the answer twice */
	FAULT_CLOSE,	  /* the end */
	FAULT_HALF,	  /* the end in the middle of the answer */
	FAULT_REFUSE,	  /* it says no */
	FAULT_NOT_REPLY,  /* flags of a request */
	FAULT_LATE_BASE,  /* a queue stands, but has requests under way */
	FAULT_WRONG_BASE, /* a queue stands where none can */
	FAULT_HELD,	  /* the answer, but not before there is no fault any more */
	FAULT_DEAF,	  /* the answer, and nothing is read before that */
	NR_FAULTS
};

struct fake_queue {
	uint32_t size, base;
	struct vhost_user_vring_addr addr;
	int kick_fd, call_fd;
	int is_running, is_enabled;
};

struct fake_back_end {
	/* Set by the test before it begins. */
	uint64_t features, protocol;
	uint64_t max_slots, max_queues;
	uint8_t config[64];

	/* Of the connection. */
	int sock, peer; /* peer: the front end's */
	pthread_t thread;
	pthread_mutex_t lock; /* all below */
	enum fault fault;
	uint32_t fault_at;    /* at which request */
	int fault_after;      /* and at the how manieth of them, from now on: 0: the first */
	int nr_seen[64];      /* requests */
	uint32_t last_nr_fds; /* of the last one */
	uint64_t driver_features;
	struct vhost_user_region regions[FAKE_MAX_REGIONS];
	uint32_t nr_regions;
	uint32_t nr_changed_while_running; /* regions that went, and tables, under a queue */
	struct fake_queue queues[FAKE_MAX_QUEUES];
	uint8_t *log;
	uint64_t log_size;
	int inflight_fd; /* -1: none was set */
	uint64_t inflight_ino;
};

/* All protocol features that our front end knows of, 16 slots, 2 queues. */
void fake_init(struct fake_back_end *fake);

/* Connect a front end: its socket is fake->peer. */
void fake_begin(struct fake_back_end *fake);
/* Until it has seen the end of the connection. */
void fake_end(struct fake_back_end *fake);

/*
 * Or, for one in shared memory that another process serves: the connection is fake->sock, to its end.
 * All else here may be called from either.
 */
void fake_serve(struct fake_back_end *fake);

void fake_fault(struct fake_back_end *fake, uint32_t request, enum fault fault);

/* How many requests of a kind have come. */
int fake_count(struct fake_back_end *fake, uint32_t request);
/* Whether a page is in a region that it was given. */
int fake_has(struct fake_back_end *fake, uint64_t gpa);
int fake_runs(struct fake_back_end *fake, uint32_t queue);

#endif
