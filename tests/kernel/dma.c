// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas_dma.ko: a device reads and writes guest memory. It takes 0.1 s a transfer, so there are few. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/harness_hugetlb.h"
#include "control.h"
#include "device.h"
#include "kernel/modules/dma/vas_dma.h"

#define MIB  (1ull << 20)
#define PAGE 4096ull

static int dma_open(void)
{
	int dma = open("/dev/vas_dma", O_RDWR | O_CLOEXEC);

	if (dma < 0)
		test_skip("no /dev/vas_dma: vas_dma.ko is not loaded, or there is no edu device");
	return dma;
}

static int dma_copy(int dma, struct vas *vas, uint64_t from, uint64_t to, uint32_t len)
{
	struct vas_dma_copy copy = { .vas_fd = vas_fd(vas), .len = len, .from = from, .to = to };

	return ioctl(dma, VAS_DMA_COPY, &copy) ? -errno : 0;
}

static void copies(struct vas *vas, uint64_t from, uint64_t to, uint32_t len)
{
	uint8_t wrote[8 * PAGE], read[8 * PAGE];
	int dma = dma_open();

	for (uint32_t i = 0; i < len; i++)
		wrote[i] = (uint8_t)(i * 11 + (i >> 8) + from);
	CHECK_OK(vas_write(vas, from, wrote, len, NULL));
	CHECK_OK(vas_fill(vas, to - 1, 0xcc, len + 2, NULL));
	CHECK_OK(dma_copy(dma, vas, from, to, len));
	CHECK_OK(vas_read(vas, to, read, len, NULL));
	CHECK_MEM(read, wrote, len);
	CHECK_OK(vas_read(vas, to - 1, read, 1, NULL));
	CHECK_EQ(read[0], 0xcc);
	CHECK_OK(vas_read(vas, to + len, read, 1, NULL));
	CHECK_EQ(read[0], 0xcc);
	close(dma);
}

TEST(a_device_copies_guest_memory)
{
	struct vas *vas;

	close(dma_open());
	vas = device_vas(64 * MIB, MIB, 0);
	copies(vas, 0, MIB / 2, 2 * PAGE);
	copies(vas, 5 * PAGE - 3, 20 * PAGE + 99, PAGE + 7);
}

TEST(a_device_copies_hugetlb)
{
	close(dma_open());
	hugetlb_require(8);
	copies(device_vas(8 * MIB, 4 * MIB, VAS_CREATE_HUGETLB), 2 * MIB - PAGE, PAGE, 2 * PAGE);
}

TEST(what_a_device_writes_is_dirty)
{
	struct control c;
	struct vas *vas;
	int dma = dma_open();

	vas = device_vas(64 * MIB, MIB, 0);
	c = control_open(vas_fd(vas));
	control_flags(&c, VAS_STATE_TRACKING);
	CHECK_OK(dma_copy(dma, vas, 0, 7 * PAGE - 1, 2));
	CHECK(control_is_dirty(&c, 6 * PAGE) && control_is_dirty(&c, 7 * PAGE));
	CHECK_EQ(control_nr_dirty(&c), 2);
}

TEST(a_device_is_kept_out_of_holes_and_rom)
{
	struct vas_region rom = {
		.gpa = 2 * MIB, .size = PAGE, .offset = 2 * MIB, .flags = VAS_REGION_READONLY
	};
	int dma = dma_open();
	struct vas *vas;
	uint64_t id;

	vas = device_vas(64 * MIB, MIB, 0);
	CHECK_OK(vas_region_add(vas, &rom, &id));
	CHECK_EQ(dma_copy(dma, vas, MIB - 1, 0, 2), -EFAULT);
	CHECK_EQ(dma_copy(dma, vas, 0, MIB - 1, 2), -EFAULT);
	CHECK_EQ(dma_copy(dma, vas, 0, 2 * MIB, 2), -EACCES);
	CHECK_EQ(dma_copy(dma, vas, 0, 0, 0), -EINVAL);
	CHECK_OK(dma_copy(dma, vas, 2 * MIB, 0, 2));
}

#define DRIVER "/sys/bus/pci/drivers/vas_dma"

static void find_device(char address[16])
{
	DIR *folder = opendir(DRIVER);
	struct dirent *entry;

	CHECK(folder);
	do {
		entry = readdir(folder);
		CHECK(entry);
	} while (strncmp(entry->d_name, "0000:", 5));
	snprintf(address, 16, "%.15s", entry->d_name);
	closedir(folder);
}

static void tell_driver(const char *file, const char *address)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, address, strlen(address)), strlen(address));
	close(fd);
}

TEST(a_device_may_go_while_its_file_is_open)
{
	int dma = dma_open(), again;
	char address[16];
	struct vas *vas;

	vas = device_vas(64 * MIB, MIB, 0);
	find_device(address);
	tell_driver(DRIVER "/unbind", address);
	CHECK_EQ(dma_copy(dma, vas, 0, PAGE, 2), -ENODEV);
	tell_driver(DRIVER "/bind", address);
	/* That is another one. */
	CHECK_EQ(dma_copy(dma, vas, 0, PAGE, 2), -ENODEV);
	again = dma_open();
	CHECK_OK(dma_copy(again, vas, 0, PAGE, 2));
	close(dma);
	CHECK_OK(dma_copy(again, vas, 0, PAGE, 2));
}
