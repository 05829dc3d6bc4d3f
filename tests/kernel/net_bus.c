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
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uapi/linux/vas_net.h>
#include <vas/dirty.h>

#include "bus_guest.h"
#include "device/net/net.h"

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

/* ---- who serves --------------------------------------------------------------------------- */

static const uint8_t mac[] = { 0x52, 0x54, 0, 1, 2, 3 };

ROLE(network)
{
	static struct net net;
	struct net_options options = { .queue_size = BUS_SIZE, .mac = mac };
	struct bus_role role;

	if (read(sock, &role, sizeof(role)) != sizeof(role))
		return 1;
	options.kind = role.is_module ? NET_MODULE : NET_LOOPBACK;
	options.name = !role.is_module ? NULL : *role.path ? role.path : INTERFACE;
	options.nr_pairs = role.nr;
	if (net_open(&net, &options)) {
		fprintf(stderr, "# %s\n", vas_error());
		return 1;
	}
	return bus_role_serve(&net.device, &role, -1);
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

/* ---- frames ------------------------------------------------------------------------------- */

enum { RX, TX };

static bool is_buffer_posted[2 * NR_BUFFERS], is_frame_posted[NR_FRAMES];
static uint32_t next_sent, last_received, nr_received, nr_missed, window_base;
static bool is_received[MAX_NUMBER];
static bool may_repeat;	  /* a process was killed that had taken frames: those are sent again */
static bool may_overtake; /* several pairs are used */

/* Behind an IOMMU: where each buffer is, and whether it was elsewhere when it was posted. */
static uint64_t page_of[2 * NR_BUFFERS];
static bool was_taken[2 * NR_BUFFERS];

/* Those of the second pair come behind those of the first. */
static uint32_t receiveq_of(uint32_t i)
{
	return i / NR_BUFFERS * 2;
}

static void post_buffer(uint32_t i)
{
	const struct part part = { RECEIVED + i * BUFFER, BUFFER, 1 };

	CHECK(!is_buffer_posted[i]);
	is_buffer_posted[i] = true;
	bus_post(receiveq_of(i), i % NR_BUFFERS, &part, 1);
}

static void post_buffers(void)
{
	uint32_t i;

	memset(is_buffer_posted, 0, sizeof(is_buffer_posted));
	for (i = 0; i < bus.role.nr * NR_BUFFERS; i++) {
		page_of[i] = RECEIVED + i * BUFFER;
		post_buffer(i);
	}
}

static void send_frame(uint32_t i)
{
	uint32_t number = ++next_sent, len = len_of(number);
	uint8_t *frame = bus.ram + SENT + i * BUFFER + HEADER;
	const struct part part = { SENT + i * BUFFER, HEADER + len, 0 };
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
	bus_post(TX, i, &part, 1);
}

static void check_received(uint32_t i, uint32_t len)
{
	uint32_t words[WORDS], number;

	CHECK(len >= HEADER && len - HEADER <= sizeof(words));
	memcpy(words, bus.ram + page_of[i] + HEADER, len - HEADER);
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

	while (bus_take(2 * pair, &i, &len)) {
		CHECK(i < NR_BUFFERS);
		i += pair * NR_BUFFERS;
		CHECK(is_buffer_posted[i]);
		is_buffer_posted[i] = false;
		if (len && !was_taken[i])
			check_received(i, len);
		was_taken[i] = false;
		post_buffer(i);
	}
	bus_kick(2 * pair);
}

static void look_at_rings(bool sends)
{
	uint32_t i, len;

	for (i = 0; i < bus.role.nr; i++)
		look_at_receiveq(i);
	while (bus_take(TX, &i, &len)) {
		CHECK(i < NR_FRAMES && is_frame_posted[i]);
		is_frame_posted[i] = false;
	}
	for (i = 0; sends && i < NR_FRAMES && may_send(); i++)
		if (!is_frame_posted[i])
			send_frame(i);
	bus_kick(TX);
	host_echoes();
}

static int has_received(void *arg)
{
	look_at_rings(true);
	return nr_received >= *(uint32_t *)arg;
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

/* A process that misses the guest's buffers drops what comes back; with a module it waits. */
static bool may_lose(void)
{
	return bus.iommu && !bus.role.is_module;
}

/* So many frames more come back. */
static void exchange(uint32_t nr)
{
	uint32_t target = nr_received + nr;

	test_wait(may_lose() ? has_settled : has_received, &target, TEST_HANG_MS);
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
	if (!may_lose())
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
	if (bus.role.is_module)
		test_wait(is_there, NULL, TEST_HANG_MS);
}

/* Another takes over, and the one before it ends well. */
static void move(bool to_module)
{
	bus_take_over(to_module);
	await_host();
	settle();
}

static void kill_provider(void)
{
	bus_kill();
	host_leaves();
}

static void provide(bool by_module)
{
	bus_provide(by_module, false);
	await_host();
	settle();
}

static void post_all(void)
{
	memset(is_frame_posted, 0, sizeof(is_frame_posted));
	post_buffers();
}

static void look(void)
{
	look_at_rings(true);
}

static void describe(void)
{
	bus.name = "network";
	bus.kind = VIRTIO_ID_NET;
	bus.look = look;
	bus.stride = 1;
	bus.role.nr += !bus.role.nr;
}

static void begin(bool with_module, bool with_packed)
{
	describe();
	bus.is_packed = with_packed;
	bus.nr_rings = 2 * bus.role.nr + 1;
	bus.uncalled = 1u << TX;
	bus_begin("/dev/vas_net");
	post_all();
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
	host_leaves();
	bus_end();
}

/* ---- moves -------------------------------------------------------------------------------- */

static void move_under_load(bool with_packed)
{
	uint32_t i, nr = bus_rounds(50);

	begin(false, with_packed);
	for (i = 1; i <= nr; i++) {
		test_note("move %u", i);
		move(i % 2);
		exchange_without_loss(200);
	}
	/* What was on its way through an interface goes with that, and no more. */
	if (!bus.iommu)
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

/* Nobody who serves is asked to leave for what cannot be. */
TEST(a_module_whose_interface_has_anothers_name_leaves_the_network_as_it_was)
{
	int i, status;
	pid_t old;

	begin(false, false);
	old = bus.pid;
	strcpy(bus.role.path, "lo");
	for (i = 0; i < 3; i++) {
		bus_provide(true, true);
		CHECK_EQ(waitpid(bus.pid, &status, 0), bus.pid);
		CHECK_EQ(WEXITSTATUS(status), 1);
		exchange_without_loss(100);
	}
	bus.pid = old;
	end();
}

/* Of a guest that there is as well: a session with a vas of its own. */
static int open_another_interface(const char *name)
{
	const struct vas_options options = { .limit = BUS_RAM, .name = "another" };
	struct vas_net_open arg = { .features = 1ull << VIRTIO_F_VERSION_1, .nr_pairs = 1 };
	int fd = open("/dev/vas_net", O_RDWR | O_CLOEXEC);
	struct vas *another;

	CHECK(fd >= 0);
	CHECK_OK(vas_create(&options, &another));
	arg.vas_fd = vas_fd(another);
	strcpy(arg.name, name);
	CHECK_OK(ioctl(fd, VAS_NET_OPEN, &arg));
	vas_destroy(another);
	return fd;
}

TEST(a_module_whose_interface_is_another_guests_leaves_the_network_as_it_was)
{
	int fd, status;
	pid_t old;

	begin(false, false);
	fd = open_another_interface("vasanother");
	old = bus.pid;
	strcpy(bus.role.path, "vasanother");
	bus_provide(true, true);
	CHECK_EQ(waitpid(bus.pid, &status, 0), bus.pid);
	CHECK_EQ(WEXITSTATUS(status), 1);
	exchange_without_loss(100);
	close(fd);
	bus.pid = old;
	end();
}

/* The module answers what it takes before it goes: no buffer comes back twice, or empty. */
static void kill_keepers(bool with_packed)
{
	struct test_random random = { test_seed() };
	uint32_t i, nr = bus_rounds(30);

	begin(true, with_packed);
	for (i = 0; i < nr; i++) {
		bool was_module = bus.role.is_module;

		test_note("kill %u", i);
		exchange((uint32_t)test_random_below(&random, 400));
		kill_provider();
		look_at_rings(true);
		may_repeat = !was_module;
		provide(i % 3 > 0);
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

static void freeze_under_load(bool with_packed)
{
	struct vas_blocker blocker;
	uint8_t *copy = malloc(BUS_RAM);

	begin(true, with_packed);
	for (int i = 0; i < 10; i++) {
		exchange_without_loss(100);
		CHECK_OK(vas_freeze(bus.vas, TEST_HANG_NS, &blocker));
		memcpy(copy, bus.ram, BUS_RAM);
		bus_kick(RX);
		bus_kick(TX);
		host_echoes(); /* and what it sends waits for the guest */
		bus_check_frozen(RX);
		bus_check_frozen(TX);
		poll(NULL, 0, 20);
		CHECK_MEM(bus.ram, copy, BUS_RAM);
		CHECK_OK(vas_thaw(bus.vas));
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
	struct vas_region extra = {
		.gpa = BUS_RAM, .size = BUS_RAM, .offset = BUS_RAM, .name = "extra"
	};
	uint64_t id;

	begin(true, false);
	for (int i = 0; i < 20; i++) {
		CHECK_OK(vas_region_add(bus.vas, &extra, &id));
		exchange_without_loss(50);
		CHECK_OK(vas_region_remove(bus.vas, id));
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
	bus.server->ops->reset(bus.server);
	next_sent += WINDOW; /* what was on its way is not waited for */
	bus_start_driver();
	post_all();
	settle();
}

/* The interface is there all the time, and its link as long as there is a driver. */
TEST(a_driver_that_resets_the_device_takes_the_link_along)
{
	begin(true, false);
	CHECK(has_link());
	for (int i = 0; i < 5; i++) {
		bus.server->ops->reset(bus.server);
		test_wait(link_is_down, NULL, TEST_HANG_MS);
		bus.is_packed = !bus.is_packed; /* another driver, with other features */
		next_sent += WINDOW;
		bus_start_driver();
		post_all();
		settle();
		CHECK(has_link());
		exchange_without_loss(100);
	}
	end();
}

TEST(a_driver_that_breaks_the_rules_is_told_and_may_reset)
{
	const struct part part = { SENT, HEADER - 1, 0 };

	begin(true, false);
	test_wait(is_quiet, NULL, TEST_HANG_MS);
	bus_post(TX, 0, &part, 1);
	bus_kick(TX);
	bus_await_broken();
	CHECK_EQ(bus_state(TX), VAS_DEVICE_QUEUE_BROKEN);
	reset_driver();
	exchange_without_loss(100);
	end();
}

static uint32_t control_answer;

static int is_commanded(void *unused)
{
	uint32_t at, len;

	(void)unused;
	if (!bus_take(bus.nr_rings - 1, &at, &len))
		return 0;
	control_answer = bus.ram[COMMAND + 4000];
	return 1;
}

static void use_pairs(uint16_t nr)
{
	const struct part parts[] = { { COMMAND, 4, 0 }, { COMMAND + 4000, 1, 1 } };
	uint8_t *at = bus.ram + COMMAND;

	at[0] = VIRTIO_NET_CTRL_MQ;
	at[1] = VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET;
	memcpy(at + 2, &nr, sizeof(nr));
	at[4000] = 0xff;
	bus_post(bus.nr_rings - 1, 0, parts, 2);
	bus_kick(bus.nr_rings - 1);
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
static void use_some_pairs(void)
{
	uint32_t one = 1, two = 2;
	struct vas_blocker blocker;

	bus.role.nr = 2;
	may_overtake = true;
	begin(true, false);
	use_pairs(2);
	test_wait(sends_by, &two, TEST_HANG_MS);
	CHECK_OK(vas_freeze(bus.vas, TEST_HANG_NS, &blocker));
	CHECK(sends_by(&two));
	CHECK_OK(vas_thaw(bus.vas));
	use_pairs(1);
	test_wait(sends_by, &one, TEST_HANG_MS);
	kill_provider();
	provide(true);
	CHECK(sends_by(&one));
	use_pairs(2);
	test_wait(sends_by, &two, TEST_HANG_MS);
	end();
}

TEST(a_driver_says_how_many_pairs_it_uses)
{
	use_some_pairs();
}

/* ---- behind an IOMMU ---------------------------------------------------------------------- */

TEST(a_network_with_split_rings_behind_an_iommu_moves_into_the_kernel_and_back)
{
	bus.iommu = BUS_IOMMU_TAKES;
	move_under_load(false);
}

TEST(a_network_with_packed_rings_behind_an_iommu_moves_into_the_kernel_and_back)
{
	bus.iommu = BUS_IOMMU_TAKES;
	move_under_load(true);
}

TEST(a_keeper_behind_an_iommu_is_killed_with_split_rings)
{
	bus.iommu = BUS_IOMMU_TAKES;
	kill_keepers(false);
}

TEST(a_keeper_behind_an_iommu_is_killed_with_packed_rings)
{
	bus.iommu = BUS_IOMMU_TAKES;
	kill_keepers(true);
}

TEST(a_guest_with_an_iommu_is_frozen_while_the_module_serves)
{
	bus.iommu = BUS_IOMMU_TAKES;
	freeze_under_load(true);
}

/* The control queue is the keeper's, and has a view of the keeper's. */
TEST(a_driver_behind_an_iommu_says_how_many_pairs_it_uses)
{
	bus.iommu = BUS_IOMMU_TAKES;
	use_some_pairs();
}

TEST(a_keeper_behind_an_iommu_loses_its_connection_and_comes_again)
{
	bus.iommu = BUS_IOMMU_TAKES;
	begin(true, false);
	for (int i = 0; i < 10; i++) {
		bus_disconnect();
		exchange_without_loss(100);
	}
	end();
}

#define SPARE	 (RECEIVED + NR_BUFFERS * BUFFER)
#define NR_SPARE 64u
#define GUARD	 0x5a

/* Pages that nobody has. */
static uint64_t spare[NR_SPARE];

static void guard(uint64_t gpa)
{
	memset(bus.ram + gpa, GUARD, BUFFER);
}

static void check_guarded(uint64_t gpa)
{
	for (uint32_t i = 0; i < BUFFER; i++)
		if (bus.ram[gpa + i] != GUARD)
			test_fail(__FILE__, __LINE__, "gpa %#llx was written: %#x",
				  (unsigned long long)gpa + i, bus.ram[gpa + i]);
}

/* From under a buffer: what came into it before is lost. */
static void take_page(struct test_random *random)
{
	uint32_t i = (uint32_t)test_random_below(random, NR_BUFFERS);
	uint32_t k = (uint32_t)test_random_below(random, NR_SPARE);
	uint64_t old = page_of[i];

	check_guarded(spare[k]);
	page_of[i] = spare[k];
	was_taken[i] = true;
	bus_move_page(RECEIVED + i * BUFFER, spare[k]);
	guard(old);
	spare[k] = old;
}

TEST(what_was_taken_from_a_module_is_never_written)
{
	struct test_random random = { test_seed() };
	uint32_t i, nr = bus_rounds(2000), before;

	bus.iommu = BUS_IOMMU;
	begin(true, true);
	for (i = 0; i < NR_SPARE; i++) {
		spare[i] = SPARE + i * BUFFER;
		guard(spare[i]);
	}
	before = nr_received;
	for (i = 0; i < nr || nr_received - before < 500; i++) {
		take_page(&random);
		look_at_rings(true);
		if (next_sent - last_received >= WINDOW)
			window_base = next_sent; /* some are not to be told from lost ones */
	}
	test_note("%u frames, %u moves", nr_received - before, i);
	for (i = 0; i < NR_SPARE; i++)
		check_guarded(spare[i]);
	end();
}
