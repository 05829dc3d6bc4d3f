// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* 'vas top' on a terminal. */
#include <errno.h>
#include <string.h>

#include "cli/vmm/child.h"
#include "cli/ui/text.h"
#include "cli/top/top.h"
#include "cli/ui/verb.h"

#ifdef HAVE_NCURSES
#include <curses.h>
#include <stdlib.h>
#include <unistd.h>

#define MS 1000000

struct screen {
	struct top *top;
	size_t first; /* row that is shown at the top */
	size_t widths[TOP_COLUMNS];
	struct shown shown;
	int err;
};

static void measure(struct screen *s, char (*rows)[TOP_COLUMNS][TOP_CELL_SIZE])
{
	for (size_t j = 0; j < TOP_COLUMNS; j++) {
		s->widths[j] = strlen(top_heads[j]);
		for (size_t i = 0; i < s->top->nr; i++)
			if (text_columns(rows[i][j]) > s->widths[j])
				s->widths[j] = text_columns(rows[i][j]);
	}
	s->shown = s->top->shown;
	if (!s->shown.nr)
		shown_fit(&s->shown, s->widths, TOP_COLUMNS, top_ranks, (size_t)COLS);
}

static void draw_cell(const char *text, size_t width, char align)
{
	int pad = (int)(width - text_columns(text));

	if (align == 'r')
		printw("%*s", pad, "");
	addstr(text);
	if (align == 'l')
		printw("%*s", pad, "");
	addstr("  ");
}

/* ncurses wraps what is too long for its line: it is cut off by being overwritten by the next. */
static void draw_row(const struct screen *s, int y, const char *const *cells)
{
	if (y >= LINES)
		return;
	move(y, 0);
	clrtoeol();
	for (size_t i = 0; i < s->shown.nr && getcury(stdscr) == y && getcurx(stdscr) < COLS - 1;
	     i++)
		draw_cell(cells[s->shown.at[i]], s->widths[s->shown.at[i]],
			  top_align[s->shown.at[i]]);
}

static void draw_head(const struct screen *s)
{
	const struct top *top = s->top;

	move(0, 0);
	clrtoeol();
	printw("%zu vas, by %s%s", top->nr, top_order_name(top->order),
	       top->reversed ? " (least first)" : "");
	if (top->nr_denied)
		printw("; %zu processes are not to be looked into", top->nr_denied);
	move(1, 0);
	clrtoeol();
	if (s->err)
		printw("cannot look: %s", strerror(-s->err));
	else
		printw("q quit  s sort by the next column  r reverse  t %s what is written",
		       top->tracks ? "do not count" : "count");
}

static void draw(struct screen *s)
{
	char(*rows)[TOP_COLUMNS][TOP_CELL_SIZE] = calloc(s->top->nr + 1, sizeof(*rows));
	const char *cells[TOP_COLUMNS];
	size_t i, j;

	if (!rows)
		return;
	for (i = 0; i < s->top->nr; i++)
		top_cells(&s->top->entries[i], rows[i]);
	measure(s, rows);
	if (s->first >= s->top->nr)
		s->first = 0;
	/* From the last line up: what ran over into the next line is overwritten. */
	erase();
	for (i = s->first; i < s->top->nr && (int)(i - s->first) + 4 < LINES; i++) {
		for (j = 0; j < TOP_COLUMNS; j++)
			cells[j] = rows[i][j];
		draw_row(s, (int)(i - s->first) + 4, cells);
	}
	attron(A_REVERSE);
	draw_row(s, 3, top_heads);
	attroff(A_REVERSE);
	draw_head(s);
	refresh();
	free(rows);
}

/* 0: go on; 1: the end; 2: look again now. */
static int on_key(struct screen *s, int key)
{
	switch (key) {
	case 'q':
	case 27:
		return 1;
	case 's':
		s->top->order = (s->top->order + 1) % TOP_ORDERS;
		break;
	case 'r':
		s->top->reversed = !s->top->reversed;
		break;
	case 't':
		s->top->tracks = !s->top->tracks;
		return 2;
	case ' ':
		return 2;
	case KEY_DOWN:
		s->first += s->first + 1 < s->top->nr;
		break;
	case KEY_UP:
		s->first -= s->first > 0;
		break;
	default:
		break;
	}
	top_sort(s->top);
	return 0;
}

/* Keys until it is time for the next look: 1: the end. */
static int wait_for_keys(struct screen *s, uint64_t delay_ns)
{
	int left = (int)(delay_ns / MS), step = 100, done = 0;

	while (left > 0 && !done) {
		int key;

		draw(s);
		timeout(left < step ? left : step);
		key = getch();
		if (key == ERR)
			left -= step;
		else
			done = on_key(s, key);
		if (has_signal())
			return 1;
	}
	return done == 1;
}

int top_screen(struct top *top, uint64_t delay_ns)
{
	struct screen s = { .top = top };
	SCREEN *terminal;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return fail_usage("this is no terminal: use --batch, --once or --json");
	/* A signal is looked for between keys, so that the terminal is left as it was. */
	block_signals();
	terminal = newterm(NULL, stdout, stdin);
	if (!terminal)
		return fail(EXIT_REFUSED,
			    "ncurses knows no terminal '%s': set TERM, or use --batch",
			    getenv("TERM") ? getenv("TERM") : "");
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	ESCDELAY = 25;
	do
		s.err = top_look(top);
	while (!wait_for_keys(&s, delay_ns));
	endwin();
	delscreen(terminal);
	return EXIT_OK;
}

#else

int top_screen(struct top *top, uint64_t delay_ns)
{
	(void)top;
	(void)delay_ns;
	return fail_usage("this vas was built without ncurses: use --batch, --once or --json");
}

#endif
