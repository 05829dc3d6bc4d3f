// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* How much of a vas is written, and which pages: a tracker of its dirty log. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/top/top.h"

#define BATCH 1024u

/* What one epoch has taken, sorted by gpa. */
struct epoch {
	struct vas_dirty_word *words;
	size_t nr;
};

struct top_track {
	struct vas *vas;
	struct vas_tracker *dirty;
	uint64_t limit;
	uint64_t begun_ns;
	struct epoch epochs[TOP_WINDOW]; /* the last at `next` - 1 */
	size_t next;
	size_t nr;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

struct top_track *top_track_new(const struct holder *holder)
{
	struct top_track *track = calloc(1, sizeof(*track));
	struct vas_info info;
	int fd = track ? holder_open(holder, O_RDWR) : -ENOMEM, err;

	err = fd < 0 ? fd : vas_bind(fd, VAS_BIND_NO_WINDOW, &track->vas);
	if (!err)
		err = vas_info(track->vas, &info);
	if (!err)
		err = vas_tracker_attach(track->vas, "top", 0, &track->dirty);
	if (fd >= 0)
		close(fd);
	if (err) {
		top_track_free(track);
		return NULL;
	}
	track->limit = info.limit;
	track->begun_ns = now_ns();
	return track;
}

void top_track_free(struct top_track *track)
{
	if (!track)
		return;
	for (size_t i = 0; i < TOP_WINDOW; i++)
		free(track->epochs[i].words);
	vas_tracker_detach(track->dirty);
	vas_unbind(track->vas);
	free(track);
}

static int compare(const void *a, const void *b)
{
	const struct vas_dirty_word *x = a, *y = b;

	return x->gpa < y->gpa ? -1 : x->gpa > y->gpa;
}

/* Words come in any order, and one may come again. */
static void tidy(struct epoch *epoch)
{
	size_t i, to = 0;

	if (!epoch->nr)
		return;
	qsort(epoch->words, epoch->nr, sizeof(*epoch->words), compare);
	for (i = 1; i < epoch->nr; i++) {
		if (epoch->words[i].gpa == epoch->words[to].gpa)
			epoch->words[to].bits |= epoch->words[i].bits;
		else
			epoch->words[++to] = epoch->words[i];
	}
	epoch->nr = to + 1;
}

static int harvest(struct top_track *track, struct epoch *epoch)
{
	uint64_t gpa = 0;

	epoch->nr = 0;
	while (gpa < track->limit) {
		const struct vas_dirty_word *found;
		ssize_t nr = vas_tracker_harvest(track->dirty, &gpa, track->limit, BATCH, &found);
		struct vas_dirty_word *words;

		if (nr < 0)
			return (int)nr;
		if (!nr)
			continue;
		words = realloc(epoch->words, (epoch->nr + (size_t)nr) * sizeof(*words));
		if (!words)
			return -ENOMEM;
		memcpy(words + epoch->nr, found, (size_t)nr * sizeof(*words));
		epoch->words = words;
		epoch->nr += (size_t)nr;
	}
	tidy(epoch);
	return 0;
}

static uint64_t count_pages(const struct epoch *epoch)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < epoch->nr; i++)
		pages += (uint64_t)__builtin_popcountll(epoch->words[i].bits);
	return pages;
}

/* Pages that are in any of the epochs: they are merged, word by word. */
static uint64_t count_union(const struct top_track *track)
{
	size_t at[TOP_WINDOW] = { 0 }, i;
	uint64_t pages = 0;

	for (;;) {
		uint64_t least = UINT64_MAX, bits = 0;

		for (i = 0; i < track->nr; i++)
			if (at[i] < track->epochs[i].nr &&
			    track->epochs[i].words[at[i]].gpa < least)
				least = track->epochs[i].words[at[i]].gpa;
		if (least == UINT64_MAX)
			return pages;
		for (i = 0; i < track->nr; i++)
			if (at[i] < track->epochs[i].nr &&
			    track->epochs[i].words[at[i]].gpa == least)
				bits |= track->epochs[i].words[at[i]++].bits;
		pages += (uint64_t)__builtin_popcountll(bits);
	}
}

int top_track_look(struct top_track *track, uint64_t *dirty_rate, uint64_t *working_set)
{
	struct epoch *epoch = &track->epochs[track->next];
	uint64_t now;
	int err = vas_tracker_begin(track->dirty);

	if (err)
		return err;
	err = harvest(track, epoch);
	now = now_ns();
	vas_tracker_commit(track->dirty);
	if (err)
		return err;
	track->next = (track->next + 1) % TOP_WINDOW;
	track->nr += track->nr < TOP_WINDOW;
	*dirty_rate = (uint64_t)((double)count_pages(epoch) * VAS_PAGE_SIZE * 1e9 /
				 (double)(now - track->begun_ns + 1));
	*working_set = count_union(track) * VAS_PAGE_SIZE;
	track->begun_ns = now;
	return 0;
}
