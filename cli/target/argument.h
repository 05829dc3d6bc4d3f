/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Arguments that several verbs take. All return an exit code, after a message if it is not EXIT_OK.
 */
#ifndef CLI_ARGUMENT_H
#define CLI_ARGUMENT_H

#include <stdint.h>

int argument_gpa(const char *text, uint64_t *gpa);

/* GPA and LEN, from 1 on, such that no address wraps around. */
int argument_range(const char *gpa_text, const char *len_text, uint64_t *gpa, uint64_t *len);

#endif
