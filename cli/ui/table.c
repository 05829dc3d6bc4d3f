// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/ui/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/ui/verb.h"

static int make_room(struct table *table)
{
	size_t nr = table->nr_cells;
	char **cells;

	/* Grown whenever the number is a power of two. */
	if (nr & (nr - 1))
		return 0;
	cells = realloc(table->cells, (nr ? nr * 2 : 1) * sizeof(*cells));
	if (!cells)
		return -ENOMEM;
	table->cells = cells;
	return 0;
}

void table_add(struct table *table, const char *format, ...)
{
	va_list args;

	if (!table->err)
		table->err = make_room(table);
	if (table->err)
		return;
	va_start(args, format);
	if (vasprintf(&table->cells[table->nr_cells], format, args) < 0)
		table->err = -ENOMEM;
	else
		table->nr_cells++;
	va_end(args);
}

/* ---- which columns ------------------------------------------------------------------------- */

/* 1: these are the head's letters, small, with dashes for blanks. */
static int is_head(const char *text, size_t len, const char *head)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] != (head[i] == ' ' ? '-' : tolower((unsigned char)head[i])))
			return 0;
	return !head[len];
}

static int fail_column(const char *text, size_t len, const char *const *heads, size_t nr)
{
	char known[256] = "";
	size_t fill = 0;

	for (size_t i = 0; i < nr; i++) {
		fill += (size_t)snprintf(known + fill, sizeof(known) - fill, "%s%s", i ? ", " : "",
					 heads[i]);
		if (fill >= sizeof(known))
			break;
	}
	for (char *c = known; *c; c++)
		*c = *c == ' ' && c[-1] != ',' ? '-' : (char)tolower((unsigned char)*c);
	return fail_usage("there is no column '%.*s': %s", (int)len, text, known);
}

int shown_take(struct shown *shown, const char *list, const char *const *heads, size_t nr)
{
	shown->nr = 0;
	for (;;) {
		size_t len = strcspn(list, ","), i;

		for (i = 0; i < nr && !is_head(list, len, heads[i]); i++)
			;
		if (i == nr)
			return fail_column(list, len, heads, nr);
		if (shown->nr == TABLE_MAX_COLUMNS)
			return fail_usage("more than %d columns", TABLE_MAX_COLUMNS);
		shown->at[shown->nr++] = i;
		if (!list[len])
			return EXIT_OK;
		list += len + 1;
	}
}

static size_t total_width(const struct shown *shown, const size_t *widths)
{
	size_t total = 0;

	for (size_t i = 0; i < shown->nr; i++)
		total += widths[shown->at[i]] + (i ? 2 : 0);
	return total;
}

/* The one to go first: 0 if there is none. */
static size_t least_wanted(const struct shown *shown, const char *ranks)
{
	size_t least = 0;

	for (size_t i = 0; i < shown->nr; i++)
		if (ranks[shown->at[i]] > ranks[shown->at[least]])
			least = i;
	return ranks[shown->at[least]] == '0' ? 0 : least;
}

void shown_fit(struct shown *shown, const size_t *widths, size_t nr, const char *ranks,
	       size_t width)
{
	size_t least;

	shown->nr = nr;
	for (size_t i = 0; i < nr; i++)
		shown->at[i] = i;
	while (total_width(shown, widths) > width && (least = least_wanted(shown, ranks))) {
		shown->nr--;
		memmove(&shown->at[least], &shown->at[least + 1],
			(shown->nr - least) * sizeof(shown->at[0]));
	}
}

/* ---- print --------------------------------------------------------------------------------- */

static void print_blanks(size_t nr)
{
	printf("%*s", (int)nr, "");
}

static void print_cell(const struct table *table, size_t column, const char *cell, size_t width,
		       int is_last)
{
	size_t pad = width - text_columns(cell);

	if (table->align[column] == 'r')
		print_blanks(pad);
	fputs(cell, stdout);
	if (table->align[column] == 'l' && !is_last)
		print_blanks(pad);
	fputs(is_last ? "\n" : "  ", stdout);
}

static void print_rows(struct table *table, const char *indent)
{
	size_t widths[TABLE_MAX_COLUMNS] = { 0 };
	struct shown *shown = &table->shown;

	for (size_t i = 0; i < table->nr_cells; i++) {
		size_t *width = &widths[i % table->nr_columns];
		size_t columns = text_columns(table->cells[i]);

		*width = columns > *width ? columns : *width;
	}
	if (!shown->nr)
		shown_fit(shown, widths, table->nr_columns, table->ranks,
			  table->ranks && isatty(STDOUT_FILENO) ? (size_t)text_terminal_width() :
								  SIZE_MAX);
	for (size_t row = 0; row < table->nr_cells; row += table->nr_columns) {
		fputs(indent, stdout);
		for (size_t i = 0; i < shown->nr; i++)
			print_cell(table, shown->at[i], table->cells[row + shown->at[i]],
				   widths[shown->at[i]], i + 1 == shown->nr);
	}
}

int table_print(struct table *table, const char *indent)
{
	if (!table->err)
		print_rows(table, indent);
	for (size_t i = 0; i < table->nr_cells; i++)
		free(table->cells[i]);
	free(table->cells);
	return table->err;
}
