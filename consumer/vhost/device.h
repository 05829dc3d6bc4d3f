/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the vhost consumer keeps of one device of the kernel's, and which file does what with it:
 *
 *	vhost.c		attach and detach, the ops
 *	table.c		prepare, commit, abort: the memory table
 *	queue.c		rings, start and stop
 *	log.c		what the device has written
 */
#ifndef CONSUMER_VHOST_DEVICE_H
#define CONSUMER_VHOST_DEVICE_H

#include <linux/vhost.h>
#include <pthread.h>
#include <stddef.h>

#include <vas/vhost.h>

#include "consumer/file_map.h"
#include "consumer/ring.h"

/* A region, and where this process has it. */
struct vhost_range {
	struct vas_region region;
	struct vas_file_map memory; /* hva NULL: left out */
	int is_going;		    /* the change that is prepared removes it */
	int is_late;		    /* prepared, and comes when that which has its place has gone */
};

/* Sorted by gpa, but for what is retired. */
struct vhost_ranges {
	struct vhost_range *at;
	size_t nr, room;
};

struct vas_vhost {
	struct vas_consumer consumer; /* first: the ops cast */
	struct vas_consumer_ops ops;  /* with this one's name */
	char name[VAS_REGION_NAME_LEN];
	enum vas_vhost_kind kind;
	int fd;
	struct vas *vas;
	struct vas_file_maps *file_maps;
	uint32_t max_entries; /* of a table */
	uint64_t log_words;

	pthread_mutex_t lock; /* all below; taken below the vas's change lock */

	struct vhost_ranges present; /* the layout */
	struct vhost_ranges pending; /* what a prepared change brings */
	struct vhost_ranges retired; /* not in the layout, but maybe in the kernel's table */
	struct vhost_memory *table;  /* room for max_entries */

	int is_started; /* the VMM wants it served */
	int is_running; /* it is */
	int is_frozen;
	uint64_t features;
	struct vas_vhost_queue queues[VAS_VHOST_QUEUES];

	uint64_t *log; /* while tracked: a bit a page, from gpa 0 on */
};

static inline struct vas_vhost *vhost_of(struct vas_consumer *consumer)
{
	return (struct vas_vhost *)consumer;
}

/* An ioctl of the device: 0 or -errno. */
int vas_vhost_call(const struct vas_vhost *vhost, unsigned long request, const void *arg);

int vas_vhost_table_prepare(struct vas_consumer *consumer, const struct vas_delta *delta,
			    uint64_t deadline_ns);
int vas_vhost_table_commit(struct vas_consumer *consumer, const struct vas_delta *delta);
void vas_vhost_table_abort(struct vas_consumer *consumer, const struct vas_delta *delta);
int vas_vhost_table_retry(struct vas_consumer *consumer);
void vas_vhost_table_clean(struct vas_vhost *vhost);
/* [gpa, +len) of the present layout, which vhost may write; NULL: not in one region. */
char *vas_vhost_table_find(const struct vas_vhost *vhost, uint64_t gpa, uint64_t len);

/* With the lock held. */
/* Where a part of a ring is. */
uint64_t vas_vhost_ring_gpa(const struct vas_vhost_queue *queue, enum ring_part part);
/* The rings' addresses again: their memory has moved in this process, or they are to be logged. */
int vas_vhost_rings_set(const struct vas_vhost *vhost);
int vas_vhost_features_set(const struct vas_vhost *vhost);
/* Served or not, as what is wanted says. */
int vas_vhost_run_or_halt(struct vas_vhost *vhost);

int vas_vhost_log_track(struct vas_consumer *consumer, uint64_t deadline_ns);
void vas_vhost_log_untrack(struct vas_consumer *consumer);
int vas_vhost_log_harvest(struct vas_consumer *consumer);

#endif
