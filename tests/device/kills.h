/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* How often a device's process is killed, and when. */
#ifndef TESTS_DEVICE_KILLS_H
#define TESTS_DEVICE_KILLS_H

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/harness.h"

#define KILLS_BETWEEN_CHECKS 50u

/* TEST_KILLS, or what a test has for everybody's run. */
static inline uint32_t kills_nr(uint32_t usual)
{
	const char *text = getenv("TEST_KILLS");

	return text ? (uint32_t)strtoul(text, NULL, 0) : usual;
}

/*
 * After some work, or at any moment of a process's beginning: where it is not known to serve. How
 * much was done.
 */
static inline uint64_t kills_wait(struct test_random *random, void (*work)(uint64_t nr),
				  uint64_t most)
{
	uint64_t nr = test_random_below(random, most);

	if (test_random_below(random, 2)) {
		work(nr);
		return nr;
	}
	usleep((useconds_t)test_random_below(random, 5000));
	return 0;
}

#endif
