// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "migrate/stream/feed.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "migrate/stream/sender.h"

#define PATIENCE_NS (NSEC_PER_SEC / 10)

/* False: for as long as one waits here. */
static bool wait_for(pthread_cond_t *cond, struct sender *s, struct deadline d)
{
	const struct timespec until = { (time_t)(d.at_ns / NSEC_PER_SEC),
					(long)(d.at_ns % NSEC_PER_SEC) };

	return pthread_cond_timedwait(cond, &s->lock, &until) != ETIMEDOUT;
}

void feed_set(struct sender *s, int is_fed)
{
	uint32_t i;

	s->is_fed = is_fed;
	s->has_ended = false;
	for (i = 0; i < s->nr_channels; i++)
		memset(&s->channels[i].feed, 0, sizeof(s->channels[i].feed));
}

int feed_push(struct sender *s, const struct vas_dirty_word *word)
{
	struct feed *feed = &s->channels[stream_channel_of(word->gpa, s->nr_channels)].feed;
	const struct deadline d = deadline_in(PATIENCE_NS);
	bool waits = true;
	int err = 0;

	pthread_mutex_lock(&s->lock);
	while (waits && s->nr_running == s->nr_channels &&
	       (feed->nr == FEED_WORDS || feed->pages >= FEED_PAGES))
		waits = wait_for(&s->ended, s, d);
	if (s->nr_running != s->nr_channels) {
		err = -EPIPE;
	} else if (!waits) {
		err = -EAGAIN;
	} else {
		feed->words[(feed->first + feed->nr++) % FEED_WORDS] = *word;
		feed->pages += (uint64_t)__builtin_popcountll(word->bits);
		pthread_cond_broadcast(&s->fed);
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

void feed_end(struct sender *s)
{
	pthread_mutex_lock(&s->lock);
	s->has_ended = true;
	pthread_cond_broadcast(&s->fed);
	pthread_mutex_unlock(&s->lock);
}

int feed_take(struct channel *c, struct vas_dirty_word *word)
{
	const struct deadline d = deadline_in(PATIENCE_NS);
	struct sender *s = c->sender;
	struct feed *feed = &c->feed;
	bool waits = true;
	int got = 0;

	pthread_mutex_lock(&s->lock);
	while (waits && !feed->nr && !s->has_ended)
		waits = wait_for(&s->fed, s, d);
	if (feed->nr) {
		*word = feed->words[feed->first];
		feed->first = (feed->first + 1) % FEED_WORDS;
		feed->nr--;
		feed->pages -= (uint64_t)__builtin_popcountll(word->bits);
		pthread_cond_signal(&s->ended);
		got = 1;
	} else if (!s->has_ended) {
		got = -EAGAIN;
	}
	pthread_mutex_unlock(&s->lock);
	return got;
}
