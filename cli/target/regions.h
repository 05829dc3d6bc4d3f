/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* All regions of a vas at one time, and a walk over what is in a range of them. */
#ifndef CLI_REGIONS_H
#define CLI_REGIONS_H

#include <sys/types.h>
#include <vas/vas.h>

struct regions {
	struct vas_region *at; /* sorted by gpa */
	size_t nr;
};

/* 0 or -errno. */
int regions_get(struct vas *vas, struct regions *regions);
void regions_clean(struct regions *regions);

uint64_t regions_size(const struct regions *regions); /* of all together */
uint64_t
regions_end(const struct regions *regions); /* the first gpa behind the last one; 0: none */

enum extent_kind {
	EXTENT_DATA,	/* memory that is there */
	EXTENT_EMPTY,	/* memory that was never touched: zeros, and reading would allocate it */
	EXTENT_UNKNOWN, /* one of these two: hugetlbfs cannot tell */
	EXTENT_LAZY,	/* some pages are not filled: look by libvas, not the file */
	EXTENT_HOLE,	/* no region */
	EXTENT_UNREACHABLE, /* memory that cannot be had here, or is gone: its file was cut */
};

/* There is memory, or may be. */
static inline int extent_has_data(enum extent_kind kind)
{
	return kind == EXTENT_DATA || kind == EXTENT_UNKNOWN || kind == EXTENT_LAZY;
}

struct extent {
	enum extent_kind kind;
	uint64_t gpa;
	uint64_t len;
	const struct vas_region *region; /* NULL: EXTENT_HOLE */
};

/*
 * A walk over [gpa, end): set gpa, end, vas and regions, zero the rest. gpa may be set back into
 * the extent that came last.
 */
struct extents {
	struct vas *vas;
	const struct regions *regions;
	uint64_t gpa;
	uint64_t end;
	size_t index;
	uint64_t data_end; /* gpa up to which the last extent found was data */
};

/* The next extent, in order and without gaps: 1, or 0 at the end. */
int extent_next(struct extents *extents, struct extent *extent);

/* Bytes of EXTENT_DATA, EXTENT_UNKNOWN and EXTENT_LAZY in [gpa, end). */
uint64_t extents_data(struct vas *vas, const struct regions *regions, uint64_t gpa, uint64_t end);

/* Bytes of guest RAM in the vas's file that take memory. Quick, however large the guest is. */
uint64_t file_resident(int fd, const struct vas_info *info);
/* The same of a vas, whose RAM may be a file of its own. */
uint64_t ram_resident(struct vas *vas, const struct vas_info *info);

#endif
