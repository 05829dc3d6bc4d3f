/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Steps of all consumers of a vas at once: started in the order of the list, waited for together,
 * undone in the reverse order. vas->change is held in all of it.
 */
#ifndef VAS_LIB_CONSUMER_H
#define VAS_LIB_CONSUMER_H

#include "lib/layout/delta.h"
#include "lib/handle/handle.h"

enum step_kind { STEP_PREPARE, STEP_FREEZE_WRITERS, STEP_FREEZE_LAYOUT, STEP_TRACK };

struct step {
	enum step_kind kind;
	const struct delta *delta; /* STEP_PREPARE */
	uint64_t deadline_ns;
	struct vas_blocker *blocker; /* not NULL; written when the step fails */
};

/* Which consumers take the step: those with VAS_CONSUMER_BINDERS stand first in the list. */
enum step_part { STEP_BINDERS, STEP_OTHERS };

/*
 * Start the step of some consumers; wait until all that is under way is done. If one fails, all is
 * undone.
 * -EBUSY: the deadline passed; else what the consumer said.
 */
int vas_step_start(struct vas *vas, const struct step *step, enum step_part part);
int vas_step_finish(struct vas *vas, const struct step *step);

/* All of it: start, and finish. */
int vas_step_take(struct vas *vas, const struct step *step);
int vas_step_take_one(struct vas *vas, const struct step *step, struct vas_consumer *consumer);

/* Whoever has taken the step, done or under way, takes it back. */
void vas_step_undo(struct vas *vas, const struct step *step);
void vas_step_undo_one(const struct step *step, struct vas_consumer *consumer);

/* The prepared change holds: all follow it. Those that cannot are out of step. */
void vas_consumers_commit(struct vas *vas, const struct delta *delta);

/* Those that are out of step try again; that they fail stops nobody. */
void vas_consumers_retry(struct vas *vas);

/* The first consumer that declares one of these VAS_CONSUMER_* flags, or NULL. */
struct vas_consumer *vas_consumers_with(const struct vas *vas, uint32_t flags);

/* A blocker that is this consumer. */
void vas_consumer_report(const struct vas_consumer *consumer, struct vas_blocker *blocker);

#endif
