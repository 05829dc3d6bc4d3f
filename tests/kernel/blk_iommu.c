// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas_blk.ko behind a guest's IOMMU: rings, tables and data are iovas. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blk_guest.h"
#include "guest_iommu.h"

#define TABLES	   0x80000ull /* of descriptors */
#define LARGE	   (192u << 10)
#define HOSTILE_NS 5000000000ull

struct disk {
	struct guest g;
	struct iommu iommu;
	struct guest_ring ring;
	uint64_t features;
	uint32_t nr_tables;
};

static void start(struct disk *d)
{
	ring_init(&d->ring, d->g.ram, QUEUE, 0, d->features & PACKED);
	CHECK_OK(ring_start(&d->ring, d->g.blk, VAS_BLK_START, ring_new_base(&d->ring)));
}

static void begin(struct disk *d, uint64_t features)
{
	struct guest *g = &d->g;

	*d = (struct disk){ .g = { .capacity = CAPACITY }, .features = features };
	g->blk = open("/dev/vas_blk", O_RDWR | O_CLOEXEC);
	if (g->blk < 0)
		test_skip("no /dev/vas_blk: vas_blk.ko is not loaded");
	g->vas = device_vas(64 * MIB, RAM, 0);
	g->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, vas_fd(g->vas), 0);
	CHECK(g->ram != MAP_FAILED);
	g->file = memfd_create("disk", MFD_CLOEXEC);
	CHECK_OK(ftruncate(g->file, CAPACITY));
	CHECK_OK(blk_open(g, features | PLATFORM | 1ull << 32));
	iommu_begin(&d->iommu, g->blk, g->ram, IOMMU_ENTRIES, 0);
	start(d);
}

/* ---- requests ----------------------------------------------------------------------------- */

struct ask {
	uint64_t header, data, status; /* iovas */
	uint32_t len;
	bool in;
};

static void map_request(struct disk *d, struct ask *ask, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr header = { .type = type, .sector = sector };
	uint32_t prot = ask->in ? VAS_QUEUE_WRITE : VAS_QUEUE_READ;

	ask->header = dma_map(&d->iommu, PAGE - 8, sizeof(header), VAS_QUEUE_READ);
	ask->data = dma_map(&d->iommu, 100, ask->len, prot);
	ask->status = dma_map(&d->iommu, 7, 1, VAS_QUEUE_WRITE);
	dma_write(&d->iommu, ask->header, &header, sizeof(header));
}

static uint16_t add_request(struct disk *d, const struct ask *ask)
{
	struct part parts[] = { { ask->header, 16, 0 },
				{ ask->data, ask->len, ask->in },
				{ ask->status, 1, 1 } };
	uint64_t table = d->features & INDIRECT ? TABLES + d->nr_tables++ % 256 * 64 : 0;

	return ring_add(&d->ring, parts, 3, table);
}

static void unmap_request(struct disk *d, const struct ask *ask)
{
	dma_unmap(&d->iommu, ask->header, 16);
	dma_unmap(&d->iommu, ask->data, ask->len);
	dma_unmap(&d->iommu, ask->status, 1);
}

static void do_request(struct disk *d, struct ask *ask, char *bytes, uint64_t sector)
{
	uint32_t written;
	uint16_t id, answered;
	char status = 0x7f;

	map_request(d, ask, ask->in ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT, sector);
	dma_write(&d->iommu, ask->status, &status, 1);
	if (!ask->in)
		dma_write(&d->iommu, ask->data, bytes, ask->len);
	id = add_request(d, ask);
	ring_wait(&d->ring, &answered, &written);
	CHECK_EQ(answered, id);
	CHECK_EQ(written, ask->in ? ask->len + 1 : 1);
	dma_read(&d->iommu, ask->status, &status, 1);
	CHECK_EQ(status, VIRTIO_BLK_S_OK);
	if (ask->in)
		dma_read(&d->iommu, ask->data, bytes, ask->len);
	unmap_request(d, ask);
}

static void write_and_read(struct disk *d, uint32_t nr)
{
	static char out[LARGE], in[LARGE];

	for (uint32_t i = 0; i < nr; i++) {
		uint32_t len = i % 8 ? 512 * (1 + i * 7 % 60) : LARGE;
		uint64_t sector = i * 37 % 1024;

		test_note("request %u", i);
		for (uint32_t at = 0; at < len; at++)
			out[at] = (char)(at * 3 + at / 256 + i);
		do_request(d, &(struct ask){ .len = len }, out, sector);
		do_request(d, &(struct ask){ .len = len, .in = true }, in, sector);
		CHECK_MEM(in, out, len);
	}
	dma_check(&d->iommu);
}

static void sectors_go(uint64_t features)
{
	struct disk d;

	begin(&d, features);
	write_and_read(&d, 40);
	iommu_begin_to_forget(&d.iommu);
	write_and_read(&d, 100);
	iommu_end_to_forget(&d.iommu);
	CHECK_EQ(d.iommu.nr_refused, 0);
	CHECK(d.iommu.nr_misses > 100);
	iommu_end(&d.iommu);
}

TEST(sectors_go_by_iovas)
{
	sectors_go(0);
}

TEST(sectors_go_by_iovas_and_tables)
{
	sectors_go(INDIRECT | EVENT);
}

TEST(sectors_go_by_iovas_of_packed_rings)
{
	sectors_go(PACKED | INDIRECT);
}

/* ---- what was unmapped -------------------------------------------------------------------- */

/* Pages of a request change while it is served, again and again. */
static void is_never_written(uint64_t features)
{
	struct ask ask = { .len = LARGE, .in = true };
	uint64_t end = test_now_ns() + HOSTILE_NS, nr = 0;
	uint32_t len, i = 0;
	struct disk d;
	uint16_t id;

	begin(&d, features);
	map_request(&d, &ask, VIRTIO_BLK_T_IN, 0);
	add_request(&d, &ask);
	for (; test_now_ns() < end || nr < 10; i++) {
		dma_move(&d.iommu, ask.data - 100 + i % (LARGE / PAGE) * PAGE);
		if (i % 16 == 0)
			dma_check(&d.iommu);
		if (!ring_get(&d.ring, &id, &len))
			continue;
		nr++;
		add_request(&d, &ask);
	}
	dma_check(&d.iommu);
	CHECK(!ring_is_broken(&d.ring, 0));
	test_note("%llu requests, %llu moves, %llu misses", (unsigned long long)nr,
		  (unsigned long long)d.iommu.nr_unmaps, (unsigned long long)d.iommu.nr_misses);
	iommu_end(&d.iommu);
}

TEST(what_was_unmapped_is_never_written)
{
	is_never_written(INDIRECT);
}

TEST(what_was_unmapped_is_never_written_with_packed_rings)
{
	is_never_written(PACKED);
}

/* Whoever does not want to wait for that is told that it is still in use; later it is not. */
TEST(an_unmap_has_a_deadline)
{
	struct ask ask = { .len = LARGE, .in = true };
	uint64_t end = test_now_ns() + TEST_HANG_NS;
	uint32_t len;
	struct disk d;
	uint16_t id;
	int err;

	begin(&d, 0);
	map_request(&d, &ask, VIRTIO_BLK_T_IN, 0);
	add_request(&d, &ask);
	do {
		CHECK(test_now_ns() < end);
		if (ring_get(&d.ring, &id, &len))
			add_request(&d, &ask);
		err = iommu_unmap(d.g.blk, ask.data, LARGE, 0);
	} while (!err);
	CHECK_EQ(err, -ETIMEDOUT);
	CHECK_OK(iommu_unmap(d.g.blk, ask.data, LARGE, VAS_QUEUE_MAX_WAIT_MS));
	ring_wait(&d.ring, &id, &len);
	unmap_request(&d, &ask);
	dma_check(&d.iommu);
	iommu_end(&d.iommu);
}

TEST(a_request_that_is_missed_is_done_after_a_stop)
{
	struct vas_queue_stopped stopped;
	struct ask ask = { .len = 4096 };
	uint32_t len;
	struct disk d;
	uint16_t id;

	begin(&d, 0);
	iommu_be_mute(&d.iommu, true);
	map_request(&d, &ask, VIRTIO_BLK_T_OUT, 0);
	add_request(&d, &ask);
	iommu_wait_for_miss(&d.iommu);
	stopped = queue_stop(&d.g);
	CHECK_EQ(stopped.broken, 0);
	CHECK_EQ(stopped.base, 0);
	CHECK_OK(ring_start(&d.ring, d.g.blk, VAS_BLK_START, stopped.base));
	iommu_be_mute(&d.iommu, false);
	ring_wait(&d.ring, &id, &len);
	unmap_request(&d, &ask);
	iommu_end(&d.iommu);
}
