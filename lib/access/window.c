// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/access/window.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/handle/sigbus.h"

#define ALIGN (2ull << 20)

void *vas_reserve(uint64_t size)
{
	uint64_t excess;
	char *p;

	if (size > SIZE_MAX - ALIGN)
		return MAP_FAILED;
	p = mmap(NULL, size + ALIGN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return p;
	excess = -(uintptr_t)p & (ALIGN - 1);
	if (excess)
		munmap(p, excess);
	munmap(p + excess + size, ALIGN - excess);
	return p + excess;
}

bool vas_region_is_readonly(const struct vas *vas, const struct vas_region *region)
{
	if (region->flags & VAS_REGION_READONLY)
		return true;
	return !(region->flags & VAS_REGION_LOCAL) && vas->backings[region->backing].readonly;
}

static int prot_of(const struct vas *vas, const struct vas_region *region)
{
	if (vas->role == VAS_ROLE_OBSERVER || vas_region_is_readonly(vas, region))
		return PROT_READ;
	return PROT_READ | PROT_WRITE;
}

static void *map_file(const struct vas *vas, uint32_t backing, int prot, struct vas_extent extent,
		      void *hva)
{
	int flags = MAP_SHARED | MAP_NORESERVE | (hva ? MAP_FIXED : 0);
	void *p = mmap(hva, extent.size, prot, flags, vas->backings[backing].fd,
		       (off_t)extent.offset);

	if (p == MAP_FAILED)
		return p;
	if (vas->sb.features_optional & VAS_FEATURE_THP)
		madvise(p, extent.size, MADV_HUGEPAGE);
	if (!(vas->bind_flags & VAS_BIND_DUMP))
		madvise(p, extent.size, MADV_DONTDUMP);
	return p;
}

void *vas_map_backing(struct vas *vas, const struct vas_region *region, uint64_t offset,
		      uint64_t size, void *hva)
{
	struct vas_extent extent = { .offset = region->offset + offset, .size = size };

	return map_file(vas, region->backing, prot_of(vas, region), extent, hva);
}

/* ---- windows ------------------------------------------------------------------------------ */

static void *show_file(struct vas *vas, char *base, uint64_t gpa, uint64_t size)
{
	const struct vas_region all = { .size = vas->sb.ram_size };
	struct vas_extent extent = { .offset = gpa, .size = size };

	return map_file(vas, 0, prot_of(vas, &all), extent, base + gpa);
}

bool vas_window_can_show(const struct vas *vas)
{
	return vas->sb.ram_size == vas->sb.limit && vas->backings[0].fd >= 0;
}

struct window *vas_window_new(struct vas *vas)
{
	struct window *window = calloc(1, sizeof(*window));
	void *base;

	if (!window)
		return NULL;
	base = vas_reserve(vas->sb.limit);
	if (base == MAP_FAILED)
		goto err_free;
	window->refs = 1;
	window->base = base;
	window->size = vas->sb.limit;
	window->vas = vas;
	window->shows_file = vas_window_can_show(vas);
	if (window->shows_file && show_file(vas, base, 0, window->size) == MAP_FAILED)
		goto err_unmap;
	window->watch = vas_fault_watch(vas, base, window->size);
	if (window->watch < 0)
		goto err_unmap;
	return window;

err_unmap:
	munmap(base, vas->sb.limit);
err_free:
	free(window);
	return NULL;
}

void vas_window_put(struct window *window)
{
	if (!window || --window->refs)
		return;
	vas_fault_unwatch(window->watch);
	munmap(window->base, window->size);
	free(window);
}

bool vas_window_shows(const struct window *window, const struct vas_region *region)
{
	return window->shows_file && !(region->flags & VAS_REGION_LOCAL) && !region->backing &&
	       region->offset == region->gpa;
}

int vas_window_clear(struct window *window, uint64_t gpa, uint64_t size)
{
	if (window->shows_file)
		return show_file(window->vas, window->base, gpa, size) == MAP_FAILED;
	return mmap(window->base + gpa, size, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED;
}

/* ---- pieces ------------------------------------------------------------------------------- */

struct segment *vas_segment_new(struct vas *vas, struct window *window,
				const struct vas_region *region)
{
	struct segment *segment = calloc(1, sizeof(*segment));

	if (!segment)
		return NULL;
	segment->refs = 1;
	segment->gpa = region->gpa;
	segment->size = region->size;
	segment->hva = vas_map_backing(vas, region, 0, region->size,
				       window ? window->base + region->gpa : NULL);
	if (segment->hva == MAP_FAILED)
		goto err_free;
	if (window) {
		window->refs++;
		segment->window = window;
		return segment;
	}
	segment->watch = vas_fault_watch(vas, segment->hva, segment->size);
	if (segment->watch < 0)
		goto err_unmap;
	return segment;

err_unmap:
	munmap(segment->hva, segment->size);
err_free:
	free(segment);
	return NULL;
}

/* Nobody can be using the segment: what the window would show without it is there again. */
static void uncover(struct segment *segment)
{
	/* The last reference takes the whole window with it. */
	if (segment->window->refs > 1)
		vas_window_clear(segment->window, segment->gpa, segment->size);
	vas_window_put(segment->window);
}

void vas_segment_put(struct segment *segment)
{
	if (!segment || --segment->refs)
		return;
	if (segment->window) {
		uncover(segment);
	} else {
		vas_fault_unwatch(segment->watch);
		munmap(segment->hva, segment->size);
	}
	free(segment);
}
