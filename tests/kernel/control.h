/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The control area of a vas, by hand: for what an owner does that libvas does not offer, and for what
 * only a hostile peer would do.
 */
#ifndef TESTS_KERNEL_CONTROL_H
#define TESTS_KERNEL_CONTROL_H

#include <vas/format.h>

#include "core/protocol/entries.h"

/* Of nobody who lives. */
#define DEAD_TAG (7u << VAS_TAG_INDEX_BITS | 500)

struct control {
	int fd;
	struct vas_superblock *sb; /* in the file, writable */
	struct vas_control *control;
	struct vas_slot *slots;
	struct vas_binder *binders;
	struct vas_pin *pins;
	struct vas_event_entry *events;
	struct vas_region_entry *table[2];
	uint64_t *log; /* words */
	char *mapped;
};

/* Map it; it stays mapped until the test ends. */
struct control control_open(int fd);

/* The tag of the owner, who lives. */
uint32_t control_owners_tag(const struct control *c);

/* Publish a new generation with these VAS_STATE_* flags, everything else as it was. */
void control_flags(struct control *c, uint32_t flags);

/* A page's bit in the log, and of a page in how many words of it any is set. */
int control_is_dirty(const struct control *c, uint64_t gpa);
uint64_t control_nr_dirty(const struct control *c);
/* Clear all of the log, the upper levels included; -1 if one of those missed a dirty word. */
int control_clear_log(struct control *c);

#endif
