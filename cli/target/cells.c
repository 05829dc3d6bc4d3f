// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/target/cells.h"

#include <errno.h>
#include <stdlib.h>

#include "cli/ui/text.h"

#define MOST_ROWS      16
#define MOST_ROWS_EVER 100000 /* if the user wants it so */
#define LABEL_WIDTH    46     /* of the gpa before a row and the name behind it */
#define LEAST_WIDTH    16

/* A power of two, so that rows begin at round addresses. */
static size_t row_width(void)
{
	size_t room = (size_t)text_terminal_width(), width = LEAST_WIDTH;

	while (width * 2 + LABEL_WIDTH <= room && width < 128)
		width *= 2;
	return width;
}

/* How many rows of row_size bytes have memory in them. */
static size_t count_rows(const struct regions *regions, uint64_t row_size)
{
	uint64_t next = 0; /* the first row that is not counted yet */
	size_t nr = 0;

	for (size_t i = 0; i < regions->nr; i++) {
		uint64_t first = regions->at[i].gpa / row_size;
		uint64_t last = (regions->at[i].gpa + regions->at[i].size - 1) / row_size;

		first = first > next ? first : next;
		if (last < first)
			continue;
		nr += last - first + 1;
		next = last + 1;
	}
	return nr;
}

static void choose_size(struct cells *cells, const struct regions *regions)
{
	if (!cells->width)
		cells->width = row_width();
	if (cells->size)
		return;
	cells->size = cells->page_size;
	while (count_rows(regions, cells->size * cells->width) > MOST_ROWS)
		cells->size *= 2;
}

static struct row *row_at(struct cells *cells, uint64_t gpa)
{
	const uint64_t row_size = cells->size * cells->width;
	struct row *last = cells->nr_rows ? &cells->rows[cells->nr_rows - 1] : NULL;

	if (last && gpa - last->gpa < row_size)
		return last;
	last = &cells->rows[cells->nr_rows];
	last->gpa = gpa - gpa % row_size;
	last->cells = cells->all + cells->nr_rows * cells->width;
	cells->nr_rows++;
	return last;
}

/* An extent, cell by cell. Extents come in order, so it goes into the last row or a new one. */
static void add_extent(struct cells *cells, const struct extent *extent)
{
	uint64_t gpa = extent->gpa, end = extent->gpa + extent->len;

	while (gpa < end) {
		struct row *row = row_at(cells, gpa);
		struct cell *cell = &row->cells[(gpa - row->gpa) / cells->size];
		uint64_t stop = (gpa | (cells->size - 1)) + 1;

		stop = stop < end ? stop : end;
		cell->covered += stop - gpa;
		if (extent->kind == EXTENT_DATA)
			cell->resident += stop - gpa;
		if (extent->kind == EXTENT_UNKNOWN || extent->kind == EXTENT_LAZY) {
			cells->nr_unknown += !cell->unknown;
			cell->unknown += stop - gpa;
		}
		if (gpa == extent->region->gpa && !row->nr_regions++)
			row->region = extent->region;
		gpa = stop;
	}
}

int cells_make(struct cells *cells, struct vas *vas, const struct regions *regions)
{
	struct extents extents = { .vas = vas, .regions = regions, .end = regions_end(regions) };
	struct extent extent;
	size_t nr_rows;

	choose_size(cells, regions);
	nr_rows = count_rows(regions, cells->size * cells->width);
	if (nr_rows > MOST_ROWS_EVER)
		return -E2BIG;
	cells->rows = calloc(nr_rows + 1, sizeof(*cells->rows));
	cells->all = calloc(nr_rows * cells->width + 1, sizeof(*cells->all));
	if (!cells->rows || !cells->all)
		return -ENOMEM;
	while (extent_next(&extents, &extent))
		if (extent.region)
			add_extent(cells, &extent);
	return 0;
}

void cells_clean(struct cells *cells)
{
	free(cells->rows);
	free(cells->all);
}
