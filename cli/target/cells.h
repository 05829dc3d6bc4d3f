/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Guest-physical space cut into equal cells, in rows; rows without any memory are left out. */
#ifndef CLI_CELLS_H
#define CLI_CELLS_H

#include "cli/target/regions.h"

struct cell {
	uint64_t covered;  /* bytes of regions */
	uint64_t resident; /* of these, bytes that take memory */
	uint64_t unknown;  /* of these, bytes that may do so */
};

struct row {
	uint64_t gpa;
	struct cell *cells;		 /* `width` of them */
	const struct vas_region *region; /* the first that begins in this row, or NULL */
	size_t nr_regions;		 /* that begin in this row */
};

struct cells {
	uint64_t size;	    /* of a cell: a power of two. 0: chosen so that there are few rows */
	uint64_t page_size; /* the least that is chosen */
	size_t width;	    /* of a row, in cells. 0: as many as the terminal has room for */
	struct row *rows;
	size_t nr_rows;
	struct cell *all;
	size_t nr_unknown; /* cells of which nobody can tell */
};

/* Set size, page_size and width, zero the rest. 0 or -errno, -E2BIG if size makes too many rows;
 * cells_clean() is due in both cases. */
int cells_make(struct cells *cells, struct vas *vas, const struct regions *regions);
void cells_clean(struct cells *cells);

#endif
