// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * vas_net.ko: queues that come and go while frames cross them, the memory is frozen and the rings are
 * taken away.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/virtio_config.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <vas/dirty.h>

#include "include/uapi/linux/vas.h"
#include "net_guest.h"

#define LARGE 60000u

static char frame[MAX_FRAME], expected[MAX_FRAME];

static uint16_t nr_used(const struct virtqueue *q)
{
	return __atomic_load_n(&q->used->idx, __ATOMIC_ACQUIRE);
}

/* All of the ring is frames of this length, all of the same bytes. */
static void fill_transmitq(struct net_guest *g, uint32_t len)
{
	struct part part = { OUT, (uint32_t)HEADER_LEN + len, 0 };

	memset(g->ram + OUT, 0, HEADER_LEN);
	net_frame_fill(g->ram + OUT + HEADER_LEN, len, 1);
	for (uint32_t i = 0; i < SIZE; i++)
		virtqueue_add(&g->transmitq, &part, 1, 0);
}

static void host_gets(struct net_guest *g, uint32_t len, uint32_t seed)
{
	net_frame_fill(expected, len, seed);
	CHECK_EQ(net_host_receive(g, frame, sizeof(frame), TEST_HANG_MS), len);
	CHECK_MEM(frame, expected, len);
}

static void guest_gets(struct net_guest *g, uint64_t gpa, uint32_t len, uint32_t seed)
{
	struct vring_used_elem elem;

	CHECK(virtqueue_wait(&g->receiveq, &elem, TEST_HANG_MS));
	CHECK_EQ(elem.len, HEADER_LEN + len);
	net_frame_fill(expected, len, seed);
	CHECK_MEM(g->ram + gpa + HEADER_LEN, expected, len);
}

static void host_sends(struct net_guest *g, uint32_t len, uint32_t seed)
{
	net_frame_fill(frame, len, seed);
	net_host_send(g, frame, len);
}

static void post(struct net_guest *g, uint64_t gpa, uint32_t len)
{
	struct part part = { gpa, len, 1 };

	virtqueue_add(&g->receiveq, &part, 1, 0);
	virtqueue_kick(&g->receiveq);
}

static int drive_of(struct net_guest *g)
{
	struct vas_ko_attach attach = { .fd = vas_fd(g->vas) };
	int drive = open("/dev/vas", O_RDWR | O_CLOEXEC);

	CHECK_OK(ioctl(drive, VAS_KO_ATTACH, &attach));
	return drive;
}

static int is_used(void *q)
{
	return nr_used(q) != 0;
}

/* The eventfds are nobody's any more by then: who raised one would use what was freed. */
TEST(a_device_that_goes_while_it_serves_raises_no_interrupt_that_is_gone)
{
	struct net_guest g;

	net_guest_init(&g, 0);
	for (uint32_t round = 0; round < 20; round++) {
		close(g.sock);
		close(g.net);
		net_guest_join(&g, g.vas, g.ram, 0);
		fill_transmitq(&g, LARGE);
		virtqueue_kick(&g.transmitq);
		for (int i = 0; i < 2; i++) {
			close(i ? g.receiveq.call : g.transmitq.call);
			close(i ? g.receiveq.err : g.transmitq.err);
			close(i ? g.receiveq.kick : g.transmitq.kick);
		}
		test_wait(is_used, &g.transmitq, TEST_HANG_MS);
	}
}

/* ---- a start and a freeze ------------------------------------------------------------------ */

static void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		test_skip("there is one processor only");
}

struct starter {
	struct net_guest *g;
	uint16_t base;
	int result;
};

/* Whoever it wakes goes first, wherever the kernel lets it: so it is half way for long. */
static void *start_slowly(void *arg)
{
	struct sched_param param = { 0 };
	struct starter *starter = arg;

	run_on(0);
	CHECK_OK(sched_setscheduler(0, SCHED_IDLE, &param));
	starter->result = net_guest_start(starter->g, 1, starter->base);
	return NULL;
}

struct refiller {
	struct virtqueue *q;
	int stop;
};

/* The ring never runs out of frames. */
static void *refill(void *arg)
{
	struct refiller *refiller = arg;
	struct virtqueue *q = refiller->q;

	while (!__atomic_load_n(&refiller->stop, __ATOMIC_RELAXED))
		__atomic_store_n(&q->avail->idx, (uint16_t)(nr_used(q) + SIZE), __ATOMIC_SEQ_CST);
	return NULL;
}

struct progress {
	struct virtqueue *q;
	uint16_t from;
};

static int has_moved(void *arg)
{
	const struct progress *progress = arg;

	return nr_used(progress->q) != progress->from;
}

/* Frozen as soon as the queue is seen at work: how many answers came after that. */
static uint16_t nr_after_freeze(struct net_guest *g, int drive)
{
	struct vas_ko_freeze freeze = { .timeout_ns = TEST_HANG_NS };
	struct progress progress = { &g->transmitq, nr_used(&g->transmitq) };
	struct starter starter = { .g = g, .base = progress.from };
	struct refiller refiller = { .q = &g->transmitq };
	pthread_t starts, refills;
	uint16_t at_freeze;

	CHECK_EQ(pthread_create(&refills, NULL, refill, &refiller), 0);
	CHECK_EQ(pthread_create(&starts, NULL, start_slowly, &starter), 0);
	test_wait(has_moved, &progress, TEST_HANG_MS);
	CHECK_OK(ioctl(drive, VAS_KO_FREEZE, &freeze));
	at_freeze = nr_used(&g->transmitq);
	__atomic_store_n(&refiller.stop, 1, __ATOMIC_RELAXED);
	pthread_join(refills, NULL);
	pthread_join(starts, NULL);
	CHECK_OK(starter.result);
	net_guest_stop(g, 1);
	CHECK_OK(ioctl(drive, VAS_KO_THAW));
	return (uint16_t)(nr_used(&g->transmitq) - at_freeze);
}

TEST(a_queue_that_starts_is_frozen_with_the_others)
{
	struct net_guest g;
	int drive;

	net_guest_init(&g, 0);
	drive = drive_of(&g);
	net_guest_stop(&g, 1);
	fill_transmitq(&g, LARGE);
	run_on(1);
	for (uint32_t round = 0; round < 10; round++) {
		test_note("round %u", round);
		CHECK_EQ(nr_after_freeze(&g, drive), 0);
	}
}

/* It was quiet with another one, whose map is gone before the thaw. */
TEST(a_queue_without_its_ring_is_not_left_frozen)
{
	struct vas_ko_freeze freeze = { .timeout_ns = TEST_HANG_NS };
	struct vas_ko_range ring = { TRANSMITQ, 4 * PAGE };
	struct vas_ko_prepare prepare = { .ranges = (uintptr_t)&ring,
					  .nr = 1,
					  .timeout_ns = TEST_HANG_NS };
	struct net_guest g;
	int drive;

	net_guest_init(&g, 0);
	drive = drive_of(&g);
	post(&g, IN, 2048);
	host_sends(&g, 100, 1);
	guest_gets(&g, IN, 100, 1); /* so the receiveq has its ring */
	CHECK_OK(ioctl(drive, VAS_KO_PREPARE, &prepare));
	CHECK_OK(ioctl(drive, VAS_KO_FREEZE, &freeze));
	net_guest_stop(&g, 0);
	CHECK_OK(ioctl(drive, VAS_KO_COMMIT));
	CHECK_OK(ioctl(drive, VAS_KO_THAW));
	net_guest_send_frame(&g, 200, 2);
	host_gets(&g, 200, 2);
}

/* ---- a ring that is being mapped ----------------------------------------------------------- */

struct sender {
	struct net_guest *g;
	long nr_maps; /* when there are more it sends */
	uint32_t seed;
};

static void *send_while_it_maps(void *arg)
{
	struct sender *sender = arg;

	while (device_counter("maps") <= sender->nr_maps)
		;
	host_sends(sender->g, 64, sender->seed);
	return NULL;
}

/* The thread has the queue meanwhile, and one part of its ring, or two. */
TEST(a_frame_that_comes_while_the_ring_is_mapped_waits_for_it)
{
	struct net_guest g;

	net_guest_init(&g, 0);
	for (uint16_t round = 0; round < 300; round++) {
		struct sender sender = { .g = &g, .seed = round };
		pthread_t thread;

		test_note("round %u", round);
		net_guest_stop(&g, 0);
		sender.nr_maps = device_counter("maps");
		post(&g, IN, 2048);
		CHECK_EQ(pthread_create(&thread, NULL, send_while_it_maps, &sender), 0);
		CHECK_OK(net_guest_start(&g, 0, round));
		pthread_join(thread, NULL);
		guest_gets(&g, IN, 64, round);
	}
}

/* ---- what is not there --------------------------------------------------------------------- */

static void steer_packets(struct net_guest *g)
{
	char path[80];
	int fd;

	snprintf(path, sizeof(path), "/sys/class/net/%s/queues/rx-0/rps_cpus", g->name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		test_skip("%s: %s", path, strerror(errno));
	CHECK_EQ(write(fd, "3", 1), 1);
	close(fd);
}

/* A driver may send by a queue of which it has not said that it uses it. */
TEST(a_pair_that_is_not_in_use_sends_all_the_same)
{
	struct vas_net_open arg = { .features = VERSION_1, .nr_pairs = 4 };
	struct net_guest g;
	uint32_t nr = 2;

	net_guest_init(&g, 0);
	close(g.sock);
	close(g.net);
	g.net = open("/dev/vas_net", O_RDWR | O_CLOEXEC);
	CHECK_OK(net_guest_open(&g, arg));
	net_guest_up(&g);
	CHECK_OK(ioctl(g.net, VAS_NET_SET_PAIRS, &nr));
	CHECK_OK(net_guest_start(&g, 7, 0));
	steer_packets(&g);
	net_guest_send_frame(&g, 300, 4);
	host_gets(&g, 300, 4);
}

/* Of this process, in bytes. */
static uint64_t nr_pinned(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	unsigned long long kib = 0;
	char line[200];

	CHECK(file);
	while (fgets(line, sizeof(line), file) && sscanf(line, "VmPin: %llu", &kib) != 1)
		;
	fclose(file);
	return kib * 1024;
}

static void allow_to_pin(uint64_t bytes)
{
	struct rlimit limit = { bytes, bytes };

	CHECK_OK(setrlimit(RLIMIT_MEMLOCK, &limit));
	device_drop_capability(CAP_IPC_LOCK);
}

static void both_ways(struct net_guest *g)
{
	post(g, IN, 2048);
	host_sends(g, 100, 1);
	guest_gets(g, IN, 100, 1);
	net_guest_send_frame(g, 200, 2);
	host_gets(g, 200, 2);
}

#define BAD_BASE 0x7fff7fffu /* no queue has so many entries */
#define FAR	 (512 * MIB)

/* A page of the log, for memory far away, is one more than it may pin: no fault of the driver's. */
TEST(a_queue_waits_for_what_the_host_does_not_have)
{
	struct vas *vas = device_vas(1024 * MIB, RAM, 0);
	char *ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, vas_fd(vas), 0);
	struct vring_used_elem elem;
	struct vas_tracker *tracker;
	struct net_guest g;

	CHECK(ram != MAP_FAILED);
	device_add(vas, FAR, MIB);
	net_guest_join(&g, vas, ram, 0);
	both_ways(&g);
	allow_to_pin(nr_pinned());
	close(g.sock);
	close(g.net);
	net_guest_join(&g, vas, ram, 0);
	both_ways(&g);
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &tracker));
	post(&g, FAR, 2048);
	host_sends(&g, 300, 3);
	CHECK(!virtqueue_wait(&g.receiveq, &elem, 30));
	vas_tracker_detach(tracker);
	CHECK(virtqueue_wait(&g.receiveq, &elem, TEST_HANG_MS));
	CHECK_EQ(elem.len, HEADER_LEN + 300);
	CHECK(!virtqueue_is_broken(&g.receiveq, 0));
}

/* ---- who keeps a device for another -------------------------------------------------------- */

static int keep(struct net_guest *g, uint64_t place)
{
	struct vas_queue_keep arg = { .index = 1, .place = place };

	return ioctl(g->net, VAS_NET_KEEP, &arg) ? -errno : 0;
}

static int set_features(struct net_guest *g, uint64_t features)
{
	return ioctl(g->net, VAS_NET_SET_FEATURES, &features) ? -errno : 0;
}

static void check_place(const struct vas_queue_place *place)
{
	CHECK_EQ(place->used_idx, 0);
	CHECK_EQ(place->old_used_idx, 0);
	CHECK_EQ(place->used_wrap, 1);
	CHECK_EQ(place->old_used_wrap, 1);
}

static void run_with_place(struct net_guest *g, struct vas_queue_place *place)
{
	memset(place, 0xff, sizeof(*place));
	CHECK_OK(keep(g, (uintptr_t)place));
	CHECK_OK(net_guest_start(g, 1, VAS_QUEUE_NEW_PACKED));
	CHECK_EQ(keep(g, (uintptr_t)place), -EBUSY);
	CHECK_EQ(set_features(g, VERSION_1), -EBUSY);
	CHECK_EQ(place->used_idx, 0xffff);
}

/* Also by the end of the file, as when its process dies. */
TEST(where_a_packed_queue_stands_is_written_when_it_stops)
{
	struct vas_net_open arg = { .features = VERSION_1, .nr_pairs = 1 };
	char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct vas_queue_place *place = (void *)(page + 16);
	struct net_guest g;

	CHECK(page != MAP_FAILED);
	net_guest_init(&g, 0);
	close(g.sock);
	close(g.net);
	g.net = open("/dev/vas_net", O_RDWR | O_CLOEXEC);
	CHECK_EQ(set_features(&g, VERSION_1), -ENXIO);
	CHECK_OK(net_guest_open(&g, arg));
	CHECK_EQ(keep(&g, (uintptr_t)place), -EINVAL); /* a split ring says so itself */
	CHECK_EQ(set_features(&g, 1ull << VIRTIO_F_RING_PACKED), -EINVAL);
	CHECK_OK(set_features(&g, VERSION_1 | 1ull << VIRTIO_F_RING_PACKED));
	CHECK_EQ(keep(&g, (uintptr_t)page + 17), -EINVAL);
	CHECK_EQ(keep(&g, (uintptr_t)page + PAGE - 4), -EINVAL);
	CHECK_EQ(keep(&g, 0), -EFAULT);
	run_with_place(&g, place);
	net_guest_stop(&g, 1);
	check_place(place);
	run_with_place(&g, place);
	net_guest_stop(&g, 1);
	/* That of a queue which was never started is not the next one's. */
	memset(place, 0xff, sizeof(*place));
	CHECK_OK(keep(&g, (uintptr_t)place));
	CHECK_EQ(net_guest_start(&g, 1, BAD_BASE), -EINVAL);
	CHECK_OK(net_guest_start(&g, 1, VAS_QUEUE_NEW_PACKED));
	net_guest_stop(&g, 1);
	CHECK_EQ(place->used_idx, 0xffff);
	run_with_place(&g, place);
	close(g.net);
	check_place(place);
}
