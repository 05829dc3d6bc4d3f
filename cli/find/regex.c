// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/find/regex.h"

#include <errno.h>
#include <stdlib.h>

#include "cli/ui/verb.h"

#ifdef HAVE_PCRE2

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* Of one place: what a guest can make an expression cost there. */
#define MOST_STEPS 100000
#define MOST_KIB   16384

struct regex {
	pcre2_code *code;
	pcre2_match_data *match;
	pcre2_match_context *limits;
};

int regex_compile(struct regex **regex, const char *text, int ignores_case)
{
	const uint32_t options = PCRE2_MULTILINE | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP |
				 (ignores_case ? PCRE2_CASELESS : 0);
	struct regex *r = calloc(1, sizeof(*r));
	PCRE2_UCHAR message[160];
	PCRE2_SIZE at;
	int error;

	*regex = r;
	if (!r)
		return fail(EXIT_REFUSED, "no memory");
	r->code =
		pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, options, &error, &at, NULL);
	if (!r->code) {
		pcre2_get_error_message(error, message, sizeof(message));
		return fail_usage("--regex: '%s', at character %zu: %s", text, at + 1,
				  (const char *)message);
	}
	/* Quicker, where it can be had. */
	pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE);
	r->match = pcre2_match_data_create_from_pattern(r->code, NULL);
	r->limits = pcre2_match_context_create(NULL);
	if (!r->match || !r->limits)
		return fail(EXIT_REFUSED, "no memory");
	pcre2_set_match_limit(r->limits, MOST_STEPS);
	pcre2_set_heap_limit(r->limits, MOST_KIB);
	return EXIT_OK;
}

void regex_free(struct regex *regex)
{
	if (!regex)
		return;
	pcre2_match_context_free(regex->limits);
	pcre2_match_data_free(regex->match);
	pcre2_code_free(regex->code);
	free(regex);
}

int regex_match(struct regex *regex, const uint8_t *bytes, size_t nr, size_t from, size_t *start,
		size_t *end)
{
	/* Where the bytes begin and end, no line does. */
	const uint32_t options = PCRE2_NOTBOL | PCRE2_NOTEOL | PCRE2_NOTEMPTY;
	const PCRE2_SIZE *found;
	int nr_found;

	nr_found = pcre2_match(regex->code, bytes, nr, from, options, regex->match, regex->limits);
	if (nr_found == PCRE2_ERROR_NOMATCH)
		return 0;
	if (nr_found < 0)
		return -E2BIG;
	found = pcre2_get_ovector_pointer(regex->match);
	*start = found[0];
	*end = found[1];
	return 1;
}

#else

int regex_compile(struct regex **regex, const char *text, int ignores_case)
{
	(void)text;
	(void)ignores_case;
	*regex = NULL;
	return fail(EXIT_REFUSED, "--regex: this vas was built without PCRE2");
}

void regex_free(struct regex *regex)
{
	(void)regex;
}

int regex_match(struct regex *regex, const uint8_t *bytes, size_t nr, size_t from, size_t *start,
		size_t *end)
{
	(void)regex;
	(void)bytes;
	(void)nr;
	(void)from;
	*start = *end = 0;
	return 0;
}

#endif
