// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tests/consumer/vfio/edu.h"

#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/consumer/vfio/host_device.h"
#include "tests/harness.h"

/* Registers, and where its buffer is as it sees that. */
#define DMA_SOURCE	0x80
#define DMA_DESTINATION 0x88
#define DMA_COUNT	0x90
#define DMA_COMMAND	0x98
#define COMMAND_START	1u
#define COMMAND_TO_RAM	2u
#define BUFFER_AT	0x40000ull

void edu_find(int index, char *address, size_t size)
{
	host_device_find(0x1234, 0x11e8, index, address, size);
}

static struct vfio_region_info region_info(const struct edu *edu, uint32_t index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	CHECK_OK(ioctl(edu->device.device_fd, VFIO_DEVICE_GET_REGION_INFO, &info));
	return info;
}

static void map_registers(struct edu *edu)
{
	const struct vfio_region_info bar = region_info(edu, VFIO_PCI_BAR0_REGION_INDEX);

	edu->registers = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED,
			      edu->device.device_fd, (off_t)bar.offset);
	CHECK(edu->registers != MAP_FAILED);
}

static void allow_dma(const struct edu *edu)
{
	const struct vfio_region_info config = region_info(edu, VFIO_PCI_CONFIG_REGION_INDEX);
	const uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	CHECK_EQ(pwrite(edu->device.device_fd, &command, sizeof(command),
			(off_t)(config.offset + PCI_COMMAND)),
		 sizeof(command));
}

void edu_open(struct edu *edu, int index, int container_fd)
{
	char address[64];

	edu_find(index, address, sizeof(address));
	host_device_give(address);
	CHECK_OK(vas_vfio_device_open(address, container_fd, &edu->device));
	allow_dma(edu);
	map_registers(edu);
}

void edu_close(struct edu *edu)
{
	vas_vfio_device_close(&edu->device);
}

/* ---- transfers ----------------------------------------------------------------------------- */

static void start(const struct edu *edu, uint64_t from, uint64_t to, uint32_t len, uint32_t command)
{
	CHECK(len <= EDU_BUFFER);
	edu->registers[DMA_SOURCE / 8] = from;
	edu->registers[DMA_DESTINATION / 8] = to;
	edu->registers[DMA_COUNT / 8] = len;
	edu->registers[DMA_COMMAND / 8] = command;
}

void edu_start_read(const struct edu *edu, uint64_t iova, uint32_t len)
{
	start(edu, iova, BUFFER_AT, len, COMMAND_START);
}

void edu_start_write(const struct edu *edu, uint64_t iova, uint32_t len)
{
	start(edu, BUFFER_AT, iova, len, COMMAND_START | COMMAND_TO_RAM);
}

static int is_done(void *arg)
{
	const struct edu *edu = arg;

	return !(edu->registers[DMA_COMMAND / 8] & COMMAND_START);
}

void edu_wait(const struct edu *edu)
{
	test_wait(is_done, (void *)edu, TEST_HANG_MS);
}

void edu_read(const struct edu *edu, uint64_t iova, uint32_t len)
{
	edu_start_read(edu, iova, len);
	edu_wait(edu);
}

void edu_write(const struct edu *edu, uint64_t iova, uint32_t len)
{
	edu_start_write(edu, iova, len);
	edu_wait(edu);
}
