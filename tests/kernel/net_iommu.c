// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas_net.ko behind a guest's IOMMU: rings and buffers are iovas. */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest_iommu.h"
#include "include/uapi/linux/vas.h"
#include "net_guest.h"

#define RX_GPA	   0x20000ull
#define TX_GPA	   0x40000ull
#define TABLES	   0x80000ull /* of descriptors, 256 bytes each */
#define NR_POSTED  8u
#define HOSTILE_NS 5000000000ull
#define MOVE_US	   300

struct net {
	struct net_guest g;
	struct iommu iommu;
	struct guest_ring rx, tx;
	uint64_t features;
	uint32_t buffer_len, nr_tables;
	uint64_t iova_of[RING_SIZE]; /* by id, of what is posted */
};

static char frame[65536], expected[65536];

static void start(struct net *n)
{
	ring_init(&n->rx, n->g.ram, RX_GPA, 0, n->features & PACKED);
	ring_init(&n->tx, n->g.ram, TX_GPA, 1, n->features & PACKED);
	CHECK_OK(ring_start(&n->rx, n->g.net, VAS_NET_START, ring_new_base(&n->rx)));
	CHECK_OK(ring_start(&n->tx, n->g.net, VAS_NET_START, ring_new_base(&n->tx)));
}

static void open_net(struct net *n, uint64_t features)
{
	struct vas_net_open arg = { .features = features | VERSION_1 | PLATFORM, .nr_pairs = 1 };
	struct net_guest *g = &n->g;

	*n = (struct net){ .features = features, .buffer_len = 2048 };
	g->net = open("/dev/vas_net", O_RDWR | O_CLOEXEC);
	if (g->net < 0)
		test_skip("no /dev/vas_net: vas_net.ko is not loaded");
	g->vas = device_vas(64 * MIB, RAM, 0);
	g->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, vas_fd(g->vas), 0);
	CHECK(g->ram != MAP_FAILED);
	CHECK_OK(net_guest_open(g, arg));
	net_guest_up(g);
}

static void begin_with(struct net *n, uint64_t features, uint32_t flags)
{
	open_net(n, features);
	iommu_begin(&n->iommu, n->g.net, n->g.ram, IOMMU_ENTRIES, flags);
	start(n);
}

static void begin(struct net *n, uint64_t features)
{
	begin_with(n, features, 0);
}

static uint64_t next_table(struct net *n)
{
	return n->features & INDIRECT ? TABLES + n->nr_tables++ % 256 * 256 : 0;
}

static uint32_t random_offset(struct net *n)
{
	return (uint32_t)test_random_below(&n->iommu.random, PAGE);
}

static void post_at(struct net *n, uint64_t iova)
{
	struct part part = { iova, n->buffer_len, 1 };

	n->iova_of[ring_add(&n->rx, &part, 1, next_table(n))] = iova;
}

static void post(struct net *n)
{
	post_at(n, dma_map(&n->iommu, random_offset(n), n->buffer_len, VAS_QUEUE_WRITE));
}

static void host_sends(struct net *n, uint32_t len, uint32_t seed)
{
	net_frame_fill(frame, len, seed);
	net_host_send(&n->g, frame, len);
}

/* One of the frame's buffers, whose bytes go to `to`. */
static uint32_t take_buffer(struct net *n, char *to)
{
	uint16_t id;
	uint32_t len;
	uint64_t iova;

	ring_wait(&n->rx, &id, &len);
	iova = n->iova_of[id];
	CHECK(len <= n->buffer_len);
	dma_read(&n->iommu, iova, to, len);
	dma_unmap(&n->iommu, iova, n->buffer_len);
	post(n);
	return len;
}

static void guest_gets(struct net *n, uint32_t len, uint32_t seed)
{
	static char got[65536];
	struct virtio_net_hdr_v1 header;
	uint32_t at = take_buffer(n, got);

	memcpy(&header, got, sizeof(header));
	for (uint32_t i = 1; i < header.num_buffers; i++)
		at += take_buffer(n, got + at);
	CHECK_EQ(at, HEADER_LEN + len);
	net_frame_fill(expected, len, seed);
	CHECK_MEM(got + HEADER_LEN, expected, len);
}

static void guest_sends(struct net *n, uint32_t len, uint32_t seed)
{
	uint32_t all = (uint32_t)HEADER_LEN + len, first, written;
	uint64_t iova = dma_map(&n->iommu, random_offset(n), all, VAS_QUEUE_READ);
	struct part parts[2];
	uint16_t id, answered;

	memset(frame, 0, HEADER_LEN);
	net_frame_fill(frame + HEADER_LEN, len, seed);
	dma_write(&n->iommu, iova, frame, all);
	first = 1 + (uint32_t)test_random_below(&n->iommu.random, all - 1);
	parts[0] = (struct part){ iova, first, 0 };
	parts[1] = (struct part){ iova + first, all - first, 0 };
	id = ring_add(&n->tx, parts, 2, next_table(n));
	ring_wait(&n->tx, &answered, &written);
	CHECK_EQ(answered, id);
	CHECK_EQ(written, 0);
	dma_unmap(&n->iommu, iova, all);
}

static void host_gets(struct net *n, uint32_t len, uint32_t seed)
{
	net_frame_fill(expected, len, seed);
	CHECK_EQ(net_host_receive(&n->g, frame, sizeof(frame), TEST_HANG_MS), len);
	CHECK_MEM(frame, expected, len);
}

static void cross(struct net *n, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++) {
		uint32_t len = 60 + i * 97 % 1400;

		test_note("frame %u", i);
		host_sends(n, len, i);
		guest_gets(n, len, i);
		guest_sends(n, len, i + 1);
		host_gets(n, len, i + 1);
	}
	dma_check(&n->iommu);
}

static void frames_cross(uint64_t features, uint32_t buffer_len)
{
	struct net n;

	begin(&n, features);
	n.buffer_len = buffer_len;
	for (uint32_t i = 0; i < NR_POSTED; i++)
		post(&n);
	cross(&n, 100);
	iommu_begin_to_forget(&n.iommu);
	cross(&n, 200);
	iommu_end_to_forget(&n.iommu);
	CHECK_EQ(n.iommu.nr_refused, 0);
	test_note("%llu misses, %llu unmaps", (unsigned long long)n.iommu.nr_misses,
		  (unsigned long long)n.iommu.nr_unmaps);
	CHECK(n.iommu.nr_misses > 100);
	iommu_end(&n.iommu);
}

TEST(frames_cross_by_iovas)
{
	frames_cross(0, 2048);
}

TEST(frames_cross_by_iovas_and_tables)
{
	frames_cross(INDIRECT, 2048);
}

TEST(frames_cross_by_iovas_in_merged_buffers)
{
	frames_cross(INDIRECT | FEATURE(MRG_RXBUF), 500);
}

TEST(frames_cross_by_iovas_of_packed_rings)
{
	frames_cross(PACKED, 2048);
}

TEST(frames_cross_by_iovas_of_packed_rings_and_tables)
{
	frames_cross(PACKED | INDIRECT | FEATURE(MRG_RXBUF), 500);
}

/* ---- what was unmapped -------------------------------------------------------------------- */

struct mover {
	struct net *n;
	uint64_t iovas[NR_POSTED];
	int stop;
};

/* Buffers get other pages while the device has them. */
static void *move_buffers(void *arg)
{
	struct mover *mover = arg;
	struct iommu *iommu = &mover->n->iommu;

	for (uint32_t i = 0; !__atomic_load_n(&mover->stop, __ATOMIC_RELAXED); i++) {
		uint64_t iova = mover->iovas[i % NR_POSTED] + i / NR_POSTED % 2 * PAGE;

		dma_move(iommu, iova);
		if (i % 16 == 0)
			dma_check(iommu);
		/* An answer that never helps is none. */
		usleep(MOVE_US);
	}
	return NULL;
}

static void is_never_written(uint64_t features)
{
	struct net n;
	struct mover mover = { .n = &n };
	uint64_t end = test_now_ns() + HOSTILE_NS, nr = 0;
	pthread_t thread;
	uint16_t id;
	uint32_t len;

	begin(&n, features);
	n.buffer_len = 4096 + 64;
	for (uint32_t i = 0; i < NR_POSTED; i++) {
		mover.iovas[i] = dma_map(&n.iommu, 0, n.buffer_len, VAS_QUEUE_WRITE);
		post_at(&n, mover.iovas[i]);
	}
	CHECK_EQ(pthread_create(&thread, NULL, move_buffers, &mover), 0);
	while (test_now_ns() < end || !net_count(&n.g, "guest_queue_0_rx_at_once")) {
		host_sends(&n, 1400, (uint32_t)nr);
		for (; ring_get(&n.rx, &id, &len); nr++)
			post_at(&n, n.iova_of[id]);
		test_note("%llu frames, %llu moves, %llu misses, %llu refused",
			  (unsigned long long)nr, (unsigned long long)n.iommu.nr_unmaps,
			  (unsigned long long)n.iommu.nr_misses,
			  (unsigned long long)n.iommu.nr_refused);
		CHECK(!ring_is_broken(&n.rx, 0));
	}
	__atomic_store_n(&mover.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	dma_check(&n.iommu);
	test_note("%llu frames, %llu at once, %llu moves, %llu misses", (unsigned long long)nr,
		  (unsigned long long)net_count(&n.g, "guest_queue_0_rx_at_once"),
		  (unsigned long long)n.iommu.nr_unmaps, (unsigned long long)n.iommu.nr_misses);
	CHECK(nr && n.iommu.nr_unmaps > 100);
	iommu_end(&n.iommu);
}

TEST(what_was_unmapped_is_never_written)
{
	is_never_written(INDIRECT);
}

TEST(what_was_unmapped_is_never_written_with_packed_rings)
{
	is_never_written(PACKED);
}

/* ---- misses that wait --------------------------------------------------------------------- */

static void is_broken(struct net *n, struct guest_ring *ring)
{
	CHECK(ring_is_broken(ring, TEST_HANG_MS));
	CHECK_EQ(net_guest_stop(&n->g, ring->index).broken, 1);
}

/* Queues that were broken are started anew. The frame that had no buffer is the first. */
static void is_well(struct net *n, uint32_t len, uint32_t seed)
{
	start(n);
	post(n);
	guest_gets(n, len, seed);
	cross(n, 10);
}

TEST(a_miss_that_is_refused_breaks_the_queue)
{
	struct net n;

	begin(&n, 0);
	post_at(&n, DMA_IOVA + 77 * PAGE);
	host_sends(&n, 100, 1);
	is_broken(&n, &n.rx);
	CHECK(n.iommu.nr_refused > 0);
	net_guest_stop(&n.g, 1);
	is_well(&n, 100, 1);
	iommu_end(&n.iommu);
}

TEST(a_buffer_that_may_only_be_read_is_not_written)
{
	struct net n;

	begin(&n, 0);
	post_at(&n, dma_map(&n.iommu, 0, n.buffer_len, VAS_QUEUE_READ));
	host_sends(&n, 100, 1);
	is_broken(&n, &n.rx);
	iommu_end(&n.iommu);
}

/* A frame that has no buffer yet, as all that is known of the DMA memory is gone. */
static void let_miss(struct net *n)
{
	iommu_be_mute(&n->iommu, true);
	CHECK_OK(iommu_unmap(n->g.net, DMA_IOVA, DMA_IOVAS * PAGE, VAS_QUEUE_MAX_WAIT_MS));
	host_sends(n, 200, 2);
	iommu_wait_for_miss(&n->iommu);
}

TEST(a_miss_without_an_answer_breaks_the_queue)
{
	struct net n;

	begin(&n, 0);
	post(&n);
	let_miss(&n);
	is_broken(&n, &n.rx);
	iommu_be_mute(&n.iommu, false);
	net_guest_stop(&n.g, 1);
	is_well(&n, 200, 2);
	iommu_end(&n.iommu);
}

TEST(a_ring_without_an_answer_breaks_its_queue)
{
	struct net n;

	begin(&n, 0);
	iommu_be_mute(&n.iommu, true);
	CHECK_OK(iommu_unmap(n.g.net, 0, 0, VAS_QUEUE_MAX_WAIT_MS));
	eventfd_write(n.tx.kick, 1);
	is_broken(&n, &n.tx);
	iommu_end(&n.iommu);
}

#define PAST_DEADLINE_MS 12000 /* where there is one */

TEST(without_a_deadline_the_queue_waits_for_its_answer)
{
	struct net n;

	begin_with(&n, 0, VAS_QUEUE_NO_DEADLINE);
	post(&n);
	let_miss(&n);
	CHECK(!ring_is_broken(&n.rx, PAST_DEADLINE_MS));
	iommu_be_mute(&n.iommu, false);
	guest_gets(&n, 200, 2);
	iommu_end(&n.iommu);
}

/* Whoever was told of it has forgotten, and nobody answers. */
TEST(after_an_unmap_of_everything_a_miss_is_told_again)
{
	struct vas_queue_miss misses[64];
	struct net n;

	begin_with(&n, 0, VAS_QUEUE_NO_DEADLINE);
	post(&n);
	let_miss(&n);
	for (int i = 0; i < 20; i++) {
		iommu_wait_for_miss(&n.iommu);
		CHECK(iommu_misses(n.g.net, misses));
		CHECK_OK(iommu_unmap(n.g.net, 0, 0, VAS_QUEUE_MAX_WAIT_MS));
	}
	iommu_be_mute(&n.iommu, false);
	guest_gets(&n, 200, 2);
	CHECK_EQ(n.iommu.nr_refused, 0);
	iommu_end(&n.iommu);
}

TEST(a_stop_does_not_wait_for_a_miss)
{
	struct vas_queue_stopped stopped;
	struct net n;

	begin(&n, 0);
	post(&n);
	let_miss(&n);
	stopped = net_guest_stop(&n.g, 0);
	CHECK_EQ(stopped.broken, 0);
	CHECK_EQ(stopped.base, 0);
	CHECK_OK(ring_start(&n.rx, n.g.net, VAS_NET_START, stopped.base));
	iommu_be_mute(&n.iommu, false);
	guest_gets(&n, 200, 2);
	iommu_end(&n.iommu);
}

TEST(a_freeze_and_an_unplug_do_not_wait_for_a_miss)
{
	struct vas_ko_freeze freeze = { .timeout_ns = TEST_HANG_NS };
	struct vas_ko_range range = { RX_GPA, RING_SPACE };
	struct vas_ko_prepare prepare = { .ranges = (uintptr_t)&range,
					  .nr = 1,
					  .timeout_ns = TEST_HANG_NS };
	struct vas_ko_attach attach;
	struct net n;
	int drive = open("/dev/vas", O_RDWR | O_CLOEXEC);

	begin(&n, 0);
	attach = (struct vas_ko_attach){ .fd = vas_fd(n.g.vas) };
	CHECK_OK(ioctl(drive, VAS_KO_ATTACH, &attach));
	post(&n);
	let_miss(&n);
	CHECK_OK(ioctl(drive, VAS_KO_FREEZE, &freeze));
	CHECK_OK(ioctl(drive, VAS_KO_THAW));
	CHECK_OK(ioctl(drive, VAS_KO_PREPARE, &prepare));
	CHECK_OK(ioctl(drive, VAS_KO_COMMIT));
	iommu_be_mute(&n.iommu, false);
	guest_gets(&n, 200, 2);
	iommu_end(&n.iommu);
}

TEST(a_device_goes_while_misses_wait)
{
	struct net n;

	for (uint32_t i = 0; i < 20; i++) {
		begin(&n, i % 2 ? PACKED : 0);
		post(&n);
		let_miss(&n);
		iommu_end(&n.iommu);
		close(n.g.sock);
		close(n.g.net);
	}
}

/* ---- guests and users that do their worst ------------------------------------------------- */

#define MANY 20000u

/* Each page is of its own; next to one another in memory or not. */
static void map_many(struct net *n, uint64_t gpa_step)
{
	static struct vas_queue_map maps[VAS_QUEUE_MAX_MAPS];

	for (uint32_t first = 0; first < MANY; first += VAS_QUEUE_MAX_MAPS) {
		struct vas_queue_maps arg = { .maps = (uintptr_t)maps, .nr = VAS_QUEUE_MAX_MAPS };

		for (uint32_t i = 0; i < VAS_QUEUE_MAX_MAPS; i++)
			maps[i] = (struct vas_queue_map){ .iova = DMA_IOVA + (first + i) * PAGE,
							  .size = PAGE,
							  .gpa = (first + i) * gpa_step,
							  .prot = VAS_QUEUE_READ };
		CHECK_OK(ioctl(n->g.net, VAS_QUEUE_MAP, &arg));
		CHECK_EQ(arg.nr, VAS_QUEUE_MAX_MAPS);
	}
}

static void is_too_much(uint64_t gpa_step)
{
	struct part part = { DMA_IOVA, MANY * (uint32_t)PAGE, 0 };
	struct net n;

	open_net(&n, 0);
	iommu_begin(&n.iommu, n.g.net, n.g.ram, VAS_QUEUE_MAX_ENTRIES, 0);
	start(&n);
	map_many(&n, gpa_step);
	ring_add(&n.tx, &part, 1, 0);
	is_broken(&n, &n.tx);
	iommu_end(&n.iommu);
	close(n.g.sock);
	close(n.g.net);
}

TEST(a_chain_of_more_pages_than_there_may_be_breaks_the_queue)
{
	is_too_much(PAGE);
	is_too_much(2 * PAGE);
}

/* Parts of the ring that no driver has so. */
static void breaks_with_ring(uint64_t size, uint64_t gpa, uint64_t rest_gpa)
{
	struct net n;

	open_net(&n, 0);
	CHECK_OK(iommu_view(n.g.net, 16, 0));
	CHECK_OK(iommu_map(n.g.net, IOVA + TX_GPA, size, gpa, 3));
	CHECK_OK(iommu_map(n.g.net, IOVA + TX_GPA + size, 0x10000, rest_gpa, 3));
	ring_init(&n.tx, n.g.ram, TX_GPA, 1, false);
	CHECK_OK(ring_start(&n.tx, n.g.net, VAS_NET_START, 0));
	is_broken(&n, &n.tx);
	close(n.g.sock);
	close(n.g.net);
}

TEST(a_ring_in_pieces_or_askew_breaks_its_queue)
{
	breaks_with_ring(512, TX_GPA, TX_GPA);
	breaks_with_ring(512, TX_GPA + 2, TX_GPA + 514);
}

static int call_misses(int fd, struct vas_queue_misses arg)
{
	return ioctl(fd, VAS_QUEUE_MISSES, &arg) ? -errno : 0;
}

static int call_maps(int fd, uint64_t maps, uint32_t nr, uint32_t pad)
{
	struct vas_queue_maps arg = { maps, nr, pad };

	return ioctl(fd, VAS_QUEUE_MAP, &arg) ? -errno : 0;
}

static void has_no_view_yet(int fd)
{
	CHECK_EQ(iommu_map(fd, 0, 1, 0, 1), -ENXIO);
	CHECK_EQ(iommu_unmap(fd, 0, 0, 0), -ENXIO);
	CHECK_EQ(iommu_refuse(fd, 0), -ENXIO);
	CHECK_EQ(call_misses(fd, (struct vas_queue_misses){ 0 }), -ENXIO);
}

TEST(calls_that_make_no_sense_are_refused)
{
	struct vas_queue_unmap unmap = { .timeout_ms = VAS_QUEUE_MAX_WAIT_MS + 1 };
	int fd = open("/dev/vas_net", O_RDWR | O_CLOEXEC);
	struct net n;

	open_net(&n, 0);
	CHECK_EQ(iommu_view(fd, 1, 0), -ENXIO);
	has_no_view_yet(fd);
	has_no_view_yet(n.g.net);
	fd = n.g.net;
	ring_init(&n.tx, n.g.ram, TX_GPA, 1, false);
	CHECK_EQ(ring_start(&n.tx, fd, VAS_NET_START, 0), -ENXIO);
	CHECK_EQ(iommu_view(fd, 0, 0), -EINVAL);
	CHECK_EQ(iommu_view(fd, 2, VAS_QUEUE_NO_DEADLINE << 1), -EINVAL);
	CHECK_EQ(iommu_view(fd, VAS_QUEUE_MAX_ENTRIES + 1, 0), -EINVAL);
	CHECK_OK(iommu_view(fd, 2, 0));
	CHECK_EQ(iommu_view(fd, 2, 0), -EEXIST);
	CHECK_EQ(iommu_map(fd, 0, 0, 0, 1), -EINVAL);
	CHECK_EQ(iommu_map(fd, 2, UINT64_MAX, 0, 1), -EINVAL);
	CHECK_EQ(iommu_map(fd, 0, 2, UINT64_MAX, 1), -EINVAL);
	CHECK_EQ(iommu_map(fd, 0, 1, 0, 0), -EINVAL);
	CHECK_EQ(iommu_map(fd, 0, 1, 0, 4), -EINVAL);
	CHECK_OK(iommu_map(fd, UINT64_MAX, 1, UINT64_MAX, 3));
	CHECK_OK(iommu_map(fd, UINT64_MAX, 1, UINT64_MAX, 1));
	CHECK_EQ(iommu_map(fd, UINT64_MAX, 1, 0, 1), -EEXIST);
	CHECK_OK(iommu_map(fd, 0, 1, 0, 1));
	CHECK_EQ(iommu_map(fd, 1, 1, 1, 1), -ENOSPC);
	CHECK_EQ(call_maps(fd, 0, VAS_QUEUE_MAX_MAPS + 1, 0), -EINVAL);
	CHECK_EQ(call_maps(fd, 0, 0, 1), -EINVAL);
	CHECK_EQ(call_maps(fd, 8, 1, 0), -EFAULT);
	CHECK_EQ(call_misses(fd, (struct vas_queue_misses){ .pad = 1 }), -EINVAL);
	CHECK_EQ(ioctl(fd, VAS_QUEUE_UNMAP, &unmap), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_OK(iommu_unmap(fd, 5, 5, 0));
	CHECK_OK(iommu_unmap(fd, 0, 0, 0));
	CHECK_OK(iommu_refuse(fd, 1));
}
