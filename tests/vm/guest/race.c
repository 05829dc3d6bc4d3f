// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <stdio.h>
#include <string.h>
#include "modules.h"
#include "race.h"
#include "report.h"

enum { LINES_MAX = 96, LINE_MAX_LEN = 160 };

static char lines[LINES_MAX][LINE_MAX_LEN];
static int nr_lines;
static bool is_next_innermost; /* the next line is the innermost of a stack */
static bool is_ours;

static void add(const char *text)
{
	if (nr_lines < LINES_MAX)
		snprintf(lines[nr_lines++], LINE_MAX_LEN, "%s", text);
	/* Who made the access. Farther out, it is the kernel that races, for whomever. */
	if (is_next_innermost)
		is_ours |= modules_named_in(text);
	/* "read to ADDRESS of 8 bytes by task 1 on cpu 0:" */
	is_next_innermost = strstr(text, " on cpu ") != NULL;
}

/* Of the kernel's own one line will do. */
static int end(void)
{
	int nr = nr_lines;

	nr_lines = 0;
	if (!is_ours) {
		printf("init: none of the tested modules' doing: %s\n", lines[0]);
		return 0;
	}
	for (int i = 0; i < nr; i++)
		report("# %s", lines[i]);
	return nr;
}

bool race_follow(const char *text, int *nr_alarms)
{
	if (strstr(text, "BUG: KCSAN:")) {
		nr_lines = 0;
		is_ours = false;
		add(text);
		return true;
	}
	if (!nr_lines)
		return false;
	/* A line of these is the frame around it. */
	if (!strncmp(text, "=====", 5))
		*nr_alarms += end();
	else
		add(text);
	return true;
}
