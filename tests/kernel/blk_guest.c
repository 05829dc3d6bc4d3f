// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "blk_guest.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

int blk_open(struct guest *g, uint64_t features)
{
	struct vas_blk_open arg = {
		.vas_fd = vas_fd(g->vas),
		.file_fd = g->file,
		.features = features,
		.capacity = g->capacity,
		.id = "vas_blk test",
	};

	return ioctl(g->blk, VAS_BLK_OPEN, &arg) ? -errno : 0;
}

int queue_start(struct guest *g, uint32_t base)
{
	struct vas_queue_start arg = {
		.index = 0,
		.size = g->q.size,
		.parts = { g->q.desc_gpa, g->q.avail_gpa, g->q.used_gpa },
		.kick_fd = g->q.kick,
		.call_fd = g->q.call,
		.err_fd = g->q.err,
		.base = base,
	};

	return ioctl(g->blk, VAS_BLK_START, &arg) ? -errno : 0;
}

struct vas_queue_stopped queue_stop(struct guest *g)
{
	struct vas_queue_stopped stopped = { .index = 0 };

	CHECK_OK(ioctl(g->blk, VAS_BLK_STOP, &stopped));
	return stopped;
}

void guest_init(struct guest *g, uint64_t features)
{
	*g = (struct guest){ .capacity = CAPACITY };
	g->blk = open("/dev/vas_blk", O_RDWR | O_CLOEXEC);
	if (g->blk < 0)
		test_skip("no /dev/vas_blk: vas_blk.ko is not loaded");
	g->vas = device_vas(64 * MIB, RAM, 0);
	g->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, vas_fd(g->vas), 0);
	CHECK(g->ram != MAP_FAILED);
	g->file = memfd_create("disk", MFD_CLOEXEC);
	CHECK_OK(ftruncate(g->file, CAPACITY));
	virtqueue_init(&g->q, g->ram, QUEUE, SIZE);
	CHECK_OK(blk_open(g, features));
	CHECK_OK(queue_start(g, 0));
}

void put_header(struct guest *g, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr *header = (struct virtio_blk_outhdr *)(g->ram + HEADER);

	*header = (struct virtio_blk_outhdr){ .type = type, .sector = sector };
	g->ram[STATUS] = 0x7f;
}

int request(struct guest *g, uint32_t type, uint64_t sector, struct part data, uint64_t table,
	    uint32_t *written)
{
	struct part parts[] = { { HEADER, 16, 0 }, data, { STATUS, 1, 1 } };
	struct vring_used_elem elem;
	uint16_t head;

	put_header(g, type, sector);
	if (!data.len)
		parts[1] = parts[2];
	head = virtqueue_add(&g->q, parts, data.len ? 3 : 2, table);
	virtqueue_kick(&g->q);
	CHECK(virtqueue_wait(&g->q, &elem, TEST_HANG_MS));
	CHECK_EQ(elem.id, head);
	if (written)
		*written = elem.len;
	return (uint8_t)g->ram[STATUS];
}
