/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Reading a range segment by segment, without allocating what was never touched. */
#ifndef CLI_COPY_H
#define CLI_COPY_H

#include "cli/target/regions.h"

#define COPY_SEGMENT (1u << 20)

/*
 * Takes a segment at gpa, of at most COPY_SEGMENT bytes: 0 to go on, else what copy_out() returns.
 * bytes is NULL for memory that was never touched, of any length.
 */
struct sink {
	int (*take)(struct sink *sink, uint64_t gpa, const uint8_t *bytes, uint64_t len);
};

struct copy {
	struct vas *vas;
	const char *name;	       /* of the vas, for messages */
	const struct regions *regions; /* at least those of what is copied */
	struct sink *sink;
};

/*
 * Give [gpa, gpa + len) to the sink. An exit code; at a hole, or where memory cannot be had, it
 * stops with a message and EXIT_STOPPED.
 */
int copy_out(const struct copy *copy, uint64_t gpa, uint64_t len);

/* Say why an access of len bytes at gpa got no further than `done`. An exit code. */
int copy_stopped(const char *name, int err, uint64_t gpa, uint64_t done, uint64_t len);

#endif
