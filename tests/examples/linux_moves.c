// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A stock Linux guest goes from one tinyvmm to the next while it works on its disk and checks what
 * it reads (tests/vm/guest/disk_init.c): one that a process on the bus serves, which the next
 * tinyvmm has a process of its own for, or one that threads of tinyvmm serve. Or while it talks
 * over its network, and checks what it hears (net_init.c).
 */
#include <signal.h>
#include <stdlib.h>

#include "guest_disk.h"
#include "guest_network.h"

#define NR_HOSTS 4
#define CHECKED	 300
#define MORE	 100

struct host {
	char bus[32], door[32]; /* sockets: of devices, and where the guest leaves */
	struct program vmm, device;
};

static struct host hosts[NR_HOSTS];

static void host_init(int nr)
{
	struct host *host = &hosts[nr];

	snprintf(host->bus, sizeof(host->bus), "/tmp/bus%d", nr);
	snprintf(host->door, sizeof(host->door), "/tmp/door%d", nr);
}

/* The first one boots the guest, of this initramfs; each other has it from the one before. */
static void start_guest(int nr, const char *device, const char *initrd)
{
	struct host *host = &hosts[nr];
	const char *argv[16] = { path_of("TEST_TINYVMM"), "--migrate", host->door };
	int i = 3;

	host_init(nr);
	if (device) {
		argv[i++] = "--serve";
		argv[i++] = host->bus;
		argv[i++] = "--device";
		argv[i++] = device;
	}
	if (nr) {
		argv[i++] = "--incoming";
		argv[i] = hosts[nr - 1].door;
	} else {
		argv[i++] = "--mem";
		argv[i++] = "160";
		argv[i++] = "--append";
		argv[i++] = path_of("TEST_APPEND");
		argv[i++] = "--initrd";
		argv[i++] = path_of(initrd);
		argv[i] = path_of("TEST_VMLINUX");
	}
	program_start(&host->vmm, argv);
}

static void start_vmm(int nr, const char *device)
{
	start_guest(nr, device, "TEST_INITRD");
}

/* It is there before. */
static void start_device(int nr)
{
	host_init(nr);
	serve_disk(&hosts[nr].device, hosts[nr].bus);
}

static void has_left_vmm(struct program *from)
{
	CHECK_EQ(program_finish(from), 0);
	CHECK_HAS(from->text, "the guest has moved");
	CHECK(!strstr(from->text, "BROKEN"));
}

/* What it has checked counts on. */
static void has_moved(int nr)
{
	struct program *from = &hosts[nr - 1].vmm;

	has_left_vmm(from);
	await_checked(&hosts[nr].vmm, nr_checked(from) + MORE);
}

static void kill_vmm(int nr)
{
	kill(hosts[nr].vmm.pid, SIGTERM);
	CHECK_EQ(program_finish(&hosts[nr].vmm), -SIGTERM);
}

/* One that takes two seconds to stop, on a busy machine, is killed by its VMM. */
static void has_left(int status, int was_killed)
{
	CHECK(status == -SIGKILL || (!status && !was_killed));
}

/*
 * The second time its device dies just before, with requests in flight: they are done where the
 * guest comes to. The third time it would come to no disk: it stays, and goes on.
 */
TEST(a_guest_moves_with_a_disk_on_the_bus)
{
	int nr;

	make_disk();
	start_device(0);
	start_vmm(0, "bus-blk,name=disk");
	await_checked(&hosts[0].vmm, CHECKED);
	for (nr = 1; nr < NR_HOSTS - 1; nr++) {
		struct program *device = &hosts[nr - 1].device;

		if (nr == 2)
			kill(device->pid, SIGKILL);
		start_device(nr);
		start_vmm(nr, "bus-blk,name=disk");
		has_moved(nr);
		has_left(program_finish(device), nr == 2);
	}
	start_vmm(nr, NULL);
	CHECK_EQ(program_finish(&hosts[nr].vmm), 1);
	CHECK_HAS(hosts[nr].vmm.text, "the guest has devices in other slots");
	program_await(&hosts[nr - 1].vmm, "the guest stays here");
	await_checked(&hosts[nr - 1].vmm, nr_checked(&hosts[nr - 1].vmm) + MORE);
	kill_vmm(nr - 1);
	kill(hosts[nr - 1].device.pid, SIGTERM);
	program_finish(&hosts[nr - 1].device);
}

/* By another binary, and back: the one before ends by itself; the guest sees a stall at most. */
TEST(a_device_is_upgraded_while_a_guest_works)
{
	const char *vas[] = { path_of("TEST_VAS"), path_of("TEST_VAS_NEXT") };
	struct program *vmm = &hosts[0].vmm;
	static struct program devices[2];
	int i;

	make_disk();
	start_vmm(0, "bus-blk,name=disk");
	serve_disk(&devices[0], hosts[0].bus);
	await_checked(vmm, CHECKED);
	for (i = 1; i <= 6; i++) {
		struct program *old = &devices[(i - 1) % 2], *next = &devices[i % 2];

		serve_disk_by(vas[i % 2], next, hosts[0].bus, "--take-over");
		CHECK_EQ(program_finish(old), 0);
		CHECK_HAS(old->text, "another process takes over");
		await_checked(vmm, nr_checked(vmm) + MORE);
	}
	kill_vmm(0);
	kill(devices[0].pid, SIGTERM);
	program_finish(&devices[0]);
}

TEST(a_guest_moves_with_a_disk_of_the_vmms)
{
	make_disk();
	start_vmm(0, "blk,path=" DISK);
	await_checked(&hosts[0].vmm, CHECKED);
	start_vmm(1, "blk,path=" DISK);
	has_moved(1);
	kill_vmm(1);
}

/* ---- a network ---------------------------------------------------------------------------- */

#define STREAMED 20
#define STREAMS	 4

/* Each VMM's device has a tap of its own; the gateway is behind the one that is up. */
static void switch_to(int nr)
{
	char name[IFNAMSIZ];

	for (int i = 0; i < NR_HOSTS; i++) {
		snprintf(name, sizeof(name), "tap%d", i);
		set_up(name, i == nr);
	}
}

static void start_network(int nr)
{
	struct host *host = &hosts[nr];
	char tap[IFNAMSIZ];
	const char *argv[] = { path_of("TEST_VAS"), "device",  "net", "net", "--tap", tap, "--wait",
			       "--guest",	    host->bus, NULL };

	host_init(nr);
	snprintf(tap, sizeof(tap), "tap%d", nr);
	program_start(&host->device, argv);
}

static void has_streamed(int nr)
{
	struct program *vmm = &hosts[nr].vmm;

	await_progress(vmm, "net", progress_of(vmm, "net") + STREAMED);
}

/* The streams go on, and no byte of them is another one. */
TEST(a_guest_moves_with_a_network_on_the_bus)
{
	int nr, status;

	for (nr = 0; nr < NR_HOSTS; nr++)
		make_switched_tap(nr, "10.0.0.1");
	serve_streams(4711, STREAMS); /* as many as net_init.c has */
	switch_to(0);
	start_network(0);
	start_guest(0, "bus-net,name=net", "TEST_NET");
	has_streamed(0);
	for (nr = 1; nr < NR_HOSTS; nr++) {
		start_network(nr);
		start_guest(nr, "bus-net,name=net", NULL);
		has_left_vmm(&hosts[nr - 1].vmm);
		switch_to(nr);
		has_streamed(nr);
		status = program_finish(&hosts[nr - 1].device);
		has_left(status, 0);
	}
	kill_vmm(nr - 1);
	kill(hosts[nr - 1].device.pid, SIGTERM);
	program_finish(&hosts[nr - 1].device);
}
