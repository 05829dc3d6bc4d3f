/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A copy of guest memory that is kept up with harvests alone: what a migration does. */
#ifndef TESTS_LIB_DIRTY_SHADOW_H
#define TESTS_LIB_DIRTY_SHADOW_H

#include <vas/consumer.h>
#include <vas/dirty.h>

struct shadow {
	struct vas *vas;
	struct vas_tracker *dirty;
	char *bytes;
	uint64_t size;
	uint64_t nr_pages; /* copied in all */
};

/* A vas with RAM in [0, size), owned. */
struct vas *shadow_vas(uint64_t size);
struct vas *shadow_vas_made(uint64_t size, uint32_t create_flags);

void shadow_init(struct shadow *s, struct vas *vas, uint64_t size);
void shadow_clean(struct shadow *s);

/* One epoch, in pieces of nr words; committed. Returns the pages that were copied. */
uint64_t shadow_round(struct shadow *s, size_t nr);

/* Take up to nr words once, and copy their pages; *gpa moves on. */
void shadow_segment(struct shadow *s, uint64_t *gpa, uint64_t end, size_t nr);

/* Fails the case unless memory and copy are the same. */
void shadow_check(struct shadow *s);

/* The steps of a consumer that has nothing to do when the layout changes. */
int shadow_prepare(struct vas_consumer *c, const struct vas_delta *delta, uint64_t deadline_ns);
int shadow_commit(struct vas_consumer *c, const struct vas_delta *delta);
void shadow_abort(struct vas_consumer *c, const struct vas_delta *delta);

#endif
