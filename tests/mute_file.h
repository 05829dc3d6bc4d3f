/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A file in a file system that never answers. The file system is a process of its own: its end is
 * the end of whoever still waits for it.
 */
#ifndef TESTS_MUTE_FILE_H
#define TESTS_MUTE_FILE_H

#include <stdbool.h>
#include <sys/types.h>

struct mute {
	pid_t server;
	int fd; /* the file */
};

/* Skips the case where there is no FUSE, or one may not mount it. */
void mute_mount(struct mute *m);

/* Whoever waited for it would have waited for its end. */
bool mute_is_there(const struct mute *m);

/* Nobody waits for it any more. */
void mute_end(struct mute *m);

#endif
