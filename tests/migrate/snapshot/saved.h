/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A folder for snapshots, and what tests of them do again and again. */
#ifndef TESTS_MIGRATE_SNAPSHOT_SAVED_H
#define TESTS_MIGRATE_SNAPSHOT_SAVED_H

#include <vas/migrate.h>

#include "tests/harness.h"
#include "tests/lib/dirty/shadow.h"

#define SIZE (8ull << 20) /* of the RAM that is written and compared */

/* Make a folder and go there; and back, with all that is in it gone. */
void enter_folder(void);
void leave_folder(void);
int count_files(void);

/* What a file takes on disk. */
uint64_t allocated(const char *path);

/* `nr` random 8-byte values at random places. */
void write_some(struct vas *vas, struct test_random *random, int nr);

/* Fails the case unless both have the same bytes in [0, SIZE). */
void check_same(struct vas *a, struct vas *b);

/* The same for what a snapshot gives when it is restored. */
void check_restores(const char *path, struct vas *vas);

#endif
