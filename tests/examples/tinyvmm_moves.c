// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A guest goes from one tinyvmm to the next while foo serves it, or stays where it is. */
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/consumer/kvm/fixture.h"
#include "program.h"

#define NR_VMMS 4

/* Where the vmm with that number gives its vas away (vas), or its machine (move). */
static const char *socket_of(int nr, const char *what)
{
	static char paths[4][64];
	static int turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof(paths[0]), "/tmp/vas-tinyvmm-%d-%d-%s", getpid(), nr, what);
	return path;
}

/* The first one has the guest; each other takes it from the one before. */
static void vmm_start(struct program *vmm, int nr, const char *rounds)
{
	const char *first[] = { path_of("TEST_TINYVMM"),
				"--socket",
				socket_of(nr, "vas"),
				"--migrate",
				socket_of(nr, "move"),
				"--poke",
				rounds,
				guest_path("echo.bin"),
				NULL };
	const char *next[] = { first[0],
			       first[1],
			       first[2],
			       first[3],
			       first[4],
			       "--incoming",
			       socket_of(nr - 1, "move"),
			       NULL };

	program_start(vmm, nr ? next : first);
	program_await(vmm, "ready to move");
}

static struct vas *vmm_vas(int nr)
{
	int sock = vmm_connect(socket_of(nr, "vas"));
	struct vas *vas;

	CHECK_OK(vas_recv_fds(sock, 0, &vas));
	close(sock);
	return vas;
}

TEST(guest_moves_from_vmm_to_vmm)
{
	static struct program vmms[NR_VMMS], foo;
	struct vas *vas;
	int i;

	close(kvm_require());
	vmm_start(&vmms[0], 0, "0x10000=0xffffffff");
	for (i = 0;; i++) {
		test_note("vmm %d", i);
		foo_start(&foo, socket_of(i, "vas"), NULL);
		vas = vmm_vas(i);
		rounds_await(vas, 100);
		if (i == NR_VMMS - 1)
			break;
		vmm_start(&vmms[i + 1], i + 1, NULL);
		CHECK_EQ(program_finish(&vmms[i]), 0);
		CHECK_HAS(vmms[i].text, "the guest has moved");
		CHECK_EQ(program_finish(&foo), 0);
		vas_unbind(vas);
	}
	rounds_stop(vas);
	CHECK_EQ(program_finish(&vmms[i]), 0);
	CHECK_HAS(vmms[i].text, "echo: every answer was right");
	CHECK_EQ(program_finish(&foo), 0);
	vas_unbind(vas);
	for (i = 0; i < NR_VMMS; i++)
		CHECK(access(socket_of(i, "vas"), F_OK) && access(socket_of(i, "move"), F_OK));
}

/* Somebody connects who is no tinyvmm, and goes away in the middle of it. */
TEST(guest_stays_if_nobody_takes_it)
{
	static struct program vmm, foo;
	char bytes[200];
	int sock;

	close(kvm_require());
	vmm_start(&vmm, 0, "0x10000=300");
	sock = vmm_connect(socket_of(0, "move"));
	CHECK_EQ(recv(sock, bytes, sizeof(bytes), MSG_WAITALL), sizeof(bytes));
	close(sock);
	program_await(&vmm, "the guest stays here");
	foo_start(&foo, socket_of(0, "vas"), NULL);
	CHECK_EQ(program_finish(&vmm), 0);
	CHECK_HAS(vmm.text, "echo: every answer was right");
	CHECK_EQ(program_finish(&foo), 0);
}
