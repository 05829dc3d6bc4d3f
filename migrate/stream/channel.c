// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <vas/consumer.h>

#include "migrate/base/pages.h"
#include "migrate/stream/sender.h"

#define NAP_NS	 50000000ull
#define ALIVE_NS NSEC_PER_SEC

int channel_init(struct channel *c, struct sender *sender, uint32_t index)
{
	uint32_t kind = sender->options.flags & VAS_MIGRATE_ZSTD ? STREAM_ZSTD :
			sender->options.flags & VAS_MIGRATE_LZ4	 ? STREAM_LZ4 :
								   0;

	c->sender = sender;
	wire_init(&c->wire, sender->options.fds[index], sender->options.stall_ns, &sender->group);
	wire_set_key(&c->wire, sender->session, index, false);
	c->raw = aligned_alloc(VAS_PAGE_SIZE, STREAM_WORD_SIZE);
	if (!c->raw)
		return vas_error_set(-ENOMEM, "no memory for buffers");
	return pack_init(&c->pack, kind);
}

void channel_clean(struct channel *c)
{
	wire_clean(&c->wire);
	pack_clean(&c->pack);
	free(c->raw);
	c->raw = NULL;
}

/* ---- sending ------------------------------------------------------------------------------ */

static uint32_t round_of(const struct channel *c)
{
	return __atomic_load_n(&c->sender->round, __ATOMIC_RELAXED);
}

int channel_show_life(struct channel *c)
{
	struct stream_header header = { .type = STREAM_ALIVE, .round = round_of(c) };
	uint64_t last_ns = __atomic_load_n(&c->wire.group->last_ns, __ATOMIC_RELAXED);

	if (monotonic_ns() - last_ns < ALIVE_NS)
		return 0;
	return wire_send(&c->wire, &header, NULL);
}

/* No faster than the rate allows, which the channels share evenly. */
static int pace(struct channel *c)
{
	const struct sender *s = c->sender;
	uint64_t due_ns, now = monotonic_ns();
	int err = 0;

	if (!s->options.rate)
		return 0;
	due_ns = s->start_ns +
		 (uint64_t)((double)(__atomic_load_n(&s->bytes_sent, __ATOMIC_RELAXED) -
				     s->start_bytes) *
			    1e9 / (double)s->options.rate);
	while (!err && now < due_ns) {
		uint64_t left = due_ns - now;
		struct timespec nap = { .tv_nsec = (long)(left < NAP_NS ? left : NAP_NS) };

		nanosleep(&nap, NULL);
		now = monotonic_ns();
		err = wire_check(&c->wire);
		if (!err)
			err = channel_show_life(c);
	}
	return err;
}

static void count(struct channel *c, const struct stream_header *header, uint64_t bytes)
{
	struct sender *s = c->sender;
	uint64_t zero = (uint64_t)__builtin_popcountll(header->zero);
	uint64_t pages = (uint64_t)__builtin_popcountll(header->data) + zero;

	if (bytes)
		c->pages += pages;
	__atomic_fetch_add(&s->pages_sent, pages, __ATOMIC_RELAXED);
	__atomic_fetch_add(&s->pages_zero, zero, __ATOMIC_RELAXED);
	__atomic_fetch_add(&s->bytes_sent, bytes, __ATOMIC_RELAXED);
}

/* The destination's memory is new: pages of zeros need no word at first, if they come once. */
static bool is_worth_a_chunk(const struct channel *c, const struct stream_header *header)
{
	return header->data || (header->zero && (header->round || c->sender->is_fed));
}

static void note_sums(struct channel *c, uint64_t gpa, const struct pages *pages,
		      const struct iovec *iov)
{
	if (c->sender->sums)
		sums_note(c->sender->sums, gpa, pages, iov);
}

/*
 * Of a vas that is frozen, from where it is. Addresses hold beyond the section, since a frozen
 * vas's layout does not change. Somebody who writes all the same makes the sum wrong: the
 * destination refuses, and the vas runs on here.
 */
static bool send_in_place(struct channel *c, const struct vas_dirty_word *word,
			  struct stream_header *header, int *err)
{
	struct pages_segments segments;
	struct pages pages;

	if (!c->sender->stopped || c->sender->is_fed || c->pack.kind ||
	    !pages_find(c->sender->vas, word, &pages, &segments))
		return false;
	note_sums(c, word->gpa, &pages, segments.iov);
	header->data = pages.data;
	header->zero = pages.zero;
	header->length = (uint32_t)pages.size;
	*err = is_worth_a_chunk(c, header) ?
		       wire_send_segments(&c->wire, header, segments.iov, segments.nr) :
		       0;
	return true;
}

/* Memory that changes is copied first, so that what is sent is what was summed. */
static int send_copy(struct channel *c, const struct vas_dirty_word *word,
		     struct stream_header *header)
{
	const void *payload = c->raw;
	size_t packed;
	struct pages pages;
	int err = pages_read(c->sender->vas, word, c->raw, &pages);

	if (err)
		return err;
	note_sums(c, word->gpa, &pages, &(struct iovec){ c->raw, pages.size });
	header->data = pages.data;
	header->zero = pages.zero;
	header->length = (uint32_t)pages.size;
	packed = header->length ? pack_word(&c->pack, c->raw, header->length) : 0;
	if (packed) {
		payload = c->pack.buffer;
		header->length = (uint32_t)packed;
		header->flags = (uint16_t)c->pack.kind;
	}
	return is_worth_a_chunk(c, header) ? wire_send(&c->wire, header, payload) : 0;
}

static int send_word(struct channel *c, const struct vas_dirty_word *word)
{
	struct stream_header header = { .type = STREAM_WORD,
					.round = round_of(c),
					.gpa = word->gpa };
	uint64_t before = c->wire.bytes;
	int err;

	if (!send_in_place(c, word, &header, &err))
		err = send_copy(c, word, &header);
	count(c, &header, c->wire.bytes - before);
	return err ? err : pace(c);
}

static int send_fed(struct channel *c)
{
	struct vas_dirty_word word;
	int got, err = 0;

	while (!err && (got = feed_take(c, &word))) {
		err = wire_check(&c->wire);
		if (!err)
			err = got > 0 ? send_word(c, &word) : channel_show_life(c);
	}
	return err;
}

static int send_words(struct channel *c)
{
	struct sender *s = c->sender;
	size_t i;
	int err = 0;

	for (i = 0; !err && i < s->nr_words; i++) {
		err = wire_check(&c->wire);
		if (err || stream_channel_of(s->words[i].gpa, s->nr_channels) != c->wire.channel)
			continue;
		err = send_word(c, &s->words[i]);
	}
	return err;
}

void *channel_run(void *arg)
{
	struct channel *c = arg;
	struct sender *s = c->sender;

	c->err = s->is_fed ? send_fed(c) : send_words(c);
	if (c->err)
		strncpy(c->error, vas_error(), sizeof(c->error) - 1);
	pthread_mutex_lock(&s->lock);
	/* One channel's end is the end of all. */
	if (c->err)
		__atomic_store_n(&s->group.cancel, true, __ATOMIC_RELAXED);
	s->nr_running--;
	pthread_cond_signal(&s->ended);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}
