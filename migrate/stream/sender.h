/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The source's side: rounds (rounds.c) over channels, each with a thread a round (channel.c). */
#ifndef MIGRATE_SENDER_H
#define MIGRATE_SENDER_H

#include <pthread.h>
#include <vas/migrate.h>

#include "migrate/base/pack.h"
#include "migrate/stream/feed.h"
#include "migrate/stream/sums.h"
#include "migrate/stream/wire.h"

struct sender;

struct channel {
	struct sender *sender;
	struct wire wire;
	struct pack pack;
	char *raw; /* pages of a word, as they are sent: guest memory changes under us */
	struct feed feed;
	uint64_t pages; /* on the wire */
	pthread_t thread;
	int err;
	char error[256]; /* the thread's vas_error() */
};

struct sender {
	struct vas *vas;
	struct vas_migrate_options options; /* with defaults filled in */
	struct channel channels[VAS_MIGRATE_MAX_CHANNELS];
	uint32_t nr_channels;
	uint8_t session[16];
	uint32_t round; /* atomic: of a guest that tells, another begins while channels run */
	struct wire_group group;
	bool stopped;	   /* frozen: nobody writes */
	struct sums *sums; /* NULL: nobody is to compare */

	/* This round's work: what feed_push() brings, or a list. */
	bool is_fed;
	const struct vas_dirty_word *words;
	size_t nr_words;
	uint64_t start_ns;
	uint64_t start_bytes;

	/*
	 * Protects what follows, and feeds. `ended` tells that a channel's thread has ended or
	 * taken a word, `fed` that there is one, or will be none.
	 */
	pthread_mutex_t lock;
	pthread_cond_t ended;
	pthread_cond_t fed;
	uint32_t nr_running;
	bool has_ended; /* feed_end() */

	/* Counted by the channels' threads: atomic. */
	uint64_t pages_sent;
	uint64_t pages_zero;
	uint64_t bytes_sent;
};

int channel_init(struct channel *channel, struct sender *sender, uint32_t index);
void channel_clean(struct channel *channel);

/* Between rounds: the destination gets nothing for a while, and knows that there will be more. */
int channel_show_life(struct channel *channel);

/* Send what of the round's words is this channel's. The thread's function. */
void *channel_run(void *channel);

#endif
