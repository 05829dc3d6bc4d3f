// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Devices on the bus are plugged into a stock Linux guest of tinyvmm's and out of it while it runs,
 * behind root ports, by nothing but the kernel's own driver for those
 * (tests/vm/guest/plug_init.c). TEST_PLUGS: how often (20).
 */
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "guest_disk.h"
#include "guest_network.h"

#define MORE	200
#define NO_WAIT "240" /* seconds: a hang */

struct host {
	char bus[32], door[32], monitor[32]; /* sockets */
	struct program vmm;
};

static struct host hosts[2];
static struct program disk, network;

/* ---- the VMM ------------------------------------------------------------------------------ */

static void host_start(int nr, const char *device)
{
	struct host *host = &hosts[nr];
	const char *argv[24] = { path_of("TEST_TINYVMM"), "--ports", "2" };
	int i = 3;

	snprintf(host->bus, sizeof(host->bus), "/tmp/bus%d", nr);
	snprintf(host->door, sizeof(host->door), "/tmp/door%d", nr);
	snprintf(host->monitor, sizeof(host->monitor), "/tmp/monitor%d", nr);
	argv[i++] = "--serve", argv[i++] = host->bus;
	argv[i++] = "--monitor", argv[i++] = host->monitor;
	argv[i++] = "--migrate", argv[i++] = host->door;
	if (device)
		argv[i++] = "--device", argv[i++] = device;
	if (nr) {
		argv[i++] = "--incoming", argv[i] = hosts[nr - 1].door;
	} else {
		argv[i++] = "--mem", argv[i++] = "160";
		argv[i++] = "--append", argv[i++] = path_of("TEST_APPEND");
		argv[i++] = "--initrd", argv[i++] = path_of("TEST_PLUG");
		argv[i] = path_of("TEST_VMLINUX");
	}
	program_start(&host->vmm, argv);
}

static void host_boot(void)
{
	make_disk();
	host_start(0, NULL);
	program_await(&hosts[0].vmm, "plug: ready");
}

static void host_end(int nr)
{
	CHECK(!strstr(hosts[nr].vmm.text, "BROKEN"));
	kill(hosts[nr].vmm.pid, SIGTERM);
	CHECK_EQ(program_finish(&hosts[nr].vmm), -SIGTERM);
}

/* The answer. What the guest says is heard meanwhile: it stands when nobody takes that. */
static const char *command(int nr, const char *format, ...)
{
	static char answer[256];
	struct program *vmm = &hosts[nr].vmm;
	struct pollfd fds[] = {
		{ .fd = vmm_connect(hosts[nr].monitor), .events = POLLIN },
		{ .fd = vmm->out, .events = POLLIN },
	};
	va_list args;
	ssize_t len;

	va_start(args, format);
	CHECK(vdprintf(fds[0].fd, format, args) > 0);
	va_end(args);
	while (!fds[0].revents) {
		CHECK_OK(poll(fds, 2, TEST_HANG_MS));
		if (fds[1].revents)
			CHECK(program_read(vmm));
	}
	len = recv(fds[0].fd, answer, sizeof(answer) - 1, MSG_WAITALL);
	CHECK_OK(len);
	answer[len] = '\0';
	close(fds[0].fd);
	return answer;
}

/* ---- what the guest says ------------------------------------------------------------------ */

/* Until it has said so once more than it had; what it has said before is forgotten. */
static void await_next(int nr, const char *text)
{
	struct program *vmm = &hosts[nr].vmm;
	char *at;

	program_await(vmm, text);
	CHECK(!strstr(vmm->text, "BROKEN"));
	at = strstr(vmm->text, text) + strlen(text);
	vmm->len -= (size_t)(at - vmm->text);
	memmove(vmm->text, at, vmm->len + 1);
}

static void await_work(int nr, unsigned long more)
{
	struct program *vmm = &hosts[nr].vmm;

	await_progress(vmm, "plug: vda", progress_of(vmm, "plug: vda") + more);
	CHECK(!strstr(vmm->text, "vda has gone"));
}

/* ---- a device ----------------------------------------------------------------------------- */

/* The slot; its server is there before it. If nobody offers, what that has said is told. */
static int plug(int nr, struct program *server, const char *device)
{
	const char *answer = command(nr, "plug %s %s\n", device, NO_WAIT);
	int slot = 0;

	if (sscanf(answer, "done: slot %d\n", &slot) != 1)
		while (program_read(server))
			;
	CHECK_HAS(answer, "done: slot ");
	return slot;
}

/* ---- a disk ------------------------------------------------------------------------------- */

static void plug_disk(int nr)
{
	serve_disk(&disk, hosts[nr].bus);
	CHECK_EQ(plug(nr, &disk, "bus-blk,name=disk"), 30);
	await_next(nr, "plug: vda has come");
	await_work(nr, MORE);
}

/* The guest is at work on it, and lets go; who serves it is told. */
static void unplug_disk(int nr)
{
	CHECK_STR(command(nr, "unplug disk %s\n", NO_WAIT), "done\n");
	await_next(nr, "plug: vda has gone");
	CHECK_EQ(program_finish(&disk), 0);
}

static void kill_disk(void)
{
	kill(disk.pid, SIGKILL);
	CHECK_EQ(program_finish(&disk), -SIGKILL);
}

static int nr_plugs(void)
{
	const char *text = getenv("TEST_PLUGS");

	return text ? atoi(text) : 20;
}

/* Each time it finds what it wrote the last time. Now and then who serves it is killed. */
TEST(a_disk_comes_and_goes_while_the_guest_runs)
{
	const int nr = nr_plugs();

	host_boot();
	for (int i = 0; i < nr; i++) {
		plug_disk(0);
		if (i % 4 == 1) {
			kill_disk();
			serve_disk(&disk, hosts[0].bus);
			await_work(0, MORE);
		}
		unplug_disk(0);
	}
	CHECK_STR(command(0, "unplug disk\n"), "error: there is no device disk\n");
	host_end(0);
}

/* Nobody serves it, so the guest cannot let go: it stays, and goes on with the next server. */
TEST(a_disk_stays_that_the_guest_cannot_let_go_of)
{
	const char *answer;

	host_boot();
	plug_disk(0);
	answer = command(0, "unplug disk 1\n");
	CHECK_STR(answer, "error: the guest has not let go of disk, in slot 30, within 1000 ms: it "
			  "stays\n");
	await_work(0, MORE);
	kill_disk();
	answer = command(0, "unplug disk 1\n");
	CHECK_HAS(answer, "error: the guest has not let go of disk");
	serve_disk(&disk, hosts[0].bus);
	await_work(0, MORE);
	unplug_disk(0);
	host_end(0);
}

TEST(a_device_that_nobody_serves_does_not_come)
{
	const char *answer;

	host_boot();
	answer = command(0, "plug bus-blk,name=disk 1\n");
	CHECK_STR(answer, "error: nobody has offered to serve disk\n");
	answer = command(0, "plug bus-blk,name=disk,slot=3 1\n");
	CHECK_STR(answer, "error: there is no root port in slot 3\n");
	plug_disk(0);
	unplug_disk(0);
	host_end(0);
}

/* ---- a network ---------------------------------------------------------------------------- */

static void plug_network(int nr)
{
	const char *argv[] = {
		path_of("TEST_VAS"), "device",	    "net", "net", "--tap", "tap0", "--wait",
		"--guest",	     hosts[nr].bus, NULL
	};

	program_start(&network, argv);
	CHECK_EQ(plug(nr, &network, "bus-net,name=net"), 31);
	await_next(nr, "plug: eth0 has come");
	await_next(nr, "ethernet: 5 pings answered");
}

/* Beside a disk, which is at work; the second time it is pulled out. */
TEST(a_network_comes_and_goes_while_the_guest_works)
{
	static const char *const commands[] = { "unplug net " NO_WAIT "\n", "remove net\n" };

	make_tap();
	host_boot();
	plug_disk(0);
	for (int i = 0; i < 2; i++) {
		plug_network(0);
		CHECK_STR(command(0, "%s", commands[i]), "done\n");
		await_next(0, "plug: eth0 has gone");
		CHECK_EQ(program_finish(&network), 0);
		await_work(0, MORE);
	}
	unplug_disk(0);
	host_end(0);
}

/* ---- elsewhere ---------------------------------------------------------------------------- */

/* It moves with a disk that was plugged, and lets go of it there; another one comes. */
TEST(a_guest_moves_with_a_disk_that_was_plugged)
{
	static struct program before;

	host_boot();
	plug_disk(0);
	before = disk;
	snprintf(hosts[1].bus, sizeof(hosts[1].bus), "/tmp/bus1");
	serve_disk(&disk, hosts[1].bus);
	host_start(1, "bus-blk,name=disk,slot=30");
	CHECK_EQ(program_finish(&hosts[0].vmm), 0);
	CHECK_HAS(hosts[0].vmm.text, "the guest has moved");
	CHECK(!strstr(hosts[0].vmm.text, "BROKEN"));
	program_finish(&before);
	await_work(1, MORE);
	unplug_disk(1);
	plug_disk(1);
	unplug_disk(1);
	host_end(1);
}
