/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* One test program: started, watched, judged, and its leftovers killed. */
#ifndef GUEST_TEST_PROCESS_H
#define GUEST_TEST_PROCESS_H

/* How many seconds a test may take */
extern long test_limit_s;

/*
 * Run a program to its end and report the result under this name. What it prints goes to the
 * console; the last line is given as the reason of a failure or skip. It fails, too, if the kernel
 * logs something alarming meanwhile. All processes that it leaves behind are killed.
 */
void test_run(const char *name, char *const argv[]);

#endif
