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
#define SOURCE_HELP                                                   \
	"  -x, --hex DIGITS     the bytes in hex: \"de ad be ef\"\n"  \
	"  -s, --string TEXT    the text, without a NUL at its end\n" \
	"  -f, --file FILE      the content of FILE\n"                \
	"\n"                                                          \
	"Without any of these the bytes come from stdin.\n"

/*
 * Give all bytes to `use`, segment by segment. It returns an exit code; other than EXIT_OK ends it.
 * at: how many bytes were before. An exit code.
 */
struct user {
	int (*use)(struct user *user, uint64_t at, const uint8_t *bytes, size_t len);
};
int source_each(struct source *source, struct user *user);

/*
 * A verb's run() with these options and no others. `act` gets the two arguments, NAME and GPA, and
 * returns an exit code. missing: the error if they are not there.
 */
int source_run(int argc, char **argv, const char *missing,
	       int (*act)(char **argv, struct source *source));

#endif
