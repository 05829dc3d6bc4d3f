// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A destination that makes much memory asks for patience, and gets as much as that may need. */
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vas/migrate.h>
#include <xxhash.h>

#include "tests/harness.h"
#include "migrate/base/stream.h"

#define SIZE	  (3 * STREAM_SEGMENT - VAS_PAGE_SIZE)
#define NR_PIECES 3

struct destination {
	int fd;
	int nr_waits;
};

static void say(int fd, const struct stream_hello *hello, uint64_t sequence, uint16_t type)
{
	uint64_t key = XXH3_64bits_withSeed(hello->session, sizeof(hello->session), 1);
	struct stream_header header = {
		.magic = STREAM_MAGIC, .type = type, .sequence = sequence, .payload_sum = key
	};

	header.header_sum =
		XXH3_64bits_withSeed(&header, offsetof(struct stream_header, header_sum), key);
	/* The source may have had enough, and be gone. */
	send(fd, &header, sizeof(header), MSG_NOSIGNAL);
}

/* A chunk's header, and its payload as far as there is room for it. */
static void take_chunk(int fd, void *payload, size_t room)
{
	struct stream_header header;
	char rest;

	CHECK_EQ(recv(fd, &header, sizeof(header), MSG_WAITALL), (ssize_t)sizeof(header));
	CHECK_EQ(recv(fd, payload, room, MSG_WAITALL), (ssize_t)room);
	for (; room < header.length; room++)
		CHECK_EQ(recv(fd, &rest, 1, MSG_WAITALL), 1);
}

static void *wait_then_end(void *arg)
{
	const struct destination *d = arg;
	struct stream_layout layout;
	struct stream_hello hello;
	int i;

	take_chunk(d->fd, &hello, sizeof(hello));
	take_chunk(d->fd, &layout, sizeof(layout));
	for (i = 0; i < d->nr_waits; i++)
		say(d->fd, &hello, (uint64_t)i, STREAM_WAIT);
	say(d->fd, &hello, (uint64_t)i, STREAM_READY);
	shutdown(d->fd, SHUT_RDWR);
	return NULL;
}

static int send_to_one_that_waits(int nr_waits)
{
	const struct vas_options options = { .limit = 4ull << 30 };
	const struct vas_region region = { .size = SIZE };
	struct vas_migrate_options migrate = { .nr_fds = 1 };
	struct destination d = { .nr_waits = nr_waits };
	struct vas *vas;
	pthread_t thread;
	int pair[2], err;

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	migrate.fds = &pair[0];
	d.fd = pair[1];
	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_region_add(vas, &region, NULL));
	CHECK_EQ(pthread_create(&thread, NULL, wait_then_end, &d), 0);
	err = vas_migrate_send(vas, &migrate, NULL);
	pthread_join(thread, NULL);
	/* Here it runs on. */
	CHECK_OK(vas_store_le64(vas, 0, 1, __ATOMIC_RELAXED));
	vas_destroy(vas);
	close(pair[0]);
	close(pair[1]);
	return err;
}

TEST(a_sign_of_life_for_each_piece_is_waited_for)
{
	CHECK_EQ(send_to_one_that_waits(0), -ECONNRESET);
	CHECK_EQ(send_to_one_that_waits(NR_PIECES), -ECONNRESET);
}

TEST(nobody_waits_for_ever)
{
	CHECK_EQ(send_to_one_that_waits(NR_PIECES + 1), -EPROTO);
	CHECK_EQ(send_to_one_that_waits(1000), -EPROTO);
}

TEST(memory_is_populated_before_any_arrives)
{
	const struct vas_options options = { .limit = 64 << 20 };
	const struct vas_region region = { .size = 32 << 20 };
	struct vas_migrate_target target = { .nr_fds = 1, .flags = VAS_MIGRATE_POPULATE };
	struct vas_migrate_options migrate = { .nr_fds = 1, .flags = VAS_MIGRATE_ONE_WAY };
	struct vas_migrate_result result;
	int fd = memfd_create("stream", 0);
	struct vas *vas, *arrived;
	struct stat st;

	migrate.fds = target.fds = &fd;
	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_region_add(vas, &region, NULL));
	CHECK_OK(vas_migrate_send(vas, &migrate, NULL));
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_OK(vas_migrate_recv(&target, &arrived, &result));
	CHECK_OK(fstat(vas_fd(arrived), &st));
	CHECK((uint64_t)st.st_blocks * 512 >= region.size);
	vas_destroy(arrived);
	vas_destroy(vas);
	close(fd);
}
