/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Views: what one generation looks like in this process: docs/design/translation.md. All functions
 * are called with vas->lock held.
 */
#ifndef VAS_LIB_VIEW_H
#define VAS_LIB_VIEW_H

#include "lib/handle/handle.h"
#include "lib/handle/generation.h"

struct window;

/*
 * A region's own map: over the window, or, without one, wherever there was room. Shared by views.
 */
struct segment {
	uint32_t refs;
	struct window *window; /* NULL: a map by itself */
	char *hva;
	uint64_t size;
	uint64_t gpa;
	int watch; /* without a window */
};

/* Address space for all of [0, limit), 2 MiB aligned. */
struct window {
	uint32_t refs; /* views and segments */
	char *base;
	uint64_t size;
	int shows_file; /* offset = gpa: the file is mapped under the segments */
	int watch;
	struct vas *vas;
};

struct view {
	struct vas_view head;
	struct view *next; /* retired */
	struct vas_state state;
	struct region_set *set;
	struct window *window;	   /* NULL: sorted map only */
	struct segment **segments; /* per region; NULL: none needed, or out of reach */
	uint64_t nr_maps;	   /* that it takes in this process */
	struct vas_region_map map;
	uint8_t *presence;
};

/* The view that the caller's section is in. */
static inline const struct view *vas_view_of(const struct vas *vas)
{
	/* head is the first member, so that inlined code gets by with less. */
	return (const struct view *)__atomic_load_n(&vas->head.view, __ATOMIC_ACQUIRE);
}

/* Bring vas->view up to date with the generation that now holds. */
int vas_view_refresh(struct vas *vas);

/* Build a view anew although the generation is the same: a backing's fd is there now. */
int vas_view_rebuild(struct vas *vas);

/* Map all that the newest view shows once more, over itself: 0, or some of it could not be. */
int vas_view_remap(struct vas *vas);

/* Free the retired views that no section of this process can be in. */
void vas_view_reap(struct vas *vas);

/* Free all of them: nobody is in a call. */
void vas_view_free_all(struct vas *vas);

/*
 * Map part of a region's backing at hva (MAP_FIXED), or anywhere if NULL: the address or
 * MAP_FAILED.
 */
void *vas_map_backing(struct vas *vas, const struct vas_region *region, uint64_t offset,
		      uint64_t size, void *hva);

/* 2 MiB-aligned address space without access, or MAP_FAILED. */
void *vas_reserve(uint64_t size);

#endif
