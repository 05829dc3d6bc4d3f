// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A stock Linux guest of tinyvmm finds its virtio-iommu by tables of ACPI, and lets devices reach
 * what a request is about, and no longer than that (iommu.strict=1): threads of tinyvmm, or
 * processes on the bus, which die and are followed by others. What it reads is what it wrote
 * (tests/vm/guest/disk_init.c), and what it hears is what it said (net_init.c).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "guest_disk.h"
#include "guest_network.h"

#define CHECKED	 300
#define MORE	 100
#define STREAMED 20
#define STREAMS	 4 /* as many as net_init.c has */
#define DOOR	 "/tmp/door"
#define BUS	 "/tmp/bus"
#define NEXT_BUS "/tmp/bus2"

static struct program vmm, next, server;
static char append[1024];

static const char *strictly(void)
{
	snprintf(append, sizeof(append), "%s iommu.strict=1 iommu.passthrough=0",
		 path_of("TEST_APPEND"));
	return append;
}

/* A guest of so many processors, with this device, which works on it as initrd has it. */
static void boot(const char *cpus, const char *device, const char *initrd)
{
	const char *argv[] = { path_of("TEST_TINYVMM"),
			       "--iommu",
			       "--device",
			       device,
			       "--serve",
			       BUS,
			       "--migrate",
			       DOOR,
			       "--mem",
			       "160",
			       "--cpus",
			       cpus,
			       "--append",
			       strictly(),
			       "--initrd",
			       path_of(initrd),
			       path_of("TEST_VMLINUX"),
			       NULL };

	program_start(&vmm, argv);
}

static void end(struct program *program)
{
	kill(program->pid, SIGTERM);
	CHECK_EQ(program_finish(program), -SIGTERM);
}

static void end_server(void)
{
	kill(server.pid, SIGTERM);
	program_finish(&server);
}

static void kill_server(void)
{
	kill(server.pid, SIGKILL);
	CHECK_EQ(program_finish(&server), -SIGKILL);
}

/* What it could use there, it can use here, and nothing else. */
TEST(a_guest_moves_with_its_iommu)
{
	const char *argv[] = { path_of("TEST_TINYVMM"),
			       "--iommu",
			       "--device",
			       "blk,path=" DISK ",queues=2",
			       "--incoming",
			       DOOR,
			       NULL };

	make_disk();
	boot("2", "blk,path=" DISK ",queues=2", "TEST_INITRD");
	await_checked(&vmm, CHECKED);
	CHECK_HAS(vmm.text, "disk: behind an IOMMU, DMA\r\n");
	program_start(&next, argv);
	CHECK_EQ(program_finish(&vmm), 0);
	CHECK_HAS(vmm.text, "the guest has moved");
	await_checked(&next, nr_checked(&vmm) + MORE);
	end(&next);
}

/* Whoever serves the disk there asks anew what its iovas stand for. */
TEST(a_guest_moves_with_its_iommu_and_a_disk_on_the_bus)
{
	static struct program next_server;
	const char *argv[] = { path_of("TEST_TINYVMM"),
			       "--iommu",
			       "--device",
			       "bus-blk,name=disk",
			       "--serve",
			       NEXT_BUS,
			       "--incoming",
			       DOOR,
			       NULL };

	make_disk();
	unlink(BUS);
	unlink(NEXT_BUS);
	boot("1", "bus-blk,name=disk", "TEST_INITRD");
	serve_disk(&server, BUS);
	await_checked(&vmm, CHECKED);
	serve_disk(&next_server, NEXT_BUS);
	program_start(&next, argv);
	CHECK_EQ(program_finish(&vmm), 0);
	CHECK_HAS(vmm.text, "the guest has moved");
	await_checked(&next, nr_checked(&vmm) + MORE);
	end(&next);
	kill(next_server.pid, SIGTERM);
	program_finish(&next_server);
	program_finish(&server);
}

/* False: the guest has died, which it may under QEMU, as its machine (tests/vm/). */
static int is_refused(void)
{
	const char *argv[] = {
		path_of("TEST_TINYVMM"), "--device", "blk,path=" DISK, "--incoming", DOOR, NULL
	};

	make_disk();
	boot("1", "blk,path=" DISK, "TEST_INITRD");
	await_checked(&vmm, MORE);
	program_start(&next, argv);
	CHECK_EQ(program_finish(&next), 1);
	program_await(&vmm, "the guest stays here");
	if (strstr(vmm.text, "the guest stays here: canceled")) {
		CHECK_EQ(program_finish(&vmm), 0);
		return 0;
	}
	CHECK_HAS(next.text, "the guest has an IOMMU");
	await_checked(&vmm, nr_checked(&vmm) + MORE);
	end(&vmm);
	return 1;
}

TEST(a_guest_does_not_move_to_where_no_iommu_is)
{
	int tries = 1;

	for (; !is_refused(); tries++)
		CHECK(tries < 3);
}

TEST(a_disk_on_the_bus_outlives_who_serves_it)
{
	int i;

	make_disk();
	unlink(BUS);
	boot("1", "bus-blk,name=disk", "TEST_INITRD");
	serve_disk(&server, BUS);
	await_checked(&vmm, CHECKED);
	CHECK_HAS(vmm.text, "disk: behind an IOMMU, DMA\r\n");
	for (i = 0; i < 3; i++) {
		kill_server();
		serve_disk(&server, BUS);
		await_checked(&vmm, nr_checked(&vmm) + MORE);
	}
	end(&vmm);
	end_server();
}

static void serve_network(void)
{
	const char *argv[] = {
		path_of("TEST_VAS"), "device", "net", "net", "--tap", "tap0", "--wait",
		"--guest",	     BUS,      NULL
	};

	program_start(&server, argv);
}

static void has_streamed(void)
{
	await_progress(&vmm, "net", progress_of(&vmm, "net") + STREAMED);
}

TEST(a_network_on_the_bus_outlives_who_serves_it)
{
	int i;

	make_switched_tap(0, "10.0.0.1");
	set_up("tap0", 1);
	serve_streams(4711, STREAMS);
	unlink(BUS);
	boot("1", "bus-net,name=net", "TEST_NET");
	serve_network();
	program_await(&vmm, "net: pinged");
	CHECK_HAS(vmm.text, "net: behind an IOMMU, DMA\r\n");
	has_streamed();
	for (i = 0; i < 3; i++) {
		kill_server();
		serve_network();
		has_streamed();
	}
	end(&vmm);
	end_server();
}
