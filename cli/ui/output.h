/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Guest memory as output: as a dump, as hex digits, or raw. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum output_format { OUTPUT_DUMP, OUTPUT_HEX, OUTPUT_RAW };

struct output {
	FILE *file;
	enum output_format format;
	uint64_t gpa; /* of the next byte */
	uint8_t line[16];
	uint8_t last[16]; /* the line before */
	size_t fill;	  /* of line */
	int has_last;
	int is_repeating; /* "*" was printed */
};

/* The bytes that follow; a failing write is found by ferror() at the end. */
void output_put(struct output *output, const uint8_t *bytes, size_t len);
void output_end(struct output *output);

#endif
