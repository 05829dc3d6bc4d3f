// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas map --svg: the picture as a drawing, for pages and for whoever looks closer. */
#include <stdio.h>
#include <string.h>

#include "cli/ui/text.h"
#include "cli/verb/map.h"

/* In pixels. */
#define CELL	   6
#define ROW	   22
#define BAR	   14 /* of a row, what is filled */
#define LEFT	   130
#define RIGHT	   250
#define TOP	   40
#define NR_COLOURS 8

/* Of backings, in turn: apart for those who do not see all colours, too. */
static const char *const colours[NR_COLOURS] = {
	"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999",
};

static const char *colour_of(const struct vas_region *region)
{
	return colours[region->backing % NR_COLOURS];
}

/* Names are whatever somebody has called a region. */
static void print_text(const char *text, size_t max)
{
	const struct clean_text clean = text_clean(text, max);

	for (const char *c = clean.s; *c; c++) {
		if (*c == '<')
			fputs("&lt;", stdout);
		else if (*c == '&')
			fputs("&amp;", stdout);
		else
			putchar(*c);
	}
}

/* The first that has a byte of [gpa, gpa + size), or NULL. */
static const struct vas_region *region_in(const struct regions *regions, uint64_t gpa,
					  uint64_t size)
{
	size_t first = 0, end = regions->nr;

	while (first < end) {
		size_t at = first + (end - first) / 2;

		if (regions->at[at].gpa + regions->at[at].size <= gpa)
			first = at + 1;
		else
			end = at;
	}
	return first < regions->nr && regions->at[first].gpa < gpa + size ? &regions->at[first] :
									    NULL;
}

/* In eighths, so that cells that look the same are one rectangle; -1: cannot be told. */
static int fullness(const struct cell *cell)
{
	if (cell->unknown)
		return -1;
	return (int)((8.0 * (double)cell->resident + (double)cell->covered - 1) /
		     (double)cell->covered);
}

static void print_bar(size_t from, size_t to, size_t y, const char *colour, int eighths)
{
	if (eighths < 0)
		printf("<rect x='%zu' y='%zu' width='%zu' height='%d' fill='url(#unknown)'/>\n",
		       LEFT + from * CELL, y, (to - from) * CELL, BAR);
	else
		printf("<rect x='%zu' y='%zu' width='%zu' height='%d' fill='%s' "
		       "fill-opacity='%.3f'/>\n",
		       LEFT + from * CELL, y, (to - from) * CELL, BAR, colour,
		       0.15 + 0.85 * eighths / 8);
}

/* A line where a region begins, and its name if one points at it. */
static void print_border(const struct cells *cells, const struct row *row, size_t y,
			 const struct vas_region *region)
{
	double x = LEFT + (double)(region->gpa - row->gpa) / (double)cells->size * CELL;

	printf("<rect class='border' x='%.1f' y='%zu' width='1' height='%d'><title>", x, y - 2,
	       BAR + 4);
	print_text(region->name, VAS_REGION_NAME_LEN);
	printf(": %s from gpa %s, backing %u, offset %s%s</title></rect>\n",
	       text_size(region->size).s, text_gpa(region->gpa).s, region->backing,
	       text_gpa(region->offset).s,
	       region->flags & VAS_REGION_READONLY ? ", read-only" : "");
}

static void print_bars(const struct cells *cells, const struct row *row, size_t y,
		       const struct regions *regions)
{
	size_t from, to;

	for (from = 0; from < cells->width; from = to) {
		const struct cell *cell = &row->cells[from];
		const struct vas_region *region =
			region_in(regions, row->gpa + from * cells->size, cells->size);

		to = from + 1;
		if (!cell->covered || !region)
			continue;
		while (to < cells->width && row->cells[to].covered &&
		       fullness(&row->cells[to]) == fullness(cell) &&
		       row->gpa + to * cells->size < region->gpa + region->size)
			to++;
		print_bar(from, to, y, colour_of(region), fullness(cell));
	}
}

static void print_row(const struct cells *cells, const struct row *row, size_t y,
		      const struct regions *regions)
{
	const uint64_t end = row->gpa + cells->size * cells->width;
	const struct vas_region *region;

	printf("<text x='%d' y='%zu' text-anchor='end'>%s</text>\n", LEFT - 8, y + BAR - 3,
	       text_gpa(row->gpa).s);
	print_bars(cells, row, y, regions);
	if (!row->region)
		return;
	for (region = row->region; region < regions->at + regions->nr && region->gpa < end;
	     region++)
		print_border(cells, row, y, region);
	printf("<text x='%zu' y='%zu'>", LEFT + cells->width * CELL + 8, y + BAR - 3);
	print_text(row->region->name, VAS_REGION_NAME_LEN);
	if (row->nr_regions > 1)
		printf(" (+%zu)", row->nr_regions - 1);
	puts("</text>");
}

/* How many lines of nothing are between rows. */
static size_t count_gaps(const struct cells *cells)
{
	uint64_t end = 0;
	size_t nr = 0;

	for (size_t i = 0; i < cells->nr_rows; i++) {
		nr += cells->rows[i].gpa > end;
		end = cells->rows[i].gpa + cells->size * cells->width;
	}
	return nr;
}

static size_t print_rows(const struct cells *cells, const struct regions *regions)
{
	size_t y = TOP;
	uint64_t end = 0;

	for (size_t i = 0; i < cells->nr_rows; i++) {
		const struct row *row = &cells->rows[i];

		if (row->gpa > end) {
			printf("<text class='hole' x='%d' y='%zu'>%s of nothing</text>\n", LEFT,
			       y + BAR - 3, text_size(row->gpa - end).s);
			y += ROW;
		}
		print_row(cells, row, y, regions);
		y += ROW;
		end = row->gpa + cells->size * cells->width;
	}
	return y;
}

/* The backings that there are, each in its colour. */
static void print_legend(const struct cells *cells, const struct regions *regions, size_t y)
{
	uint32_t seen = 0;
	size_t x = LEFT;

	for (size_t i = 0; i < regions->nr; i++) {
		const struct vas_region *region = &regions->at[i];
		uint32_t bit = 1u << region->backing % NR_COLOURS;

		if (seen & bit)
			continue;
		seen |= bit;
		printf("<rect x='%zu' y='%zu' width='12' height='12' fill='%s'/>"
		       "<text x='%zu' y='%zu'>%s %u</text>\n",
		       x, y, colour_of(region), x + 17, y + 11, "backing", region->backing);
		x += 90;
	}
	printf("<text class='hole' x='%d' y='%zu'>%d pixels are %s; pale: untouched, full colour: "
	       "resident%s</text>\n",
	       LEFT, y + 32, CELL, text_size(cells->size).s,
	       cells->nr_unknown ? ", hatched: cannot be told" : "");
}

void map_print_svg(const char *name, const struct cells *cells, const struct regions *regions)
{
	size_t width = LEFT + cells->width * CELL + RIGHT;
	size_t height = TOP + (cells->nr_rows + count_gaps(cells)) * ROW + 60, y;

	printf("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %zu %zu' font-size='12' "
	       "font-family='sans-serif'>\n"
	       "<style>.hole { fill: #777 } .border { fill: #000 }</style>\n"
	       "<pattern id='unknown' width='6' height='6' patternUnits='userSpaceOnUse'>"
	       "<path d='M0 6 L6 0' stroke='#777'/></pattern>\n"
	       "<rect width='%zu' height='%zu' fill='#fff'/>\n"
	       "<text x='%d' y='22' font-weight='bold'>",
	       width, height, width, height, LEFT);
	print_text(name, strlen(name));
	printf(": %s in %zu region%s</text>\n", text_size(regions_size(regions)).s, regions->nr,
	       regions->nr == 1 ? "" : "s");
	y = print_rows(cells, regions);
	print_legend(cells, regions, y + 8);
	puts("</svg>");
}
