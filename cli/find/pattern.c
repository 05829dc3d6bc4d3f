// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/find/pattern.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli/target/parse.h"
#include "cli/ui/text.h"
#include "cli/ui/verb.h"

#define PATTERN_MOST 4096 /* bytes that vas_search() takes */

/* The bytes belong to the patterns from here on. */
static int add(struct patterns *patterns, const struct vas_pattern *pattern, const char *label)
{
	struct vas_pattern *at = realloc(patterns->at, (patterns->nr + 1) * sizeof(*at));
	char **labels = realloc(patterns->labels, (patterns->nr + 1) * sizeof(*labels));

	patterns->at = at ? at : patterns->at;
	patterns->labels = labels ? labels : patterns->labels;
	label = strdup(text_shown(label, strlen(label)).s);
	if (!at || !labels || !label) {
		free((void *)(uintptr_t)label);
		free((void *)(uintptr_t)pattern->bytes);
		return fail(EXIT_REFUSED, "no memory");
	}
	at[patterns->nr] = *pattern;
	labels[patterns->nr++] = (char *)(uintptr_t)label;
	return EXIT_OK;
}

int patterns_add_hex(struct patterns *patterns, const char *digits)
{
	struct vas_pattern pattern;
	uint8_t *bytes, *mask;

	if (parse_hex(digits, &bytes, &mask, &pattern.len))
		return fail_usage(
			"--hex: '%s' is not pairs of hex digits or '?', such as \"de ad ?? be\"",
			digits);
	pattern.bytes = bytes;
	pattern.mask = mask;
	if (pattern.len <= PATTERN_MOST)
		return add(patterns, &pattern, digits);
	free(bytes);
	return fail_usage("--hex: a pattern has at most %d bytes", PATTERN_MOST);
}

int patterns_add_text(struct patterns *patterns, const char *text)
{
	struct vas_pattern pattern = { .len = strlen(text) };
	uint8_t *bytes;

	if (!pattern.len || pattern.len > PATTERN_MOST)
		return fail_usage("a text to look for has 1 to %d bytes", PATTERN_MOST);
	bytes = malloc(2 * pattern.len); /* with room for a mask behind them */
	if (!bytes)
		return fail(EXIT_REFUSED, "no memory");
	memcpy(bytes, text, pattern.len);
	pattern.bytes = bytes;
	return add(patterns, &pattern, text);
}

/* ASCII letters differ in one bit from the same of the other case, and from nothing else. */
void patterns_ignore_case(struct patterns *patterns)
{
	for (size_t i = 0; i < patterns->nr; i++) {
		struct vas_pattern *pattern = &patterns->at[i];
		uint8_t *bytes = (uint8_t *)(uintptr_t)pattern->bytes, *mask = bytes + pattern->len;

		if (pattern->mask)
			continue; /* bytes in hex */
		for (size_t k = 0; k < pattern->len; k++)
			mask[k] = isascii(bytes[k]) && isalpha(bytes[k]) ? 0xdf : 0xff;
		pattern->mask = mask;
	}
}

void patterns_clean(struct patterns *patterns)
{
	for (size_t i = 0; i < patterns->nr; i++) {
		free((void *)(uintptr_t)patterns->at[i].bytes);
		free(patterns->labels[i]);
	}
	free(patterns->at);
	free(patterns->labels);
}
