/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Process addresses for the memory behind regions: what KVM, vhost and VFIO's type 1 are given. One
 * mapping of each whole file, shared by all consumers of a vas in this process, where the address
 * space has room for it: then adding or removing a region costs no mmap, and 32,000 regions are one
 * VMA. Else one a region. Addresses are congruent to the file's offsets modulo 2 MiB, or the file's
 * page size if that is larger, so that large pages can be used wherever gpa and offset allow it.
 * What a region has by itself (local memory, a device's) is where its owner has it.
 *
 * A mapping lives as long as somebody uses it. Lazy memory is fetched by whoever
 * touches it there: vas_lazy_register().
 */
#ifndef BIND_FILE_MAP_H
#define BIND_FILE_MAP_H

#include <vas/vas.h>

/* The mappings of one vas: the same for everyone who asks. */
struct vas_file_maps;

/* How a region's memory came to be at its hva. */
enum vas_file_map_kind {
	FILE_MAP_NONE,	/* the region has an address of its own */
	FILE_MAP_WHOLE, /* part of the mapping of the whole backing */
	FILE_MAP_ALONE, /* a mapping of its own */
};

/* For one who writes wherever it has an address: a region's file cannot be written through it. */
#define FILE_MAP_READONLY 1u

struct vas_file_map {
	char *hva;
	uint64_t size;
	enum vas_file_map_kind kind;
	uint32_t backing;
};

/*
 * From any thread. -ENOMEM, or as vas_info(). Each get is followed by a put, while the vas is
 * there.
 */
int vas_file_maps_get(struct vas *vas, struct vas_file_maps **maps);
void vas_file_maps_put(struct vas_file_maps *maps);

/*
 * Memory for a region, until it is put back. flags: FILE_MAP_READONLY or 0. -ENXIO: the fd of its
 * backing is not there; -EPERM: pages are to come and cannot be caught; else as mmap().
 */
int vas_file_map_get(struct vas_file_maps *maps, const struct vas_region *region, uint32_t flags,
		     struct vas_file_map *map);
void vas_file_map_put(struct vas_file_maps *maps, const struct vas_file_map *map);

#endif
