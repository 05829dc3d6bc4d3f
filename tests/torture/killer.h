/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The first process of a torture: starts the others, kills one after the other and starts it again.
 * It holds fds only, so that its children inherit no handle.
 */
#ifndef TESTS_TORTURE_KILLER_H
#define TESTS_TORTURE_KILLER_H

#include <sys/types.h>

#include "torture.h"

#define MAX_LOAD 64u

struct killer {
	struct torture *t;
	/* What process i does, until it is told to stop. Process 0 is the owner. */
	void (*run)(struct torture *t, unsigned int i, uint64_t seed);
	struct test_random random;
	pid_t pids[MAX_PROCESSES];
	unsigned int nr;
	uint64_t started; /* processes, ever */
	uint64_t kills, owner_kills;
	uint64_t stops, owner_stops;	     /* by load.c, as what follows */
	uint64_t continue_ns[MAX_PROCESSES]; /* 0: it is not stopped */
	pid_t load[MAX_LOAD];
	unsigned int nr_load;
	uint64_t start_ns;
	uint64_t beat[MAX_PROCESSES], beat_ns[MAX_PROCESSES];
};

void killer_start(struct killer *k, unsigned int nr);

/* At most options.pause_us, with what load.h does; then see that nobody has ended or is stuck, which is a violation. */
void killer_pause(struct killer *k);

/* Any of the nr from the first on, and start it again. */
void killer_kill_one(struct killer *k, unsigned int first, unsigned int nr);

/* Tell all to stop, and wait for them. */
void killer_stop(struct killer *k);

#endif
