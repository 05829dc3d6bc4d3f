// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/ui/output.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

static const char digits[] = "0123456789abcdef";

/* "000000001000  7f 45 4c 46 ...  |.ELF............|" */
static void print_line(struct output *output)
{
	char text[16 * 3 + 2 + 16 + 4], *p = text;

	for (size_t i = 0; i < 16; i++) {
		int is_there = i < output->fill;

		*p++ = is_there ? digits[output->line[i] >> 4] : ' ';
		*p++ = is_there ? digits[output->line[i] & 15] : ' ';
		*p++ = ' ';
		if (i == 7)
			*p++ = ' ';
	}
	*p++ = ' ';
	*p++ = '|';
	for (size_t i = 0; i < output->fill; i++)
		*p++ = isascii(output->line[i]) && isprint(output->line[i]) ?
			       (char)output->line[i] :
			       '.';
	*p++ = '|';
	fprintf(output->file, "%012" PRIx64 "  %.*s\n", output->gpa - output->fill, (int)(p - text),
		text);
}

/* A line that repeats the one before is not printed; a "*" stands for any number of them. */
static void end_line(struct output *output)
{
	const int repeats =
		output->has_last && output->fill == 16 && !memcmp(output->line, output->last, 16);

	if (!repeats)
		print_line(output);
	else if (!output->is_repeating)
		fputs("*\n", output->file);
	output->is_repeating = repeats;
	memcpy(output->last, output->line, 16);
	output->has_last = 1;
	output->fill = 0;
}

static void put_dump(struct output *output, const uint8_t *bytes, size_t len)
{
	while (len) {
		size_t take = 16 - output->fill < len ? 16 - output->fill : len;

		memcpy(output->line + output->fill, bytes, take);
		output->fill += take;
		output->gpa += take;
		bytes += take;
		len -= take;
		if (output->fill == 16)
			end_line(output);
	}
}

static void put_hex(struct output *output, const uint8_t *bytes, size_t len)
{
	char text[512];
	size_t nr = 0;

	for (size_t i = 0; i < len; i++) {
		text[nr++] = digits[bytes[i] >> 4];
		text[nr++] = digits[bytes[i] & 15];
		if (nr < sizeof(text) && i + 1 < len)
			continue;
		fwrite(text, 1, nr, output->file);
		nr = 0;
	}
}

void output_put(struct output *output, const uint8_t *bytes, size_t len)
{
	if (output->format == OUTPUT_DUMP)
		put_dump(output, bytes, len);
	else if (output->format == OUTPUT_HEX)
		put_hex(output, bytes, len);
	else
		fwrite(bytes, 1, len, output->file);
}

void output_end(struct output *output)
{
	if (output->format == OUTPUT_HEX)
		putc('\n', output->file);
	if (output->format != OUTPUT_DUMP)
		return;
	if (output->fill)
		end_line(output);
	if (output->is_repeating)
		fprintf(output->file, "%012" PRIx64 "\n", output->gpa);
}
