// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/target/parse.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int digit_value(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : INT_MAX;
}

/* The number that text begins with; *text is moved behind it. */
static int parse_digits(const char **text, const char *end, uint64_t *number)
{
	unsigned int base = 10;
	const char *p = *text, *first;

	if (end - p > 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
		base = 16;
		p += 2;
	}
	*number = 0;
	for (first = p; p < end && digit_value((unsigned char)*p) < (int)base; p++)
		if (__builtin_mul_overflow(*number, base, number) ||
		    __builtin_add_overflow(*number, (unsigned int)digit_value((unsigned char)*p),
					   number))
			return -ERANGE;
	*text = p;
	return p > first ? 0 : -EINVAL;
}

/*, "B", or one of "K", "KB", "KiB" for each power: its shift, or -1. */
static int unit_shift(const char *unit, size_t len)
{
	static const char letters[] = "KMGTP";
	const char *letter;

	if (len == 0 || (len == 1 && *unit == 'B'))
		return 0;
	letter = strchr(letters, toupper((unsigned char)*unit));
	if (!letter || !*letter)
		return -1;
	if (len > 1 && !(len == 2 && unit[1] == 'B') && !(len == 3 && !strncmp(unit + 1, "iB", 2)))
		return -1;
	return 10 * (int)(letter - letters + 1);
}

int parse_size_n(const char *text, size_t len, uint64_t *size)
{
	const char *p = text, *end = text + len;
	int err = parse_digits(&p, end, size), shift;

	if (err)
		return err;
	shift = unit_shift(p, (size_t)(end - p));
	if (shift < 0)
		return -EINVAL;
	return __builtin_mul_overflow(*size, 1ull << shift, size) ? -ERANGE : 0;
}

int parse_size(const char *text, uint64_t *size)
{
	return parse_size_n(text, strlen(text), size);
}

int parse_number(const char *text, int *number)
{
	uint64_t value = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text))
			return -EINVAL;
		value = value * 10 + (uint64_t)(*text - '0');
		if (value > INT_MAX)
			return -ERANGE;
	}
	*number = (int)value;
	return 0;
}

int parse_seconds(const char *text, uint64_t *ns)
{
	double seconds;
	char rest;

	if (sscanf(text, "%lf%c", &seconds, &rest) != 1)
		return -EINVAL;
	if (!(seconds >= 0.1 && seconds <= 3600))
		return -ERANGE;
	*ns = (uint64_t)(seconds * 1e9);
	return 0;
}

/* One digit into the low half of *byte and *mask, what was there into the high one. */
static int hex_digit(char c, uint8_t *byte, uint8_t *mask)
{
	int value = c == '?' ? 0 : digit_value((unsigned char)c);

	if (value > 15)
		return -EINVAL;
	*byte = (uint8_t)(*byte << 4 | value);
	*mask = (uint8_t)(*mask << 4 | (c == '?' ? 0 : 15));
	return 0;
}

static int hex_bytes(const char *text, uint8_t *bytes, uint8_t *mask, size_t *len)
{
	*len = 0;
	for (;; (*len)++) {
		while (isspace((unsigned char)*text))
			text++;
		if (!*text)
			return *len ? 0 : -EINVAL;
		/* The end of the text is no digit, so nothing behind it is looked at. */
		if (hex_digit(text[0], &bytes[*len], &mask[*len]) ||
		    hex_digit(text[1], &bytes[*len], &mask[*len]))
			return -EINVAL;
		text += 2;
	}
}

int parse_hex(const char *text, uint8_t **bytes, uint8_t **mask, size_t *len)
{
	size_t most = strlen(text) / 2 + 1;
	uint8_t *b = calloc(2, most), *m = b + most;
	int err = b ? 0 : -ENOMEM;

	if (!err)
		err = hex_bytes(text, b, m, len);
	if (!err && !mask)
		for (size_t i = 0; i < *len; i++)
			if (m[i] != 0xff)
				err = -EINVAL;
	if (err) {
		free(b);
		return err;
	}
	*bytes = b;
	if (mask)
		*mask = m;
	return 0;
}
