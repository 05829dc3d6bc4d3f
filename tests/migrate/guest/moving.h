/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A guest that moves from one process to another while it and a device process write: what the
 * processes of that test agree on, and what must be in memory in the end.
 *
 * Three areas are written: by the guest; by foo in copies; by foo through a map that it keeps. What
 * is written and where follows from a seed and a number, so a count of writes is all that has to be
 * recorded: the guest counts in its mailbox, foo in a record of its own, which survives it.
 */
#ifndef TESTS_MIGRATE_GUEST_MOVING_H
#define TESTS_MIGRATE_GUEST_MOVING_H

#include <stdint.h>
#include <vas/vas.h>

enum moving_area { AREA_GUEST, AREA_COPIES, AREA_MAP, NR_AREAS };

struct moving_range {
	uint64_t gpa;
	uint64_t size;
};

extern const struct moving_range moving_ranges[NR_AREAS];

/* From the test to its processes. */
struct moving_order {
	uint64_t seed;
	uint32_t nr_channels;
	uint32_t kvm_flags;
};

/* From its processes to the test. */
struct moving_report {
	uint32_t what; /* REPORT_* */
	int32_t err;
	uint32_t rounds; /* of the migration */
	uint32_t size;	 /* REPORT_ACCEPTED: of the state, which follows; then the vas */
};
enum { REPORT_STARTED = 1, REPORT_ACCEPTED, REPORT_MOVED, REPORT_STOPPED };

/* Foo's, in shared memory. A write that has begun and is not done may be there, or in part, or not.
 */
struct moving_record {
	uint64_t begun[NR_AREAS];
	uint64_t done[NR_AREAS];
};

struct moving_record *moving_record_map(int fd);

uint64_t moving_guest_seed(uint64_t seed);

/* Write number nr of foo: where, and up to MOVING_MAX_WRITE bytes; their number is returned. */
#define MOVING_MAX_WRITE 512u
size_t moving_write(enum moving_area area, uint64_t seed, uint64_t nr, uint64_t *gpa, void *bytes);

/* The areas before anybody writes. */
void moving_fill(struct vas *vas, uint64_t seed);

/*
 * Fails the case unless the areas hold what was filled in and then written, nr_guest writes of the
 * guest among it. A write that may or may not have been done may be there in part.
 */
void moving_check(struct vas *vas, uint64_t seed, uint64_t nr_guest,
		  const struct moving_record *record);

/* Fails the case unless all regions of both are the same, byte by byte. */
void moving_check_same(struct vas *a, struct vas *b);

#endif
