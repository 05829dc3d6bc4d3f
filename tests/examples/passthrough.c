// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * tinyvmm gives a physical device of the machine to its guest, a stock Linux kernel with its own
 * driver for it (tests/vm/guest: nvme_init.c, ethernet_init.c).
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/consumer/vfio/host_device.h"
#include "tests/harness.h"
#include "program.h"

static struct program vmm;

static void boot(unsigned int vendor, unsigned int id, const char *initrd, const char *words)
{
	char address[64], device[96], append[1024];
	const char *argv[] = { path_of("TEST_TINYVMM"),
			       "--mem",
			       "192",
			       "--append",
			       append,
			       "--initrd",
			       path_of(initrd),
			       "--device",
			       device,
			       path_of("TEST_VMLINUX"),
			       NULL };

	host_device_find(vendor, id, 0, address, sizeof(address));
	host_device_give(address);
	snprintf(device, sizeof(device), "vfio,host=%s", address);
	snprintf(append, sizeof(append), "%s %s", path_of("TEST_APPEND"), words);
	program_start(&vmm, argv);
	CHECK_EQ(program_finish(&vmm), 0);
	CHECK(!strstr(vmm.text, "BROKEN"));
}

TEST(a_guest_formats_an_nvme_disk_and_verifies_what_it_writes)
{
	boot(0x1b36, 0x0010, "TEST_NVME", "");
	CHECK_HAS(vmm.text, "nvme: interrupts by MSI");
	CHECK_HAS(vmm.text, "nvme: verified 8 MiB");
}

TEST(the_same_with_interrupts_by_a_line)
{
	boot(0x1b36, 0x0010, "TEST_NVME", "pci=nomsi");
	CHECK_HAS(vmm.text, "nvme: interrupts by a line");
	CHECK_HAS(vmm.text, "nvme: verified 8 MiB");
}

TEST(a_guest_pings_and_transfers_with_an_ethernet_device)
{
	boot(0x8086, 0x10d3, "TEST_ETHERNET", "");
	CHECK_HAS(vmm.text, "ethernet: 5 pings answered");
	CHECK_HAS(vmm.text, "ethernet: 512 KiB came back");
}
