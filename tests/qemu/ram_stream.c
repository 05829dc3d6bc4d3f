// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* QEMU's stream is taken apart into pages that are told and the state of the devices; what is none is refused. */
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qemu/ram_stream.h"
#include "tests/harness.h"

#define PAGE	4096u
#define RAM	(1u << 20)
#define TIMEOUT 60000000000ull

enum { ZERO = 2, SIZES = 4, BYTES = 8, EOS = 16, CONTINUE = 32 };

/* A stream that is made by hand, and what should be left of it. */
struct bytes {
	char *at;
	size_t nr;
};

static void put(struct bytes *b, const void *bytes, size_t nr)
{
	b->at = realloc(b->at, b->nr + nr);
	CHECK(b->at);
	memcpy(b->at + b->nr, bytes, nr);
	b->nr += nr;
}

static void put_u8(struct bytes *b, uint8_t value)
{
	put(b, &value, 1);
}

static void put_u32(struct bytes *b, uint32_t value)
{
	value = htobe32(value);
	put(b, &value, sizeof(value));
}

static void put_u64(struct bytes *b, uint64_t value)
{
	value = htobe64(value);
	put(b, &value, sizeof(value));
}

static void put_command(struct bytes *b, uint16_t command)
{
	put_u8(b, 8);
	put_u32(b, (uint32_t)command << 16); /* and no data */
}

static void put_name(struct bytes *b, const char *name)
{
	put_u8(b, (uint8_t)strlen(name));
	put(b, name, strlen(name));
}

static void put_begin(struct bytes *b)
{
	put(b, "QEVM", 4);
	put_u32(b, 3);
	put_u8(b, 7);
	put_u32(b, 10);
	put(b, "pc-q35-7.2", 10);
}

static void put_footer(struct bytes *b, uint32_t id)
{
	put_u64(b, EOS);
	put_u8(b, 0x7e);
	put_u32(b, id);
}

static void put_setup(struct bytes *b, uint64_t ram, uint64_t rom)
{
	put_u8(b, 1);
	put_u32(b, 5);
	put_name(b, "ram");
	put_u32(b, 0);
	put_u32(b, 4);
	put_u64(b, (ram + rom) | SIZES);
	put_name(b, "vas-ram");
	put_u64(b, ram);
	put_name(b, "rom");
	put_u64(b, rom);
	put_footer(b, 5);
}

static void put_part(struct bytes *b, uint8_t type)
{
	put_u8(b, type);
	put_u32(b, 5);
}

/* NULL: of the block before. */
static void put_page(struct bytes *b, const char *block, uint64_t offset, int flag)
{
	static const char page[PAGE] = "bytes";

	put_u64(b, offset | (unsigned int)flag | (block ? 0 : CONTINUE));
	if (block)
		put_name(b, block);
	put(b, page, flag == ZERO ? 1 : PAGE);
}

static void put_devices(struct bytes *b)
{
	static uint8_t state[3 * RAM];

	put_u8(b, 4);
	for (unsigned int i = 0; i < sizeof(state); i++)
		state[i] = (uint8_t)(i * 7);
	put(b, state, sizeof(state));
}

/* ---- reading it --------------------------------------------------------------------------- */

struct sender {
	int sock;
	const struct bytes *bytes;
};

static void *send_all(void *arg)
{
	struct sender *sender = arg;
	size_t at = 0;

	while (at < sender->bytes->nr) {
		ssize_t nr = send(sender->sock, sender->bytes->at + at, sender->bytes->nr - at,
				  MSG_NOSIGNAL);

		if (nr < 0)
			break;
		at += (size_t)nr;
	}
	close(sender->sock);
	return NULL;
}

/* What is told of each page, how often; the error or 0, and what is left of the stream. */
static int read_stream(const struct bytes *bytes, unsigned int told[RAM / PAGE], struct bytes *left)
{
	struct vas_dirty_word words[2];
	struct sender sender = { .bytes = bytes };
	struct ram_stream *stream;
	pthread_t thread;
	void *state = NULL;
	int pair[2], err;
	ssize_t nr;

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	sender.sock = pair[1];
	CHECK_OK(pthread_create(&thread, NULL, send_all, &sender));
	CHECK_OK(ram_stream_open(pair[0], "vas-ram", RAM, &stream));
	while ((nr = ram_stream_next(stream, TIMEOUT, words, 2)) > 0)
		for (ssize_t i = 0; i < nr; i++)
			for (unsigned int bit = 0; bit < 64; bit++)
				told[words[i].gpa / PAGE + bit] += words[i].bits >> bit & 1;
	*left = (struct bytes){ 0 };
	err = nr ? (int)nr : ram_stream_state(stream, TIMEOUT, &state, &left->nr);
	left->at = state;
	ram_stream_close(stream);
	pthread_join(thread, NULL);
	return err;
}

TEST(pages_of_the_ram_are_told_and_the_rest_is_left)
{
	unsigned int told[RAM / PAGE] = { 0 }, want[RAM / PAGE] = { 0 };
	struct bytes stream = { 0 }, rest = { 0 }, left;

	put_begin(&stream);
	put_setup(&stream, RAM, 4 * PAGE);
	put_part(&stream, 2);
	put_page(&stream, "vas-ram", 0, BYTES);
	for (unsigned int page = 1; page < RAM / PAGE; page++)
		put_page(&stream, NULL, page * PAGE, page % 3 ? BYTES : ZERO);
	put_page(&stream, "rom", 0, BYTES);
	put_page(&stream, NULL, PAGE, ZERO);
	put_page(&stream, "vas-ram", 7 * PAGE, ZERO);
	put_footer(&stream, 5);
	put_command(&stream, 11);
	put_part(&stream, 3);
	put_page(&stream, NULL, 8 * PAGE, BYTES);
	put_footer(&stream, 5);
	put_devices(&stream);

	put_begin(&rest);
	put_setup(&rest, RAM, 4 * PAGE);
	put_part(&rest, 2);
	put_page(&rest, "rom", 0, BYTES);
	put_page(&rest, NULL, PAGE, ZERO);
	put_footer(&rest, 5);
	put_command(&rest, 11);
	put_part(&rest, 3);
	put_footer(&rest, 5);
	put_devices(&rest);

	for (unsigned int page = 0; page < RAM / PAGE; page++)
		want[page] = 1 + (page == 7 || page == 8);
	CHECK_OK(read_stream(&stream, told, &left));
	CHECK_MEM(told, want, sizeof(told));
	CHECK_EQ(left.nr, rest.nr);
	CHECK_MEM(left.at, rest.at, rest.nr);
	free(left.at);
	free(rest.at);
	free(stream.at);
}

/* Of a guest that stands, whatever has come at once. */
TEST(what_is_told_when_it_stands_is_told_apart)
{
	struct bytes bytes = { 0 };
	struct sender sender = { .bytes = &bytes };
	struct vas_dirty_word words[2];
	struct ram_stream *stream;
	pthread_t thread;
	size_t size;
	void *state;
	int pair[2];

	put_begin(&bytes);
	put_setup(&bytes, RAM, PAGE);
	put_part(&bytes, 2);
	put_page(&bytes, "vas-ram", 0, BYTES);
	put_footer(&bytes, 5);
	put_part(&bytes, 3);
	put_page(&bytes, NULL, PAGE, BYTES);
	put_footer(&bytes, 5);
	put_devices(&bytes);

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	sender.sock = pair[1];
	CHECK_OK(pthread_create(&thread, NULL, send_all, &sender));
	CHECK_OK(ram_stream_open(pair[0], "vas-ram", RAM, &stream));
	CHECK_EQ(ram_stream_next(stream, TIMEOUT, words, 2), 1);
	CHECK_EQ(words[0].bits, 1);
	CHECK_EQ(ram_stream_state(stream, TIMEOUT, &state, &size), -EPROTO);
	CHECK_EQ(ram_stream_next(stream, TIMEOUT, words, 2), 1);
	CHECK_EQ(words[0].bits, 2);
	CHECK(ram_stream_stands(stream));
	CHECK_EQ(ram_stream_next(stream, TIMEOUT, words, 2), 0);
	CHECK_OK(ram_stream_state(stream, TIMEOUT, &state, &size));
	free(state);
	ram_stream_close(stream);
	pthread_join(thread, NULL);
	free(bytes.at);
}

static void ends_with(struct bytes *stream, int want)
{
	unsigned int told[RAM / PAGE] = { 0 };
	struct bytes left;

	CHECK_EQ(read_stream(stream, told, &left), want);
	free(left.at);
	free(stream->at);
	*stream = (struct bytes){ 0 };
}

TEST(what_is_no_stream_of_this_ram_is_refused)
{
	struct bytes b = { 0 };

	put(&b, "GET / HTTP/1.1\r\n\r\n", 18);
	ends_with(&b, -EPROTO);
	put_begin(&b);
	ends_with(&b, -EPROTO); /* it ends */
	put_begin(&b);
	put_setup(&b, 2 * RAM, PAGE);
	ends_with(&b, -EPROTO);
	put_begin(&b);
	put_part(&b, 2);
	ends_with(&b, -EPROTO);
	put_begin(&b);
	put_setup(&b, RAM, PAGE);
	put_part(&b, 2);
	put_page(&b, "vas-ram", RAM, BYTES);
	ends_with(&b, -EPROTO);
	put_begin(&b);
	put_setup(&b, RAM, PAGE);
	put_part(&b, 2);
	put_page(&b, "vas-ram", PAGE, 0x40); /* xbzrle */
	ends_with(&b, -EOPNOTSUPP);
	put_begin(&b);
	put_u8(&b, 1);
	put_u32(&b, 1);
	put_name(&b, "block");
	put_u32(&b, 0);
	put_u32(&b, 1);
	ends_with(&b, -EOPNOTSUPP);
	put_begin(&b);
	put_setup(&b, RAM, PAGE);
	put_command(&b, 4); /* a post-copy's */
	ends_with(&b, -EOPNOTSUPP);
	put_begin(&b);
	put_u8(&b, 7);
	put_u32(&b, 1u << 31);
	ends_with(&b, -EPROTO);
}

TEST(any_bytes_end_in_an_error_or_not_but_never_badly)
{
	struct test_random random = { test_seed() };

	for (int round = 0; round < 300; round++) {
		unsigned int told[RAM / PAGE] = { 0 };
		struct bytes stream = { 0 }, left;

		put_begin(&stream);
		put_setup(&stream, RAM, PAGE);
		put_part(&stream, 2);
		for (unsigned int page = 0; page < 20; page++)
			put_page(&stream, page % 4 ? NULL : "vas-ram", page * PAGE, BYTES);
		put_footer(&stream, 5);
		for (int i = 0; i < 3; i++)
			stream.at[test_random_below(&random, stream.nr)] =
				(char)test_random_next(&random);
		stream.nr = test_random_below(&random, stream.nr + 1);
		read_stream(&stream, told, &left);
		free(left.at);
		free(stream.at);
	}
}
