// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * vas_net.ko: a guest's driver that writes all over its rings while frames cross them, copied by
 * the queues' threads and by who sends them, harms nobody but itself.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "include/uapi/linux/vas.h"
#include "net_guest.h"

#define RUN_NS	   10000000000ull
#define TABLE_LEN  64u /* of its bytes, which are harmed */
#define LAST_FRAME 777u

struct scribbler {
	struct net_guest *g;
	struct test_random random;
	int stop;
};

static void poison(struct test_random *random, char *at, uint64_t len)
{
	uint64_t where = test_random_below(random, len / 2) * 2;

	*(uint16_t *)(at + where) =
		(uint16_t)test_random_next(random) >> test_random_below(random, 16);
}

static void poison_queue(struct scribbler *s, struct virtqueue *q)
{
	poison(&s->random, (char *)q->desc, SIZE * 16);
	poison(&s->random, (char *)q->avail, 6 + SIZE * 2);
	poison(&s->random, (char *)q->used, 6 + SIZE * 8);
}

static void *scribble(void *arg)
{
	struct scribbler *s = arg;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		poison_queue(s, &s->g->receiveq);
		poison_queue(s, &s->g->transmitq);
		poison(&s->random, s->g->ram + TABLE, TABLE_LEN);
		poison(&s->random, s->g->ram + OUT, HEADER_LEN);
		usleep(1000);
	}
	return NULL;
}

/* Whatever its ring says; the eventfds and the place in memory stay. */
static void begin_anew(struct net_guest *g, uint32_t index)
{
	struct virtqueue *q = index ? &g->transmitq : &g->receiveq;

	net_guest_stop(g, index);
	memset(q->desc, 0, SIZE * 16);
	q->avail->idx = q->used->idx = 0;
	q->avail->flags = q->used->flags = 0;
	q->seen = q->next_desc = 0;
	CHECK_OK(net_guest_start(g, index, 0));
}

/* As the ring says, whoever wrote that. */
static uint16_t nr_pending(const struct virtqueue *q)
{
	return (uint16_t)(q->avail->idx - __atomic_load_n(&q->used->idx, __ATOMIC_ACQUIRE));
}

static void post_some(struct net_guest *g, int kick)
{
	struct part in[2] = { { IN, 100, 1 }, { IN + 100, 1948, 1 } };

	for (int i = 0; i < 8 && nr_pending(&g->receiveq) < SIZE / 4; i++)
		virtqueue_add(&g->receiveq, in, 2, i % 2 ? TABLE : 0);
	if (kick)
		virtqueue_kick(&g->receiveq);
}

static void send_some(struct net_guest *g)
{
	struct part out[2] = { { OUT, 200, 0 }, { OUT + 200, 1000, 0 } };

	for (int i = 0; i < 4 && nr_pending(&g->transmitq) < SIZE / 4; i++)
		virtqueue_add(&g->transmitq, out, 2, i % 2 ? TABLE + 32 : 0);
	virtqueue_kick(&g->transmitq);
}

#define NR_AT_ONCE 3u

static void host_sends_some(struct net_guest *g, uint32_t round)
{
	static char frame[1400];

	for (uint32_t i = 0; i < NR_AT_ONCE; i++) {
		uint32_t len = 60 + (round * 7 + i * 400) % 1300;

		net_frame_fill(frame, len, i);
		net_host_send(g, frame, len);
	}
}

static uint64_t nr_received(struct net_guest *g)
{
	return net_count(g, "guest_queue_0_rx_packets") + net_count(g, "guest_queue_0_rx_dropped");
}

static void mend(struct net_guest *g)
{
	if (virtqueue_is_broken(&g->receiveq, 0))
		begin_anew(g, 0);
	if (virtqueue_is_broken(&g->transmitq, 0))
		begin_anew(g, 1);
}

static void harm(struct net_guest *g, struct scribbler *s)
{
	static char frame[4096];
	uint64_t end = test_now_ns() + RUN_NS, nr_sent = 0;
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, scribble, s), 0);
	for (uint32_t round = 1; test_now_ns() < end; round++) {
		int waits = nr_received(g) != nr_sent;

		mend(g);
		post_some(g, waits);
		send_some(g);
		/* At once, if nothing is in the way. */
		if (!waits) {
			host_sends_some(g, round);
			nr_sent += NR_AT_ONCE;
		}
		while (recv(g->sock, frame, sizeof(frame), MSG_DONTWAIT) > 0)
			;
		if (round % 128 == 0)
			device_remove(g->vas, device_add(g->vas, 8 * MIB, MIB));
	}
	__atomic_store_n(&s->stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

/* Those that have waited, then one that is sent now. */
static void still_receives(struct net_guest *g)
{
	static char frame[LAST_FRAME], expected[LAST_FRAME];
	struct part in = { IN, 2048, 1 };
	struct vring_used_elem elem = { 0 };

	begin_anew(g, 0);
	net_frame_fill(frame, LAST_FRAME, 5);
	do {
		virtqueue_add(&g->receiveq, &in, 1, 0);
		virtqueue_kick(&g->receiveq);
		if (!virtqueue_wait(&g->receiveq, &elem, 100)) {
			net_host_send(g, frame, LAST_FRAME);
			CHECK(virtqueue_wait(&g->receiveq, &elem, TEST_HANG_MS));
		}
	} while (elem.len != HEADER_LEN + LAST_FRAME ||
		 memcmp(g->ram + IN + HEADER_LEN, frame, LAST_FRAME));
	net_frame_fill(expected, LAST_FRAME, 5);
	CHECK_MEM(g->ram + IN + HEADER_LEN, expected, LAST_FRAME);
}

static void still_sends(struct net_guest *g)
{
	static char frame[4096], expected[LAST_FRAME];
	ssize_t len;

	begin_anew(g, 1);
	net_guest_send_frame(g, LAST_FRAME, 6);
	net_frame_fill(expected, LAST_FRAME, 6);
	do {
		len = net_host_receive(g, frame, sizeof(frame), TEST_HANG_MS);
		CHECK(len > 0);
	} while (len != LAST_FRAME || memcmp(frame, expected, LAST_FRAME));
}

static void is_harmed(uint64_t features)
{
	struct scribbler s = { .random = { test_seed() } };
	struct net_guest g;

	net_guest_init(&g, features);
	s.g = &g;
	harm(&g, &s);
	test_note("%llu packets to the guest, %llu of them at once, %llu from it",
		  (unsigned long long)net_count(&g, "guest_queue_0_rx_packets"),
		  (unsigned long long)net_count(&g, "guest_queue_0_rx_at_once"),
		  (unsigned long long)net_count(&g, "guest_queue_0_tx_packets"));
	CHECK(net_count(&g, "guest_queue_0_rx_at_once") > 0);
	CHECK(net_count(&g, "guest_queue_0_tx_packets") > 0);
	still_receives(&g);
	still_sends(&g);
	close(g.net);
}

TEST(rings_that_change_while_frames_cross_them_harm_nobody)
{
	is_harmed(INDIRECT);
}

TEST(merged_buffers_that_change_while_they_are_filled_harm_nobody)
{
	is_harmed(INDIRECT | EVENT | FEATURE(MRG_RXBUF));
}
