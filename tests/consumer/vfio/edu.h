/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* QEMU's device "edu", opened by VFIO: it copies up to 4095 bytes between its buffer and an iova. */
#ifndef TESTS_CONSUMER_VFIO_EDU_H
#define TESTS_CONSUMER_VFIO_EDU_H

#include <vas/vfio.h>

#define EDU_BUFFER 4000u

struct edu {
	struct vas_vfio_device device;
	volatile uint64_t *registers; /* it takes addresses as a whole only */
};

/* The index-th edu's PCI address; skips the case if the machine has none, or no IOMMU. */
void edu_find(int index, char *address, size_t size);
/* Given to vfio-pci, opened (in that container, if it is not -1), and allowed to do DMA. */
void edu_open(struct edu *edu, int index, int container_fd);
void edu_close(struct edu *edu);

/* Start a transfer; it takes 0.1 s. Wait for its end. */
void edu_start_read(const struct edu *edu, uint64_t iova, uint32_t len);
void edu_start_write(const struct edu *edu, uint64_t iova, uint32_t len);
void edu_wait(const struct edu *edu);
/* Both in one. */
void edu_read(const struct edu *edu, uint64_t iova, uint32_t len);
void edu_write(const struct edu *edu, uint64_t iova, uint32_t len);

#endif
