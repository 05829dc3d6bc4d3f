/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A migration, seen from its source. */
#ifndef MIGRATE_MIGRATION_H
#define MIGRATE_MIGRATION_H

#include <vas/dirty.h>

#include "migrate/stream/sender.h"

struct migration {
	struct sender sender;
	struct wire back; /* channel 0, the other way */
	struct vas_tracker *dirty;
	struct vas_region *regions; /* as they were at the start, and must be at the end */
	size_t nr_regions;
	uint64_t pages; /* that this round sends */
	uint64_t rate;	/* of the last round, bytes of memory a second */
	uint64_t begun_ns;
	uint64_t round_ns;    /* when this round began */
	uint64_t sent_before; /* pages, before it */
	uint32_t nr_started;  /* channels' threads */
	struct sums sums;
	/* of a guest that tells what it writes */
	uint64_t nr_told;  /* pages, again and again */
	uint64_t last_gpa; /* that was told */
	uint64_t shown_ns; /* when the caller heard of it last */
	bool paused;
	bool frozen; /* by us */
};

/*
 * Rounds: what was touched, then what was written meanwhile, until little is left; freeze; the
 * rest.
 */
int migration_rounds(struct migration *m);
/* The same for a guest whose VMM tells what it writes, until it stands: vas_migrate_ops.told(). */
int migration_told(struct migration *m);
/* All stand: pages whose sums are other than when they were sent. */
int send_unmarked(struct migration *m);
/* After one that failed: what stop_writers() has stopped goes on. */
void let_writers_go(struct migration *m);
void fill_progress(struct migration *m, struct vas_migrate_progress *progress);

/* What both are made of. collect() opens an epoch, and lists what is dirty in sender.words. */
int stop_writers(struct migration *m);
int collect(struct migration *m);
/* Channels' threads run between these two: for a list, or for what is fed. */
int begin_round(struct migration *m);
int end_round(struct migration *m, int err);
/* A round of what was collected, and the epoch's end. */
int send_round(struct migration *m);
/* The caller's progress(): -ECANCELED. */
int tell_progress(struct migration *m);
#define PROGRESS_NS 100000000ull
/* The same ten times a second; where no channel's thread runs, the destination hears of it too. */
int show_progress(struct migration *m);

/* The handshake before the rounds, and after them. */
int send_hellos(struct migration *m);
int send_layout(struct migration *m);
int send_description(struct migration *m);
int wait_for_ready(struct migration *m);
int send_devices(struct migration *m);
int send_state(struct migration *m);
int send_ends(struct migration *m);
int wait_for_done(struct migration *m);

#endif
