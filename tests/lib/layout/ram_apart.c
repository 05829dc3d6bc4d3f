// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/simple_vas.h"

static struct vas *apart_vas(void)
{
	const struct vas_options options = { .limit = 256 * PAGE,
					     .name = "apart",
					     .max_regions = 16,
					     .flags = VAS_CREATE_RAM_APART };
	struct vas *vas;

	CHECK_OK(vas_create(&options, &vas));
	return vas;
}

/* Without the one that newer kernels add: not executable. */
static int seals_of(struct vas *vas)
{
	return fcntl(vas_backing_fd(vas, 0), F_GET_SEALS) & ~0x20;
}

static struct vas *bind_apart(struct vas *owner, uint32_t flags)
{
	struct vas *binder;

	CHECK_OK(vas_bind(vas_fd(owner), flags, &binder));
	CHECK_EQ(vas_backing_offer(binder, vas_backing_fd(owner, 0)), 0);
	return binder;
}

TEST(the_ram_is_a_file_of_its_own_with_nothing_else_in_it)
{
	struct vas *vas = apart_vas();
	int ram = vas_backing_fd(vas, 0);
	struct stat st;
	char byte = 'x', there;

	simple_add(vas, 8, 4);
	CHECK(ram != vas_fd(vas));
	CHECK_OK(fstat(ram, &st));
	CHECK_EQ(st.st_size, 256 * PAGE);
	CHECK_EQ(seals_of(vas), F_SEAL_SHRINK | F_SEAL_GROW);
	CHECK_EQ(st.st_blocks, 0);
	CHECK_OK(vas_write(vas, 9 * PAGE + 7, &byte, 1, NULL));
	CHECK_EQ(pread(ram, &there, 1, 9 * PAGE + 7), 1);
	CHECK_EQ(there, byte);
	vas_destroy(vas);
}

TEST(memory_is_given_back_to_the_system_and_the_control_area_is_not)
{
	struct vas *vas = apart_vas();
	uint64_t id = simple_add(vas, 0, 16);
	struct stat st;

	CHECK_OK(vas_fill(vas, 0, 1, 16 * PAGE, NULL));
	CHECK_OK(vas_discard(vas, 0, 4 * PAGE, NULL));
	CHECK_OK(fstat(vas_backing_fd(vas, 0), &st));
	CHECK_EQ(st.st_blocks * 512, 12 * PAGE);
	CHECK_OK(vas_region_remove(vas, id));
	CHECK_OK(fstat(vas_backing_fd(vas, 0), &st));
	CHECK_EQ(st.st_blocks, 0);
	simple_add(vas, 0, 16);
	vas_destroy(vas);
}

TEST(who_binds_by_the_fd_alone_has_the_layout_but_no_ram)
{
	struct vas *vas = apart_vas(), *binder;
	struct vas_region region;
	char byte = 'x', there = 0;

	simple_add(vas, 0, 4);
	CHECK_OK(vas_write(vas, 5, &byte, 1, NULL));
	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	CHECK_EQ(vas_regions(binder, &region, 1), 1);
	CHECK_EQ(vas_read(binder, 5, &there, 1, NULL), -ENXIO);
	CHECK_EQ(vas_backing_fd(binder, 0), -ENXIO);
	CHECK_EQ(vas_backing_offer(binder, vas_fd(vas)), -ENOENT);
	CHECK_EQ(vas_backing_offer(binder, vas_backing_fd(vas, 0)), 0);
	CHECK_OK(vas_read(binder, 5, &there, 1, NULL));
	CHECK_EQ(there, byte);
	vas_unbind(binder);
	vas_destroy(vas);
}

TEST(all_fds_of_a_full_vas_fit_in_a_message)
{
	struct vas *vas = apart_vas(), *peer;
	int i, nr, pair[2];

	for (nr = 0; nr < 62; nr++) {
		int fd = memfd_create("further", MFD_CLOEXEC);

		CHECK_OK(ftruncate(fd, PAGE));
		CHECK_EQ(vas_backing_add(vas, fd), nr + 1);
		close(fd);
	}
	CHECK_EQ(vas_backing_add(vas, vas_backing_fd(vas, 1)), -ENOSPC);
	CHECK_HAS(vas_error(), "62 further backings");
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	CHECK_OK(vas_send_fds(vas, pair[0], 0));
	CHECK_OK(vas_recv_fds(pair[1], 0, &peer));
	for (i = 0; i <= nr; i++)
		CHECK(vas_backing_fd(peer, (uint32_t)i) >= 0);
	vas_unbind(peer);
	close(pair[0]);
	close(pair[1]);
	vas_destroy(vas);
}

/* ---- templates ---------------------------------------------------------------------------- */

TEST(sealed_ram_is_read_by_all_and_written_by_nobody)
{
	struct vas *vas = apart_vas(), *observer, *binder;
	char byte = 'x', there = 0;

	simple_add(vas, 0, 4);
	CHECK_OK(vas_write(vas, 5, &byte, 1, NULL));
	observer = bind_apart(vas, VAS_BIND_OBSERVE);
	CHECK_OK(vas_read(observer, 5, &there, 1, NULL));
	CHECK_OK(vas_ram_seal(vas, NULL));
	CHECK_EQ(seals_of(vas), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	CHECK(vas_write(vas, 5, &byte, 1, NULL) < 0);
	there = 0;
	CHECK_OK(vas_read(vas, 5, &there, 1, NULL));
	CHECK_EQ(there, byte);
	binder = bind_apart(vas, 0);
	there = 0;
	CHECK_OK(vas_read(binder, 5, &there, 1, NULL));
	CHECK_EQ(there, byte);
	CHECK(vas_write(binder, 5, &byte, 1, NULL) < 0);
	CHECK_EQ(vas_ram_seal(vas, NULL), -EPERM);
	vas_unbind(binder);
	vas_unbind(observer);
	vas_destroy(vas);
}

TEST(a_binder_in_the_way_of_a_seal_is_named_and_the_ram_stays_as_it_was)
{
	struct vas *vas = apart_vas(), *binder;
	struct vas_blocker blocker;
	char byte = 'x', there;

	simple_add(vas, 0, 4);
	binder = bind_apart(vas, 0);
	CHECK_OK(vas_read(binder, 0, &there, 1, NULL));
	CHECK_EQ(vas_ram_seal(vas, &blocker), -EBUSY);
	CHECK_EQ(blocker.kind, VAS_BLOCKER_BINDER);
	CHECK_EQ(blocker.pid, (uint32_t)getpid());
	CHECK_HAS(vas_error(), "is bound");
	CHECK_OK(vas_write(vas, 5, &byte, 1, NULL));
	CHECK_OK(vas_read(binder, 5, &there, 1, NULL));
	CHECK_EQ(there, byte);
	vas_unbind(binder);
	CHECK_OK(vas_ram_seal(vas, &blocker));
	vas_destroy(vas);
}

TEST(a_map_in_the_way_of_a_seal_is_named)
{
	struct vas *vas = apart_vas(), *binder;
	struct vas_mapping *mapping;
	struct vas_blocker blocker;

	simple_add(vas, 0, 4);
	binder = bind_apart(vas, 0);
	CHECK_OK(vas_mapping_create(binder, PAGE, 2 * PAGE, VAS_MAPPING_WRITE, &mapping));
	CHECK_EQ(vas_ram_seal(vas, &blocker), -EBUSY);
	CHECK_EQ(blocker.kind, VAS_BLOCKER_PIN);
	CHECK_EQ(blocker.gpa, PAGE);
	CHECK_EQ(blocker.size, 2 * PAGE);
	vas_mapping_destroy(mapping);
	vas_unbind(binder);
	CHECK_OK(vas_ram_seal(vas, NULL));
	vas_destroy(vas);
}

TEST(ram_that_is_not_apart_is_never_sealed)
{
	struct vas *vas = simple_vas();

	CHECK_EQ(vas_ram_seal(vas, NULL), -EOPNOTSUPP);
	vas_destroy(vas);
}

TEST(a_section_in_the_way_of_a_seal_keeps_its_memory)
{
	struct vas *vas = apart_vas();
	volatile char *p;

	simple_add(vas, 0, 4);
	CHECK_OK(vas_enter(vas));
	p = vas_translate(vas, 0, PAGE, VAS_PROT_WRITE);
	CHECK(p);
	p[3] = 'x';
	CHECK_EQ(vas_ram_seal(vas, NULL), -EBUSY);
	CHECK_HAS(vas_error(), "section");
	CHECK_EQ(p[3], 'x');
	vas_leave(vas);
	CHECK_OK(vas_ram_seal(vas, NULL));
	vas_destroy(vas);
}
