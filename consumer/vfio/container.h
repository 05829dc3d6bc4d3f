/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the VFIO consumer keeps of one container, and which file does what with it:
 *
 *	vfio.c		attach and detach, the ops
 *	layout.c	prepare, commit, abort: which maps come, stay and go
 *	type1.c		the container's ioctls, and what their errors mean
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
	uint64_t kept_by; /* the change that needs it as it is */
	int is_late;	  /* the IOMMU gets it when that which is in its place has gone */
	int is_gone;
};

/* What the container's IOMMU says of itself; changes as devices come and go. */
struct type1_range {
	uint64_t first, last;
};
struct type1_info {
	uint64_t page_size; /* the smallest */
	uint64_t nr_free;   /* maps that it takes still; UINT64_MAX: it does not say */
	struct type1_range *ranges;
	size_t nr_ranges; /* of usable addresses, sorted; 0: it does not say */
};

enum vfio_work { VFIO_WORK_PREPARE, VFIO_WORK_FREEZE };

struct vas_vfio {
	struct vas_consumer consumer; /* first: the ops cast */
	struct vas_consumer_ops ops;  /* with this one's name */
	char name[VAS_REGION_NAME_LEN];
	int container_fd;
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

	int *device_fds;
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
/* Whether all can be stopped: 0 or -EOPNOTSUPP. Stop the next one, as an op answers. */
int vas_vfio_devices_check(const struct vas_vfio *vfio);
int vas_vfio_devices_stop(struct vas_vfio *vfio);
/* Have all that were stopped go on. */
int vas_vfio_devices_resume(struct vas_vfio *vfio);

/* The container. Errors are told. */
int vas_type1_check(int container_fd);
int vas_type1_info(const struct vas_vfio *vfio, struct type1_info *info);
void vas_type1_info_clean(struct type1_info *info);
int vas_type1_check_region(const struct vas_vfio *vfio, const struct type1_info *info,
			   const struct vas_region *region);
int vas_type1_map(const struct vas_vfio *vfio, const struct vfio_map *map);
int vas_type1_unmap(const struct vas_vfio *vfio, const struct vfio_map *map);

#endif
