/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A regular expression over bytes, by PCRE2. */
#ifndef CLI_REGEX_H
#define CLI_REGEX_H

#include <stddef.h>
#include <stdint.h>

/* A match is looked for in so many bytes from its first one on, and as many more as are there. */
#define REGEX_MOST 4096
/* So many bytes before it can be looked at: \b, lookbehind. */
#define REGEX_BEHIND 256

struct regex;

/* An exit code, after a message if it is not EXIT_OK. regex_free() is due then. */
int regex_compile(struct regex **regex, const char *text, int ignores_case);
void regex_free(struct regex *regex); /* may be NULL */

/*
 * The first match that begins at bytes[from] or behind it, and is not empty: 1, and [*start, *end)
 * is it; 0, there is none; -E2BIG, the expression needs too much work.
 */
int regex_match(struct regex *regex, const uint8_t *bytes, size_t nr, size_t from, size_t *start,
		size_t *end);

#endif
