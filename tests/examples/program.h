/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The examples as programs, and what they say. */
#ifndef TESTS_EXAMPLES_PROGRAM_H
#define TESTS_EXAMPLES_PROGRAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct vas;

struct program {
	pid_t pid;
	int out; /* its stdout and stderr */
	char text[65536];
	size_t len;
};

/* What an environment variable says; skips the case if there is none. */
const char *path_of(const char *variable);
/* Good until the next call. */
const char *guest_path(const char *name);

void program_start(struct program *p, const char *const argv[]);
/*
 * More of what it says, whatever that is; false at its end. Of very much, what came first is
 * forgotten.
 */
int program_read(struct program *p);
/* Until it has said that. */
void program_await(struct program *p, const char *text);
/* Until its end: its exit status, or -signal. */
int program_finish(struct program *p);

/* It serves the tinyvmm there. option may be NULL. */
void foo_start(struct program *foo, const char *path, const char *option);

int vmm_connect(const char *path);

/* The echo guest: rounds until now, and until there are so many more. */
uint64_t rounds_done(struct vas *vas);
void rounds_await(struct vas *vas, uint64_t more);
void rounds_stop(struct vas *vas);

#endif
