/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The tracking torture: writers write, by every means there is, trackers keep copies of memory by
 * harvests alone, an owner serves them, and all are killed at any instruction.
 *
 *	tracking.c  the vas and the run
 *	server.c    the owner: answers trackers, freezes when it is told to
 *	writer.c    binds; writes by calls, pointers and maps, and answers most questions
 *	tracker.c   harvests, in pieces, aborts, detaches; compares its copy with memory
 *
 * After some kills comes a time without any, which lasts until each tracker has had two epochs: what a
 * death makes all dirty would hide a page that the log forgets from then on. Then the vas is frozen,
 * each tracker has a last epoch, and what it has is compared with memory, byte by byte.
 */
#ifndef TESTS_TORTURE_TRACKING_H
#define TESTS_TORTURE_TRACKING_H

#include <vas/dirty.h>

#include "torture.h"

#define NR_TRACKERS    3u
#define TRACKING_LIMIT (4ull << 30)
#define NR_LONELY      256u
#define NR_CLUSTERS    8u
#define CLUSTER_PAGES  8u
#define NR_ARENA_PAGES (NR_LONELY + NR_CLUSTERS * CLUSTER_PAGES)

/*
 * What is written to. Most pages are the only ones in their word and in their summary word: a mark on
 * a neighbour would make up for levels that are missing. The others lie over borders of words, and
 * of words of the levels above.
 */
static const uint64_t clusters[NR_CLUSTERS] = {
	0,
	60,
	64 * 64 - 4,
	2 * 64 * 64 + 100,
	64 * 4096 - 4,
	3 * 64 * 4096 + 5,
	(1 << 20) - CLUSTER_PAGES,
	1 << 19,
};

static inline uint64_t arena_page(unsigned int i)
{
	if (i < NR_LONELY)
		return i * 4096ull + 67 * i % 4096;
	i -= NR_LONELY;
	return clusters[i / CLUSTER_PAGES] + i % CLUSTER_PAGES;
}

/*
 * The rounds, in torture_shared.tracking: the run counts `wanted` up when it wants a check; the owner
 * copies it to `frozen`, each tracker to its `checked`; then the run copies it to `done`, and the owner
 * thaws.
 */
static inline uint32_t tracking_get(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void tracking_set(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

void server_run(struct torture *t, unsigned int process, uint64_t seed);
void writer_run(struct torture *t, unsigned int process, uint64_t seed);
void tracker_run(struct torture *t, unsigned int process, uint64_t seed);

#endif
