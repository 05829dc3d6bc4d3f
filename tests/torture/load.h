/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * --load: what makes windows of nanoseconds wide enough to be met.
 *
 *	hogs     a process for each processor that computes: everybody is preempted anywhere
 *	ballast  one that takes memory, touches it and gives it back, on and on: caches and the page
 *		 allocator are busy. For real reclaim, run the torture in a cgroup with too little:
 *		 systemd-run --scope -p MemoryHigh=48M build/tests/torture/torture --load
 *	stops    SIGSTOP to any process of the torture, the owner too, and SIGCONT after up to 200 ms;
 *		 one time in 16 after up to 2 s, which is longer than anybody's patience
 */
#ifndef TESTS_TORTURE_LOAD_H
#define TESTS_TORTURE_LOAD_H

#include "killer.h"

/* Nothing of it happens without options.load. */
void load_start(struct killer *k);
void load_stop(struct killer *k);

/* Now and then stop a process; let those go on whose time is up. */
void load_step(struct killer *k);

/* Let all go on that are stopped. */
void load_continue_all(struct killer *k);

#endif
