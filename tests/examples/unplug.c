// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A guest of tinyvmm's with a physical device of the machine stays where it is, and moves once the
 * device was unplugged.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vas/vfio.h>

#include "tests/consumer/vfio/edu.h"
#include "tests/consumer/vfio/host_device.h"
#include "tests/guests/mailbox.h"
#include "tests/harness.h"
#include "program.h"

#define MAILBOX(name) (GUEST_MAILBOX + offsetof(struct guest_mailbox, name))

static char address[64];

static void start_with_device(struct program *vmm)
{
	char device[96];
	const char *argv[] = { path_of("TEST_TINYVMM"),
			       "--device",
			       device,
			       "--socket",
			       "/tmp/vas",
			       "--monitor",
			       "/tmp/monitor",
			       "--migrate",
			       "/tmp/move",
			       guest_path("passthrough.bin"),
			       NULL };

	edu_find(0, address, sizeof(address));
	host_device_give(address);
	snprintf(device, sizeof(device), "vfio,host=%s", address);
	program_start(vmm, argv);
	program_await(vmm, "ready to move");
}

static void start_incoming(struct program *vmm)
{
	const char *argv[] = { path_of("TEST_TINYVMM"),
			       "--socket",
			       "/tmp/vas-moved",
			       "--incoming",
			       "/tmp/move",
			       NULL };

	program_start(vmm, argv);
}

static struct vas *vas_at(const char *path)
{
	int sock = vmm_connect(path);
	struct vas *vas;

	CHECK_OK(vas_recv_fds(sock, 0, &vas));
	close(sock);
	return vas;
}

/* What the monitor answers. */
static const char *command(const char *format, ...)
{
	static char answer[256];
	int sock = vmm_connect("/tmp/monitor");
	ssize_t nr;
	va_list args;

	va_start(args, format);
	CHECK(vdprintf(sock, format, args) > 0);
	va_end(args);
	nr = recv(sock, answer, sizeof(answer) - 1, MSG_WAITALL);
	CHECK_OK(nr);
	answer[nr] = '\0';
	close(sock);
	return answer;
}

static void set_turn(struct vas *vas, uint32_t turn)
{
	CHECK_OK(vas_store_le32(vas, MAILBOX(turn), turn, __ATOMIC_RELAXED));
}

static void check_refused(struct program *vmm, struct vas *vas)
{
	static struct program next;

	start_incoming(&next);
	program_await(vmm, "the guest stays here");
	CHECK_HAS(vmm->text, address);
	CHECK_HAS(vmm->text, "cannot be stopped: detach it first");
	CHECK_EQ(program_finish(&next), 1);
	rounds_await(vas, 3);
}

/* The guest has its device still, which copies; and it is asked no more. */
static void check_stays(struct vas *vas)
{
	const char *answer = command("unplug %s 1\n", address);

	CHECK_HAS(answer, "error: the guest has not let go of ");
	CHECK_HAS(answer, address);
	CHECK_HAS(answer, "within 1000 ms: it stays");
	set_turn(vas, 1);
	rounds_await(vas, 3);
}

static void check_device_is_free(void)
{
	struct vas_vfio_device device;

	CHECK_OK(vas_vfio_device_open(address, -1, &device));
	vas_vfio_device_close(&device);
}

TEST(a_guest_moves_once_its_device_was_unplugged)
{
	static struct program vmm, next;
	struct vas *vas;

	start_with_device(&vmm);
	vas = vas_at("/tmp/vas");
	rounds_await(vas, 1);
	check_refused(&vmm, vas);
	check_stays(vas);
	CHECK_STR(command("unplug nothing\n"), "error: there is no device nothing\n");
	CHECK_STR(command("unplug %s 600\n", address), "done\n");
	program_await(&vmm, "passthrough: the device is gone");
	check_device_is_free();
	rounds_await(vas, 3);
	vas_unbind(vas);

	start_incoming(&next);
	CHECK_EQ(program_finish(&vmm), 0);
	CHECK_HAS(vmm.text, "the guest has moved");
	program_await(&next, "listening on");
	vas = vas_at("/tmp/vas-moved");
	rounds_await(vas, 3);
	set_turn(vas, GUEST_TURN_STOP);
	CHECK_EQ(program_finish(&next), 0);
	vas_unbind(vas);
}

/* The guest is being asked, and ends. */
TEST(a_machine_that_ends_waits_for_no_guest)
{
	static struct program vmm;
	struct vas *vas;
	int sock;

	start_with_device(&vmm);
	vas = vas_at("/tmp/vas");
	rounds_await(vas, 1);
	sock = vmm_connect("/tmp/monitor");
	CHECK(dprintf(sock, "unplug %s 100000\n", address) > 0);
	CHECK_OK(vas_fill(vas, GUEST_LOAD, 0xff, GUEST_RAM - GUEST_LOAD, NULL));
	CHECK_EQ(program_finish(&vmm), 0); /* of a triple fault */
	close(sock);
	vas_unbind(vas);
	check_device_is_free();
}
