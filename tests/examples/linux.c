// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * tinyvmm boots a stock Linux kernel, whose init works on a disk that threads of tinyvmm serve, and
 * checks what it reads (tests/vm/guest/disk_init.c); or speaks with an echo server of this process,
 * through the kernel's vhost-net and vhost-vsock (ethernet_init.c).
 */
#include <linux/vm_sockets.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "guest_disk.h"
#include "guest_network.h"

#define BUS	"/tmp/bus"
#define CHECKED 300

static struct program vmm;

static void work(const char *kernel, const char *cpus, const char *device)
{
	const char *argv[] = { path_of("TEST_TINYVMM"),
			       "--mem",
			       "160",
			       "--cpus",
			       cpus,
			       "--append",
			       path_of("TEST_APPEND"),
			       "--initrd",
			       path_of("TEST_INITRD"),
			       "--device",
			       device,
			       path_of(kernel),
			       NULL };

	make_disk();
	program_start(&vmm, argv);
	await_checked(&vmm, CHECKED);
	kill(vmm.pid, SIGTERM);
	CHECK_EQ(program_finish(&vmm), -SIGTERM);
}

TEST(a_kernel_that_is_an_elf_file_works_on_its_disk)
{
	work("TEST_VMLINUX", "1", "blk,path=" DISK);
	CHECK_HAS(vmm.text, "disk: 1 queues");
}

TEST(two_processors_have_a_queue_each)
{
	work("TEST_VMLINUX", "2", "blk,path=" DISK ",queues=2");
	CHECK_HAS(vmm.text, "disk: 2 queues");
}

TEST(a_kernel_that_is_a_bzimage_works_on_its_disk)
{
	work("TEST_BZIMAGE", "1", "blk,path=" DISK);
}

/* ---- a disk that another process serves ---------------------------------------------------- */

TEST(a_disk_on_the_bus_outlives_who_serves_it)
{
	static struct program device;
	const char *argv[] = { path_of("TEST_TINYVMM"),
			       "--mem",
			       "160",
			       "--append",
			       path_of("TEST_APPEND"),
			       "--initrd",
			       path_of("TEST_INITRD"),
			       "--serve",
			       BUS,
			       "--device",
			       "bus-blk,name=disk",
			       path_of("TEST_VMLINUX"),
			       NULL };
	int i;

	make_disk();
	program_start(&vmm, argv);
	serve_disk(&device, BUS);
	await_checked(&vmm, CHECKED);
	for (i = 0; i < 3; i++) {
		kill(device.pid, SIGKILL);
		CHECK_EQ(program_finish(&device), -SIGKILL);
		serve_disk(&device, BUS);
		await_checked(&vmm, nr_checked(&vmm) + CHECKED / 3);
	}
	kill(vmm.pid, SIGTERM);
	CHECK_EQ(program_finish(&vmm), -SIGTERM);
	kill(device.pid, SIGTERM);
	program_finish(&device);
}

/* ---- the kernel's own back ends ------------------------------------------------------------ */

static void has_spoken(void)
{
	CHECK_EQ(program_finish(&vmm), 0);
	CHECK(!strstr(vmm.text, "BROKEN"));
	CHECK_HAS(vmm.text, "ethernet: 5 pings answered");
	CHECK_HAS(vmm.text, "ethernet: 512 KiB came back");
	CHECK_HAS(vmm.text, "vsock: 512 KiB came back");
}

TEST(a_guest_speaks_with_the_host_through_its_kernel)
{
	const struct sockaddr_vm vsock = { .svm_family = AF_VSOCK,
					   .svm_cid = VMADDR_CID_ANY,
					   .svm_port = 7 };
	static int socks[2];
	char append[1024];
	const char *argv[] = { path_of("TEST_TINYVMM"),
			       "--mem",
			       "160",
			       "--append",
			       append,
			       "--initrd",
			       path_of("TEST_ETHERNET"),
			       "--device",
			       "vhost-net,tap=tap0",
			       "--device",
			       "vhost-vsock,cid=42",
			       path_of("TEST_VMLINUX"),
			       NULL };

	snprintf(append, sizeof(append), "%s vas_vsock=1", path_of("TEST_APPEND"));
	make_tap();
	serve(&tcp_echo, sizeof(tcp_echo), &socks[0]);
	serve(&vsock, sizeof(vsock), &socks[1]);
	program_start(&vmm, argv);
	has_spoken();
}

#define SOCKET	  "/tmp/console"
#define NR_SAID	  1000u
#define MAX_AGAIN 16u /* what Linux's hvc puts into a buffer */

static void start_console(struct program *device)
{
	const char *argv[] = { path_of("TEST_VAS"), "device",	"console",
			       "console",	    "--listen", SOCKET,
			       "--guest",	    BUS,	NULL };

	program_start(device, argv);
}

static int has_connected(void *fd)
{
	const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = SOCKET };

	return !connect(*(int *)fd, (const struct sockaddr *)&address, sizeof(address));
}

static int connect_console(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	test_wait(has_connected, &fd, TEST_HANG_MS);
	return fd;
}

/* The guest sends each byte back, plus one, until that is 0. */
static uint8_t answer(uint32_t i)
{
	return (uint8_t)(i % 255 + 1);
}

/* Of the talk before: how many bytes its server had passed on, and had not answered when it died. */
static uint32_t said_again(const uint8_t *heard)
{
	uint32_t nr = 0;

	while (nr < MAX_AGAIN && heard[nr] != answer(0))
		nr++;
	for (uint32_t i = 0; i < nr; i++)
		CHECK_EQ(heard[i], answer(NR_SAID - nr + i));
	return nr;
}

static void talk_by_console(void)
{
	uint8_t said[NR_SAID], heard[NR_SAID + MAX_AGAIN];
	int fd = connect_console();
	uint32_t again;

	for (uint32_t i = 0; i < NR_SAID; i++)
		said[i] = (uint8_t)(answer(i) - 1);
	CHECK_EQ(write(fd, said, NR_SAID), NR_SAID);
	CHECK_EQ(recv(fd, heard, NR_SAID, MSG_WAITALL), NR_SAID);
	again = said_again(heard);
	if (again) /* of no bytes it would wait, too */
		CHECK_EQ(recv(fd, heard + NR_SAID, again, MSG_WAITALL), again);
	for (uint32_t i = 0; i < NR_SAID; i++)
		CHECK_EQ(heard[again + i], answer(i));
	close(fd);
}

static void end_talk(void)
{
	int fd = connect_console();

	CHECK_EQ(write(fd, "\xff", 1), 1);
	program_await(&vmm, "console: 3000 bytes sent back");
	close(fd);
}

/* Killed and started again, its guest does not notice. */
static void console_outlives_its_server(struct program *device)
{
	for (int i = 0; i < 3; i++) {
		talk_by_console();
		kill(device->pid, SIGKILL);
		CHECK_EQ(program_finish(device), -SIGKILL);
		start_console(device);
	}
	end_talk();
}

/*
 * The same through processes on the bus; and random bytes, which the guest's kernel asks for; and a
 * console.
 */
TEST(a_guest_speaks_with_the_host_through_processes)
{
	const struct sockaddr_un vsock = { .sun_family = AF_UNIX, .sun_path = "/tmp/vsock_7" };
	static int socks[2];
	static struct program devices[3], console;
	char append[1024];
	const char *argv[] = { path_of("TEST_TINYVMM"),
			       "--mem",
			       "160",
			       "--append",
			       append,
			       "--initrd",
			       path_of("TEST_ETHERNET"),
			       "--serve",
			       BUS,
			       "--device",
			       "bus-net,name=net",
			       "--device",
			       "bus-vsock,name=vsock",
			       "--device",
			       "bus-rng,name=rng",
			       "--device",
			       "bus-console,name=console",
			       path_of("TEST_VMLINUX"),
			       NULL };
	const char *const of_device[][10] = {
		{ path_of("TEST_VAS"), "device", "net", "net", "--tap", "tap0", "--guest", BUS },
		{ path_of("TEST_VAS"), "device", "vsock", "vsock", "--guest-cid", "42",
		  "--uds-path", "/tmp/vsock", "--guest", BUS },
		{ path_of("TEST_VAS"), "device", "rng", "rng", "--guest", BUS },
	};

	snprintf(append, sizeof(append), "%s vas_vsock=1 vas_console=1", path_of("TEST_APPEND"));
	make_tap();
	serve(&tcp_echo, sizeof(tcp_echo), &socks[0]);
	serve(&vsock, sizeof(vsock), &socks[1]);
	unlink(BUS);
	program_start(&vmm, argv);
	test_wait(is_there, BUS, TEST_HANG_MS);
	for (int i = 0; i < 3; i++) {
		const char *words[11] = { 0 };

		memcpy(words, of_device[i], sizeof(of_device[i]));
		program_start(&devices[i], words);
	}
	start_console(&console);
	program_await(&vmm, "console: raw");
	console_outlives_its_server(&console);
	has_spoken();
	kill(console.pid, SIGTERM);
	program_finish(&console);
	for (int i = 0; i < 3; i++) {
		kill(devices[i].pid, SIGTERM);
		program_finish(&devices[i]);
	}
}
