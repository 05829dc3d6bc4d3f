// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <netinet/if_ether.h>

#include "tests/device/net_front.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/vas.h>

#include "device/vhost_user/session.h"
#include "harness.h"

#define PROTOCOL 0x88b5 /* for experiments */

struct net net;
struct front_end front;
static pthread_t server;
static int server_sock;

static void *serve(void *arg)
{
	static const struct vhost_user_options vhost_user = { .look_fd = -1 };
	int err = vhost_user_serve(server_sock, -1, &net.device, &vhost_user);

	(void)arg;
	close(server_sock);
	return (void *)(intptr_t)err;
}

static void give_buffers(void)
{
	struct front_ring *ring = &front.rings[RX];

	for (uint16_t i = 0; i < FRONT_RING_SIZE; i++) {
		ring->desc[i] = (struct vas_virtq_desc){ .gpa = RECEIVED + i * BUFFER,
							 .len = BUFFER,
							 .flags = VAS_VIRTQ_DESC_WRITE };
		ring->avail->ring[i] = i;
	}
	ring->next_avail = FRONT_RING_SIZE;
	__atomic_store_n(&ring->avail->idx, ring->next_avail, __ATOMIC_RELEASE);
	front_ring_kick(ring);
}

void net_front_connect(const struct net_options *options, uint64_t drop)
{
	int pair[2];

	CHECK_OK(net_open(&net, options));
	CHECK_OK(front_end_init(&front, NET_FRONT_RAM));
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	front.sock = pair[0];
	server_sock = pair[1];
	CHECK_OK(pthread_create(&server, NULL, serve, NULL));
	CHECK_OK(front_end_negotiate(&front, drop));
	CHECK_OK(front_end_send_memory(&front));
	for (uint32_t i = 0; i < 3; i++)
		CHECK_OK(front_end_start_ring(&front, i));
}

void net_front_begin(const struct net_options *options, uint64_t drop)
{
	net_front_connect(options, drop);
	give_buffers();
}

void net_front_end(void)
{
	void *result;

	shutdown(front.sock, SHUT_RDWR);
	CHECK_OK(pthread_join(server, &result));
	CHECK_EQ((intptr_t)result, 0);
	net_close(&net);
	front_end_clean(&front);
}

void net_front_fill(uint8_t *bytes, uint32_t len, uint8_t seed)
{
	const struct ether_header head = { .ether_type = htons(PROTOCOL) };

	for (uint32_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256 + seed);
	memcpy(bytes, &head, sizeof(head));
	memset(bytes, 0xff, NET_MAC_LEN);
	bytes[NET_MAC_LEN] = 2;
}

static int has_answers(void *arg)
{
	const struct front_ring *ring = arg;

	return (uint16_t)(__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE) - ring->next_used) <
	       0x8000;
}

void net_front_answered(uint32_t index, uint16_t nr)
{
	front.rings[index].next_used = nr;
	test_wait(has_answers, &front.rings[index], TEST_HANG_MS);
}

void net_front_send(uint32_t len)
{
	struct front_ring *ring = &front.rings[TX];
	uint16_t at = ring->next_avail % FRONT_RING_SIZE;

	ring->desc[at] = (struct vas_virtq_desc){ .gpa = SENT, .len = HEADER + len };
	ring->avail->ring[at] = at;
	__atomic_store_n(&ring->avail->idx, ++ring->next_avail, __ATOMIC_RELEASE);
	front_ring_kick(ring);
	net_front_answered(TX, ring->next_avail);
}

void net_front_send_fill(uint32_t len, uint8_t seed)
{
	memset(front.ram + SENT, 0, HEADER);
	net_front_fill(front.ram + SENT + HEADER, len, seed);
	net_front_send(len);
}

const struct virtio_net_hdr_v1 *net_front_header(uint32_t nr)
{
	return (const void *)(front.ram + RECEIVED + nr * BUFFER);
}

const uint8_t *net_front_frame(uint32_t nr)
{
	return front.ram + RECEIVED + nr * BUFFER + HEADER;
}

void net_front_gets(uint16_t nr, uint32_t len, uint8_t seed)
{
	uint8_t want[BUFFER];

	net_front_answered(RX, (uint16_t)(nr + 1));
	CHECK_EQ(front.rings[RX].used->ring[nr].len, HEADER + len);
	net_front_fill(want, len, seed);
	CHECK_MEM(net_front_frame(nr), want, len);
}

uint64_t net_front_counted(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void net_front_exchange(void (*peer_gets)(uint32_t len, uint8_t seed),
			void (*peer_sends)(uint32_t len, uint8_t seed))
{
	for (uint8_t i = 0; i < 100; i++) {
		net_front_send_fill(60 + i * 10u, i);
		peer_gets(60 + i * 10u, i);
		peer_sends(1514 - i * 10u, i);
		net_front_gets(i, 1514 - i * 10u, i);
	}
	CHECK_EQ(net_front_counted(&net.pairs[0].sent.frames), 100);
	CHECK_EQ(net_front_counted(&net.pairs[0].received.frames), 100);
	CHECK_EQ(net_front_counted(&net.pairs[0].sent.dropped), 0);
	CHECK_EQ(net_front_counted(&net.pairs[0].received.dropped), 0);
}

void net_front_refused(const struct net_options *options, const char *name, int err,
		       const char *why)
{
	struct net_options wrong = *options;

	wrong.name = name;
	CHECK_EQ(net_open(&net, &wrong), err);
	CHECK_HAS(vas_error(), why);
}
