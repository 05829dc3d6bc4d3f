// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* An entropy device behind a vhost-user connection. */
#include "device/rng/rng.h"

#include <linux/virtio_config.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/vhost_user/session.h"
#include "harness.h"
#include "tests/device/front_end.h"

#define RAM (1ull << 20)

static struct rng rng;
static struct front_end front;
static pthread_t server;
static int server_sock;

static void *serve(void *arg)
{
	static const struct vhost_user_options options = { .look_fd = -1 };

	(void)arg;
	vhost_user_serve(server_sock, -1, &rng.device, &options);
	close(server_sock);
	return NULL;
}

static void begin(void)
{
	int pair[2];

	rng_open(&rng, FRONT_RING_SIZE);
	CHECK_OK(front_end_init(&front, RAM));
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	front.sock = pair[0];
	server_sock = pair[1];
	CHECK_OK(pthread_create(&server, NULL, serve, NULL));
	CHECK_OK(front_end_negotiate(&front, 0));
	CHECK_OK(front_end_send_memory(&front));
	CHECK_OK(front_end_start_ring(&front, 0));
}

static void end(void)
{
	shutdown(front.sock, SHUT_RDWR);
	CHECK_OK(pthread_join(server, NULL));
	front_end_clean(&front);
}

static void post(uint64_t gpa, uint32_t len, uint16_t flags)
{
	struct front_ring *ring = &front.rings[0];
	uint16_t at = ring->next_avail % FRONT_RING_SIZE;

	ring->desc[at] = (struct vas_virtq_desc){ gpa, len, flags, 0 };
	ring->avail->ring[at] = at;
	__atomic_store_n(&ring->avail->idx, ++ring->next_avail, __ATOMIC_RELEASE);
	front_ring_kick(ring);
}

static int is_answered(void *arg)
{
	(void)arg;
	return front_ring_take(&front.rings[0]) >= 0;
}

/* As many bytes as there is room for, and not one more; and others each time. */
TEST(room_is_filled_with_random_bytes)
{
	uint8_t *bytes, before[1000];

	begin();
	bytes = front.ram + FRONT_DATA;
	post(FRONT_DATA, 1000, VAS_VIRTQ_DESC_WRITE);
	test_wait(is_answered, NULL, TEST_HANG_MS);
	CHECK_EQ(front.rings[0].used->ring[0].len, 1000);
	memcpy(before, bytes, sizeof(before));
	for (int i = 0; i < 1000; i += 16)
		CHECK(memcmp(bytes + i, bytes + 1000, i < 984 ? 16 : 8));
	CHECK_EQ(bytes[1000], 0);
	post(FRONT_DATA, 1000, VAS_VIRTQ_DESC_WRITE);
	test_wait(is_answered, NULL, TEST_HANG_MS);
	CHECK(memcmp(before, bytes, sizeof(before)));
	end();
}

TEST(a_request_has_a_bound)
{
	begin();
	post(FRONT_DATA, RNG_MAX_BYTES + 4096, VAS_VIRTQ_DESC_WRITE);
	test_wait(is_answered, NULL, TEST_HANG_MS);
	CHECK_EQ(front.rings[0].used->ring[0].len, RNG_MAX_BYTES);
	CHECK_EQ(front.ram[FRONT_DATA + RNG_MAX_BYTES], 0);
	end();
}

static void breaks(void)
{
	uint64_t status = 0;

	for (int i = 0; i < TEST_HANG_MS && !(status & VIRTIO_CONFIG_S_NEEDS_RESET); i++) {
		CHECK_OK(front_end_ask(&front, VHOST_USER_GET_STATUS, &status));
		poll(NULL, 0, 1);
	}
	CHECK(status & VIRTIO_CONFIG_S_NEEDS_RESET);
	end();
}

TEST(a_request_that_is_read_breaks)
{
	begin();
	post(FRONT_DATA, 1000, 0);
	breaks();
}

TEST(a_request_outside_of_memory_breaks)
{
	begin();
	post(RAM - 100, 1000, VAS_VIRTQ_DESC_WRITE);
	breaks();
}
