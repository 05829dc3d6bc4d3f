/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A file that appears under its name whole, or not at all. */
#ifndef MIGRATE_ATOMIC_H
#define MIGRATE_ATOMIC_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct atomic_file {
	const char *path;
	char temporary[PATH_MAX];
	bool is_named; /* it is there under `temporary` */
	int fd;	       /* -1: nothing to clean */
};

/* Mode 0600: it holds guest memory. -EBUSY: somebody else is about to put a file there. */
int atomic_open(struct atomic_file *file, const char *path);

/* One that never has a name: gone with its last fd, whoever is killed. It cannot be settled. */
int atomic_open_nameless(struct atomic_file *file, const char *folder);

int atomic_write(const struct atomic_file *file, const void *bytes, size_t size, uint64_t offset);
int atomic_truncate(const struct atomic_file *file, uint64_t size);

/* In its place, and there to stay: the file's bytes first, then the folder's. */
int atomic_settle(struct atomic_file *file);

/* Close it; what was not settled goes. */
void atomic_clean(struct atomic_file *file);

#endif
