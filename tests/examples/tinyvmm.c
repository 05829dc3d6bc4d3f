// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The two examples, as they are: tinyvmm runs a guest, foo serves it, and either may go away. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/consumer/kvm/fixture.h"
#include "program.h"

static char socket_path[64];
static struct program vmm, foo;

static void vmm_start(struct program *vmm, const char *guest, const char *poke)
{
	const char *argv[] = { path_of("TEST_TINYVMM"), "--socket", socket_path, "--poke", poke,
			       guest_path(guest),	NULL };

	close(kvm_require());
	snprintf(socket_path, sizeof(socket_path), "/tmp/vas-tinyvmm-%d", getpid());
	program_start(vmm, argv);
	program_await(vmm, "listening");
}

static void echo_through_foo(const char *guest)
{
	vmm_start(&vmm, guest, "0x10000=300");
	foo_start(&foo, socket_path, NULL);
	CHECK_EQ(program_finish(&vmm), 0);
	CHECK_HAS(vmm.text, "echo: every answer was right");
	CHECK_EQ(program_finish(&foo), 0);
	CHECK_HAS(foo.text, "the VMM is gone");
	CHECK(access(socket_path, F_OK));
}

TEST(flat_guest_is_served_by_foo)
{
	echo_through_foo("echo.bin");
}

TEST(elf_guest_is_served_by_foo)
{
	echo_through_foo("echo.elf");
}

TEST(values_reach_foo_in_order)
{
	char *at, *end;
	uint32_t i;

	vmm_start(&vmm, "values.bin", "0x10000=1000");
	foo_start(&foo, socket_path, "--values");
	CHECK_EQ(program_finish(&vmm), 0);
	CHECK_EQ(program_finish(&foo), 0);
	at = strstr(foo.text, "serving\n");
	CHECK(at);
	at += strlen("serving\n");
	for (i = 0; i < 1000; i++, at = end + 1) {
		test_note("value %u", i);
		CHECK_EQ(strtoull(at, &end, 10), (uint32_t)guest_value(i, 0));
		CHECK_EQ(*end, '\n');
	}
	CHECK_HAS(at, "foo: the VMM is gone");
}

TEST(killed_foo_leaves_guest_and_vmm_running)
{
	struct vas *vas;
	int i, sock;

	vmm_start(&vmm, "echo.bin", "0x10000=0xffffffff");
	sock = vmm_connect(socket_path);
	CHECK_OK(vas_recv_fds(sock, 0, &vas));
	for (i = 0; i < 5; i++) {
		foo_start(&foo, socket_path, NULL);
		rounds_await(vas, 100);
		kill(foo.pid, SIGKILL);
		CHECK_EQ(program_finish(&foo), -SIGKILL);
		program_await(&vmm, "a peer is gone");
	}
	foo_start(&foo, socket_path, NULL);
	rounds_await(
		vas,
		100); /* the one that was killed may have answered already, and no other be needed */
	rounds_stop(vas);
	CHECK_EQ(program_finish(&vmm), 0);
	CHECK_HAS(vmm.text, "echo: every answer was right");
	CHECK_EQ(program_finish(&foo), 0);
	vas_unbind(vas);
}

TEST(peer_that_closes_half_way_leaves_guest_and_vmm_running)
{
	char part[100];
	int i, fd;

	vmm_start(&vmm, "echo.bin", "0x10000=300");
	for (i = 0; i < 20; i++) {
		fd = vmm_connect(socket_path);
		if (i % 2)
			CHECK_EQ(read(fd, part, sizeof(part)), sizeof(part));
		close(fd);
	}
	program_await(&vmm, "a peer is gone");
	foo_start(&foo, socket_path, NULL);
	CHECK_EQ(program_finish(&vmm), 0);
	CHECK_HAS(vmm.text, "echo: every answer was right");
	CHECK_EQ(program_finish(&foo), 0);
}

/* A vas that somebody else made, and left: memory, guest and all. */
TEST(vmm_takes_over_a_vas_that_was_handed_down)
{
	const struct vas_options options = { .limit = 32 << 20 };
	struct vas_region region = { .size = 16 << 20, .name = "ram" };
	const char *argv[] = { path_of("TEST_TINYVMM"), "--fd", NULL, guest_path("walker.bin"),
			       NULL };
	struct vas *vas;
	char number[16];
	uint64_t done;
	int fd;

	close(kvm_require());
	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_region_add(vas, &region, NULL));
	region = (struct vas_region){ .gpa = 16 << 20, .size = 4096, .offset = 16 << 20 };
	strcpy(region.name, VALUES_REGION);
	CHECK_OK(vas_region_add(vas, &region, NULL));
	/* One region of one page, whose first word is right. */
	CHECK_OK(vas_store_le32(vas, GUEST_MAILBOX, 1, __ATOMIC_RELAXED));
	CHECK_OK(vas_store_le32(vas, GUEST_MAILBOX + 4, 1, __ATOMIC_RELAXED));
	CHECK_OK(vas_store_le64(vas, GUEST_MAILBOX + 16, FIXTURE_LIST, __ATOMIC_RELAXED));
	CHECK_OK(vas_store_le64(vas, FIXTURE_LIST, 0x800000, __ATOMIC_RELAXED));
	CHECK_OK(vas_store_le64(vas, FIXTURE_LIST + 8, VAS_PAGE_SIZE, __ATOMIC_RELAXED));
	CHECK_OK(vas_store_le64(vas, 0x800000, 0x800000, __ATOMIC_RELAXED));
	fd = dup(vas_fd(vas));
	vas_unbind(vas);
	snprintf(number, sizeof(number), "%d", fd);
	argv[2] = number;
	program_start(&vmm, argv);
	CHECK_EQ(program_finish(&vmm), 0);
	CHECK_EQ(pread(fd, &done, sizeof(done), 0x800008), sizeof(done));
	CHECK_EQ(done, 1);
}

TEST(vas_run_gives_its_vas_to_the_vmm)
{
	const char *argv[] = { path_of("TEST_VAS"),
			       "run",
			       "--give",
			       "--memory",
			       "32M",
			       "--",
			       path_of("TEST_TINYVMM"),
			       "--fd",
			       "@FD@",
			       "--socket",
			       socket_path,
			       guest_path("echo.bin"),
			       NULL };

	close(kvm_require());
	snprintf(socket_path, sizeof(socket_path), "/tmp/vas-tinyvmm-%d", getpid());
	program_start(&vmm, argv);
	program_await(&vmm, "listening");
	foo_start(&foo, socket_path, NULL);
	CHECK_EQ(program_finish(&vmm), 0);
	CHECK_HAS(vmm.text, "echo: every answer was right");
	CHECK_EQ(program_finish(&foo), 0);
}

TEST(help_is_help_and_nonsense_is_not)
{
	const char *const help[] = { path_of("TEST_TINYVMM"), "--help", NULL };
	const char *const nonsense[] = { path_of("TEST_TINYVMM"), "--nonsense", NULL };
	const char *const foo_help[] = { path_of("TEST_FOO"), "--help", NULL };

	program_start(&vmm, help);
	CHECK_EQ(program_finish(&vmm), 0);
	CHECK_HAS(vmm.text, "usage: tinyvmm");
	program_start(&vmm, nonsense);
	CHECK_EQ(program_finish(&vmm), 2);
	CHECK_HAS(vmm.text, "usage: tinyvmm");
	program_start(&vmm, foo_help);
	CHECK_EQ(program_finish(&vmm), 0);
	CHECK_HAS(vmm.text, "usage: foo");
}
