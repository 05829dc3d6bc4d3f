// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas map: a picture of what is resident where. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/target/cells.h"
#include "cli/ui/json.h"
#include "cli/target/name.h"
#include "cli/target/parse.h"
#include "cli/ui/text.h"
#include "cli/ui/verb.h"
#include "cli/verb/map.h"

static const struct option longs[] = {
	{ "cell", required_argument, NULL, 'c' },
	{ "json", no_argument, NULL, 'j' },
	{ "svg", no_argument, NULL, 's' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* From nothing to all of it; then what is no memory, and what cannot be told. */
static const char *const blocks_utf8[] = { "·", "░", "▒", "▓", "█", " ", "?" };
static const char *const blocks_ascii[] = { ".", "-", "+", "*", "#", " ", "?" };
enum { SHADE_NONE, SHADE_FULL = 4, SHADE_HOLE, SHADE_UNKNOWN };

static int shade(const struct cell *cell)
{
	if (!cell->covered)
		return SHADE_HOLE;
	if (cell->unknown)
		return SHADE_UNKNOWN;
	if (!cell->resident)
		return SHADE_NONE;
	if (cell->resident >= cell->covered)
		return SHADE_FULL;
	return 1 + (int)(3 * (double)cell->resident / (double)cell->covered);
}

static void print_row(const struct cells *cells, const struct row *row)
{
	const char *const *blocks = text_is_utf8() ? blocks_utf8 : blocks_ascii;

	printf("  %14s ", text_gpa(row->gpa).s);
	fputs(text_is_utf8() ? "▕" : "|", stdout);
	for (size_t i = 0; i < cells->width; i++)
		fputs(blocks[shade(&row->cells[i])], stdout);
	fputs(text_is_utf8() ? "▏" : "|", stdout);
	if (row->region)
		printf(" %s", text_shown(row->region->name, VAS_REGION_NAME_LEN).s);
	if (row->nr_regions > 1)
		printf(" (+%zu)", row->nr_regions - 1);
	putchar('\n');
}

static void print_picture(const struct cells *cells)
{
	const char *const *blocks = text_is_utf8() ? blocks_utf8 : blocks_ascii;
	uint64_t end = 0;

	for (size_t i = 0; i < cells->nr_rows; i++) {
		const struct row *row = &cells->rows[i];

		if (row->gpa > end)
			printf("  %14s  %s of nothing\n", "", text_size(row->gpa - end).s);
		print_row(cells, row);
		end = row->gpa + cells->size * cells->width;
	}
	printf("\n  each character is %s: %s untouched, %s %s %s partly resident, %s resident\n",
	       text_size(cells->size).s, blocks[0], blocks[1], blocks[2], blocks[3], blocks[4]);
	if (cells->nr_unknown)
		puts("  ?: hugetlb pages, of which the system does not tell which are resident, or\n"
		     "     memory of a restored snapshot that is not filled yet");
}

static void print_json(const struct cells *cells, const struct regions *regions, uint64_t resident)
{
	json_open(NULL, '{');
	json_number("size", regions_size(regions));
	json_number("resident", resident);
	json_number("cell", cells->size);
	json_open("rows", '[');
	for (size_t i = 0; i < cells->nr_rows; i++) {
		json_open(NULL, '{');
		json_number("gpa", cells->rows[i].gpa);
		json_open("resident", '[');
		for (size_t j = 0; j < cells->width; j++) {
			const struct cell *cell = &cells->rows[i].cells[j];

			if (cell->covered && !cell->unknown)
				json_number(NULL, cell->resident);
			else
				json_null(NULL);
		}
		json_close();
		json_close();
	}
	json_close();
	json_close();
}

static void print_head(const char *name, const struct regions *regions, uint64_t resident)
{
	uint64_t size = regions_size(regions);

	printf("%s: %s in %zu region%s, %s resident (%.0f %%)\n\n",
	       text_shown(name, strlen(name)).s, text_size(size).s, regions->nr,
	       regions->nr == 1 ? "" : "s", text_size(resident).s,
	       size ? 100.0 * (double)resident / (double)size : 0.0);
}

/* What was counted, or, where that cannot be told, what the vas's file has in all. */
static uint64_t count_resident(struct vas *vas, const struct cells *cells,
			       const struct vas_info *info)
{
	uint64_t resident = 0;

	if (cells->nr_unknown)
		return ram_resident(vas, info);
	for (size_t i = 0; i < cells->nr_rows * cells->width; i++)
		resident += cells->all[i].resident;
	return resident;
}

/* `form`: 'j' and 's' as the options, or 0. */
static int draw(struct vas *vas, const char *name, uint64_t cell_size, int form)
{
	struct cells cells = { .size = cell_size, .width = form == 's' ? MAP_SVG_WIDTH : 0 };
	struct regions regions;
	struct vas_info info;
	int err = vas_info(vas, &info);

	if (!err)
		err = regions_get(vas, &regions);
	if (err)
		return fail_vas(err, name);
	cells.page_size = info.page_size;
	err = cells_make(&cells, vas, &regions);
	if (!err && form == 's') {
		map_print_svg(name, &cells, &regions);
	} else if (!err && form == 'j') {
		print_json(&cells, &regions, count_resident(vas, &cells, &info));
	} else if (!err) {
		print_head(name, &regions, count_resident(vas, &cells, &info));
		print_picture(&cells);
	}
	cells_clean(&cells);
	regions_clean(&regions);
	if (err == -E2BIG)
		return fail_usage("--cell: %s is too small for a vas of this size",
				  text_size(cell_size).s);
	return err ? fail(EXIT_REFUSED, "%s: %s", name, strerror(-err)) : EXIT_OK;
}

static int take_cell(const char *value, uint64_t *size)
{
	if (parse_size(value, size) == 0 && *size >= VAS_PAGE_SIZE && !(*size & (*size - 1)))
		return EXIT_OK;
	return fail_usage("--cell: '%s' is no power of two from 4K on", value);
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":c:jsh", longs, 0 };
	uint64_t cell_size = 0;
	struct vas *vas;
	int c, form = 0, code;

	while ((c = option_next(&options)) >= 0) {
		if (c == 'c' && take_cell(optarg, &cell_size))
			return EXIT_USAGE;
		if (c == 'j' || c == 's') {
			if (form && form != c)
				return fail_usage("--json and --svg are two forms: choose one");
			form = c;
		}
	}
	if (c == OPTION_STOP || option_rest(&options, 1, 1, "which vas? vas map NAME") < 0)
		return options.status;
	code = name_bind(argv[optind], VAS_ROLE_OBSERVER, &vas);
	if (code)
		return code;
	code = draw(vas, argv[optind], cell_size, form);
	vas_unbind(vas);
	return code;
}

const struct verb verb_map = {
	.name = "map",
	.args = "NAME [--cell SIZE] [--json | --svg]",
	.summary = "Draw which memory is resident",
	.help = "  -c, --cell SIZE      memory that one character stands for: a power of two, 4K or more;\n"
		"                       else so much that the picture fits on a screen\n"
		"  -j, --json           the bytes resident in each cell; null: no memory, or hugetlb pages\n"
		"  -s, --svg            a drawing: what lies in which backing, and what is resident\n",
	.run = run,
};
