// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tests/core/packed_driver.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/harness.h"

#define AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED  (1u << VRING_PACKED_DESC_F_USED)

static void *zalloc(size_t size)
{
	void *memory = calloc(1, size);

	CHECK(memory);
	return memory;
}

/* As the round before the one that begins at index 0 has left it: used. */
static void reset_flags(struct packed_driver *d)
{
	for (uint32_t i = 0; i < d->size; i++)
		d->desc[i].flags = (i < d->avail) == d->avail_wrap ? AVAIL | USED : 0;
}

void packed_driver_init(struct packed_driver *d, char *ram, uint32_t size, uint16_t index,
			bool wrap)
{
	*d = (struct packed_driver){
		.ram = ram,
		.size = size,
		.desc = zalloc(size * sizeof(*d->desc)),
		.driver = zalloc(sizeof(*d->driver)),
		.device = zalloc(sizeof(*d->device)),
		.avail = index,
		.used = index,
		.avail_wrap = wrap,
		.used_wrap = wrap,
		.nr_free = size,
		.nr_descs = zalloc(size * sizeof(*d->nr_descs)),
		.ids = zalloc(size * sizeof(*d->ids)),
		.kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	CHECK(d->kick >= 0 && d->call >= 0);
	reset_flags(d);
}

void packed_driver_clean(struct packed_driver *d)
{
	free(d->desc);
	free(d->driver);
	free(d->device);
	free(d->nr_descs);
	free(d->ids);
	close(d->kick);
	close(d->call);
}

static uint16_t unused_id(struct packed_driver *d)
{
	uint32_t id = d->nr_added * 7 % d->size;

	while (d->nr_descs[id])
		id = (id + 1) % d->size;
	return (uint16_t)id;
}

static uint16_t part_flags(const struct part *part)
{
	return part->in ? VRING_DESC_F_WRITE : 0;
}

static void advance(const struct packed_driver *d, uint32_t *index, bool *wrap, uint32_t nr)
{
	*index += nr;
	if (*index >= d->size) {
		*index -= d->size;
		*wrap = !*wrap;
	}
}

static void add_direct(struct packed_driver *d, const struct part *parts, uint32_t nr, uint16_t id)
{
	uint32_t first = d->avail;
	uint16_t first_flags = 0;

	for (uint32_t i = 0; i < nr; i++) {
		struct vring_packed_desc *desc = &d->desc[d->avail];
		uint16_t flags = part_flags(&parts[i]) | (d->avail_wrap ? AVAIL : USED) |
				 (i + 1 < nr ? VRING_DESC_F_NEXT : 0);

		desc->addr = parts[i].gpa;
		desc->len = parts[i].len;
		desc->id = i + 1 < nr ? 0xffff : id; /* only the last one's counts */
		if (i)
			__atomic_store_n(&desc->flags, flags, __ATOMIC_RELAXED);
		else
			first_flags = flags;
		advance(d, &d->avail, &d->avail_wrap, 1);
	}
	__atomic_store_n(&d->desc[first].flags, first_flags, __ATOMIC_RELEASE);
}

static void add_indirect(struct packed_driver *d, const struct part *parts, uint32_t nr,
			 uint64_t table, uint16_t id)
{
	struct vring_packed_desc *inner = (struct vring_packed_desc *)(d->ram + table);
	uint32_t first = d->avail;
	uint16_t flags = VRING_DESC_F_INDIRECT | (d->avail_wrap ? AVAIL : USED);

	for (uint32_t i = 0; i < nr; i++)
		inner[i] = (struct vring_packed_desc){
			.addr = parts[i].gpa,
			.len = parts[i].len,
			.flags = part_flags(&parts[i]),
		};
	d->desc[first].addr = d->iova + table;
	d->desc[first].len = nr * (uint32_t)sizeof(*inner);
	d->desc[first].id = id;
	advance(d, &d->avail, &d->avail_wrap, 1);
	__atomic_store_n(&d->desc[first].flags, flags, __ATOMIC_RELEASE);
}

uint16_t packed_driver_add(struct packed_driver *d, const struct part *parts, uint32_t nr,
			   uint64_t table)
{
	uint32_t nr_descs = table ? 1 : nr;
	uint16_t id;

	CHECK(nr && d->nr_free >= nr_descs);
	id = unused_id(d);
	d->ids[d->nr_added++ % d->size] = id;
	d->nr_free -= nr_descs;
	d->nr_descs[id] = (uint16_t)nr_descs;
	if (table)
		add_indirect(d, parts, nr, table, id);
	else
		add_direct(d, parts, nr, id);
	return id;
}

static bool is_used(const struct packed_driver *d)
{
	uint16_t flags = __atomic_load_n(&d->desc[d->used].flags, __ATOMIC_ACQUIRE);

	return !!(flags & AVAIL) == d->used_wrap && !!(flags & USED) == d->used_wrap;
}

static void free_chain(struct packed_driver *d, uint16_t id)
{
	CHECK(id < d->size && d->nr_descs[id]);
	advance(d, &d->used, &d->used_wrap, d->nr_descs[id]);
	d->nr_free += d->nr_descs[id];
	d->nr_descs[id] = 0;
	d->nr_answered++;
}

bool packed_driver_get(struct packed_driver *d, uint16_t *id, uint32_t *len)
{
	const struct vring_packed_desc *desc = &d->desc[d->used];

	if (!is_used(d))
		return false;
	*id = desc->id;
	*len = desc->len;
	CHECK_EQ(!!(desc->flags & VRING_DESC_F_WRITE), !!*len);
	free_chain(d, *id);
	return true;
}

uint32_t packed_driver_get_in_order(struct packed_driver *d)
{
	uint16_t last = d->desc[d->used].id, id;
	uint32_t nr = 0;

	if (!is_used(d))
		return 0;
	do {
		id = d->ids[d->nr_answered % d->size];
		free_chain(d, id);
		nr++;
	} while (id != last);
	return nr;
}

bool packed_driver_must_kick(struct packed_driver *d, uint32_t nr)
{
	uint16_t flags, off_wrap;
	int64_t event;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	flags = __atomic_load_n(&d->device->flags, __ATOMIC_ACQUIRE);
	if (flags != VRING_PACKED_EVENT_FLAG_DESC)
		return flags == VRING_PACKED_EVENT_FLAG_ENABLE;
	off_wrap = __atomic_load_n(&d->device->off_wrap, __ATOMIC_RELAXED);
	event = off_wrap & 0x7fff;
	if (off_wrap >> VRING_PACKED_EVENT_F_WRAP_CTR != d->avail_wrap)
		event -= d->size;
	return event < d->avail && event >= (int64_t)d->avail - nr;
}

bool packed_driver_enable_interrupt(struct packed_driver *d)
{
	uint16_t off_wrap = (uint16_t)(d->used | d->used_wrap << VRING_PACKED_EVENT_F_WRAP_CTR);

	__atomic_store_n(&d->driver->off_wrap, off_wrap, __ATOMIC_RELAXED);
	__atomic_store_n(&d->driver->flags, VRING_PACKED_EVENT_FLAG_DESC, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return is_used(d);
}
