/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What of /dev/iommu and of VFIO's devices in it is used here. Systems whose headers are older than
 * that are built on, and run on newer kernels.
 */
#ifndef CONSUMER_VFIO_IOMMUFD_ABI_H
#define CONSUMER_VFIO_IOMMUFD_ABI_H

#include <linux/ioctl.h>
#include <linux/vfio.h>
#include <stdint.h>

#define IOMMUFD_CALL(nr) _IO(';', 0x80 + (nr))

/* All begin with their size. */
struct iommufd_destroy {
	uint32_t size, id;
};
#define IOMMUFD_DESTROY IOMMUFD_CALL(0)

struct iommufd_space_alloc {
	uint32_t size, flags, space;
};
#define IOMMUFD_SPACE_ALLOC IOMMUFD_CALL(1)

struct iommufd_share {
	uint32_t size, flags, to_space, from_space;
	uint64_t len, to_iova, from_iova;
};
#define IOMMUFD_SHARE IOMMUFD_CALL(3)

struct iommufd_iova_range {
	uint64_t first, last;
};

struct iommufd_ranges {
	uint32_t size, space, nr, reserved;
	uint64_t ranges; /* address of nr */
	uint64_t alignment;
};
#define IOMMUFD_RANGES IOMMUFD_CALL(4)

#define IOMMUFD_MAP_FIXED 1u
#define IOMMUFD_MAP_WRITE 2u
#define IOMMUFD_MAP_READ  4u

struct iommufd_map {
	uint32_t size, flags, space, reserved;
	uint64_t address, len, iova;
};
#define IOMMUFD_MAP IOMMUFD_CALL(5)

struct iommufd_unmap {
	uint32_t size, space;
	uint64_t iova, len;
};
#define IOMMUFD_UNMAP IOMMUFD_CALL(6)

#define IOMMUFD_TABLE_DIRTY 2u /* only of an IOMMU that notes what was written */

struct iommufd_table_alloc {
	uint32_t size, flags, device, space, table, reserved;
	uint32_t data_type, data_len;
	uint64_t data;
	uint32_t fault, reserved2;
};
#define IOMMUFD_TABLE_ALLOC IOMMUFD_CALL(9)

struct iommufd_dirty_switch {
	uint32_t size, is_on, table, reserved;
};
#define IOMMUFD_DIRTY_SWITCH IOMMUFD_CALL(11)

struct iommufd_dirty_get {
	uint32_t size, table, flags, reserved;
	uint64_t iova, len, page_size;
	uint64_t bits; /* address of them, which are set, not cleared */
};
#define IOMMUFD_DIRTY_GET IOMMUFD_CALL(12)

/* Of a memfd; since 6.13. */
struct iommufd_map_file {
	uint32_t size, flags, space;
	int32_t fd;
	uint64_t offset, len, iova;
};
#define IOMMUFD_MAP_FILE IOMMUFD_CALL(15)

/* Of a device's fd. */
struct vfio_device_bind {
	uint32_t size, flags;
	int32_t iommufd;
	uint32_t device;
};
#define VFIO_DEVICE_BIND _IO(VFIO_TYPE, VFIO_BASE + 18)

struct vfio_device_enter {
	uint32_t size, flags, table;
};
#define VFIO_DEVICE_ENTER _IO(VFIO_TYPE, VFIO_BASE + 19)

struct vfio_device_exit {
	uint32_t size, flags;
};
#define VFIO_DEVICE_EXIT _IO(VFIO_TYPE, VFIO_BASE + 20)

#endif
