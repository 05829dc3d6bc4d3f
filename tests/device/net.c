// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A network device behind a vhost-user connection: frames, commands, and what a driver cannot do. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/vas.h>

#include "harness.h"
#include "tests/device/net_front.h"

#define COMMAND (FRONT_DATA + (128u << 10))
#define ACK	(COMMAND + 4096)
#define CONTROL 2 /* without MQ */
#define BAD_GPA (1ull << 40)

static const uint8_t mac[] = { 0x52, 0x54, 0, 1, 2, 3 };
static struct net_options options = {
	.kind = NET_LOOPBACK,
	.nr_pairs = 1,
	.queue_size = FRONT_RING_SIZE,
	.mac = mac,
	.mtu = 9000,
};

/* What is sent before there is anybody who receives is lost. */
static int is_received(void *arg)
{
	struct net_pair *pair = arg;
	bool is_received;

	pthread_mutex_lock(&net.lock);
	is_received = pair->is_received;
	pthread_mutex_unlock(&net.lock);
	return is_received;
}

static void begin_without(uint64_t features)
{
	net_front_connect(&options, features);
	test_wait(is_received, &net.pairs[0], TEST_HANG_MS);
}

/* ---- the driver --------------------------------------------------------------------------- */

struct part {
	uint64_t gpa;
	uint32_t len;
	int in;
};

/* A chain of parts, from a descriptor on. */
static void post(uint32_t index, uint16_t first, const struct part *parts, uint32_t nr)
{
	struct front_ring *ring = &front.rings[index];

	for (uint32_t i = 0; i < nr; i++)
		ring->desc[first + i] = (struct vas_virtq_desc){
			.gpa = parts[i].gpa,
			.len = parts[i].len,
			.flags = (uint16_t)((i + 1 < nr ? VAS_VIRTQ_DESC_NEXT : 0) |
					    (parts[i].in ? VAS_VIRTQ_DESC_WRITE : 0)),
			.next = (uint16_t)(first + i + 1),
		};
	ring->avail->ring[ring->next_avail % FRONT_RING_SIZE] = first;
	__atomic_store_n(&ring->avail->idx, ++ring->next_avail, __ATOMIC_RELEASE);
	front_ring_kick(ring);
}

static int has_answers(void *arg)
{
	const struct front_ring *ring = arg;

	return __atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE) == ring->next_used;
}

/* Wait until so many were answered in all. */
static void answered(uint32_t index, uint16_t nr)
{
	front.rings[index].next_used = nr;
	test_wait(has_answers, &front.rings[index], TEST_HANG_MS);
}

static void give_buffers(uint32_t nr, uint32_t len)
{
	for (uint32_t i = 0; i < nr; i++) {
		struct part part = { RECEIVED + i * len, len, 1 };

		memset(front.ram + part.gpa, 0xee, len);
		post(RX, (uint16_t)(front.rings[RX].next_avail % FRONT_RING_SIZE), &part, 1);
	}
}

static void fill_frame(uint32_t len)
{
	memset(front.ram + SENT, 0, HEADER);
	for (uint32_t i = 0; i < len; i++)
		front.ram[SENT + HEADER + i] = (uint8_t)(i * 7 + i / 256);
}

/* A header and len bytes behind it, in one segment. */
static void send_frame(uint32_t len)
{
	struct part part = { SENT, HEADER + len, 0 };
	uint16_t nr = front.rings[TX].next_avail;

	fill_frame(len);
	post(TX, (uint16_t)(nr % FRONT_RING_SIZE), &part, 1);
	answered(TX, (uint16_t)(nr + 1));
}

static const struct virtio_net_hdr_v1 *header_at(uint64_t gpa)
{
	return (const void *)(front.ram + gpa);
}

/* The frame was received as it was sent, in buffers of so many bytes from the nth on. */
static void check_received(uint32_t first, uint32_t buffer_len, uint32_t len)
{
	const uint8_t *bytes = front.ram + RECEIVED + first * buffer_len;
	uint32_t nr = (HEADER + len + buffer_len - 1) / buffer_len;

	answered(RX, (uint16_t)(first + nr));
	CHECK_EQ(header_at(RECEIVED + first * buffer_len)->num_buffers, nr);
	CHECK_MEM(bytes + HEADER, front.ram + SENT + HEADER, len);
	for (uint32_t i = 0; i < nr; i++)
		CHECK_EQ(front.rings[RX].used->ring[first + i].len,
			 i + 1 < nr ? buffer_len : HEADER + len - i * buffer_len);
	/* The rest of the last one is as it was. */
	for (uint32_t i = HEADER + len; i < nr * buffer_len; i++)
		CHECK_EQ(bytes[i], 0xee);
}

static void breaks(void)
{
	uint64_t status = 0;

	for (int i = 0; i < TEST_HANG_MS && !(status & VIRTIO_CONFIG_S_NEEDS_RESET); i++) {
		CHECK_OK(front_end_ask(&front, VHOST_USER_GET_STATUS, &status));
		poll(NULL, 0, 1);
	}
	CHECK(status & VIRTIO_CONFIG_S_NEEDS_RESET);
	net_front_end();
}

/* ---- frames ------------------------------------------------------------------------------- */

TEST(what_is_sent_is_received)
{
	begin_without(0);
	give_buffers(3, 2048);
	send_frame(60);
	check_received(0, 2048, 60);
	send_frame(1514);
	check_received(1, 2048, 1514);
	CHECK_EQ(net_front_counted(&net.pairs[0].sent.frames), 2);
	CHECK_EQ(net_front_counted(&net.pairs[0].received.bytes), 60 + 1514);
	net_front_end();
}

/* Checksums and segments that are left to others were not offered. */
TEST(a_headers_words_reach_nobody)
{
	struct part part = { SENT, HEADER + 60, 0 };

	begin_without(0);
	give_buffers(1, 2048);
	fill_frame(60);
	memset(front.ram + SENT, 0xff, HEADER);
	post(TX, 0, &part, 1);
	answered(RX, 1);
	CHECK_EQ(header_at(RECEIVED)->flags, 0);
	CHECK_EQ(header_at(RECEIVED)->gso_type, 0);
	CHECK_EQ(header_at(RECEIVED)->csum_start, 0);
	net_front_end();
}

TEST(a_long_frame_takes_several_buffers)
{
	begin_without(0);
	give_buffers(64 + 64, 1024);
	send_frame(3000);
	check_received(0, 1024, 3000);
	/* Exactly full: nothing is left over for one more. */
	send_frame(2048 - HEADER);
	check_received(3, 1024, 2048 - HEADER);
	send_frame(60000);
	check_received(5, 1024, 60000);
	net_front_end();
}

/* One that would take more buffers than a device looks at is dropped, and the next one is not. */
TEST(a_frame_for_too_many_buffers_is_dropped)
{
	begin_without(0);
	give_buffers(80, 256);
	send_frame(64 * 256);
	send_frame(100);
	check_received(0, 256, 100);
	CHECK_EQ(net_front_counted(&net.pairs[0].received.dropped), 1);
	net_front_end();
}

TEST(without_merging_a_frame_fits_or_is_dropped)
{
	struct part parts[] = { { RECEIVED, 100, 1 }, { RECEIVED + 100, 1000, 1 } };

	begin_without(1ull << VIRTIO_NET_F_MRG_RXBUF);
	post(RX, 0, parts, 2);
	send_frame(1100);
	send_frame(1100 - HEADER);
	answered(RX, 1);
	CHECK_EQ(front.rings[RX].used->ring[0].len, 1100);
	CHECK_MEM(front.ram + RECEIVED + HEADER, front.ram + SENT + HEADER, 1100 - HEADER);
	CHECK_EQ(net_front_counted(&net.pairs[0].received.dropped), 1);
	CHECK_EQ(net_front_counted(&net.pairs[0].received.frames), 1);
	net_front_end();
}

/* A frame that finds no buffer is lost, as in a network, and counted. */
TEST(what_finds_no_buffer_is_counted)
{
	begin_without(0);
	send_frame(60);
	CHECK_EQ(net_front_counted(&net.pairs[0].sent.dropped), 1);
	give_buffers(1, 2048);
	send_frame(60);
	check_received(0, 2048, 60);
	net_front_end();
}

/* How a driver cuts header and frame into segments is its own choice. */
TEST(headers_and_frames_are_cut_anywhere)
{
	static const struct part cuts[][5] = {
		{ { SENT, HEADER, 0 }, { SENT + HEADER, 60, 0 } },
		{ { SENT, 5, 0 }, { SENT + 5, 0, 0 }, { SENT + 5, 20, 0 }, { SENT + 25, 47, 0 } },
		{ { SENT, 1, 0 }, { SENT + 1, 1, 0 }, { SENT + 2, 1, 0 }, { SENT + 3, 69, 0 } },
		{ { SENT, HEADER + 1, 0 },
		  { SENT + HEADER + 1, 58, 0 },
		  { SENT + HEADER + 59, 1, 0 } },
	};

	begin_without(0);
	give_buffers(4, 2048);
	fill_frame(60);
	for (uint32_t i = 0; i < 4; i++) {
		uint32_t nr = 0;

		while (nr < 5 && cuts[i][nr].gpa)
			nr++;
		post(TX, (uint16_t)(8 * i), cuts[i], nr);
		check_received(i, 2048, 60);
	}
	net_front_end();
}

/* Before virtio 1.0, and without merging, a header has no count of buffers. */
TEST(an_old_driver_has_a_shorter_header)
{
	struct part sent = { SENT, 10 + 60, 0 }, received = { RECEIVED, 2048, 1 };

	begin_without(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_NET_F_MRG_RXBUF);
	post(RX, 0, &received, 1);
	fill_frame(60);
	post(TX, 0, &sent, 1);
	answered(RX, 1);
	CHECK_EQ(front.rings[RX].used->ring[0].len, 70);
	CHECK_MEM(front.ram + RECEIVED + 10, front.ram + SENT + 10, 60);
	net_front_end();
}

TEST(what_is_no_frame_is_dropped)
{
	struct part too_long[] = { { SENT, 60000, 0 }, { SENT, 60000, 0 } };

	begin_without(0);
	give_buffers(64, 4096);
	send_frame(NET_MIN_FRAME - 1);
	send_frame(0);
	post(TX, 2, too_long, 2);
	answered(TX, 3);
	CHECK_EQ(net_front_counted(&net.pairs[0].sent.dropped), 3);
	send_frame(NET_MIN_FRAME);
	answered(RX, 1);
	net_front_end();
}

/* ---- null --------------------------------------------------------------------------------- */

TEST(null_takes_all_and_counts)
{
	options.kind = NET_NULL;
	begin_without(1ull << VIRTIO_F_IN_ORDER);
	for (uint32_t i = 0; i < 10; i++)
		send_frame(100);
	CHECK_EQ(net_front_counted(&net.pairs[0].sent.frames), 10);
	CHECK_EQ(net_front_counted(&net.pairs[0].sent.bytes), 1000);
	CHECK_EQ(front.rings[TX].used->ring[9].head, 9);
	net_front_end();
}

/* Buffers that come later are filled, for a kick. */
TEST(frames_are_generated_as_there_is_room)
{
	options.kind = NET_NULL;
	options.generate = 64;
	begin_without(0);
	for (uint32_t i = 1; i <= 5; i++) {
		give_buffers(20, 128);
		answered(RX, (uint16_t)(20 * i));
	}
	CHECK_EQ(header_at(RECEIVED)->num_buffers, 1);
	CHECK_EQ(front.ram[RECEIVED + HEADER], 0xff);
	for (uint32_t i = 0; i < 100; i++)
		CHECK_EQ(front.rings[RX].used->ring[i].len, HEADER + 64);
	CHECK_EQ(net_front_counted(&net.pairs[0].received.frames), 100);
	net_front_end();
}

/* ---- the log, and in order ---------------------------------------------------------------- */

TEST(what_is_received_is_in_the_log)
{
	struct vhost_user_log log = { NET_FRONT_RAM / 4096 / 8, 0 };
	uint64_t features;
	struct vhost_user_message message;
	int fd = memfd_create("log", MFD_CLOEXEC);
	uint8_t *bits;

	CHECK_OK(ftruncate(fd, (off_t)log.size));
	bits = mmap(NULL, log.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(bits != MAP_FAILED);
	begin_without(0);
	features = front.features | 1ull << VHOST_F_LOG_ALL;
	CHECK_OK(front_end_send(&front, VHOST_USER_SET_LOG_BASE, 0, &log, sizeof(log), &fd, 1));
	CHECK_OK(front_end_receive(&front, &message));
	CHECK_OK(front_end_send(&front, VHOST_USER_SET_FEATURES, 0, &features, 8, NULL, 0));
	CHECK_OK(front_end_ask(&front, VHOST_USER_GET_FEATURES, &features));
	/* Its queues stood still meanwhile. */
	test_wait(is_received, &net.pairs[0], TEST_HANG_MS);
	give_buffers(4, 4096);
	send_frame(60);
	send_frame(5000);
	answered(RX, 3);
	for (uint32_t i = 0; i < 4; i++) {
		uint64_t page = RECEIVED / 4096 + i;

		CHECK_EQ(bits[page / 8] >> page % 8 & 1, i < 3);
	}
	/* The used ring, too, and what was sent not. */
	CHECK(bits[32768 / 4096 / 8] & 1u << 32768 / 4096 % 8);
	CHECK_EQ(bits[SENT / 4096 / 8] >> SENT / 4096 % 8 & 1, 0);
	net_front_end();
	close(fd);
}

static int is_index(void *arg)
{
	return front_end_ask(&front, VHOST_USER_GET_STATUS, &(uint64_t){ 0 }) == 0 &&
	       __atomic_load_n(&front.rings[TX].used->idx, __ATOMIC_ACQUIRE) ==
		       *(const uint16_t *)arg;
}

/* One answer for all that were sent at once. */
TEST(in_order_one_answer_is_for_all)
{
	struct front_ring *ring = &front.rings[TX];
	uint32_t base;
	uint16_t wanted = 8;

	options.kind = NET_NULL;
	begin_without(0);
	CHECK(front.features & 1ull << VIRTIO_F_IN_ORDER);
	CHECK_OK(front_end_stop_ring(&front, TX, &base));
	fill_frame(60);
	memset(ring->used->ring, 0xaa, 8 * sizeof(ring->used->ring[0]));
	for (uint16_t i = 0; i < 8; i++) {
		struct part part = { SENT, HEADER + 60, 0 };

		post(TX, (uint16_t)(100 + i), &part, 1);
	}
	CHECK_OK(front_end_start_ring(&front, TX));
	test_wait(is_index, &wanted, TEST_HANG_MS);
	CHECK_EQ(ring->used->ring[0].head, 107);
	CHECK_EQ(ring->used->ring[1].head, 0xaaaaaaaa);
	net_front_end();
}

/* ---- what makes no sense ------------------------------------------------------------------ */

TEST(a_chain_that_is_shorter_than_its_header_breaks)
{
	struct part part = { SENT, HEADER - 1, 0 };

	begin_without(0);
	post(TX, 0, &part, 1);
	breaks();
}

TEST(a_frame_outside_of_memory_breaks)
{
	struct part parts[] = { { SENT, HEADER, 0 }, { BAD_GPA, 60, 0 } };

	begin_without(0);
	post(TX, 0, parts, 2);
	breaks();
}

TEST(a_buffer_outside_of_memory_breaks)
{
	struct part parts[] = { { RECEIVED, 4, 1 }, { BAD_GPA, 2048, 1 } };

	begin_without(0);
	post(RX, 0, parts, 2);
	send_frame(60);
	breaks();
}

TEST(a_buffer_that_is_read_breaks)
{
	struct part parts[] = { { RECEIVED, 4, 0 }, { RECEIVED, 2048, 1 } };

	begin_without(0);
	post(RX, 0, parts, 2);
	send_frame(60);
	breaks();
}

TEST(a_buffer_without_room_for_a_header_breaks)
{
	begin_without(0);
	give_buffers(20, HEADER - 1);
	send_frame(60);
	breaks();
}

/* ---- commands ----------------------------------------------------------------------------- */

/* The answer to a command with so many bytes of data, in one segment with its header or in two. */
static uint8_t command(uint8_t class, uint8_t cmd, const void *data, uint32_t len)
{
	struct part parts[] = { { COMMAND, 2, 0 }, { COMMAND + 2, len, 0 }, { ACK, 1, 1 } };
	uint16_t nr = front.rings[CONTROL].next_avail;

	front.ram[COMMAND] = class;
	front.ram[COMMAND + 1] = cmd;
	if (len)
		memcpy(front.ram + COMMAND + 2, data, len);
	front.ram[ACK] = 0xff;
	post(CONTROL, 0, parts, 3);
	answered(CONTROL, (uint16_t)(nr + 1));
	CHECK_EQ(front.rings[CONTROL].used->ring[nr].len, 1);
	return front.ram[ACK];
}

static void has_mac(const uint8_t *wanted)
{
	pthread_mutex_lock(&net.lock);
	CHECK_MEM(net.mac, wanted, 6);
	pthread_mutex_unlock(&net.lock);
}

TEST(commands_are_done_or_refused)
{
	static const uint8_t other_mac[] = { 0x52, 0x54, 0, 9, 9, 9 };
	uint8_t table[4 + 2 * 6 + 4] = { 2 };
	uint16_t pairs = 1;
	uint8_t on = 1;

	begin_without(0);
	CHECK_EQ(command(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &on, 1), VIRTIO_NET_OK);
	CHECK_EQ(command(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOBCAST, &on, 1), VIRTIO_NET_ERR);
	CHECK_EQ(command(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &on, 0), VIRTIO_NET_ERR);
	CHECK_EQ(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other_mac, 6),
		 VIRTIO_NET_OK);
	has_mac(other_mac);
	CHECK_EQ(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 5),
		 VIRTIO_NET_ERR);
	has_mac(other_mac);
	CHECK_EQ(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table, sizeof(table)),
		 VIRTIO_NET_OK);
	/* A count of 2^32 - 1 addresses. */
	memset(table, 0xff, 4);
	CHECK_EQ(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table, sizeof(table)),
		 VIRTIO_NET_ERR);
	CHECK_EQ(command(VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, NULL, 0),
		 VIRTIO_NET_OK);
	/* Of what was not offered. */
	CHECK_EQ(command(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs, 2),
		 VIRTIO_NET_ERR);
	CHECK_EQ(command(0xff, 0xff, &on, 1), VIRTIO_NET_ERR);
	net_front_end();
}

TEST(after_a_reset_the_address_is_the_devices_again)
{
	static const uint8_t other_mac[] = { 0x52, 0x54, 0, 9, 9, 9 };
	uint64_t status;

	begin_without(0);
	CHECK_EQ(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other_mac, 6),
		 VIRTIO_NET_OK);
	has_mac(other_mac);
	CHECK_OK(front_end_send(&front, VHOST_USER_RESET_DEVICE, 0, NULL, 0, NULL, 0));
	CHECK_OK(front_end_ask(&front, VHOST_USER_GET_STATUS, &status));
	has_mac(mac);
	net_front_end();
}

TEST(a_command_without_room_for_an_answer_breaks)
{
	struct part part = { COMMAND, 2, 0 };

	begin_without(0);
	post(CONTROL, 0, &part, 1);
	breaks();
}

/* Table upon table: no more is read than a chain may have. */
TEST(a_command_has_a_bound)
{
	struct front_ring *ring = &front.rings[CONTROL];

	begin_without(0);
	for (uint16_t i = 0; i < 200; i++)
		ring->desc[i] = (struct vas_virtq_desc){ COMMAND, 4096, VAS_VIRTQ_DESC_NEXT,
							 (uint16_t)(i + 1) };
	ring->desc[200] = (struct vas_virtq_desc){ ACK, 1, VAS_VIRTQ_DESC_WRITE, 0 };
	ring->avail->ring[0] = 0;
	__atomic_store_n(&ring->avail->idx, ++ring->next_avail, __ATOMIC_RELEASE);
	front_ring_kick(ring);
	breaks();
}

/* ---- what is offered ---------------------------------------------------------------------- */

TEST(the_config_space_has_what_was_given)
{
	struct vhost_user_config config = { .size = sizeof(struct virtio_net_config) };
	struct vhost_user_message message;
	struct virtio_net_config got;
	uint64_t pairs;

	options.nr_pairs = 2;
	begin_without(0);
	CHECK_OK(front_end_send(&front, VHOST_USER_GET_CONFIG, 0, &config,
				VHOST_USER_CONFIG_HEADER + config.size, NULL, 0));
	CHECK_OK(front_end_receive(&front, &message));
	memcpy(&got, message.config.bytes, sizeof(got));
	CHECK_MEM(got.mac, mac, 6);
	CHECK_EQ(got.mtu, 9000);
	CHECK_EQ(got.status, VIRTIO_NET_S_LINK_UP);
	CHECK_EQ(got.max_virtqueue_pairs, 2);
	CHECK(front.features & 1ull << VIRTIO_NET_F_MQ);
	/* Of a network device a front end counts pairs. */
	CHECK_OK(front_end_ask(&front, VHOST_USER_GET_QUEUE_NUM, &pairs));
	CHECK_EQ(pairs, 2);
	net_front_end();
}

/* With several pairs, what one sends it receives itself. */
TEST(each_pair_is_a_loop_of_its_own)
{
	struct part sent = { SENT, HEADER + 60, 0 }, received = { RECEIVED, 2048, 1 };

	options.nr_pairs = 2;
	begin_without(0);
	CHECK_OK(front_end_start_ring(&front, 3));
	test_wait(is_received, &net.pairs[1], TEST_HANG_MS);
	fill_frame(60);
	post(2, 0, &received, 1);
	post(3, 0, &sent, 1);
	answered(2, 1);
	CHECK_EQ(front.rings[RX].used->idx, 0);
	CHECK_EQ(net_front_counted(&net.pairs[1].received.frames), 1);
	net_front_end();
}

TEST(options_that_make_no_sense_have_a_sentence)
{
	struct net_options wrong = options;

	wrong.nr_pairs = 17;
	CHECK_EQ(net_open(&net, &wrong), -EINVAL);
	CHECK_HAS(vas_error(), "17 pairs of queues are not 1 to 16");
	wrong = options;
	wrong.mtu = 67;
	CHECK_EQ(net_open(&net, &wrong), -EINVAL);
	CHECK_HAS(vas_error(), "an MTU of 67");
	wrong = options;
	wrong.kind = NET_NULL;
	wrong.generate = 13;
	CHECK_EQ(net_open(&net, &wrong), -EINVAL);
	CHECK_HAS(vas_error(), "frames of 13 bytes");
	wrong = options;
	wrong.kind = NET_TAP;
	wrong.name = "a-name-that-is-too-long";
	CHECK_EQ(net_open(&net, &wrong), -EINVAL);
	CHECK_HAS(vas_error(), "is too long for an interface");
}
