/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the VFIO consumer keeps of one container, or one iommufd, and which file does what with it:
 *
 *	vfio.c		attach and detach, the ops
 *	layout.c	prepare, commit, abort: which maps come, stay and go
 *	limits.c	what an IOMMU or a limit does not allow, in words
 *	type1.c		a container's ioctls
 *	iommufd.c	an iommufd's: address spaces, page tables, who is attached to them
 *	dirty.c		what devices have written, by an iommufd's page table
 *	migration.c	stopping devices, by their migration state
 *	device.c	opening a PCI device
 *
 * All of it is used under the vas's change lock alone.
 */
#ifndef CONSUMER_VFIO_CONTAINER_H
#define CONSUMER_VFIO_CONTAINER_H

#include <stddef.h>

#include <vas/vfio.h>

#include "consumer/file_map.h"

/* What the IOMMU has as one map, and unmaps as one. */
struct vfio_map {
	struct vas_region part; /* of a region: its bytes; the name is the region's */
	struct vas_file_map memory;
	uint64_t kept_by;  /* the change that needs it as it is */
	uint64_t going_by; /* the change that takes it away */
	int is_late;	   /* the IOMMU gets it when that which is in its place has gone */
	int is_gone;
};

/* What the IOMMU says of itself; changes as devices come and go. */
struct iommu_range {
	uint64_t first, last;
};
struct vfio_iommu_info {
	uint64_t page_size; /* the smallest */
	uint64_t nr_free;   /* maps that it takes still; UINT64_MAX: it does not say */
	struct iommu_range *ranges;
	size_t nr_ranges; /* of usable addresses, sorted; 0: it does not say */
};

struct vas_vfio;

/*
 * How maps come to an IOMMU. Errors are told. All of `next` is NULL where devices cannot be moved
 * from one address space to another.
 */
struct vfio_iommu_ops {
	int (*info)(const struct vas_vfio *vfio, struct vfio_iommu_info *info);
	/* Have map->memory, if need be, and map it; unmap it, and let go of that. */
	int (*map)(struct vas_vfio *vfio, struct vfio_map *map);
	int (*unmap)(struct vas_vfio *vfio, struct vfio_map *map);
	/*
	 * A second address space: begin, map what it shares with the first, and all else by map();
	 * then devices move to it, and the first is gone; or it is dropped.
	 */
	int (*next_begin)(struct vas_vfio *vfio);
	int (*next_share)(struct vas_vfio *vfio, const struct vfio_map *map);
	int (*next_enter)(struct vas_vfio *vfio);
	void (*next_drop)(struct vas_vfio *vfio);
};

/* An iommufd's: an address space (IOAS), and the page table of devices in it (HWPT). 0: none. */
struct vfio_space {
	uint32_t space, table;
};

enum vfio_work { VFIO_WORK_PREPARE, VFIO_WORK_FREEZE };

struct vas_vfio {
	struct vas_consumer consumer; /* first: the ops cast */
	struct vas_consumer_ops ops;  /* with this one's name */
	char name[VAS_REGION_NAME_LEN];
	const struct vfio_iommu_ops *iommu;
	int container_fd; /* or an iommufd */
	uint64_t granule;
	int wake_fd; /* readable: there is more to do */
	struct vas_file_maps *file_maps;

	struct vfio_map *maps; /* in the IOMMU, sorted by gpa */
	size_t nr, room;

	/* A change, from prepare to commit or abort. */
	uint64_t change;	  /* its number */
	struct vfio_map *pending; /* what it brings, sorted by gpa */
	size_t nr_pending, pending_room;
	size_t nr_mapped; /* of those, how many the IOMMU has, or will have late */

	/* The change moves the devices to an address space that has the new layout. */
	int is_moving, has_moved;
	size_t nr_shared; /* maps that were looked at, to be in both */
	struct vfio_space present, next;
	int has_dirty, is_tracked; /* the page tables tell what was written; and are to */

	int *device_fds;
	uint32_t *device_ids; /* an iommufd's names for them */
	uint32_t nr_devices;
	uint32_t nr_stopped; /* of those, the first */
	int is_frozen;	     /* all are to be, or are being, stopped */
	enum vfio_work work; /* what is under way */
};

static inline struct vas_vfio *vfio_of(struct vas_consumer *consumer)
{
	return (struct vas_vfio *)consumer;
}

/* No device uses any map. */
static inline int vfio_is_stopped(const struct vas_vfio *vfio)
{
	return vfio->is_frozen && vfio->nr_stopped == vfio->nr_devices;
}

static inline uint64_t vfio_map_end(const struct vfio_map *map)
{
	return map->part.gpa + map->part.size;
}

int vas_vfio_layout_prepare(struct vas_consumer *consumer, const struct vas_delta *delta,
			    uint64_t deadline_ns);
int vas_vfio_layout_commit(struct vas_consumer *consumer, const struct vas_delta *delta);
void vas_vfio_layout_abort(struct vas_consumer *consumer, const struct vas_delta *delta);
int vas_vfio_layout_retry(struct vas_consumer *consumer);
/* Map the next of what is pending: as an op answers. */
int vas_vfio_layout_go_on(struct vas_vfio *vfio);

/* A part is done and there is more: remember what of, and be called again. */
int vas_vfio_under_way(struct vas_vfio *vfio, enum vfio_work work);

int vas_vfio_devices_init(struct vas_vfio *vfio, const struct vas_vfio_options *options);
void vas_vfio_devices_clean(struct vas_vfio *vfio);
/* Whether all can be stopped: else the consumer is UNSTOPPABLE. */
void vas_vfio_devices_look(struct vas_vfio *vfio);
/* Stop the next one, as an op answers. */
int vas_vfio_devices_stop(struct vas_vfio *vfio);
/* Have all that were stopped go on. */
int vas_vfio_devices_resume(struct vas_vfio *vfio);

/* One more device; the fd is duplicated. And the last one less. */
int vas_vfio_devices_add(struct vas_vfio *vfio, int device_fd, uint32_t device_id);
void vas_vfio_devices_drop(struct vas_vfio *vfio);

/* What a region or a map cannot have, in words. */
int vas_vfio_check_region(const struct vas_vfio *vfio, const struct vfio_iommu_info *info,
			  const struct vas_region *region);
int vas_vfio_map_error(const struct vas_vfio *vfio, const struct vfio_map *map, int err);
int vas_vfio_unmap_error(const struct vas_vfio *vfio, const struct vfio_map *map, int err);
void vas_vfio_info_clean(struct vfio_iommu_info *info);

extern const struct vfio_iommu_ops vas_type1_ops;
int vas_type1_check(int container_fd);

extern const struct vfio_iommu_ops vas_iommufd_ops;
int vas_fd_is_iommufd(int fd);
/* Its address space, and all devices in it. */
int vas_iommufd_open(struct vas_vfio *vfio);
void vas_iommufd_close(struct vas_vfio *vfio);
/* One more device into the present address space. */
int vas_iommufd_enter(struct vas_vfio *vfio, int device_fd);
int vas_iommufd_call(const struct vas_vfio *vfio, unsigned long request, void *arg);

int vas_vfio_dirty_track(struct vas_consumer *consumer, uint64_t deadline_ns);
void vas_vfio_dirty_untrack(struct vas_consumer *consumer);
int vas_vfio_dirty_harvest(struct vas_consumer *consumer);
/* For a page table that takes the place of the present one. */
int vas_vfio_dirty_switch(const struct vas_vfio *vfio, uint32_t table, int is_on);

#endif
