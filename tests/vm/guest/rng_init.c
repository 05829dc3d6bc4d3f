// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * PID 1 of a guest that reads random bytes of its device, /dev/hwrng, and looks whether they are.
 *
 *	rng: 1700 checked	reads so far, ten lines a second at most
 *	rng: BROKEN ...		an error, or bytes that are no random ones
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "console.h"

enum { WORDS = 32, PERIOD_NS = 10 * 1000 * 1000 };

static void broken(const char *what, uint64_t got)
{
	printf("rng: BROKEN: %s: %#llx (%s)\n", what, (unsigned long long)got, strerror(errno));
	for (;;)
		pause();
}

/* No word is like one of the same read, or of the one before. */
static void check(const uint64_t *words, const uint64_t *before)
{
	for (int i = 0; i < WORDS; i++)
		for (int j = 0; j < WORDS; j++)
			if ((i != j && words[i] == words[j]) || words[i] == before[j])
				broken("twice the same", words[i]);
}

static void read_words(int fd, uint64_t *words)
{
	char *to = (char *)words;
	size_t left = WORDS * sizeof(*words);

	while (left) {
		ssize_t nr = read(fd, to, left);

		if (nr <= 0)
			broken("read", left);
		to += nr;
		left -= (size_t)nr;
	}
}

int main(void)
{
	const struct timespec period = { .tv_nsec = PERIOD_NS };
	uint64_t words[2][WORDS] = { { 0 } };
	int fd;

	take_console();
	load_listed_modules("rng");
	while ((fd = open("/dev/hwrng", O_RDONLY)) < 0)
		nanosleep(&period, NULL);
	for (uint64_t nr = 1;; nr++) {
		read_words(fd, words[nr % 2]);
		check(words[nr % 2], words[1 - nr % 2]);
		if (nr % 10 == 0)
			printf("rng: %llu checked\n", (unsigned long long)nr);
		nanosleep(&period, NULL);
	}
}
