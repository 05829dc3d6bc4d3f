/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Text for terminals: sizes, names that others chose, tables, and a line of progress. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* "4 GiB", "1.5 MiB", "17 B": into a struct, so that a call can be an argument. */
struct size_text {
	char s[32];
};
struct size_text text_size(uint64_t size);
struct size_text text_gpa(uint64_t gpa); /* "0x1000" */

/*
 * A name from a vas or a process may hold anything, terminal escapes too. The copy has '?' for what
 * is no printable character, is cut at the end of `clean`, and ends with a NUL: good UTF-8.
 */
#define TEXT_CLEAN_LEN 128
struct clean_text {
	char s[TEXT_CLEAN_LEN];
};
struct clean_text text_clean(const char *text, size_t max);

/* The same, and ASCII only if that is all the terminal can show. */
struct clean_text text_shown(const char *text, size_t max);

/* Both in place, for text of any length. */
void text_clean_all(char *text);
void text_show_all(char *text);

int text_is_utf8(void);
size_t text_columns(const char *text);
int text_terminal_width(void);

#define TABLE_MAX_COLUMNS 16

/* The columns that are shown, in that order. */
struct shown {
	size_t at[TABLE_MAX_COLUMNS];
	size_t nr; /* 0: nobody has asked for any: all, or as many as fit */
};

/*
 * Take a list such as "name,held-by": heads of columns, in small letters, a dash for a blank. An
 * exit code.
 */
int shown_take(struct shown *shown, const char *list, const char *const *heads, size_t nr);

/*
 * The columns of these widths that fit side by side; ranks has '0' for one that is always shown,
 * and the higher its digit, the sooner a column goes.
 */
void shown_fit(struct shown *shown, const size_t *widths, size_t nr, const char *ranks,
	       size_t width);

/* Rows of cells, printed when all are there, so that columns align. */
struct table {
	size_t nr_columns;
	const char *align; /* for each column 'l' or 'r' */
	const char *ranks; /* on a terminal as many columns as fit: shown_fit(); NULL: all */
	struct shown shown;
	char **cells;
	size_t nr_cells;
	int err; /* the first failure: nothing is added or printed after it */
};
#define TABLE(alignment)                                                  \
	{                                                                 \
		.nr_columns = sizeof(alignment) - 1, .align = (alignment) \
	}
void table_add(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Print it and free the cells: 0 or -errno. */
int table_print(struct table *table, const char *indent);

/*
 * One line on stderr, if that is a terminal, that is written over again and again: at most ten
 * times a second. what: what is done, done of total bytes of it.
 */
struct progress {
	const char *what;
	uint64_t total;
	uint64_t started_ns;
	uint64_t shown_ns;
};
void progress_begin(struct progress *progress, const char *what, uint64_t total);
void progress_show(struct progress *progress, uint64_t done, uint64_t nr_found);
uint64_t progress_ns(const struct progress *progress);
void text_clear_progress(void);

#endif
