/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* /dev/vas_dma: have a device copy guest memory. The device is QEMU's "edu". */
#ifndef VAS_DMA_H
#define VAS_DMA_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VAS_DMA_MAX_LEN (1u << 20)

struct vas_dma_copy {
	__s32 vas_fd;
	__u32 len;
	__u64 from; /* gpa */
	__u64 to;   /* gpa */
};

/* Code: see <linux/vas.h>. */
#define VAS_DMA_COPY _IOW(0xe8, 0x30, struct vas_dma_copy)

#endif
