/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Memory on its way to become a vas: there, writable by us, and without a layout until
 * target_publish().
 */
#ifndef MIGRATE_TARGET_H
#define MIGRATE_TARGET_H

#include <stdbool.h>
#include <sys/uio.h>
#include <vas/vas.h>

#include "migrate/base/stream.h"

struct target_region {
	uint64_t gpa;
	uint64_t size;
	int fd;		 /* of the file that it is in, from this ... */
	uint64_t offset; /* ... on */
	char *hva;	 /* NULL: pages go to the file */
	int watch;
	/*
	 * By words of gpa, a bit for each page that was written: the others are zero, and absent.
	 */
	uint64_t *written;
};

struct target {
	struct vas *vas;
	struct vas_layout *layout;     /* begun; committed at the end */
	struct target_region *regions; /* sorted by gpa */
	uint32_t nr;
	uint64_t limit;
	bool is_mapped; /* all of it: target_iov() may be called */
};

struct target_options {
	uint32_t create_flags;
	uint64_t max_ram;
	/* NULL, or populate: then called for each STREAM_SEGMENT of a region that is there */
	int (*populated)(void *arg);
	void *arg;
};

/* Make the memory that `layout` (size bytes with what follows it, unchecked) asks for. */
int target_init(struct target *target, const struct stream_layout *layout, size_t size,
		const struct target_options *options);

/*
 * Write these pages of a word, one after the other in `pages`. -EPROTO: one is in no region;
 * -ENOMEM, and what else a file says. A word is one thread's at a time.
 */
int target_write(struct target *target, uint64_t gpa, uint64_t bits, const char *pages);

/* Where these pages of a word are to be written: up to 64 iovecs, or -EPROTO. */
int target_iov(struct target *target, uint64_t gpa, uint64_t bits, struct iovec iov[64]);

/* Make these pages of a word zero: only what was written costs anything, and that once. */
int target_clear(struct target *target, uint64_t gpa, uint64_t bits);

/* -ENOMEM: a page that was written was not to be had, and is not what it should be. */
int target_check(const struct target *target);

/* It is complete: a vas with a layout, that the caller owns, and closes after target_clean(). */
int target_publish(struct target *target, struct vas **vas);

/* Free what there is; the vas too, unless it was published. */
void target_clean(struct target *target);

#endif
