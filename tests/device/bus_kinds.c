// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A network, random bytes, sockets and a console on the bus, for a driver with split rings: killed under load,
 * frozen, and what of them outlives a process.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_vsock.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/device.h>
#include <vas/dirty.h>
#include <vas/serve.h>
#include <vas/vas.h>

#include "device/bus/bus.h"
#include "device/console/console.h"
#include "device/net/net.h"
#include "device/rng/rng.h"
#include "device/vsock/vsock.h"
#include "harness.h"
#include "tests/device/bus_iommu.h"
#include "tests/device/front_end.h"
#include "tests/device/kills.h"
#include "tests/device/provider.h"

#define RAM	   (4ull << 20)
#define EXTRA	   RAM /* gpa of a region that no ring lies in */
#define NR_RINGS   5u
#define RING_SPACE 65536ull
#define SENT	   (1ull << 20)
#define RECEIVED   (2ull << 20)
#define COMMAND	   (3ull << 20)
#define BUFFER	   4096u
#define NR_BUFFERS 128u
#define NR_FRAMES  16u
#define CID	   42u

static const uint8_t mac[] = { 0x52, 0x54, 0, 1, 2, 3 }, other_mac[] = { 0x52, 0x54, 9, 8, 7, 6 };

/* ---- the device, in a thread or a process -------------------------------------------------- */

static struct where {
	char socket[64];
	char path[64]; /* of a vsock, or a console */
	uint32_t kind;
	uint32_t nr_pairs;
	int is_null; /* the network takes all, and gives nothing */
} where;

static struct net net;

static struct vas_device *it;

static int open_device(void)
{
	const struct net_options net_options = {
		.kind = where.is_null ? NET_NULL : NET_LOOPBACK,
		.nr_pairs = where.nr_pairs,
		.queue_size = FRONT_RING_SIZE,
		.mac = mac,
	};
	const struct vsock_options vsock_options = { where.path, CID, FRONT_RING_SIZE };
	static const struct console_options console_options = {
		.peer = { .kind = CONSOLE_SOCKET, .path = where.path },
		.queue_size = FRONT_RING_SIZE,
	};
	static struct console console;
	static struct vsock vsock;
	static struct rng rng;

	switch (where.kind) {
	case VIRTIO_ID_NET:
		it = &net.device;
		return net_open(&net, &net_options);
	case VIRTIO_ID_VSOCK:
		it = &vsock.device;
		return vsock_open(&vsock, &vsock_options);
	case VIRTIO_ID_CONSOLE:
		it = &console.device;
		return console_open(&console, &console_options);
	default:
		it = &rng.device;
		rng_open(&rng, FRONT_RING_SIZE);
		return 0;
	}
}

static int serve_device(int stop_fd)
{
	const struct bus_options bus = { .path = where.socket, .name = "it", .look_fd = -1 };

	return bus_serve(it, stop_fd, &bus);
}

ROLE(provider)
{
	if (read(sock, &where, sizeof(where)) != sizeof(where))
		return 1;
	return open_device() || serve_device(-1) ? 1 : 0;
}

static void start_process(void)
{
	process_start("provider", &where, sizeof(where));
}

static void start_thread(void)
{
	CHECK_OK(open_device());
	thread_start(serve_device);
}

/* ---- the guest ---------------------------------------------------------------------------- */

static struct vas *vas;
static struct vas_serve *serve;
static struct vas_bus_device *device;
static struct vas_virtio_server *server;
static uint8_t *ram;
static struct front_ring rings[NR_RINGS];
static uint32_t nr_rings, times_broken;

static void told(struct vas_virtio_server *of, uint32_t what)
{
	(void)of;
	if (what & VAS_VIRTIO_NEEDS_RESET)
		__atomic_fetch_add(&times_broken, 1, __ATOMIC_SEQ_CST);
}

static void make_vas(void)
{
	struct vas_options options = { .limit = 2 * RAM, .name = "guest" };
	struct vas_device_options of_bus = { .name = "it",
					     .kind = where.kind,
					     .answer_ns = TEST_HANG_NS };
	struct vas_region region = { .size = RAM, .name = "ram" };

	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_region_add(vas, &region, NULL));
	snprintf(where.socket, sizeof(where.socket), "/tmp/vas-bus-kinds.%d", getpid());
	snprintf(where.path, sizeof(where.path), "/tmp/vas-bus-vsock.%d", getpid());
	CHECK_OK(vas_serve(vas, where.socket, 0600, &serve));
	bus_iommu_options(&of_bus, RAM);
	CHECK_OK(vas_device_add(vas, &of_bus, &device));
	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, vas_fd(vas), 0);
	CHECK(ram != MAP_FAILED);
}

static void start_ring(uint32_t i)
{
	uint64_t at = i * RING_SPACE, iova = bus_iommu_iova(at);
	struct vas_virtio_queue queue = {
		.size = FRONT_RING_SIZE,
		.desc = iova,
		.driver = iova + 16384,
		.device = iova + 32768,
	};

	rings[i] = (struct front_ring){
		.desc = (void *)(ram + at),
		.avail = (void *)(ram + at + 16384),
		.used = (void *)(ram + at + 32768),
		.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.call_fd = -1,
	};
	queue.kick_fd = rings[i].kick_fd;
	queue.call_fd = -1;
	CHECK_OK(server->ops->queue_start(server, i, &queue));
}

static void begin(uint32_t kind, void (*start)(void), uint32_t nr)
{
	where.kind = kind;
	if (!where.nr_pairs)
		where.nr_pairs = 1;
	make_vas();
	start();
	CHECK_OK(vas_device_wait(device, TEST_HANG_NS));
	server = vas_device_server(device);
	__atomic_store_n(&server->told, told, __ATOMIC_RELEASE);
	CHECK_OK(server->ops->start(server, server->features & ~(1ull << VIRTIO_F_RING_PACKED |
								 1ull << VIRTIO_F_IN_ORDER)));
	nr_rings = nr;
	for (uint32_t i = 0; i < nr; i++)
		start_ring(i);
	bus_iommu_begin(device);
}

static void end(void)
{
	bus_iommu_end();
	if (thread_stop >= 0)
		stop_thread();
	if (process)
		kill_process();
	CHECK_EQ(times_broken, 0);
	vas_device_remove(device);
	vas_serve_end(serve);
	vas_destroy(vas);
	unlink(where.path);
}

/* One descriptor is a chain; `at` is its number. */
static void post(uint32_t index, uint32_t at, uint64_t gpa, uint32_t len, uint16_t flags)
{
	struct front_ring *ring = &rings[index];

	ring->desc[at] =
		(struct vas_virtq_desc){ bus_iommu_iova(gpa), len, flags, (uint16_t)(at + 1) };
	ring->avail->ring[ring->next_avail++ % FRONT_RING_SIZE] = (uint16_t)at;
	__atomic_store_n(&ring->avail->idx, ring->next_avail, __ATOMIC_RELEASE);
	eventfd_write(ring->kick_fd, 1);
}

/* An answer: true, and which chain, and how many bytes. */
static bool take(uint32_t index, uint32_t *at, uint32_t *len)
{
	struct front_ring *ring = &rings[index];
	const struct vas_virtq_used_elem *elem =
		&ring->used->ring[ring->next_used % FRONT_RING_SIZE];

	if (__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE) == ring->next_used)
		return false;
	ring->next_used++;
	*at = elem->head;
	*len = elem->len;
	return true;
}

static uint32_t answer_at, answer_len;

static int is_answered(void *index)
{
	return take((uint32_t)(uintptr_t)index, &answer_at, &answer_len);
}

static void wait_for_answer(uint32_t index)
{
	test_wait(is_answered, (void *)(uintptr_t)index, TEST_HANG_MS);
}

/* Whose work is done by somebody that has no view. */
TEST(who_cannot_be_behind_an_iommu_says_why)
{
	if (!bus_iommu_is_there())
		test_skip("TEST_IOMMU is not in the environment");
	where.kind = VIRTIO_ID_RNG;
	make_vas();
	CHECK_OK(open_device());
	it->no_iommu = "vas_net.ko does not know IOMMUs";
	CHECK_EQ(serve_device(-1), -EOPNOTSUPP);
	CHECK_HAS(vas_error(), "device it is behind an IOMMU: vas_net.ko does not know IOMMUs");
	vas_device_remove(device);
	vas_serve_end(serve);
	vas_destroy(vas);
}

/* ---- frames ------------------------------------------------------------------------------- */

#define RX	   0u
#define TX	   1u
#define NET_HEADER ((uint32_t)sizeof(struct virtio_net_hdr_v1))
#define WORDS	   200u /* of a frame, at most */

static bool is_buffer_posted[NR_BUFFERS], is_frame_posted[NR_BUFFERS];
static uint32_t next_sent, last_received, nr_received, nr_sent, nr_empty, nr_missed;

static void post_buffer(uint32_t i)
{
	CHECK(!is_buffer_posted[i]);
	is_buffer_posted[i] = true;
	post(RX, i, RECEIVED + i * BUFFER, BUFFER, VAS_VIRTQ_DESC_WRITE);
}

/* Its number says what is in it: an Ethernet header of three words and a half, and words. */
static void send_frame(uint32_t i)
{
	uint32_t number = ++next_sent, nr = 16 + number % (WORDS - 16);
	uint32_t *words = (uint32_t *)(ram + SENT + i * BUFFER + NET_HEADER);

	CHECK(!is_frame_posted[i]);
	is_frame_posted[i] = true;
	memset(words - NET_HEADER / 4, 0, NET_HEADER);
	for (uint32_t k = 0; k < nr; k++)
		words[k] = number + k;
	post(TX, i, SENT + i * BUFFER, NET_HEADER + nr * 4, 0);
}

/* Whole, and not older than what came before by more than what was in flight at a death. */
static void check_frame(uint32_t i, uint32_t len)
{
	const uint32_t *words = (const uint32_t *)(ram + RECEIVED + i * BUFFER + NET_HEADER);
	uint32_t number = words[0], nr = 16 + number % (WORDS - 16);

	CHECK_EQ(len, NET_HEADER + nr * 4);
	for (uint32_t k = 0; k < nr; k++)
		CHECK_EQ(words[k], number + k);
	CHECK(number <= next_sent && number + NR_BUFFERS > last_received);
	if (number > last_received) {
		nr_missed += number - last_received - 1;
		last_received = number;
	}
	nr_received++;
}

/* Few are sent for one look at what has come: there are more buffers than a loopback could fill. */
static void look_at_rings(bool sends)
{
	uint32_t i, len, nr;

	while (take(RX, &i, &len)) {
		CHECK(i < NR_BUFFERS && is_buffer_posted[i]);
		is_buffer_posted[i] = false;
		if (len)
			check_frame(i, len);
		else
			nr_empty++;
		post_buffer(i);
	}
	for (nr = 0; nr < NR_FRAMES && take(TX, &i, &len); nr++) {
		CHECK(i < NR_BUFFERS && is_frame_posted[i]);
		is_frame_posted[i] = false;
		nr_sent++;
		if (sends)
			send_frame(i);
	}
}

static int has_received(void *arg)
{
	look_at_rings(true);
	return nr_received >= *(uint32_t *)arg;
}

/* So many frames more come back. */
static void exchange(uint64_t nr)
{
	uint32_t target = nr_received + (uint32_t)nr;

	test_wait(has_received, &target, TEST_HANG_MS);
}

static int is_quiet(void *arg)
{
	(void)arg;
	look_at_rings(false);
	return nr_sent == next_sent;
}

static void begin_net(void (*start)(void))
{
	begin(VIRTIO_ID_NET, start, 3);
	for (uint32_t i = 0; i < NR_BUFFERS; i++)
		post_buffer(i);
	for (uint32_t i = 0; i < NR_FRAMES; i++)
		send_frame(i);
}

static void end_net(void)
{
	test_wait(is_quiet, NULL, TEST_HANG_MS);
	end();
}

static void frames_come_back(void (*start)(void))
{
	begin_net(start);
	exchange(3000);
	bus_iommu_was_used();
	CHECK_EQ(nr_empty, 0);
	end_net();
}

TEST(a_thread_serves_a_network)
{
	frames_come_back(start_thread);
}

TEST(a_process_serves_a_network)
{
	frames_come_back(start_process);
}

/*
 * Each buffer comes back, with a whole frame or empty, and each frame that is sent is answered:
 * is_buffer_posted and is_frame_posted. What is lost is lost at a death.
 */
TEST(killed_under_load_a_network_keeps_its_buffers)
{
	struct test_random random = { test_seed() };
	uint32_t i, nr = kills_nr(25);

	begin_net(start_process);
	exchange(100);
	for (i = 0; i < nr; i++) {
		test_note("kill %u", i);
		kills_wait(&random, exchange, 300);
		kill_process();
		start_process();
	}
	exchange(300);
	nr_missed = nr_empty = 0;
	exchange(3000);
	CHECK_EQ(nr_empty, 0);
	/* A loopback keeps no frame for which there is no buffer that is known at the moment. */
	if (!bus_iommu_is_there())
		CHECK_EQ(nr_missed, 0);
	end_net();
}

TEST(a_network_of_a_frozen_guest_writes_nothing)
{
	struct vas_blocker blocker;
	uint8_t *copy = malloc(RAM);

	begin_net(start_process);
	for (int i = 0; i < 10; i++) {
		exchange(100);
		CHECK_OK(vas_freeze(vas, TEST_HANG_NS, &blocker));
		memcpy(copy, ram, RAM);
		eventfd_write(rings[TX].kick_fd, 1);
		poll(NULL, 0, 20);
		CHECK_MEM(ram, copy, RAM);
		CHECK_OK(vas_thaw(vas));
	}
	exchange(100);
	free(copy);
	end_net();
}

/* The addresses of buffers that were looked at go with the layout. */
TEST(a_networks_layout_changes_under_load)
{
	struct vas_region extra = { .gpa = EXTRA, .size = RAM, .offset = RAM, .name = "extra" };
	uint64_t id;

	begin_net(start_process);
	for (int i = 0; i < 30; i++) {
		CHECK_OK(vas_region_add(vas, &extra, &id));
		exchange(50);
		CHECK_OK(vas_region_remove(vas, id));
	}
	end_net();
}

/* Who only waits holds up nobody. */
TEST(a_network_that_is_silent_holds_up_no_change)
{
	struct vas_region extra = { .gpa = EXTRA, .size = RAM, .offset = RAM, .name = "extra" };
	uint64_t id;

	where.is_null = 1;
	begin(VIRTIO_ID_NET, start_thread, 3);
	for (int i = 0; i < 3; i++) {
		CHECK_OK(vas_region_add(vas, &extra, &id));
		CHECK_OK(vas_region_remove(vas, id));
	}
	end();
}

/* A command of the control queue, of the driver's. */
static void command(uint8_t class, uint8_t number, const void *bytes, uint32_t len)
{
	uint8_t *at = ram + COMMAND;

	at[0] = class;
	at[1] = number;
	memcpy(at + 2, bytes, len);
	at[4000] = 0xff;
	rings[NR_RINGS - 1].desc[1] = (struct vas_virtq_desc){ bus_iommu_iova(COMMAND + 4000), 1,
							       VAS_VIRTQ_DESC_WRITE, 0 };
	post(NR_RINGS - 1, 0, COMMAND, 2 + len, VAS_VIRTQ_DESC_NEXT);
	wait_for_answer(NR_RINGS - 1);
	CHECK_EQ(at[4000], VIRTIO_NET_OK);
}

static int has_kept(void *arg)
{
	uint32_t wanted = *(uint32_t *)arg;
	bool is_kept;

	pthread_mutex_lock(&net.lock);
	is_kept = net.active_pairs == wanted && net.pairs[0].is_received &&
		  !memcmp(net.mac, wanted == 1 ? other_mac : mac, sizeof(net.mac));
	pthread_mutex_unlock(&net.lock);
	return is_kept;
}

TEST(what_a_driver_has_asked_for_outlives_the_process)
{
	uint32_t one = 1, two = 2;
	uint16_t pairs = 1;

	where.is_null = 1;
	where.nr_pairs = 2;
	begin(VIRTIO_ID_NET, start_thread, NR_RINGS);
	test_wait(has_kept, &two, TEST_HANG_MS);
	command(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs, sizeof(pairs));
	command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other_mac, sizeof(other_mac));
	stop_thread();
	net_close(&net);
	start_thread();
	test_wait(has_kept, &one, TEST_HANG_MS);
	/* And not the reset. */
	stop_thread();
	net_close(&net);
	server->ops->reset(server);
	memset(ram, 0, NR_RINGS * RING_SPACE);
	start_thread();
	CHECK_OK(server->ops->start(server, server->features & ~(1ull << VIRTIO_F_RING_PACKED)));
	for (uint32_t i = 0; i < NR_RINGS; i++)
		start_ring(i);
	test_wait(has_kept, &two, TEST_HANG_MS);
	end();
}

/* ---- random bytes ------------------------------------------------------------------------- */

static void fill(void)
{
	static const uint8_t zeros[256];

	memset(ram + RECEIVED, 0, 256);
	post(0, 0, RECEIVED, 256, VAS_VIRTQ_DESC_WRITE);
	wait_for_answer(0);
	CHECK_EQ(answer_len, 256);
	CHECK(memcmp(ram + RECEIVED, zeros, 256));
}

TEST(random_bytes_come_from_one_process_after_the_other)
{
	begin(VIRTIO_ID_RNG, start_process, 1);
	for (int i = 0; i < 5; i++) {
		fill();
		kill_process();
		start_process();
		fill();
	}
	end();
}

/* ---- sockets ------------------------------------------------------------------------------ */

#define EVENT	   2u
#define EVENTS	   (3ull << 20)
#define HOST_PORT  1234u
#define GUEST_PORT 1000u

static void send_packet(uint16_t op, const char *text)
{
	uint32_t len = (uint32_t)strlen(text);
	struct virtio_vsock_hdr header = {
		.src_cid = CID,
		.dst_cid = 2,
		.src_port = GUEST_PORT,
		.dst_port = HOST_PORT,
		.len = len,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = 1 << 16,
	};

	memcpy(ram + SENT, &header, sizeof(header));
	memcpy(ram + SENT + sizeof(header), text, len);
	post(TX, 0, SENT, (uint32_t)sizeof(header) + len, 0);
	wait_for_answer(TX);
}

/* What comes is of this operation, with this text. */
static void receive_packet(uint16_t op, const char *text)
{
	struct virtio_vsock_hdr header;
	uint32_t at;

	wait_for_answer(RX);
	at = answer_at;
	CHECK(at < NR_BUFFERS);
	memcpy(&header, ram + RECEIVED + at * BUFFER, sizeof(header));
	CHECK_EQ(header.op, op);
	CHECK_EQ(header.dst_port, GUEST_PORT);
	CHECK_EQ(header.len, strlen(text));
	CHECK_MEM(ram + RECEIVED + at * BUFFER + sizeof(header), text, strlen(text));
	is_buffer_posted[at] = false;
	post_buffer(at);
}

/* The guest connects to a program of the host's, and both say something. */
static void talk(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[8] = "";

	snprintf(address.sun_path, sizeof(address.sun_path), "%s_%u", where.path, HOST_PORT);
	CHECK_OK(bind(listener, (struct sockaddr *)&address, sizeof(address)));
	CHECK_OK(listen(listener, 1));
	send_packet(VIRTIO_VSOCK_OP_REQUEST, "");
	fd = accept(listener, NULL, NULL);
	CHECK(fd >= 0);
	unlink(address.sun_path);
	close(listener);
	receive_packet(VIRTIO_VSOCK_OP_RESPONSE, "");
	send_packet(VIRTIO_VSOCK_OP_RW, "hello");
	CHECK_EQ(recv(fd, text, 5, MSG_WAITALL), 5);
	CHECK_STR(text, "hello");
	CHECK_EQ(send(fd, "answer", 6, 0), 6);
	receive_packet(VIRTIO_VSOCK_OP_RW, "answer");
	/* It stays open: whoever is killed next has it. */
}

/* The driver learns that its connections are gone, and makes new ones. */
TEST(sockets_end_with_a_process_and_the_guest_is_told)
{
	uint32_t id;

	begin(VIRTIO_ID_VSOCK, start_process, 3);
	for (uint32_t i = 0; i < NR_BUFFERS; i++)
		post_buffer(i);
	for (uint32_t i = 0; i < 8; i++) {
		memset(ram + EVENTS + i * 64, 0xff, 64);
		post(EVENT, i, EVENTS + i * 64, 64, VAS_VIRTQ_DESC_WRITE);
	}
	talk();
	for (int i = 0; i < 3; i++) {
		kill_process();
		start_process();
		wait_for_answer(EVENT);
		CHECK_EQ(answer_len, 4);
		memcpy(&id, ram + EVENTS + answer_at * 64, sizeof(id));
		CHECK_EQ(id, VIRTIO_VSOCK_EVENT_TRANSPORT_RESET);
		talk();
	}
	end();
}

/* ---- a console ---------------------------------------------------------------------------- */

#define MUCH (512u << 10) /* more than a socket has room for */

/* Which the process makes as it begins, and accepts whom it likes. */
static int has_connected(void *fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(address.sun_path, where.path);
	return !connect(*(int *)fd, (struct sockaddr *)&address, sizeof(address));
}

/* Both say something; what the host says comes once it is accepted. */
static int begin_console_talk(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[8] = "";
	uint32_t at;

	test_wait(has_connected, &fd, TEST_HANG_MS);
	CHECK_EQ(write(fd, "hello", 5), 5);
	wait_for_answer(RX);
	CHECK_EQ(answer_len, 5);
	at = answer_at;
	CHECK(at < NR_BUFFERS);
	CHECK_MEM(ram + RECEIVED + at * BUFFER, "hello", 5);
	is_buffer_posted[at] = false;
	post_buffer(at);
	memcpy(ram + SENT, "answer", 6);
	post(TX, 0, SENT, 6, 0);
	wait_for_answer(TX);
	CHECK_EQ(recv(fd, text, 6, MSG_WAITALL), 6);
	CHECK_STR(text, "answer");
	return fd;
}

static void begin_console(void (*start)(void))
{
	begin(VIRTIO_ID_CONSOLE, start, 2);
	for (uint32_t i = 0; i < NR_BUFFERS; i++)
		post_buffer(i);
}

TEST(a_console_goes_on_with_one_process_after_the_other)
{
	begin_console(start_process);
	for (int i = 0; i < 5; i++) {
		int fd = begin_console_talk();

		kill_process();
		start_process();
		close(fd);
	}
	close(begin_console_talk());
	end();
}

/* What it has no room for is not in flight, and no section is held for it. */
TEST(a_console_whose_peer_does_not_read_holds_up_nobody)
{
	struct vas_region extra = { .gpa = EXTRA, .size = RAM, .offset = RAM, .name = "extra" };
	struct vas_blocker blocker;
	uint64_t id;
	int fd;

	begin_console(start_process);
	fd = begin_console_talk();
	post(TX, 0, SENT, MUCH, 0);
	for (int i = 0; i < 5; i++) {
		CHECK_OK(vas_region_add(vas, &extra, &id));
		CHECK_OK(vas_region_remove(vas, id));
		CHECK_OK(vas_freeze(vas, TEST_HANG_NS, &blocker));
		CHECK_OK(vas_thaw(vas));
	}
	CHECK_EQ(rings[TX].next_used, __atomic_load_n(&rings[TX].used->idx, __ATOMIC_RELAXED));
	close(fd);
	wait_for_answer(TX);
	close(begin_console_talk());
	end();
}
