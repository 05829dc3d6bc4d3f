/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * For a guest's init whose lines begin with WORD: streams to somebody who sends back what he gets. A
 * process writes, another one reads. Each word of a stream is another one, so what is lost, doubled,
 * or another's is found.
 */
#ifndef TESTS_VM_GUEST_STREAMS_H
#define TESTS_VM_GUEST_STREAMS_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STREAM_WORDS 2048

static uint64_t *nr_checked; /* shared */

static void broken(const char *what, uint64_t got)
{
	printf(WORD ": BROKEN: %s: %#llx (%s)\n", what, (unsigned long long)got, strerror(errno));
	for (;;)
		pause();
}

static uint64_t value(int index, uint64_t at)
{
	return (at * 6364136223846793005ull + 1442695040888963407ull) ^ (uint64_t)index << 56;
}

static void write_stream(int sock, int index)
{
	static uint64_t words[STREAM_WORDS];

	for (uint64_t at = 0;; at += STREAM_WORDS) {
		for (uint64_t i = 0; i < STREAM_WORDS; i++)
			words[i] = value(index, at + i);
		for (size_t done = 0; done < sizeof(words);) {
			ssize_t nr = write(sock, (char *)words + done, sizeof(words) - done);

			if (nr <= 0)
				broken("write", at);
			done += (size_t)nr;
		}
	}
}

static void read_stream(int sock, int index)
{
	static uint64_t words[STREAM_WORDS];

	for (uint64_t at = 0;; at += STREAM_WORDS) {
		if (recv(sock, words, sizeof(words), MSG_WAITALL) != (ssize_t)sizeof(words))
			broken("read", at);
		for (uint64_t i = 0; i < STREAM_WORDS; i++)
			if (words[i] != value(index, at + i))
				broken("contents", words[i]);
		__atomic_fetch_add(nr_checked, 1, __ATOMIC_RELAXED);
	}
}

static void stream_both_ways(int sock, int index)
{
	if (fork())
		read_stream(sock, index);
	write_stream(sock, index);
}

/* Each in a process of its own; tells how much is checked, for ever. */
static void stream_all(void (*work)(int index), int nr)
{
	const struct timespec period = { .tv_nsec = 100 * 1000 * 1000 };

	nr_checked = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < nr; i++)
		if (!fork())
			work(i);
	for (;;) {
		nanosleep(&period, NULL);
		printf(WORD ": %llu checked\n",
		       (unsigned long long)__atomic_load_n(nr_checked, __ATOMIC_RELAXED));
	}
}

#endif
