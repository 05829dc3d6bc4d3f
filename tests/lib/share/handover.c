// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A vas changes its owner without a byte being copied, and is never without one for long. */
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/migrate.h>

#include "tests/harness.h"
#include "tests/lib/dirty/shadow.h"

#define SIZE (16ull << 30)

ROLE(taker)
{
	struct vas_region region = { .gpa = SIZE, .size = 4096, .offset = SIZE };
	size_t size;
	void *state;
	struct vas *vas;
	struct vas_info info;
	char byte;

	CHECK_OK(vas_handover_take(sock, 0, &vas, &state, &size));
	CHECK_OK(vas_info(vas, &info));
	CHECK_EQ(info.role, VAS_ROLE_OWNER);
	CHECK_EQ(info.owner_pid, getpid());
	CHECK_EQ(size, 5);
	CHECK_STR(state, "regs");
	free(state);
	CHECK_OK(vas_read(vas, SIZE - 1, &byte, 1, NULL));
	CHECK_EQ(byte, 'x');
	CHECK_OK(vas_region_add(vas, &region, NULL));
	CHECK_EQ(write(sock, "t", 1), 1);
	return read(sock, &byte, 1) != 1;
}

TEST(the_new_owner_has_it_and_the_old_one_is_a_binder)
{
	struct vas *vas = shadow_vas(SIZE);
	struct vas_region region = { .gpa = SIZE + 4096, .size = 4096, .offset = SIZE + 4096 };
	struct vas_info info;
	uint64_t start;
	int sock;

	CHECK_OK(vas_write(vas, SIZE - 1, "x", 1, NULL));
	test_spawn("taker", &sock);
	start = test_now_ns();
	CHECK_OK(vas_handover_give(vas, sock, "regs", 5));
	test_note("%llu us", (unsigned long long)(test_now_ns() - start) / 1000);
	CHECK_EQ(read(sock, &(char){ 0 }, 1), 1);
	CHECK_OK(vas_info(vas, &info));
	CHECK_EQ(info.role, VAS_ROLE_BINDER);
	CHECK_EQ(info.nr_regions, 2);
	CHECK_EQ(vas_region_add(vas, &region, NULL), -EPERM);
	CHECK_OK(vas_write(vas, SIZE, "y", 1, NULL));
	CHECK_EQ(vas_handover_give(vas, sock, NULL, 0), -EPERM);
	vas_unbind(vas);
}

#define MANY 1000

/* A layout that is long enough to be missed. */
static struct vas *many_regions(void)
{
	const struct vas_options options = { .limit = MANY * 8192ull };
	struct vas_layout *layout;
	struct vas *vas;

	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_layout_begin(vas, &layout));
	for (uint64_t i = 0; i < MANY; i++) {
		const struct vas_region region = { .gpa = i * 8192,
						   .size = 4096,
						   .offset = VAS_OFFSET_GPA };

		CHECK_OK(vas_layout_add(layout, &region, NULL));
	}
	CHECK_OK(vas_layout_commit(layout, TEST_HANG_NS, NULL));
	return vas;
}

static void *take_and_leave(void *sock)
{
	size_t size;
	void *state;
	struct vas *vas;

	CHECK_OK(vas_handover_take(*(int *)sock, 0, &vas, &state, &size));
	free(state);
	vas_unbind(vas);
	return NULL;
}

static void give_and_adopt(struct vas *vas)
{
	pthread_t thread;
	int pair[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	CHECK_OK(-pthread_create(&thread, NULL, take_and_leave, &pair[1]));
	CHECK_OK(vas_handover_give(vas, pair[0], NULL, 0));
	CHECK_OK(-pthread_join(thread, NULL));
	CHECK_OK(vas_adopt(vas));
	close(pair[0]);
	close(pair[1]);
}

TEST(one_that_gives_and_adopts_again_keeps_one_layout)
{
	struct vas *vas = many_regions();
	struct vas_region region = { .gpa = 4096, .size = 4096, .offset = 4096 };
	size_t before;

	give_and_adopt(vas);
	before = mallinfo2().uordblks;
	for (int i = 0; i < 20; i++)
		give_and_adopt(vas);
	CHECK(mallinfo2().uordblks < before + 5 * MANY * sizeof(region));
	CHECK_OK(vas_region_add(vas, &region, NULL));
	vas_destroy(vas);
}

/* Takes the vas and the state, says that it is ready or not, and is gone. */
static void takes_and_dies(int sock, int is_ready)
{
	struct {
		uint32_t magic, word;
	} message = { 0x52564f44, 1 };
	struct vas *vas;

	CHECK_OK(vas_recv_fds(sock, 0, &vas));
	CHECK_EQ(recv(sock, &message, 8, MSG_WAITALL), 8);
	message.word = 1;
	if (is_ready)
		CHECK_EQ(send(sock, &message, 8, 0), 8);
	if (is_ready)
		CHECK_EQ(recv(sock, &message, 8, MSG_WAITALL), 8);
	raise(SIGKILL);
}

ROLE(dies_before_ready)
{
	takes_and_dies(sock, 0);
	return 1;
}

ROLE(dies_before_it_adopts)
{
	takes_and_dies(sock, 1);
	return 1;
}

static void keeps_it(const char *role)
{
	struct vas *vas = shadow_vas(1 << 20);
	struct vas_region region = { .gpa = 1 << 20, .size = 4096, .offset = 1 << 20 };
	struct vas_info info;
	struct vas *second;
	int sock;

	test_spawn(role, &sock);
	CHECK_EQ(vas_handover_give(vas, sock, NULL, 0), -ECONNRESET);
	CHECK_OK(vas_info(vas, &info));
	CHECK_EQ(info.role, VAS_ROLE_OWNER);
	CHECK_EQ(info.owner_pid, getpid());
	CHECK_EQ(vas_bind(vas_fd(vas), VAS_BIND_ADOPT, &second), -EBUSY);
	CHECK_OK(vas_region_add(vas, &region, NULL));
	CHECK_OK(vas_write(vas, 1 << 20, "x", 1, NULL));
	vas_destroy(vas);
}

TEST(one_that_dies_before_it_is_ready_gets_nothing)
{
	keeps_it("dies_before_ready");
}

TEST(one_that_dies_before_it_adopts_gives_it_back)
{
	keeps_it("dies_before_it_adopts");
}

TEST(local_memory_stays_where_it_is)
{
	static char page[4096] __attribute__((aligned(4096)));
	struct vas_region region = {
		.gpa = 1 << 20, .size = 4096, .hva = page, .flags = VAS_REGION_LOCAL
	};
	struct vas *vas = shadow_vas(1 << 20);
	int pair[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	CHECK_OK(vas_region_add(vas, &region, NULL));
	CHECK_EQ(vas_handover_give(vas, pair[0], NULL, 0), -EOPNOTSUPP);
	vas_destroy(vas);
}

TEST(one_that_reads_nothing_gets_nothing)
{
	const size_t size = 8 << 20;
	struct vas *vas = shadow_vas(1 << 20);
	struct vas_region region = { .gpa = 1 << 20, .size = 4096, .offset = 1 << 20 };
	void *state = calloc(1, size);
	int pair[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	CHECK_EQ(vas_handover_give(vas, pair[0], state, size), -ETIMEDOUT);
	CHECK_OK(vas_region_add(vas, &region, NULL));
	free(state);
	vas_destroy(vas);
}

ROLE(giver_that_dribbles)
{
	struct vas *vas = shadow_vas(1 << 20);
	int nr = 0;

	CHECK_OK(vas_send_fds(vas, sock, 0));
	CHECK_EQ(send(sock, (uint32_t[]){ 0x52564f44, 1 << 20 }, 8, 0), 8);
	while (nr < 1 << 20 && send(sock, "x", 1, MSG_NOSIGNAL) == 1) {
		poll(NULL, 0, 20);
		nr++;
	}
	return 0;
}

TEST(one_that_dribbles_its_state_gives_nothing)
{
	size_t size;
	void *state;
	struct vas *vas;
	int sock;

	test_spawn("giver_that_dribbles", &sock);
	CHECK_EQ(vas_handover_take(sock, 0, &vas, &state, &size), -ETIMEDOUT);
}

ROLE(old_owner_that_dies)
{
	struct vas *vas = shadow_vas(1 << 20);

	CHECK_OK(vas_send_fds(vas, sock, 0));
	CHECK_EQ(send(sock, (uint32_t[]){ 0x52564f44, 0 }, 8, 0), 8);
	raise(SIGKILL);
	return 1;
}

TEST(a_vas_whose_old_owner_died_can_be_adopted)
{
	size_t size;
	void *state;
	struct vas *vas, *binder;
	int sock;
	pid_t pid = test_spawn("old_owner_that_dies", &sock);

	CHECK_EQ(vas_handover_take(sock, 0, &vas, &state, &size), -ECONNRESET);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	pid = test_spawn("old_owner_that_dies", &sock);
	CHECK_OK(vas_recv_fds(sock, 0, &binder));
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	CHECK_OK(vas_bind(vas_fd(binder), VAS_BIND_ADOPT, &vas));
	vas_unbind(binder);
	vas_destroy(vas);
}
