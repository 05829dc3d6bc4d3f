// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <vas/access.h>
#include <vas/consumer.h>

#include "migrate/sender.h"

#define NAP_NS 50000000ull

uint64_t sender_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

int channel_init(struct channel *c, struct sender *sender, uint32_t index)
{
	uint32_t kind = sender->options.flags & VAS_MIGRATE_ZSTD ? STREAM_ZSTD :
			sender->options.flags & VAS_MIGRATE_LZ4	 ? STREAM_LZ4 :
								   0;

	c->sender = sender;
	wire_init(&c->wire, sender->options.fds[index], sender->options.stall_ns, &sender->cancel);
	wire_set_key(&c->wire, sender->session, index, false);
	c->raw = aligned_alloc(VAS_PAGE_SIZE, STREAM_WORD_SIZE);
	if (!c->raw)
		return vas_fail(-ENOMEM, "no memory for buffers");
	return pack_init(&c->pack, kind);
}

void channel_clean(struct channel *c)
{
	pack_clean(&c->pack);
	free(c->raw);
	c->raw = NULL;
}

/* ---- reading ------------------------------------------------------------------------------ */

/* Mostly the first few bytes decide. */
static bool is_zero(const char *page)
{
	const uint64_t *p = (const uint64_t *)page;
	size_t i, j;

	for (i = 0; i < VAS_PAGE_SIZE / sizeof(*p); i += 32) {
		uint64_t any = 0;

		for (j = 0; j < 32; j++)
			any |= p[i + j];
		if (any)
			return false;
	}
	return true;
}

/* One page, in a section, from where it is; false: not plainly there. */
static bool take_page(struct vas *vas, uint64_t gpa, char *to, bool *zero)
{
	const char *page = vas_translate(vas, gpa, VAS_PAGE_SIZE, VAS_PROT_READ);

	if (!page)
		return false;
	*zero = is_zero(page);
	if (!*zero)
		memcpy(to, page, VAS_PAGE_SIZE);
	return true;
}

/* The long way: borders within the page, failing memory. */
static int read_page(struct vas *vas, uint64_t gpa, char *to, bool *zero)
{
	int err = vas_read(vas, gpa, to, VAS_PAGE_SIZE, NULL);

	*zero = !err && is_zero(to);
	return err;
}

/* Bring one page to raw, or find it zero: -ENOENT if it is in no region any more. */
static int get_page(struct vas *vas, uint64_t gpa, char *to, bool *zero)
{
	int err = vas_enter(vas);
	bool taken;

	if (err)
		return err;
	taken = take_page(vas, gpa, to, zero) && !vas_failed(vas);
	vas_leave(vas);
	if (taken)
		return 0;
	err = read_page(vas, gpa, to, zero);
	return err == -EFAULT ? -ENOENT : err;
}

/* The word's pages: those with bytes into raw, one after the other. */
static int read_word(struct channel *c, const struct vas_dirty_word *word,
		     struct stream_header *header)
{
	uint64_t bits;
	char *to = c->raw;
	bool zero;

	for (bits = word->bits; bits; bits &= bits - 1) {
		unsigned int bit = (unsigned int)__builtin_ctzll(bits);
		int err = get_page(c->sender->vas, word->gpa + bit * VAS_PAGE_SIZE, to, &zero);

		if (err == -ENOENT)
			continue;
		if (err)
			return err;
		if (zero) {
			header->zero |= 1ull << bit;
		} else {
			header->data |= 1ull << bit;
			to += VAS_PAGE_SIZE;
		}
	}
	header->length = (uint32_t)(to - c->raw);
	return 0;
}

/* ---- sending ------------------------------------------------------------------------------ */

/* No faster than the rate allows, which the channels share evenly. */
static void pace(const struct channel *c)
{
	const struct sender *s = c->sender;
	uint64_t due_ns, now = sender_now_ns();

	if (!s->options.rate)
		return;
	due_ns = s->start_ns + (uint64_t)((double)(__atomic_load_n(&s->bytes_sent, __ATOMIC_RELAXED) -
						   s->start_bytes) *
					  1e9 / (double)s->options.rate);
	while (now < due_ns && !__atomic_load_n(&s->cancel, __ATOMIC_RELAXED)) {
		uint64_t left = due_ns - now;
		struct timespec nap = { .tv_nsec = (long)(left < NAP_NS ? left : NAP_NS) };

		nanosleep(&nap, NULL);
		now = sender_now_ns();
	}
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

static int send_word(struct channel *c, const struct vas_dirty_word *word)
{
	struct stream_header header = { .type = STREAM_WORD, .round = c->sender->round,
					.gpa = word->gpa };
	uint64_t before = c->wire.bytes;
	const void *payload = c->raw;
	size_t packed;
	int err = read_word(c, word, &header);

	if (err)
		return err;
	packed = header.length ? pack_word(&c->pack, c->raw, header.length) : 0;
	if (packed) {
		payload = c->pack.buffer;
		header.length = (uint32_t)packed;
		header.flags = (uint16_t)c->pack.kind;
	}
	/* The destination's memory is new: pages of zeros need no word at first. */
	if (header.data || (header.zero && c->sender->round))
		err = wire_send(&c->wire, &header, payload);
	count(c, &header, c->wire.bytes - before);
	pace(c);
	return err;
}

static int send_words(struct channel *c)
{
	struct sender *s = c->sender;
	size_t i;
	int err = 0;

	for (i = 0; !err && i < s->nr_words; i++) {
		if (__atomic_load_n(&s->cancel, __ATOMIC_RELAXED))
			return vas_fail(-ECANCELED, "canceled");
		if (stream_channel_of(s->words[i].gpa, s->nr_channels) == c->wire.channel)
			err = send_word(c, &s->words[i]);
	}
	return err;
}

void *channel_run(void *arg)
{
	struct channel *c = arg;
	struct sender *s = c->sender;

	c->err = send_words(c);
	if (c->err)
		strncpy(c->error, vas_error(), sizeof(c->error) - 1);
	pthread_mutex_lock(&s->lock);
	/* One channel's end is the end of all. */
	if (c->err)
		__atomic_store_n(&s->cancel, true, __ATOMIC_RELAXED);
	s->nr_running--;
	pthread_cond_signal(&s->ended);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}
