/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Which of a vas's memory is there, and which was never touched: reading that would allocate it. */
#ifndef VAS_LIB_RESIDENT_H
#define VAS_LIB_RESIDENT_H

#include <stdbool.h>

#include "lib/access/view.h"

#define RESIDENT_MAX ((1u << 20) + 8192u) /* bytes that one look takes in */

struct resident {
	bool is_ours;	     /* the files are the caller's, so the kernel answers mincore() truly */
	uint64_t generation; /* in which ... */
	uint64_t data_end;   /* ... all up to here was found to be data */
};

struct range {
	uint64_t len;
	bool is_hole;	/* memory of a file that was never touched: zeros */
	bool is_unsure; /* one or the other, hugetlbfs does not tell: vas_resident_read() it */
};

void vas_resident_init(struct resident *r, struct vas *vas);

/*
 * In a section: what is at gpa, which the reachable entry e holds, and how far that goes on: for
 * data at most `range` bytes, which are contiguous from hva on; for a hole perhaps more, up to the
 * end of e.
 */
struct range vas_resident_at(struct resident *r, struct vas *vas,
			     const struct vas_region_map_entry *e, uint64_t gpa, const void *hva,
			     uint64_t range);

/* Bytes from hva on, at most len, whose pages are in memory for certain. Only of the caller's own
 * files. */
uint64_t vas_resident_present(const void *hva, uint64_t len);

/*
 * In a section: bytes from gpa on, which the reachable entry e holds to the last, read from the
 * file, where a hole gives zeros and stays one. How many: fewer where the file was cut or a page is
 * bad. Not of local memory.
 */
size_t vas_resident_read(struct vas *vas, const struct vas_region_map_entry *e, uint64_t gpa,
			 void *buf, size_t len);

/* A hole's place in its file. */
struct fresh {
	int fd;
	uint64_t offset;
};

/*
 * In a section: where gpa, in the reachable entry e, is in its file, which may be written instead
 * of the map. False: its size is not sealed. Beyond the end of such a file there are no zeros, and
 * a write would make it longer.
 */
bool vas_resident_get(struct vas *vas, const struct vas_region_map_entry *e, uint64_t gpa,
		      struct fresh *fresh);
void vas_resident_put(const struct vas *vas, const struct fresh *fresh);

#endif
