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
	bool paused;
	bool frozen; /* by us */
};

/*
 * Rounds: what was touched, then what was written meanwhile, until little is left; freeze; the
 * rest.
 */
int migration_rounds(struct migration *m);
/* After one that failed: what stop_writers() has stopped goes on. */
void let_writers_go(struct migration *m);
void fill_progress(struct migration *m, uint64_t sent_before,
		   struct vas_migrate_progress *progress);

/* The handshake before the rounds, and after them. */
int send_hellos(struct migration *m);
int send_layout(struct migration *m);
int wait_for_ready(struct migration *m);
int send_devices(struct migration *m);
int send_state(struct migration *m);
int send_ends(struct migration *m);
int wait_for_done(struct migration *m);

#endif
