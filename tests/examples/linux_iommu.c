// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A stock Linux guest of tinyvmm finds its virtio-iommu by tables of ACPI, and lets devices reach
 * what a request is about, and no longer than that (iommu.strict=1): what it reads is what it wrote
 * (tests/vm/guest/disk_init.c).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "guest_disk.h"

#define CHECKED 300
#define MORE	100
#define DOOR	"/tmp/door"

static struct program vmm, next;
static char append[1024];

/* It boots a guest, or has it from the tinyvmm at DOOR. */
static void start(struct program *program, const char *cpus, const char *device, int is_next)
{
	const char *argv[20] = { path_of("TEST_TINYVMM"), "--iommu", "--device", device };
	int i = 4;

	if (is_next) {
		argv[i++] = "--incoming";
		argv[i] = DOOR;
		program_start(program, argv);
		return;
	}
	snprintf(append, sizeof(append), "%s iommu.strict=1 iommu.passthrough=0",
		 path_of("TEST_APPEND"));
	argv[i++] = "--migrate";
	argv[i++] = DOOR;
	argv[i++] = "--mem";
	argv[i++] = "160";
	argv[i++] = "--cpus";
	argv[i++] = cpus;
	argv[i++] = "--append";
	argv[i++] = append;
	argv[i++] = "--initrd";
	argv[i++] = path_of("TEST_INITRD");
	argv[i] = path_of("TEST_VMLINUX");
	program_start(program, argv);
}

static void end(struct program *program)
{
	kill(program->pid, SIGTERM);
	CHECK_EQ(program_finish(program), -SIGTERM);
}

/* What it could use there, it can use here, and nothing else. */
TEST(a_guest_moves_with_its_iommu)
{
	make_disk();
	start(&vmm, "2", "blk,path=" DISK ",queues=2", 0);
	await_checked(&vmm, CHECKED);
	CHECK_HAS(vmm.text, "disk: behind an IOMMU, DMA\r\n");
	start(&next, NULL, "blk,path=" DISK ",queues=2", 1);
	CHECK_EQ(program_finish(&vmm), 0);
	CHECK_HAS(vmm.text, "the guest has moved");
	await_checked(&next, nr_checked(&vmm) + MORE);
	end(&next);
}
