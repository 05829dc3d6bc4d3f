// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/ui/json.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ui/text.h"

#define JSON_DEPTH 8

/* The levels that are open: how each closes, and whether it has something in it already. */
static struct {
	char close;
	int used;
} levels[JSON_DEPTH];
static int depth;

static void print_quoted(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
	putchar('"');
}

static void begin_value(const char *key)
{
	if (depth && levels[depth - 1].used++)
		putchar(',');
	if (key) {
		print_quoted(key);
		putchar(':');
	}
}

void json_open(const char *key, char bracket)
{
	begin_value(key);
	putchar(bracket);
	assert(depth < JSON_DEPTH);
	levels[depth].close = bracket == '{' ? '}' : ']';
	levels[depth].used = 0;
	depth++;
}

void json_close(void)
{
	assert(depth > 0);
	putchar(levels[--depth].close);
	if (depth == 0)
		putchar('\n');
}

void json_number(const char *key, uint64_t number)
{
	begin_value(key);
	printf("%" PRIu64, number);
}

void json_boolean(const char *key, int truth)
{
	begin_value(key);
	fputs(truth ? "true" : "false", stdout);
}

void json_null(const char *key)
{
	begin_value(key);
	fputs("null", stdout);
}

void json_text(const char *key, const char *text, size_t max)
{
	char *copy = strndup(text, max);

	if (copy)
		text_clean_all(copy);
	begin_value(key);
	print_quoted(copy ? copy : "");
	free(copy);
}
