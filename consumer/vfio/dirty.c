// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What devices have written, where the IOMMU notes it in its page table. A bit is a page, from the
 * beginning of a map on; the vas's log has words of 64 pages from gpa 0 on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "consumer/vfio/container.h"
#include "consumer/vfio/iommufd_abi.h"

#define WORD_PAGES 64u
#define WORD_BYTES (WORD_PAGES << VAS_PAGE_SHIFT) /* of guest memory */

int vas_vfio_dirty_switch(const struct vas_vfio *vfio, uint32_t table, int is_on)
{
	struct iommufd_dirty_switch arg = {
		.size = sizeof(arg),
		.is_on = (uint32_t)is_on,
		.table = table,
	};
	int err = vas_iommufd_call(vfio, IOMMUFD_DIRTY_SWITCH, &arg);

	return err ? vas_error_set(err, "%s: the IOMMU does not note what is written: %s",
				   vfio->name, strerror(-err)) :
		     0;
}

/* 64 pages from gpa on, which may lie in two words of the log. */
static void mark(struct vas *vas, uint64_t gpa, uint64_t bits)
{
	const uint64_t first = gpa & ~(uint64_t)(WORD_BYTES - 1);
	const unsigned int shift = (unsigned int)((gpa - first) >> VAS_PAGE_SHIFT);

	vas_mark_dirty_word(vas, first, bits << shift);
	if (shift && bits >> (WORD_PAGES - shift))
		vas_mark_dirty_word(vas, first + WORD_BYTES, bits >> (WORD_PAGES - shift));
}

static int collect_map(const struct vas_vfio *vfio, const struct vfio_map *map, uint64_t *bits)
{
	const uint64_t nr_words = (map->part.size + WORD_BYTES - 1) / WORD_BYTES;
	struct iommufd_dirty_get arg = {
		.size = sizeof(arg),
		.table = vfio->present.table,
		.iova = map->part.gpa,
		.len = map->part.size,
		.page_size = VAS_PAGE_SIZE,
		.bits = (uintptr_t)bits,
	};
	uint64_t i;
	int err;

	memset(bits, 0, nr_words * sizeof(*bits));
	err = vas_iommufd_call(vfio, IOMMUFD_DIRTY_GET, &arg);
	if (err)
		return vas_error_set(err,
				     "%s: the IOMMU does not tell what was written in [%#llx, "
				     "+%#llx): %s",
				     vfio->name, (unsigned long long)map->part.gpa,
				     (unsigned long long)map->part.size, strerror(-err));
	for (i = 0; i < nr_words; i++)
		if (bits[i])
			mark(vfio->consumer.vas, map->part.gpa + i * WORD_BYTES, bits[i]);
	return 0;
}

int vas_vfio_dirty_track(struct vas_consumer *consumer, uint64_t deadline_ns)
{
	struct vas_vfio *vfio = vfio_of(consumer);
	int err = vas_vfio_dirty_switch(vfio, vfio->present.table, 1);

	(void)deadline_ns;
	vfio->is_tracked = !err;
	return err;
}

void vas_vfio_dirty_untrack(struct vas_consumer *consumer)
{
	struct vas_vfio *vfio = vfio_of(consumer);

	vfio->is_tracked = 0;
	vas_vfio_dirty_switch(vfio, vfio->present.table, 0);
}

int vas_vfio_dirty_harvest(struct vas_consumer *consumer)
{
	struct vas_vfio *vfio = vfio_of(consumer);
	uint64_t *bits = malloc((vfio->granule / WORD_BYTES + 1) * sizeof(*bits));
	size_t i;
	int err = bits ? 0 : vas_error_set(-ENOMEM, "no memory for a dirty bitmap");

	for (i = 0; !err && i < vfio->nr; i++)
		if (!(vfio->maps[i].part.flags & VAS_REGION_READONLY) && !vfio->maps[i].is_late)
			err = collect_map(vfio, &vfio->maps[i], bits);
	free(bits);
	return err;
}
