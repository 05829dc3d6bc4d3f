// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A stream that was damaged, cut, shuffled or forged makes no vas, and no harm. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vas/migrate.h>
#include <xxhash.h>

#include "tests/harness.h"
#include "migrate/base/stream.h"
#include "tests/lib/dirty/shadow.h"

#define SIZE	   (2ull << 20)
#define MAX_CHUNKS 64

struct stream {
	unsigned char *bytes;
	size_t size;
	size_t chunks[MAX_CHUNKS + 1]; /* offsets, and the end */
	int nr;
};

static int save_state(void *arg, void **state, size_t *size)
{
	(void)arg;
	*state = strdup("registers");
	*size = sizeof("registers");
	return 0;
}

static void find_chunks(struct stream *s)
{
	struct stream_header header;
	size_t at;

	s->nr = 0;
	for (at = 0; at < s->size; at += sizeof(header) + header.length) {
		CHECK(s->nr < MAX_CHUNKS);
		s->chunks[s->nr++] = at;
		memcpy(&header, s->bytes + at, sizeof(header));
	}
	CHECK_EQ(at, s->size);
	s->chunks[s->nr] = at;
}

/* A stream of a small vas, as a file has it. */
static struct stream capture(uint32_t flags)
{
	static const struct vas_migrate_ops ops = { .save = save_state };
	int fd = memfd_create("stream", 0);
	struct vas_migrate_options options = {
		.fds = &fd, .nr_fds = 1, .ops = &ops, .flags = flags | VAS_MIGRATE_ONE_WAY
	};
	struct vas *vas = shadow_vas(SIZE);
	struct stream s = { 0 };
	struct stat st;
	uint64_t gpa;

	for (gpa = 0; gpa < SIZE; gpa += 3 * VAS_PAGE_SIZE)
		CHECK_OK(vas_fill(vas, gpa, (uint8_t)(gpa >> 12) | 1, VAS_PAGE_SIZE, NULL));
	CHECK_OK(vas_migrate_send(vas, &options, NULL));
	CHECK_OK(fstat(fd, &st));
	s.size = (size_t)st.st_size;
	s.bytes = malloc(s.size);
	CHECK_EQ(pread(fd, s.bytes, s.size, 0), s.size);
	close(fd);
	vas_destroy(vas);
	find_chunks(&s);
	return s;
}

static int receive(const unsigned char *bytes, size_t size)
{
	int fd = memfd_create("stream", 0), err;
	struct vas_migrate_target target = { .fds = &fd, .nr_fds = 1, .max_ram = 1 << 30 };
	struct vas_migrate_result result;
	struct vas *vas = NULL;

	CHECK_EQ(pwrite(fd, bytes, size, 0), size);
	err = vas_migrate_recv(&target, &vas, &result);
	CHECK_EQ(!err, !!vas);
	if (!err)
		free(result.state);
	vas_destroy(vas);
	close(fd);
	return err;
}

static void refused(const unsigned char *bytes, size_t size)
{
	int err = receive(bytes, size);

	CHECK(err == -EPROTO || err == -ECONNRESET || err == -EOPNOTSUPP);
}

TEST(the_stream_itself_is_sound)
{
	struct stream s = capture(0), packed = capture(VAS_MIGRATE_LZ4);

	CHECK_EQ(receive(s.bytes, s.size), 0);
	CHECK_EQ(receive(packed.bytes, packed.size), 0);
	CHECK(packed.size < s.size / 2);
	free(s.bytes);
	free(packed.bytes);
}

static void flip_each_byte_of(struct stream *s, size_t from, size_t to, size_t step)
{
	size_t at;

	for (at = from; at < to; at += step) {
		unsigned char mask = (unsigned char)(1 << at % 8);

		test_note("byte %zu", at);
		s->bytes[at] ^= mask;
		refused(s->bytes, s->size);
		s->bytes[at] ^= mask;
	}
}

TEST(any_flipped_bit_is_noticed)
{
	struct stream s = capture(0);
	struct test_random random = { test_seed() };
	int i;

	for (i = 0; i < s.nr; i++) {
		size_t payload = s.chunks[i] + sizeof(struct stream_header);

		/* Words are all alike: the headers of a few, and some bytes of each payload. */
		if (i < 4 || i >= s.nr - 2)
			flip_each_byte_of(&s, s.chunks[i], payload, 1);
		flip_each_byte_of(&s, payload + test_random_below(&random, 9), s.chunks[i + 1],
				  i < 2 ? 97 : 9973);
	}
	free(s.bytes);
}

TEST(a_stream_cut_anywhere_is_refused)
{
	struct stream s = capture(0);
	struct test_random random = { test_seed() };
	int i;

	for (i = 0; i < s.nr; i++) {
		refused(s.bytes, s.chunks[i]);
		refused(s.bytes, s.chunks[i] + test_random_below(&random, 64));
		refused(s.bytes, s.chunks[i + 1] - 1);
	}
	free(s.bytes);
}

/* The chunks in the order given. */
static void shuffled(const struct stream *s, const int *order, int nr)
{
	unsigned char *bytes = malloc(2 * s->size);
	size_t size = 0;
	int i;

	for (i = 0; i < nr; i++) {
		size_t len = s->chunks[order[i] + 1] - s->chunks[order[i]];

		memcpy(bytes + size, s->bytes + s->chunks[order[i]], len);
		size += len;
	}
	refused(bytes, size);
	free(bytes);
}

TEST(chunks_left_out_repeated_or_swapped_are_refused)
{
	struct stream s = capture(0);
	int order[MAX_CHUNKS + 1], i, j, nr;

	for (i = 0; i < s.nr; i++) {
		for (nr = 0, j = 0; j < s.nr; j++)
			if (j != i)
				order[nr++] = j;
		test_note("without %d", i);
		shuffled(&s, order, nr);
		for (nr = 0, j = 0; j < s.nr; j++) {
			order[nr++] = j;
			if (j == i && j < s.nr - 1)
				order[nr++] = j;
		}
		if (i < s.nr - 1)
			shuffled(&s, order, nr);
		for (j = 0; j < s.nr; j++)
			order[j] = j;
		order[i] = (i + 1) % s.nr;
		order[(i + 1) % s.nr] = i;
		shuffled(&s, order, s.nr);
	}
	free(s.bytes);
}

TEST(a_chunk_of_another_stream_is_refused)
{
	struct stream s = capture(0), other = capture(0);
	int i;

	for (i = 1; i < s.nr; i++) {
		size_t size = s.chunks[i + 1] - s.chunks[i];
		unsigned char *saved = malloc(size);

		CHECK_EQ(size, other.chunks[i + 1] - other.chunks[i]);
		memcpy(saved, s.bytes + s.chunks[i], size);
		memcpy(s.bytes + s.chunks[i], other.bytes + other.chunks[i], size);
		refused(s.bytes, s.size);
		memcpy(s.bytes + s.chunks[i], saved, size);
		free(saved);
	}
	free(s.bytes);
	free(other.bytes);
}

/* ---- forged: all sums are right ------------------------------------------------------------ */

static void reseal(struct stream *s)
{
	struct stream_hello *hello = (void *)(s->bytes + sizeof(struct stream_header));
	uint64_t key = XXH3_64bits_withSeed(hello->session, sizeof(hello->session), 0);
	int i;

	for (i = 0; i < s->nr; i++) {
		unsigned char *payload = s->bytes + s->chunks[i] + sizeof(struct stream_header);
		size_t at, size, length = (size_t)(s->bytes + s->chunks[i + 1] - payload);
		struct stream_header header;
		uint64_t hash, sum = key;

		for (at = 0; at < length; at += size) {
			size = length - at < STREAM_SUM_BLOCK ? length - at : STREAM_SUM_BLOCK;
			hash = XXH3_64bits(payload + at, size);
			sum = XXH3_64bits_withSeed(&hash, sizeof(hash), sum);
		}
		memcpy(&header, s->bytes + s->chunks[i], sizeof(header));
		header.payload_sum = sum;
		header.header_sum = XXH3_64bits_withSeed(&header, sizeof(header) - 8, key);
		memcpy(s->bytes + s->chunks[i], &header, sizeof(header));
	}
}

static uint64_t interesting(struct test_random *random)
{
	static const uint64_t values[] = {
		0,	  1,	 63,	     64,	 4095,	    4096,	 0x40000,  SIZE,
		2 * SIZE, ~0ull, 1ull << 52, 1ull << 63, ~0xfffull, ~0x3ffffull, INT64_MAX
	};

	return test_random_below(random, 3) ? values[test_random_below(random, 15)] :
					      test_random_next(random);
}

static void forge(struct stream *s, struct test_random *random)
{
	int chunk = (int)test_random_below(random, (uint64_t)s->nr);
	size_t size = s->chunks[chunk + 1] - s->chunks[chunk], at;
	unsigned char *bytes = s->bytes + s->chunks[chunk];
	uint64_t value = interesting(random);

	/* Fields are aligned to their sizes; in the layout, most are behind the header. */
	at = test_random_below(random, chunk < 2 ? size / 4 : sizeof(struct stream_header) / 4) * 4;
	memcpy(bytes + at, &value, at % 8 || size - at < 8 ? 4 : 8);
}

TEST(forged_streams_do_no_harm)
{
	struct stream s = capture(0), packed = capture(VAS_MIGRATE_ZSTD);
	struct test_random random = { test_seed() };
	unsigned char *saved = malloc(s.size);
	int fds, i, accepted = 0;

	receive(s.bytes, s.size);
	fds = test_count_fds();
	for (i = 0; i < 1000; i++) {
		struct stream *one = i % 2 ? &s : &packed;

		memcpy(saved, one->bytes, one->size);
		test_note("forgery %d", i);
		forge(one, &random);
		if (test_random_below(&random, 2))
			forge(one, &random);
		reseal(one);
		accepted += !receive(one->bytes, one->size);
		memcpy(one->bytes, saved, one->size);
	}
	CHECK_EQ(test_count_fds(), fds);
	CHECK(accepted < i / 2);
	free(saved);
	free(s.bytes);
	free(packed.bytes);
}
