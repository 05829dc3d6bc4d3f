/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Pass a vas to devices that a VFIO container (type 1) or an iommufd (/dev/iommu) holds:
 * guest-physical addresses become the addresses that the devices use, kept in step with every later
 * change of the layout. A region that is read-only is so for the devices, too; regions that are a
 * device's (VAS_REGION_DEVICE) are not mapped.
 *
 *	gpa	0            128 MiB       256 MiB    300 MiB
 *		|  one map      |  one map     |  map   |
 *		+---------------+--------------+--------+
 *	grows:	                                        |  a further map
 *	shrinks:                               x  at the border of two maps, or not at all
 *
 * The IOMMU has memory as maps of one granule at most. What stays of a region that grows or shrinks
 * stays mapped all the time: no DMA fails because something else changed.
 *
 * A change of the layout is refused, with a sentence that says why and names the device, if
 *
 *	-ERANGE		the IOMMU has no such addresses, or reserves them: x86's interrupts, say
 *	-ENOMEM		RLIMIT_MEMLOCK allows no more pinned memory; or there is none
 *	-ENOSPC		type 1 takes no more maps: dma_entry_limit
 *	-EEXIST		of type 1: other bytes are mapped there: a map that a device may be using
 *			cannot be replaced or cut. Remove the region, then add it; or shrink it at
 *			the border of two maps; or freeze the vas first. Or the VMM has mapped
 *			something in this container itself
 *	-EINVAL		not a multiple of the IOMMU's pages
 *
 * An iommufd's devices are moved to another address space for such a change, one after the other,
 * without a gap; they share the pages that stay. It maps memfds by their offsets, from kernel 6.13
 * on, and needs no address in this process for them.
 *
 * Devices hold all memory in place, so none can come lazily or be discarded while they are
 * attached. What they write is known if an iommufd's IOMMU notes it; else all memory is dirty in
 * each epoch of a tracker. A freeze
 * stops those that have a migration state (VFIO_DEVICE_FEATURE_MIGRATION); with any other it is
 * refused (-EOPNOTSUPP), and with it migration and snapshots, until vas_vfio_detach(). What a
 * device's own state is, the VMM saves.
 */
#ifndef VAS_VFIO_H
#define VAS_VFIO_H

#include <vas/consumer.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vas_vfio;

#define VAS_VFIO_GRANULE_DEFAULT (128ull << 20)

struct vas_vfio_options {
	const char *name;    /* whom errors and vas_info name; NULL: "vfio" */
	uint64_t granule;    /* the largest map, a power of two of pages; 0: the default */
	uint64_t timeout_ns; /* for attaching; 0: as long as it takes */
	/*
	 * All devices of the container, to be stopped for a freeze, by their migration state. The
	 * fds are duplicated. Without them, or if one has no such state, a freeze is refused. Of an
	 * iommufd they are the devices that are to have the memory, at least one, with its names
	 * for them: all behind one IOMMU.
	 */
	const int *device_fds;
	uint32_t nr_device_fds;
	uint32_t reserved0;
	const uint32_t *device_ids; /* as many; NULL for a container */
	uint64_t reserved[2];
};

/*
 * Attach the vas (this handle must own it) to a container of this process, whose IOMMU has been set
 * (VFIO_SET_IOMMU), or to an iommufd with devices that are bound to it: either as after
 * vas_vfio_device_open(). All memory is allocated and pinned before it
 * returns. options may be NULL. *vfio is freed by vas_vfio_detach(), which comes before
 * vas_unbind(); the container's fd is duplicated.
 *
 * -EINVAL: not a container, or without its IOMMU, or options; -EPERM: not the owner; -EBUSY: lazy
 * pages are not all filled, or the timeout; -EOPNOTSUPP: frozen, without a state; else as a change,
 * above. After an error nothing is attached.
 */
VAS_API int vas_vfio_attach(struct vas *vas, int container_fd,
			    const struct vas_vfio_options *options, struct vas_vfio **vfio);

/*
 * Unmap all, and give the memory free. A device that goes on has its accesses refused by the IOMMU.
 * All that it might have written is marked, if the vas is tracked. NULL is allowed.
 */
VAS_API void vas_vfio_detach(struct vas_vfio *vfio);

/* The consumer that it is. */
VAS_API struct vas_consumer *vas_vfio_consumer(struct vas_vfio *vfio);

/* A PCI device that was opened: the caller's to use, and to close with vas_vfio_device_close(). */
struct vas_vfio_device {
	int container_fd; /* or an iommufd */
	int group_fd;	  /* -1: of an iommufd */
	int device_fd;
	uint32_t device_id;		/* the iommufd's name for it */
	char name[VAS_REGION_NAME_LEN]; /* its address */
};

/*
 * Open a PCI device by its address ("0000:00:04.0"), which the administrator has given to vfio-pci.
 * Where the kernel has /dev/iommu and gives the device a file of its own, it is bound to a new
 * iommufd; else its group is put into a new container with an IOMMU of type 1. If container_fd is
 * not -1, it is that iommufd or container, which is duplicated. A group can be opened once, and so
 * can a device. Configuration space, BARs and
 * interrupts are the caller's business, by the ioctls of <linux/vfio.h> on device_fd.
 *
 * -EINVAL: not an address; -ENODEV: there is no such device, or no IOMMU, or vfio-pci has not got
 * it, which vas_error() tells apart; -EBUSY: its group has a device with another driver, or is open
 * already; else as open() and the ioctls.
 */
VAS_API int vas_vfio_device_open(const char *address, int container_fd,
				 struct vas_vfio_device *device);
VAS_API void vas_vfio_device_close(struct vas_vfio_device *device);

/*
 * A further device, of the same container or iommufd, gets the memory of an attached vas, and is to
 * be stopped for a freeze as well. It is the caller's still. -EINVAL: it is behind another IOMMU,
 * or reserves addresses that the layout has; -EAGAIN: frozen; -ENOMEM; else as vas_layout_begin().
 */
VAS_API int vas_vfio_device_add(struct vas_vfio *vfio, const struct vas_vfio_device *device);

#ifdef __cplusplus
}
#endif

#endif
