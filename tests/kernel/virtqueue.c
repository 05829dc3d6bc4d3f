// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "virtqueue.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/harness.h"

void virtqueue_init(struct virtqueue *q, char *ram, uint64_t gpa, uint32_t size)
{
	*q = (struct virtqueue){ .ram = ram, .size = size, .desc_gpa = gpa };
	q->avail_gpa = gpa + size * sizeof(struct vring_desc);
	q->used_gpa = (q->avail_gpa + 6 + size * 2 + 4095) & ~4095ull;
	q->desc = (struct vring_desc *)(ram + q->desc_gpa);
	q->avail = (struct vring_avail *)(ram + q->avail_gpa);
	q->used = (struct vring_used *)(ram + q->used_gpa);
	memset(q->desc, 0, q->used_gpa + 4096 + size * 8 - gpa);
	q->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	q->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	q->err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK(q->kick >= 0 && q->call >= 0 && q->err >= 0);
}

static void fill(struct vring_desc *desc, const struct part *part, int more, uint16_t next)
{
	desc->addr = part->gpa;
	desc->len = part->len;
	desc->flags = (part->in ? VRING_DESC_F_WRITE : 0) | (more ? VRING_DESC_F_NEXT : 0);
	desc->next = more ? next : 0;
}

static uint16_t take_desc(struct virtqueue *q)
{
	return q->next_desc++ % q->size;
}

static uint16_t add_direct(struct virtqueue *q, const struct part *parts, int nr)
{
	uint16_t head = q->next_desc % q->size;

	for (int i = 0; i < nr; i++) {
		uint16_t at = take_desc(q);

		fill(&q->desc[at], &parts[i], i + 1 < nr, q->next_desc % q->size);
	}
	return head;
}

static uint16_t add_indirect(struct virtqueue *q, const struct part *parts, int nr, uint64_t table)
{
	struct vring_desc *inner = (struct vring_desc *)(q->ram + table);
	uint16_t head = take_desc(q);

	for (int i = 0; i < nr; i++)
		fill(&inner[i], &parts[i], i + 1 < nr, (uint16_t)(i + 1));
	q->desc[head] = (struct vring_desc){ .addr = q->iova + table,
					     .len = (uint32_t)nr * sizeof(*inner),
					     .flags = VRING_DESC_F_INDIRECT };
	return head;
}

uint16_t virtqueue_add(struct virtqueue *q, const struct part *parts, int nr, uint64_t table)
{
	uint16_t head = table ? add_indirect(q, parts, nr, table) : add_direct(q, parts, nr);
	uint16_t idx = q->avail->idx;

	q->avail->ring[idx % q->size] = head;
	__atomic_store_n(&q->avail->idx, (uint16_t)(idx + 1), __ATOMIC_SEQ_CST);
	return head;
}

void virtqueue_kick(struct virtqueue *q)
{
	uint64_t one = 1;

	CHECK_EQ(write(q->kick, &one, sizeof(one)), sizeof(one));
}

static int came(int fd, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	uint64_t count;

	return poll(&poll_fd, 1, timeout_ms) == 1 && read(fd, &count, sizeof(count)) == 8;
}

int virtqueue_wait(struct virtqueue *q, struct vring_used_elem *elem, int timeout_ms)
{
	/* With EVENT_IDX: tell of the very next one. */
	__atomic_store_n(&q->avail->ring[q->size], q->seen, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&q->used->idx, __ATOMIC_ACQUIRE) == q->seen)
		if (!came(q->call, timeout_ms))
			return 0;
	*elem = q->used->ring[q->seen++ % q->size];
	return 1;
}

int virtqueue_is_broken(struct virtqueue *q, int timeout_ms)
{
	return came(q->err, timeout_ms);
}
