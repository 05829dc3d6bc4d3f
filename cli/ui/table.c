// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/ui/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#define TABLE_MAX_COLUMNS 16

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

static void print_inodes(size_t nr)
{
	printf("%*s", (int)nr, "");
}

static void print_cell(const struct table *table, size_t column, const char *cell, size_t width)
{
	size_t pad = width - text_columns(cell);
	int is_last = column == table->nr_columns - 1;

	if (table->align[column] == 'r')
		print_inodes(pad);
	fputs(cell, stdout);
	if (table->align[column] == 'l' && !is_last)
		print_inodes(pad);
	fputs(is_last ? "\n" : "  ", stdout);
}

static void print_rows(const struct table *table, const char *indent)
{
	size_t widths[TABLE_MAX_COLUMNS] = { 0 };

	for (size_t i = 0; i < table->nr_cells; i++) {
		size_t *width = &widths[i % table->nr_columns];
		size_t columns = text_columns(table->cells[i]);

		*width = columns > *width ? columns : *width;
	}
	for (size_t i = 0; i < table->nr_cells; i++) {
		size_t column = i % table->nr_columns;

		if (column == 0)
			fputs(indent, stdout);
		print_cell(table, column, table->cells[i], widths[column]);
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
