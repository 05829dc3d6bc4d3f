/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the parts of the fuzzer share. */
#ifndef TESTS_KERNEL_FUZZ_H
#define TESTS_KERNEL_FUZZ_H

#include "tests/harness.h"

#define MIB	   (1ull << 20)
#define PAGE	   4096ull
#define FUZZ_LIMIT (64 * MIB)
#define FUZZ_RAM   (4 * MIB)

#define NR_FILES    6 /* 0 and 1: the vas, to be written and to be read; then damaged copies */
#define NR_SESSIONS 4
#define NR_EVENTS   3

/* One process of the fuzzer; what is not inherited it opens itself. */
struct fuzz {
	struct test_random random;
	int files[NR_FILES];
	int backing;
	int events[NR_EVENTS];
	int sessions[NR_SESSIONS]; /* /dev/vas_test */
	int drive;
	int foo;
	int blk;
	int net;
	char *mapped; /* the whole of file 0 */
	size_t size;
	char *buf;		  /* MIB bytes */
	char whole_control[PAGE]; /* before any damage */
	char whole_superblock[PAGE];
};

/* Numbers that are likely to matter, below the limit as a rule. */
uint64_t fuzz_number(struct fuzz *f);
/* Sometimes an fd of the right kind, sometimes any. */
int fuzz_file(struct fuzz *f);
int fuzz_event(struct fuzz *f);

/* fuzz_calls.c: one call of a module, with arguments that may be right. */
void fuzz_call(struct fuzz *f);
/* And what only the owner may call. */
void fuzz_drive(struct fuzz *f);
/* fuzz_chaos.c: something that happens to the file or to the process; it may not return. */
void fuzz_chaos(struct fuzz *f);
void fuzz_damage(struct test_random *random, char *control, size_t size);

#endif
