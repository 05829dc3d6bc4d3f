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

/* Controls of a terminal, and marks that turn the direction of the text that follows. */
static int is_printable(uint32_t code)
{
	if (code < 0x20 || (code >= 0x7f && code < 0xa0))
		return 0;
	return !(code >= 0x2028 && code <= 0x202e) && !(code >= 0x2066 && code <= 0x2069) &&
	       code != 0x200e && code != 0x200f && code != 0xfeff;
}

static struct clean_text clean(const char *text, size_t max, uint32_t last)
{
	struct clean_text out;
	size_t to = 0, from = 0;

	max = strnlen(text, max);
	while (from < max && to + 5 < sizeof(out.s)) {
		uint32_t code = 0;
		size_t len = utf8_length((const unsigned char *)text + from, max - from, &code);

		if (len && is_printable(code) && code <= last) {
			memcpy(out.s + to, text + from, len);
			to += len;
		} else {
			out.s[to++] = '?';
		}
		from += len ? len : 1;
	}
	out.s[to] = '\0';
	return out;
}

struct clean_text text_clean(const char *text, size_t max)
{
	return clean(text, max, 0x10ffff);
}

struct clean_text text_shown(const char *text, size_t max)
{
	return clean(text, max, text_is_utf8() ? 0x10ffff : 0x7f);
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
