/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* How far a guest is that says "WORD: 1700 checked" all the time. */
#ifndef TESTS_EXAMPLES_GUEST_PROGRESS_H
#define TESTS_EXAMPLES_GUEST_PROGRESS_H

#include <stdio.h>
#include <string.h>

#include "tests/harness.h"
#include "program.h"

/* What it has said last; 0: nothing. */
static inline unsigned long progress_of(const struct program *vmm, const char *word)
{
	const size_t len = strlen(word);
	const char *at = vmm->text;
	unsigned long nr = 0, one;
	int end;

	for (; (at = strstr(at, word)); at += len) {
		end = 0;
		if (sscanf(at + len, ": %lu checked%n", &one, &end) == 1 && end)
			nr = one;
	}
	return nr;
}

static inline void await_progress(struct program *vmm, const char *word, unsigned long nr)
{
	while (progress_of(vmm, word) < nr) {
		CHECK(!strstr(vmm->text, "BROKEN") && !strstr(vmm->text, "I/O error"));
		CHECK(program_read(vmm));
	}
}

#endif
