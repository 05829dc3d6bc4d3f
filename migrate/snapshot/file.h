/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What saving and restoring share: a snapshot's header, and where its parent is. */
#ifndef MIGRATE_SNAPSHOT_FILE_H
#define MIGRATE_SNAPSHOT_FILE_H

#include <limits.h>
#include <stddef.h>

#include "migrate/snapshot/snapshot.h"

uint64_t snapshot_key(const struct snapshot_header *header);

/*
 * Open it and check the header: an fd, -EPROTO, or why it cannot be opened. Only a regular file is
 * opened to be read. flags: O_NOFOLLOW or 0.
 */
int snapshot_open(const char *path, int flags, struct snapshot_header *header);

/*
 * All of [offset, offset + size), malloced, if the sum is right. What is read so has no holes, so
 * one is refused: memory is taken for what the file really has.
 */
int snapshot_read(int fd, const struct snapshot_header *header, const struct vas_extent *where,
		  uint64_t sum, void **bytes);

/* A parent's path as it is seen from here. */
int snapshot_parent_path(const char *path, const char *parent, char out[PATH_MAX]);

#endif
