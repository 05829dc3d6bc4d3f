// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A process that a sandbox forbids membarrier to. */
#include <unistd.h>
#include <vas/dirty.h>

#include "tests/forbid.h"
#include "tests/lib/simple_vas.h"

/* Binds from another process: its sections count on the owner's membarrier, or not. */
ROLE(binder)
{
	struct vas *vas;
	char byte;

	CHECK_OK(vas_recv_fds(sock, 0, &vas));
	CHECK_OK(vas_write(vas, PAGE, "x", 1, NULL));
	CHECK_EQ(write(sock, "r", 1), 1);
	while (read(sock, &byte, 1) == 1)
		;
	vas_unbind(vas);
	return 0;
}

TEST(an_owner_without_membarrier_makes_everybody_fence)
{
	struct vas_info info;
	struct vas *vas;
	uint64_t id;
	char byte;
	int sock;

	forbid(SYS_membarrier, -1, ENOSYS);
	vas = simple_vas();
	id = simple_add(vas, 1, 1);
	CHECK_OK(vas_info(vas, &info));
	CHECK(info.state_flags & VAS_STATE_FENCE);
	test_spawn("binder", &sock);
	CHECK_OK(vas_send_fds(vas, sock, 0));
	CHECK_EQ(read(sock, &byte, 1), 1);
	CHECK_OK(vas_read(vas, PAGE, &byte, 1, NULL));
	CHECK_EQ(byte, 'x');
	CHECK_OK(vas_region_remove(vas, id));
	vas_destroy(vas);
}

TEST(a_binder_without_membarrier_works)
{
	struct vas *owner = simple_vas(), *binder;
	uint64_t id = simple_add(owner, 1, 1);

	forbid(SYS_membarrier, -1, ENOSYS);
	CHECK_OK(vas_bind(vas_fd(owner), 0, &binder));
	CHECK_OK(vas_write(binder, PAGE, "x", 1, NULL));
	CHECK_OK(vas_region_remove(owner, id));
	CHECK_EQ(vas_write(binder, PAGE, "x", 1, NULL), -EFAULT);
	vas_unbind(binder);
	vas_destroy(owner);
}

/* What sections without fences have in their store buffers, it could not wait for. */
TEST(without_membarrier_nobody_adopts_or_tracks)
{
	struct vas *owner = simple_vas(), *binder;
	struct vas_tracker *dirty;
	int fd = dup(vas_fd(owner));

	forbid(SYS_membarrier, -1, ENOSYS);
	CHECK_OK(vas_bind(fd, 0, &binder));
	CHECK_EQ(vas_tracker_attach(binder, "test", 0, &dirty), -EOPNOTSUPP);
	CHECK_HAS(vas_error(), "membarrier");
	vas_unbind(owner);
	vas_unbind(binder);
	CHECK_EQ(vas_bind(fd, VAS_BIND_ADOPT, &owner), -EOPNOTSUPP);
	CHECK_HAS(vas_error(), "membarrier");
	close(fd);
}

/* Where everybody has fences, nobody needs it. */
TEST(what_was_made_with_fences_is_adopted_and_tracked_without_membarrier)
{
	struct vas_options options = { .limit = 256 * PAGE, .flags = VAS_CREATE_FENCE };
	struct vas_tracker *dirty;
	struct vas *vas;
	int fd;

	CHECK_OK(vas_create(&options, &vas));
	simple_add(vas, 1, 1);
	fd = dup(vas_fd(vas));
	vas_unbind(vas);
	forbid(SYS_membarrier, -1, ENOSYS);
	CHECK_OK(vas_bind(fd, VAS_BIND_ADOPT, &vas));
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	vas_tracker_detach(dirty);
	vas_destroy(vas);
	close(fd);
}
