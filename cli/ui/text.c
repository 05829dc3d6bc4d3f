// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/ui/text.h"

#include <inttypes.h>
#include <langinfo.h>
#include <string.h>
#include <wchar.h>

#define UTF8_MAX 4

struct size_text text_size(uint64_t size)
{
	static const char units[] = "KMGTPE";
	struct size_text text;
	uint64_t whole = size, tenths = 0;
	int unit = -1;

	while (whole >= 1024 && unit < 5) {
		tenths = (whole % 1024) * 10 / 1024;
		whole /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(text.s, sizeof(text.s), "%" PRIu64 " B", size);
	else if (tenths && whole < 100)
		snprintf(text.s, sizeof(text.s), "%" PRIu64 ".%" PRIu64 " %ciB", whole, tenths,
			 units[unit]);
	else
		snprintf(text.s, sizeof(text.s), "%" PRIu64 " %ciB", whole, units[unit]);
	return text;
}

struct size_text text_gpa(uint64_t gpa)
{
	struct size_text text;

	snprintf(text.s, sizeof(text.s), "0x%" PRIx64, gpa);
	return text;
}

/* The length of the well-formed UTF-8 sequence that text begins with, its code in *code; or 0. */
static size_t utf8_length(const unsigned char *text, size_t max, uint32_t *code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = text[0] < 0x80 ? 1 : text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;

	if (len == 1) {
		*code = text[0];
		return 1;
	}
	if (text[0] < 0xc2 || text[0] > 0xf4 || len > max)
		return 0;
	*code = text[0] & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (text[i] & 0x3f);
	}
	if (*code < least[len] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000))
		return 0;
	return len;
}

/*
 * What a terminal obeys instead of showing it (C0, DEL, C1), and what is not seen or turns the
 * direction of the text around it.
 */
static int is_printable(uint32_t code)
{
	static const uint32_t ranges[][2] = {
		{ 0x00, 0x1f },	    { 0x7f, 0x9f },	{ 0xad, 0xad },	    { 0x61c, 0x61c },
		{ 0x180e, 0x180e }, { 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f },
		{ 0xfeff, 0xfeff }, { 0xfff0, 0xfffb }, { 0xfffe, 0xffff }, { 0xe0000, 0xe0fff },
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (code >= ranges[i][0] && code <= ranges[i][1])
			return 0;
	return 1;
}

/* In place: nothing gets longer. */
static void clean(char *text, uint32_t last)
{
	size_t max = strlen(text), to = 0, from = 0;

	while (from < max) {
		uint32_t code = 0;
		size_t len = utf8_length((const unsigned char *)text + from, max - from, &code);

		if (len && is_printable(code) && code <= last) {
			memmove(text + to, text + from, len);
			to += len;
		} else {
			text[to++] = '?';
		}
		from += len ? len : 1;
	}
	text[to] = '\0';
}

static uint32_t last_shown(void)
{
	return text_is_utf8() ? 0x10ffff : 0x7f;
}

void text_clean_all(char *text)
{
	clean(text, 0x10ffff);
}

void text_show_all(char *text)
{
	clean(text, last_shown());
}

static struct clean_text copy_clean(const char *text, size_t max, uint32_t last)
{
	struct clean_text out;
	size_t len = strnlen(text, max);

	/* Not in the middle of a character. */
	if (len >= sizeof(out.s))
		for (len = sizeof(out.s) - 1; len && (text[len] & 0xc0) == 0x80;)
			len--;
	memcpy(out.s, text, len);
	out.s[len] = '\0';
	clean(out.s, last);
	return out;
}

struct clean_text text_clean(const char *text, size_t max)
{
	return copy_clean(text, max, 0x10ffff);
}

struct clean_text text_shown(const char *text, size_t max)
{
	return copy_clean(text, max, last_shown());
}

int text_is_utf8(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

size_t text_columns(const char *text)
{
	mbstate_t state = { 0 };
	size_t columns = 0;
	wchar_t wide;

	while (*text) {
		size_t len = mbrtowc(&wide, text, UTF8_MAX, &state);
		int width = len > UTF8_MAX ? -1 : wcwidth(wide);

		if (width < 0) {
			memset(&state, 0, sizeof(state));
			width = 1;
			len = 1;
		}
		columns += (size_t)width;
		text += len;
	}
	return columns;
}
