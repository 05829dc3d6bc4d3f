/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Words on their way to a channel's thread, as they become known: no more than are soon sent, so
 * that who tells of them goes no faster than they are.
 */
#ifndef MIGRATE_FEED_H
#define MIGRATE_FEED_H

#include <stdint.h>
#include <vas/dirty.h>

#define FEED_WORDS 64u
#define FEED_PAGES 256u

struct sender;
struct channel;

/* Protected by the sender's lock. */
struct feed {
	struct vas_dirty_word words[FEED_WORDS];
	unsigned int first;
	unsigned int nr;
	uint64_t pages; /* in all of them: up to FEED_PAGES and one word's */
};

/* No channel's thread runs: there will be words, or (0) a list that is whole. */
void feed_set(struct sender *sender, int is_fed);

/* To the channel that it belongs to. -EAGAIN: no room for 0.1 s. -EPIPE: a channel has ended. */
int feed_push(struct sender *sender, const struct vas_dirty_word *word);

/* There will be no more. */
void feed_end(struct sender *sender);

/* 1: the channel's next word. 0: there are no more. -EAGAIN: none for 0.1 s. */
int feed_take(struct channel *channel, struct vas_dirty_word *word);

#endif
