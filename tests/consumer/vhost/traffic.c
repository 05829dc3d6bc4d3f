// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tests/consumer/vhost/traffic.h"

#include <fcntl.h>
#include <linux/vhost.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t add(struct vas *vas, uint64_t gpa, uint64_t size, const char *name)
{
	struct vas_region region = { .gpa = gpa, .size = size, .offset = gpa };
	uint64_t id;

	strncpy(region.name, name, sizeof(region.name) - 1);
	CHECK_OK(vas_region_add(vas, &region, &id));
	return id;
}

void traffic_open(struct traffic *t, enum vas_vhost_kind kind)
{
	const struct vas_options options = { .limit = 4 * GIB, .name = "traffic" };
	const char *path = kind == VAS_VHOST_NET ? "/dev/vhost-net" : "/dev/vhost-vsock";
	int i;

	memset(t, 0, sizeof(*t));
	t->fd = open(path, O_RDWR | O_CLOEXEC);
	if (t->fd < 0)
		test_skip("%s cannot be opened: %s", path, strerror(errno));
	CHECK_OK(vas_create(&options, &t->vas));
	t->rings_id = add(t->vas, 0, RINGS, "rings");
	add(t->vas, BUFFERS, 6 * MIB, "buffers");
	t->ram = mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, vas_fd(t->vas), 0);
	CHECK(t->ram != MAP_FAILED);
	for (i = 0; i < VAS_VHOST_QUEUES; i++)
		virtqueue_init(&t->queues[i], t->ram, 4 * PAGE * (uint64_t)(i + 1), 64);
	CHECK_OK(vas_vhost_attach(t->vas, t->fd, kind, NULL, &t->vhost));
}

void traffic_start(struct traffic *t, uint64_t features, int backend, const uint32_t *bases)
{
	struct vas_vhost_queue queues[VAS_VHOST_QUEUES];
	unsigned int i;

	for (i = 0; i < VAS_VHOST_QUEUES; i++) {
		const struct virtqueue *q = &t->queues[i];
		const struct vhost_vring_file err = { i, q->err };

		CHECK_OK(ioctl(t->fd, VHOST_SET_VRING_ERR, &err));
		queues[i] = (struct vas_vhost_queue){ .size = q->size,
						      .base = bases ? bases[i] : 0,
						      .desc = q->desc_gpa,
						      .avail = q->avail_gpa,
						      .used = q->used_gpa,
						      .kick_fd = q->kick,
						      .call_fd = q->call,
						      .backend_fd = backend };
	}
	CHECK_OK(vas_vhost_start(t->vhost, features, queues));
}

void traffic_close(struct traffic *t)
{
	vas_vhost_detach(t->vhost);
	close(t->fd);
	vas_destroy(t->vas);
}

void traffic_offer(struct traffic *t, int queue, uint64_t gpa, uint32_t len)
{
	const struct part part = { gpa, len, queue == RX };

	virtqueue_add(&t->queues[queue], &part, 1, 0);
	virtqueue_kick(&t->queues[queue]);
}

uint32_t traffic_wait(struct traffic *t, int queue)
{
	struct vring_used_elem elem;

	CHECK(virtqueue_wait(&t->queues[queue], &elem, TEST_HANG_MS));
	return elem.len;
}
