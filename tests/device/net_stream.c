// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A network device that is connected to a Unix stream socket; the test listens there, as passt
 * would, and is the guest's driver.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vas/vas.h>

#include "harness.h"
#include "tests/device/net_front.h"

#define LARGE  60000u
#define LENGTH 4u

static const uint8_t mac[] = { 0x52, 0x54, 0, 1, 2, 3 };
static char path[64];
static struct net_options options = {
	.kind = NET_STREAM,
	.name = path,
	.nr_pairs = 1,
	.queue_size = FRONT_RING_SIZE,
	.mac = mac,
};
static int listener, peer = -1;
static uint8_t frame[LENGTH + NET_MAX_FRAME];

/* ---- the peer ----------------------------------------------------------------------------- */

static void make_socket(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(path, sizeof(path), "/tmp/vas-net-stream.%d", getpid());
	strcpy(address.sun_path, path);
	unlink(path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK_OK(listener);
	CHECK_OK(bind(listener, (struct sockaddr *)&address, sizeof(address)));
}

static void accept_peer(void)
{
	struct pollfd one = { .fd = listener, .events = POLLIN };

	CHECK_EQ(poll(&one, 1, TEST_HANG_MS), 1);
	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	CHECK_OK(peer);
}

static void begin(void)
{
	make_socket();
	CHECK_OK(listen(listener, 4));
	net_front_begin(&options, 0);
	accept_peer();
}

static void end(void)
{
	close(peer);
	close(listener);
	unlink(path);
	net_front_end();
}

/* False: the connection has ended. */
static bool reads(void *to, size_t len)
{
	return recv(peer, to, len, MSG_WAITALL) == (ssize_t)len;
}

static uint32_t read_frame(void)
{
	uint32_t length;

	CHECK(reads(&length, LENGTH));
	length = ntohl(length);
	CHECK(length <= NET_MAX_FRAME);
	CHECK(reads(frame, length));
	return length;
}

static void peer_gets(uint32_t len, uint8_t seed)
{
	static uint8_t want[NET_MAX_FRAME];

	CHECK_EQ(read_frame(), len);
	net_front_fill(want, len, seed);
	CHECK_MEM(frame, want, len);
}

/* With its length in front: at `to`. How many bytes in all. */
static uint32_t put_frame(uint8_t *to, uint32_t len, uint8_t seed)
{
	uint32_t length = htonl(len);

	memcpy(to, &length, LENGTH);
	net_front_fill(to + LENGTH, len, seed);
	return LENGTH + len;
}

static void peer_sends(uint32_t len, uint8_t seed)
{
	uint32_t nr = put_frame(frame, len, seed);

	CHECK_EQ(send(peer, frame, nr, MSG_NOSIGNAL), nr);
}

/* By the device. */
static void connection_ends(void)
{
	uint8_t byte;

	CHECK_EQ(recv(peer, &byte, 1, 0), 0);
	close(peer);
}

/* ---- frames ------------------------------------------------------------------------------- */

TEST(frames_go_both_ways)
{
	begin();
	net_front_exchange(peer_gets, peer_sends);
	end();
}

/* What it has to do nobody does behind it: no sums, and no segments. */
TEST(a_guest_is_offered_no_offloads)
{
	begin();
	CHECK_EQ(net.device.features &
			 (1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_GUEST_CSUM |
			  1ull << VIRTIO_NET_F_HOST_TSO4 | 1ull << VIRTIO_NET_F_GUEST_TSO4),
		 0);
	end();
}

TEST(a_frame_comes_whole_in_pieces_of_any_size)
{
	uint32_t nr;

	begin();
	for (uint16_t i = 0; i < 40; i++) {
		nr = put_frame(frame, NET_MIN_FRAME + i, (uint8_t)i);
		for (uint32_t at = 0; at < nr; at += 1 + i % 5)
			CHECK_OK(send(peer, frame + at, nr - at < 1u + i % 5 ? nr - at : 1u + i % 5,
				      MSG_NOSIGNAL));
	}
	for (uint16_t i = 0; i < 40; i++)
		net_front_gets(i, NET_MIN_FRAME + i, (uint8_t)i);
	end();
}

/* More than the device reads at once, so some are split where it ends. */
TEST(many_frames_come_in_one_piece)
{
	static uint8_t all[200 * (LENGTH + 1514)];
	uint32_t nr = 0;

	begin();
	for (uint16_t i = 0; i < 200; i++)
		nr += put_frame(all + nr, 1514, (uint8_t)i);
	for (uint32_t at = 0; at < nr;) {
		ssize_t sent = send(peer, all + at, nr - at, MSG_NOSIGNAL);

		CHECK(sent > 0);
		at += (uint32_t)sent;
	}
	for (uint16_t i = 0; i < 200; i++)
		net_front_gets(i, 1514, (uint8_t)i);
	end();
}

/* A ring of less than a peer may send at once: it is not waited for what never comes. */
TEST(a_frame_for_more_than_the_ring_has_is_dropped)
{
	const struct vhost_user_vring_state size = { RX, 8 };
	struct front_ring *ring = &front.rings[RX];
	uint64_t status;

	make_socket();
	CHECK_OK(listen(listener, 4));
	net_front_connect(&options, 0);
	CHECK_OK(front_end_send(&front, VHOST_USER_SET_VRING_NUM, 0, &size, sizeof(size), NULL, 0));
	CHECK_OK(front_end_ask(&front, VHOST_USER_GET_STATUS, &status));
	accept_peer();
	for (uint16_t i = 0; i < size.num; i++) {
		ring->desc[i] = (struct vas_virtq_desc){ RECEIVED + i * BUFFER, BUFFER,
							 VAS_VIRTQ_DESC_WRITE, 0 };
		ring->avail->ring[i] = i;
	}
	__atomic_store_n(&ring->avail->idx, (uint16_t)size.num, __ATOMIC_RELEASE);
	eventfd_write(ring->kick_fd, 1);
	peer_sends(LARGE, 1);
	peer_sends(60, 2);
	net_front_answered(RX, 1);
	CHECK_EQ(net_front_counted(&net.pairs[0].received.dropped), 1);
	end();
}

/* The largest there is takes more than one of the guest's buffers. */
TEST(a_large_frame_comes_in_many_buffers)
{
	uint32_t nr = put_frame(frame, LARGE, 7), at = 0;
	uint16_t buffers = (uint16_t)((HEADER + LARGE + BUFFER - 1) / BUFFER);

	begin();
	CHECK_EQ(send(peer, frame, nr, MSG_NOSIGNAL), nr);
	net_front_answered(RX, buffers);
	CHECK_EQ(net_front_header(0)->num_buffers, buffers);
	for (uint16_t i = 0; i < buffers; i++) {
		const uint8_t *bytes = front.ram + RECEIVED + i * BUFFER;
		uint32_t skip = i ? 0 : HEADER, len = BUFFER - skip;

		if (len > LARGE - at)
			len = LARGE - at;
		CHECK_MEM(bytes + skip, frame + LENGTH + at, len);
		at += len;
	}
	end();
}

/* Some are dropped, none is cut: what has begun has an end, as soon as there is room. */
TEST(a_peer_that_does_not_read_gets_whole_frames)
{
	uint64_t sent, dropped;
	uint8_t nr = 0;

	begin();
	while (net_front_counted(&net.pairs[0].sent.dropped) < 3)
		net_front_send_fill(LARGE, nr++);
	dropped = net_front_counted(&net.pairs[0].sent.dropped);
	sent = net_front_counted(&net.pairs[0].sent.frames);
	CHECK(sent && sent + dropped == nr);
	for (uint8_t i = 0; i < sent; i++)
		peer_gets(LARGE, i);
	net_front_send_fill(60, 200);
	peer_gets(60, 200);
	end();
}

/* ---- a peer that goes, or is none ---------------------------------------------------------- */

static int is_dropped(void *arg)
{
	(void)arg;
	net_front_send_fill(60, 1);
	return net_front_counted(&net.pairs[0].sent.dropped) > 0;
}

/* What it had begun to say is no part of what the next one says. */
TEST(a_peer_that_goes_is_connected_to_again)
{
	begin();
	for (uint16_t i = 0; i < 3; i++) {
		put_frame(frame, 100, 0);
		CHECK_EQ(send(peer, frame, 50, MSG_NOSIGNAL), 50);
		close(peer);
		accept_peer();
		peer_sends(100 + i, (uint8_t)i);
		net_front_gets(i, 100 + i, (uint8_t)i);
		net_front_send_fill(60, (uint8_t)i);
		peer_gets(60, (uint8_t)i);
	}
	end();
}

TEST(what_is_sent_to_nobody_is_counted)
{
	begin();
	close(listener);
	close(peer);
	test_wait(is_dropped, NULL, TEST_HANG_MS);
	make_socket();
	CHECK_OK(listen(listener, 4));
	accept_peer();
	net_front_send_fill(70, 3);
	peer_gets(70, 3);
	end();
}

/* As with a program that starts later, behind a socket that another one made. */
TEST(who_listens_later_is_connected_to_then)
{
	make_socket();
	net_front_begin(&options, 0);
	net_front_send_fill(60, 1);
	CHECK_EQ(net_front_counted(&net.pairs[0].sent.dropped), 1);
	CHECK_OK(listen(listener, 4));
	accept_peer();
	peer_sends(60, 2);
	net_front_gets(0, 60, 2);
	end();
}

/* It would take the peer, which may have one client only, from the process that serves. */
TEST(who_waits_to_serve_is_not_connected)
{
	struct pollfd one = { .events = POLLIN };
	struct net spare;

	begin();
	CHECK_OK(net_open(&spare, &options));
	one.fd = listener;
	CHECK_EQ(poll(&one, 1, 0), 0);
	net_close(&spare);
	end();
}

TEST(a_length_that_no_frame_has_ends_the_connection)
{
	static const uint32_t wrong[] = { 0, 1, NET_MIN_FRAME - 1, NET_MAX_FRAME + 1, UINT32_MAX };
	uint32_t length;
	uint16_t i;

	begin();
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		peer_sends(60, 1);
		length = htonl(wrong[i]);
		CHECK_EQ(send(peer, &length, LENGTH, MSG_NOSIGNAL), LENGTH);
		net_front_gets(i, 60, 1);
		connection_ends();
		accept_peer();
	}
	peer_sends(60, 2);
	net_front_gets(i, 60, 2);
	end();
}

/* Nonsense that has frames in it, by chance. */
TEST(any_bytes_do_no_harm)
{
	struct test_random random = { test_seed() };
	uint8_t bytes[256];

	begin();
	for (int round = 0; round < 20; round++) {
		for (int times = 0; times < 20; times++) {
			for (size_t i = 0; i < sizeof(bytes); i++)
				bytes[i] = test_random_below(&random, 4) ?
						   0 :
						   (uint8_t)test_random_next(&random);
			if (send(peer, bytes, 1 + test_random_below(&random, sizeof(bytes)),
				 MSG_NOSIGNAL) < 0)
				break;
		}
		close(peer);
		accept_peer();
	}
	net_front_send_fill(60, 1);
	peer_gets(60, 1);
	end();
}

TEST(what_is_no_socket_is_refused)
{
	char long_path[200] = "/";
	struct net_options two = options;
	int nr_fds = test_count_fds();

	memset(long_path + 1, 'a', sizeof(long_path) - 2);
	net_front_refused(&options, "nowhere", -ENOENT, "the socket 'nowhere'");
	net_front_refused(&options, "/dev/null", -ENOTSOCK, "is no socket");
	net_front_refused(&options, long_path, -ENAMETOOLONG, "is too long for a socket");
	two.nr_pairs = 2;
	CHECK_EQ(net_open(&net, &two), -EINVAL);
	CHECK_HAS(vas_error(), "one pair of queues, and not 2");
	CHECK_EQ(test_count_fds(), nr_fds);
}
