/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Bytes that the user gives: as hex, as text, from a file or from stdin. */
#ifndef CLI_SOURCE_H
#define CLI_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "cli/ui/verb.h"

struct source {
	uint8_t *bytes; /* available, or NULL: */
	int fd;		/* to be read */
	size_t len;
	size_t taken;
	const char *path;
};

#define SOURCE_SEGMENT (1u << 20)
#define SOURCE_INIT                      \
	{                                \
		.fd = 0, .path = "stdin" \
	}
#define SOURCE_SHORTS "x:s:f:"
#define SOURCE_OPTIONS                                                                       \
	{ "hex", required_argument, NULL, 'x' }, { "string", required_argument, NULL, 's' }, \
	{                                                                                    \
		"file", required_argument, NULL, 'f'                                         \
	}
#define SOURCE_HELP                                                   \
	"  -x, --hex DIGITS     the bytes in hex: \"de ad be ef\"\n"  \
	"  -s, --string TEXT    the text, without a NUL at its end\n" \
	"  -f, --file FILE      the content of FILE\n"                \
	"\n"                                                          \
	"Without any of these the bytes come from stdin.\n"

/* Takes one of the options. An exit code. */
int source_option(struct source *source, int option, const char *value);

/*
 * Give all bytes to `use`, segment by segment. It returns an exit code; other than EXIT_OK ends it.
 * at: how many bytes were before. An exit code.
 */
struct user {
	int (*use)(struct user *user, uint64_t at, const uint8_t *bytes, size_t len);
};
int source_each(struct source *source, struct user *user);
void source_clean(struct source *source);

#endif
