/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Between the runner (harness.c) and the checks (harness_check.c). */
#ifndef TESTS_HARNESS_PRIVATE_H
#define TESTS_HARNESS_PRIVATE_H

#include "harness.h"

void harness_init(void);
void harness_begin(const char *name, int nr);
/* Print the case's line if the case itself did not. status: waitpid's, or -1 if it never ran. */
enum test_result harness_end(int status);

#endif
