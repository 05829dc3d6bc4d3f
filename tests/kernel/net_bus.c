// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A network on the bus, served by a process (what the guest sends comes back) or by vas_net.ko, whose
 * keeper is a process, too (the test's host sends back what comes out of the interface). The guest's
 * driver does not know by whom: each frame has a number, each buffer is answered once.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/device.h>
#include <vas/dirty.h>
#include <vas/serve.h>
#include <vas/vas.h>

#include "core/virtqueue/split.h"
#include "device/bus/bus.h"
#include "device/net/net.h"
#include "tests/core/packed_driver.h"
#include "tests/harness.h"

#define RAM	   (4ull << 20)
#define SIZE	   256u
#define RING_SPACE 65536ull
#define SENT	   (1ull << 20)
#define RECEIVED   (2ull << 20)
#define COMMAND	   (3ull << 20)
#define BUFFER	   4096u
#define NR_BUFFERS 128u
#define NR_FRAMES  16u
#define WINDOW	   48u /* frames on their way */
#define WORDS	   300u
#define MAX_NUMBER (1u << 22)
#define SILENCE_NS 500000000ull
#define INTERFACE  "vasbus0"
#define OUR_TYPE   0x88b5 /* for experiments, by IEEE 802 */
#define HEADER	   ((uint32_t)sizeof(struct virtio_net_hdr_v1))

#define FEATURE(bit) (1ull << (bit))

/* ---- who serves --------------------------------------------------------------------------- */

struct provider {
	pid_t pid; /* 0: none */
	bool is_module;
};

static struct where {
	char socket[64];
	uint32_t nr_pairs;
	bool is_module, takes_over;
} where = { .nr_pairs = 1 };

static struct provider provider;
static const uint8_t mac[] = { 0x52, 0x54, 0, 1, 2, 3 };

ROLE(network)
{
	static struct net net;
	struct net_options options = { .queue_size = SIZE, .mac = mac };
	struct bus_options bus = { .path = where.socket, .name = "net", .look_fd = -1 };

	if (read(sock, &where, sizeof(where)) != sizeof(where))
		return 1;
	options.kind = where.is_module ? NET_MODULE : NET_LOOPBACK;
	options.name = where.is_module ? INTERFACE : NULL;
	options.nr_pairs = where.nr_pairs;
	bus.takes_over = where.takes_over;
	if (net_open(&net, &options)) {
		fprintf(stderr, "# %s\n", vas_error());
		return 1;
	}
	if (bus_serve(&net.device, -1, &bus) == -ESHUTDOWN)
		return 0;
	fprintf(stderr, "# %s\n", vas_error());
	return 1;
}

static struct provider start_provider(bool is_module, bool takes_over)
{
	struct provider new = { .is_module = is_module };
	int sock;

	where.is_module = is_module;
	where.takes_over = takes_over;
	new.pid = test_spawn("network", &sock);
	CHECK_EQ(write(sock, &where, sizeof(where)), sizeof(where));
	close(sock);
	return new;
}

/* ---- the host's end of the interface ------------------------------------------------------ */

static int host = -1; /* a socket on it */
static uint32_t host_last, nr_echoed;

static void host_leaves(void)
{
	if (host >= 0)
		close(host);
	host = -1;
}

/* The interface is there, and comes up. */
static int host_comes(void *unused)
{
	struct ifreq ifreq = { .ifr_name = INTERFACE, .ifr_flags = IFF_UP | IFF_PROMISC };
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(OUR_TYPE) };

	(void)unused;
	address.sll_ifindex = (int)if_nametoindex(INTERFACE);
	if (!address.sll_ifindex)
		return 0;
	host = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CHECK(host >= 0);
	if (!ioctl(host, SIOCSIFFLAGS, &ifreq) &&
	    !bind(host, (struct sockaddr *)&address, sizeof(address)))
		return 1;
	host_leaves(); /* it went again */
	return 0;
}

static uint32_t number_of(const uint32_t *words)
{
	return words[4];
}

static uint32_t len_of(uint32_t number)
{
	return (20 + number % (WORDS - 20)) * 4;
}

static void check_bytes(const uint32_t *words, uint32_t len)
{
	uint32_t number = number_of(words);

	CHECK_EQ(len, len_of(number));
	for (uint32_t i = 4; i < len / 4; i++)
		CHECK_EQ(words[i], number + i - 4);
}

/* Each once, in order; a frame that there is no room for, or no link, is lost. */
static void host_echoes(void)
{
	uint32_t frame[WORDS + 16];
	ssize_t len;

	while (host >= 0 && (len = recv(host, frame, sizeof(frame), 0)) > 0) {
		check_bytes(frame, (uint32_t)len);
		CHECK(number_of(frame) > host_last);
		host_last = number_of(frame);
		nr_echoed += send(host, frame, (size_t)len, 0) == len;
	}
}

/* ---- the guest ---------------------------------------------------------------------------- */

enum { RX, TX };

struct ring {
	/* Split. */
	struct vas_virtq_desc *desc;
	struct vas_virtq_avail *avail;
	struct vas_virtq_used *used;
	uint16_t next_avail, next_used;
	int kick, call;
	/* Packed. */
	struct packed_driver packed;
	uint16_t slot_of_id[SIZE];
};

static struct vas *vas;
static struct vas_serve *serve;
static struct vas_bus_device *device;
static struct vas_virtio_server *server;
static uint8_t *ram;
static bool is_packed;
static struct ring rings[5];
static uint32_t nr_rings, times_broken;

static void told(struct vas_virtio_server *of, uint32_t what)
{
	(void)of;
	if (what & VAS_VIRTIO_NEEDS_RESET)
		__atomic_fetch_add(&times_broken, 1, __ATOMIC_SEQ_CST);
}

static void init_packed(struct ring *ring, uint64_t at)
{
	packed_driver_init(&ring->packed, (char *)ram, SIZE, 0, true);
	free(ring->packed.desc);
	free(ring->packed.driver);
	free(ring->packed.device);
	ring->packed.desc = (void *)(ram + at);
	ring->packed.driver = (void *)(ram + at + 16384);
	ring->packed.device = (void *)(ram + at + 32768);
	ring->kick = ring->packed.kick;
	ring->call = ring->packed.call;
}

static void init_split(struct ring *ring, uint64_t at)
{
	*ring = (struct ring){
		.desc = (void *)(ram + at),
		.avail = (void *)(ram + at + 16384),
		.used = (void *)(ram + at + 32768),
		.kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
}

static void start_ring(uint32_t i)
{
	uint64_t at = i * RING_SPACE;
	struct vas_virtio_queue queue = {
		.size = SIZE,
		.base = is_packed ? VAS_VIRTIO_BASE_PACKED : VAS_VIRTIO_BASE_SPLIT,
		.desc = at,
		.driver = at + 16384,
		.device = at + 32768,
	};

	memset(ram + at, 0, RING_SPACE);
	if (is_packed)
		init_packed(&rings[i], at);
	else
		init_split(&rings[i], at);
	queue.kick_fd = rings[i].kick;
	queue.call_fd = i == TX ? -1 : rings[i].call; /* a driver that wants none, too */
	CHECK_OK(server->ops->queue_start(server, i, &queue));
}

static void kick(uint32_t index)
{
	eventfd_write(rings[index].kick, 1);
}

/* One descriptor is a chain, for the slot `at`. */
static void post(uint32_t index, uint32_t at, uint64_t gpa, uint32_t len, bool in)
{
	const struct part part = { gpa, len, in };
	struct ring *ring = &rings[index];

	if (is_packed) {
		ring->slot_of_id[packed_driver_add(&ring->packed, &part, 1, 0)] = (uint16_t)at;
		return;
	}
	ring->desc[at] = (struct vas_virtq_desc){ gpa, len, in ? VAS_VIRTQ_DESC_WRITE : 0, 0 };
	ring->avail->ring[ring->next_avail++ % SIZE] = (uint16_t)at;
	__atomic_store_n(&ring->avail->idx, ring->next_avail, __ATOMIC_RELEASE);
}

/* An answer: true, and which slot, and how many bytes. */
static bool take(uint32_t index, uint32_t *at, uint32_t *len)
{
	struct ring *ring = &rings[index];
	const struct vas_virtq_used_elem *elem;
	uint16_t id;

	if (is_packed) {
		if (!packed_driver_get(&ring->packed, &id, len))
			return false;
		*at = ring->slot_of_id[id];
		return true;
	}
	if (__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE) == ring->next_used)
		return false;
	elem = &ring->used->ring[ring->next_used++ % SIZE];
	*at = elem->head;
	*len = elem->len;
	return true;
}

/* ---- frames ------------------------------------------------------------------------------- */

static bool is_buffer_posted[2 * NR_BUFFERS], is_frame_posted[NR_FRAMES];
static uint32_t next_sent, last_received, nr_received, nr_missed, window_base;
static bool is_received[MAX_NUMBER];
static bool may_repeat;	  /* a process was killed that had taken frames: those are sent again */
static bool may_overtake; /* several pairs are used */

/* Those of the second pair come behind those of the first. */
static uint32_t receiveq_of(uint32_t i)
{
	return i / NR_BUFFERS * 2;
}

static void post_buffer(uint32_t i)
{
	CHECK(!is_buffer_posted[i]);
	is_buffer_posted[i] = true;
	post(receiveq_of(i), i % NR_BUFFERS, RECEIVED + i * BUFFER, BUFFER, true);
}

static void post_buffers(void)
{
	uint32_t i;

	memset(is_buffer_posted, 0, sizeof(is_buffer_posted));
	for (i = 0; i < where.nr_pairs * NR_BUFFERS; i++)
		post_buffer(i);
}

static void send_frame(uint32_t i)
{
	uint32_t number = ++next_sent, len = len_of(number);
	uint8_t *frame = ram + SENT + i * BUFFER + HEADER;
	uint32_t words[WORDS] = { 0 };

	is_frame_posted[i] = true;
	memset(words, 0xff, 6);
	((uint8_t *)words)[6] = 2;
	((uint8_t *)words)[12] = OUR_TYPE >> 8;
	((uint8_t *)words)[13] = OUR_TYPE & 0xff;
	for (uint32_t k = 4; k < len / 4; k++)
		words[k] = number + k - 4;
	memset(frame - HEADER, 0, HEADER);
	memcpy(frame, words, len);
	post(TX, i, SENT + i * BUFFER, HEADER + len, false);
}

static void check_received(uint32_t i, uint32_t len)
{
	uint32_t words[WORDS], number;

	CHECK(len >= HEADER && len - HEADER <= sizeof(words));
	memcpy(words, ram + RECEIVED + i * BUFFER + HEADER, len - HEADER);
	check_bytes(words, len - HEADER);
	number = number_of(words);
	CHECK(number <= next_sent);
	CHECK(number < MAX_NUMBER && (may_repeat || !is_received[number]));
	is_received[number] = true;
	nr_received++;
	if (number <= last_received) {
		CHECK(may_repeat || may_overtake);
		CHECK(number + 2 * WINDOW > last_received);
		return;
	}
	nr_missed += number - last_received - 1;
	last_received = number;
}

static bool may_send(void)
{
	uint32_t from = last_received > window_base ? last_received : window_base;

	return next_sent - from < WINDOW;
}

static void look_at_receiveq(uint32_t pair)
{
	uint32_t i, len;

	while (take(2 * pair, &i, &len)) {
		CHECK(i < NR_BUFFERS);
		i += pair * NR_BUFFERS;
		CHECK(is_buffer_posted[i]);
		is_buffer_posted[i] = false;
		if (len)
			check_received(i, len);
		post_buffer(i);
	}
	kick(2 * pair);
}

static void look_at_rings(bool sends)
{
	uint32_t i, len;

	for (i = 0; i < where.nr_pairs; i++)
		look_at_receiveq(i);
	while (take(TX, &i, &len)) {
		CHECK(i < NR_FRAMES && is_frame_posted[i]);
		is_frame_posted[i] = false;
	}
	for (i = 0; sends && i < NR_FRAMES && may_send(); i++)
		if (!is_frame_posted[i])
			send_frame(i);
	kick(TX);
	host_echoes();
}

static int has_received(void *arg)
{
	look_at_rings(true);
	return nr_received >= *(uint32_t *)arg;
}

/* So many frames more come back. */
static void exchange(uint32_t nr)
{
	uint32_t target = nr_received + nr;

	test_wait(has_received, &target, TEST_HANG_MS);
}

/* If all that was sent is lost, more has to be. */
static int has_settled(void *arg)
{
	static uint32_t at;
	static uint64_t since_ns;

	if (nr_received != at) {
		at = nr_received;
		since_ns = test_now_ns();
	} else if (test_now_ns() - since_ns > SILENCE_NS) {
		window_base = next_sent;
		since_ns = test_now_ns();
	}
	return has_received(arg);
}

/* What was on its way is there, or lost. From now on nothing is. */
static void settle(void)
{
	uint32_t target = nr_received + 2 * WINDOW;

	window_base = next_sent;
	test_wait(has_settled, &target, TEST_HANG_MS);
	may_repeat = false;
}

static void exchange_without_loss(uint32_t nr)
{
	uint32_t before = nr_missed;

	exchange(nr);
	CHECK_EQ(nr_missed, before);
}

/* ---- beginning, moving, ending ------------------------------------------------------------ */

static int is_there(void *arg)
{
	look_at_rings(true);
	return host_comes(arg);
}

/* Frames go on meanwhile. */
static void await_host(void)
{
	host_leaves();
	if (provider.is_module)
		test_wait(is_there, NULL, TEST_HANG_MS);
}

static int has_ended(void *pid)
{
	int status;

	look_at_rings(true);
	if (waitpid(*(pid_t *)pid, &status, WNOHANG) != *(pid_t *)pid)
		return 0;
	CHECK_EQ(status, 0);
	return 1;
}

/* Another takes over, and the one before it ends well. */
static void move(bool to_module)
{
	struct provider old = provider;

	provider = start_provider(to_module, true);
	test_wait(has_ended, &old.pid, TEST_HANG_MS);
	await_host();
	settle();
}

static void kill_provider(void)
{
	CHECK_OK(kill(provider.pid, SIGKILL));
	CHECK_EQ(waitpid(provider.pid, NULL, 0), provider.pid);
	provider.pid = 0;
	host_leaves();
}

static void make_vas(void)
{
	struct vas_options options = { .limit = 2 * RAM, .name = "guest" };
	struct vas_region region = { .size = RAM, .name = "ram" };
	struct vas_device_options of_bus = { .name = "net", .kind = VIRTIO_ID_NET };

	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_region_add(vas, &region, NULL));
	snprintf(where.socket, sizeof(where.socket), "/tmp/vas-net-bus.%d", getpid());
	CHECK_OK(vas_serve(vas, where.socket, 0600, &serve));
	CHECK_OK(vas_device_add(vas, &of_bus, &device));
	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, vas_fd(vas), 0);
	CHECK(ram != MAP_FAILED);
}

static void start_driver(void)
{
	uint64_t without = FEATURE(VIRTIO_F_IN_ORDER);

	if (!is_packed)
		without |= FEATURE(VIRTIO_F_RING_PACKED);
	CHECK_OK(server->ops->start(server, server->features & ~without));
	for (uint32_t i = 0; i < nr_rings; i++)
		start_ring(i);
	memset(is_frame_posted, 0, sizeof(is_frame_posted));
	post_buffers();
}

static void begin(bool with_module, bool with_packed)
{
	if (access("/dev/vas_net", F_OK))
		test_skip("no /dev/vas_net: vas_net.ko is not loaded");
	is_packed = with_packed;
	nr_rings = 2 * where.nr_pairs + 1;
	make_vas();
	provider = start_provider(false, false); /* offers the guest what both have */
	CHECK_OK(vas_device_wait(device, TEST_HANG_NS));
	server = vas_device_server(device);
	__atomic_store_n(&server->told, told, __ATOMIC_RELEASE);
	start_driver();
	settle();
	if (with_module)
		move(true);
}

static int is_quiet(void *unused)
{
	(void)unused;
	look_at_rings(false);
	for (uint32_t i = 0; i < NR_FRAMES; i++)
		if (is_frame_posted[i])
			return 0;
	return 1;
}

static void end(void)
{
	test_wait(is_quiet, NULL, TEST_HANG_MS);
	kill_provider();
	CHECK_EQ(times_broken, 0);
	vas_device_remove(device);
	vas_serve_end(serve);
	vas_destroy(vas);
}

/* ---- moves -------------------------------------------------------------------------------- */

/* So many, or fewer on a kernel that takes its time: TEST_BUS_ROUNDS. */
static uint32_t rounds(uint32_t usual)
{
	const char *text = getenv("TEST_BUS_ROUNDS");
	uint32_t most = text ? (uint32_t)strtoul(text, NULL, 0) : usual;

	return most < usual ? most : usual;
}

static void move_under_load(bool with_packed)
{
	uint32_t i, nr = rounds(50);

	begin(false, with_packed);
	for (i = 1; i <= nr; i++) {
		test_note("move %u", i);
		move(i % 2);
		exchange_without_loss(200);
	}
	/* What was on its way through an interface goes with that, and no more. */
	CHECK(nr_missed <= nr * (WINDOW + NR_FRAMES));
	CHECK(nr_echoed);
	end();
}

TEST(a_network_with_split_rings_moves_into_the_kernel_and_back_under_load)
{
	move_under_load(false);
}

TEST(a_network_with_packed_rings_moves_into_the_kernel_and_back_under_load)
{
	move_under_load(true);
}

/* One keeper after the other: the interface goes with the one, and comes with the other. */
TEST(a_keeper_takes_over_from_a_keeper)
{
	struct ifreq ifreq = { .ifr_name = INTERFACE };

	begin(true, false);
	CHECK_OK(ioctl(host, SIOCGIFHWADDR, &ifreq));
	CHECK_EQ((uint8_t)ifreq.ifr_hwaddr.sa_data[0], 0xfe);
	CHECK_MEM(ifreq.ifr_hwaddr.sa_data + 1, mac + 1, sizeof(mac) - 1);
	for (int i = 0; i < 5; i++) {
		move(true);
		exchange_without_loss(200);
	}
	end();
}

/* The module answers what it takes before it goes: no buffer comes back twice, or empty. */
static void kill_keepers(bool with_packed)
{
	struct test_random random = { test_seed() };
	uint32_t i, nr = rounds(30);

	begin(true, with_packed);
	for (i = 0; i < nr; i++) {
		bool was_module = provider.is_module;

		test_note("kill %u", i);
		exchange((uint32_t)test_random_below(&random, 400));
		kill_provider();
		look_at_rings(true);
		may_repeat = !was_module;
		provider = start_provider(i % 3 > 0, false);
		await_host();
		settle();
		exchange_without_loss(100);
	}
	end();
}

TEST(a_keeper_is_killed_and_the_next_provider_goes_on_with_split_rings)
{
	kill_keepers(false);
}

TEST(a_keeper_is_killed_and_the_next_provider_goes_on_with_packed_rings)
{
	kill_keepers(true);
}

/* ---- a freeze, an unplug ------------------------------------------------------------------ */

static uint32_t state_of(uint32_t index)
{
	struct vas_device_info info;

	CHECK_EQ(vas_devices(vas, &info, 1), 1);
	return info.queues[index].state;
}

static void freeze_under_load(bool with_packed)
{
	struct vas_blocker blocker;
	uint8_t *copy = malloc(RAM);

	begin(true, with_packed);
	for (int i = 0; i < 10; i++) {
		exchange_without_loss(100);
		CHECK_OK(vas_freeze(vas, TEST_HANG_NS, &blocker));
		memcpy(copy, ram, RAM);
		kick(RX);
		kick(TX);
		host_echoes(); /* and what it sends waits for the guest */
		CHECK_EQ(state_of(RX), VAS_DEVICE_QUEUE_STOPPED);
		CHECK_EQ(state_of(TX), VAS_DEVICE_QUEUE_STOPPED);
		poll(NULL, 0, 20);
		CHECK_MEM(ram, copy, RAM);
		CHECK_OK(vas_thaw(vas));
		exchange_without_loss(100);
	}
	free(copy);
	end();
}

TEST(a_guest_with_split_rings_is_frozen_while_the_module_serves)
{
	freeze_under_load(false);
}

TEST(a_guest_with_packed_rings_is_frozen_while_the_module_serves)
{
	freeze_under_load(true);
}

TEST(the_layout_changes_while_the_module_serves)
{
	struct vas_region extra = { .gpa = RAM, .size = RAM, .offset = RAM, .name = "extra" };
	uint64_t id;

	begin(true, false);
	for (int i = 0; i < 20; i++) {
		CHECK_OK(vas_region_add(vas, &extra, &id));
		exchange_without_loss(50);
		CHECK_OK(vas_region_remove(vas, id));
	}
	end();
}

/* ---- the driver --------------------------------------------------------------------------- */

static bool has_link(void)
{
	char text[2] = "";
	int fd = open("/sys/class/net/" INTERFACE "/carrier", O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK(read(fd, text, 1) == 1);
	close(fd);
	return text[0] == '1';
}

static int link_is_down(void *unused)
{
	(void)unused;
	return !has_link();
}

static void reset_driver(void)
{
	server->ops->reset(server);
	next_sent += WINDOW; /* what was on its way is not waited for */
	start_driver();
	settle();
}

/* The interface is there all the time, and its link as long as there is a driver. */
TEST(a_driver_that_resets_the_device_takes_the_link_along)
{
	begin(true, false);
	CHECK(has_link());
	for (int i = 0; i < 5; i++) {
		server->ops->reset(server);
		test_wait(link_is_down, NULL, TEST_HANG_MS);
		is_packed = !is_packed; /* another driver, with other features */
		next_sent += WINDOW;
		start_driver();
		settle();
		CHECK(has_link());
		exchange_without_loss(100);
	}
	end();
}

static int is_told_broken(void *unused)
{
	(void)unused;
	return __atomic_load_n(&times_broken, __ATOMIC_SEQ_CST) != 0;
}

TEST(a_driver_that_breaks_the_rules_is_told_and_may_reset)
{
	begin(true, false);
	test_wait(is_quiet, NULL, TEST_HANG_MS);
	post(TX, 0, SENT, HEADER - 1, false);
	kick(TX);
	test_wait(is_told_broken, NULL, TEST_HANG_MS);
	CHECK_EQ(state_of(TX), VAS_DEVICE_QUEUE_BROKEN);
	__atomic_store_n(&times_broken, 0, __ATOMIC_SEQ_CST);
	reset_driver();
	exchange_without_loss(100);
	end();
}

static uint32_t control_answer;

static int is_commanded(void *unused)
{
	uint32_t at, len;

	(void)unused;
	if (!take(nr_rings - 1, &at, &len))
		return 0;
	control_answer = ram[COMMAND + 4000];
	return 1;
}

static void use_pairs(uint16_t nr)
{
	struct ring *ring = &rings[nr_rings - 1];
	uint8_t *at = ram + COMMAND;

	at[0] = VIRTIO_NET_CTRL_MQ;
	at[1] = VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET;
	memcpy(at + 2, &nr, sizeof(nr));
	at[4000] = 0xff;
	ring->desc[1] = (struct vas_virtq_desc){ COMMAND + 4000, 1, VAS_VIRTQ_DESC_WRITE, 0 };
	ring->desc[0] = (struct vas_virtq_desc){ COMMAND, 4, VAS_VIRTQ_DESC_NEXT, 1 };
	ring->avail->ring[ring->next_avail++ % SIZE] = 0;
	__atomic_store_n(&ring->avail->idx, ring->next_avail, __ATOMIC_RELEASE);
	kick(nr_rings - 1);
	test_wait(is_commanded, NULL, TEST_HANG_MS);
	CHECK_EQ(control_answer, VIRTIO_NET_OK);
}

static int sends_by(void *nr)
{
	char path[80];
	uint32_t i;

	for (i = 0;; i++) {
		snprintf(path, sizeof(path), "/sys/class/net/" INTERFACE "/queues/tx-%u", i);
		if (access(path, F_OK))
			return i == *(uint32_t *)nr;
	}
}

/* The command's effect is the module's, and outlives a keeper and a freeze. */
TEST(a_driver_says_how_many_pairs_it_uses)
{
	uint32_t one = 1, two = 2;
	struct vas_blocker blocker;

	where.nr_pairs = 2;
	may_overtake = true;
	begin(true, false);
	use_pairs(2);
	test_wait(sends_by, &two, TEST_HANG_MS);
	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, &blocker));
	CHECK(sends_by(&two));
	CHECK_OK(vas_thaw(vas));
	use_pairs(1);
	test_wait(sends_by, &one, TEST_HANG_MS);
	kill_provider();
	provider = start_provider(true, false);
	await_host();
	settle();
	CHECK(sends_by(&one));
	use_pairs(2);
	test_wait(sends_by, &two, TEST_HANG_MS);
	end();
}
