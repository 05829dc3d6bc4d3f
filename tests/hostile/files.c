// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Everything that an fd can be, and is not a vas; and a vas's bytes in a file that is none. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "victim.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static void refuse(int fd)
{
	int fds = test_count_fds(), err;
	struct vas *vas = (struct vas *)1;

	for (uint32_t flags = 0; flags < 8; flags++) {
		test_note("fd %d, flags %u", fd, flags);
		err = vas_bind(fd, flags, &vas);
		CHECK(err < 0 && err > -4096);
		CHECK(vas_error()[0]);
	}
	CHECK_EQ(test_count_fds(), fds);
}

static void refuse_and_close(int fd)
{
	CHECK(fd >= 0);
	refuse(fd);
	close(fd);
}

TEST(without_an_fd_nothing_binds)
{
	refuse(-1);
	refuse(AT_FDCWD);
	refuse(1 << 30);
	refuse(777); /* closed */
}

TEST(files_of_other_kinds_are_refused)
{
	int pair[2];

	CHECK_OK(pipe(pair));
	refuse_and_close(pair[0]);
	refuse_and_close(pair[1]);
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	refuse_and_close(pair[0]);
	refuse_and_close(pair[1]);
	refuse_and_close(open("/", O_RDONLY | O_DIRECTORY));
	refuse_and_close(open("/proc/self/exe", O_RDONLY));
	refuse_and_close(open("/proc/self/status", O_RDONLY));
	refuse_and_close(open("/dev/null", O_RDWR));
	refuse_and_close(open("/dev/zero", O_RDWR));
	refuse_and_close(eventfd(0, 0));
	refuse_and_close(epoll_create1(0));
}

TEST(a_path_only_fd_is_refused)
{
	struct victim v;
	char path[64];

	victim_make(&v);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", vas_fd(v.owner));
	refuse_and_close(open(path, O_PATH));
	victim_free(&v);
}

TEST(a_write_only_fd_is_refused)
{
	struct victim v;
	char path[64];
	int fd;

	victim_make(&v);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", vas_fd(v.owner));
	fd = open(path, O_WRONLY);
	CHECK(fd >= 0);
	refuse(fd);
	close(fd);
	victim_free(&v);
}

static int make_memfd(off_t size, int seals)
{
	int fd = memfd_create("stranger", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CHECK(fd >= 0);
	CHECK_OK(ftruncate(fd, size));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, seals));
	return fd;
}

TEST(sealed_files_of_odd_sizes_are_refused)
{
	static const off_t sizes[] = {
		0, 1, 100, 4095, 4096, 4097, 8192, 1 << 20, (off_t)1 << 40, INT64_MAX & ~4095ll,
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		test_note("size %lld", (long long)sizes[i]);
		refuse_and_close(make_memfd(sizes[i], SEALS));
	}
}

/* A copy of what the victim's file holds: good in all but the seals and the size. */
static int copy_file(const struct victim *v, uint64_t size, int seals)
{
	int fd = make_memfd((off_t)size, 0);
	uint64_t at = size < v->sb->file_size ? 0 : size - v->sb->file_size;

	if (v->ram_size + v->control_size + at <= size)
		CHECK_EQ(pwrite(fd, v->control, v->control_size, (off_t)(v->ram_size + at)),
			 v->control_size);
	else
		CHECK_EQ(pwrite(fd, v->sb, 4096, (off_t)size - 4096), 4096);
	CHECK_OK(fcntl(fd, F_ADD_SEALS, seals));
	return fd;
}

TEST(a_copy_without_seals_is_refused)
{
	struct victim v;
	int fd;

	victim_make(&v);
	fd = copy_file(&v, v.sb->file_size, 0);
	CHECK_EQ(victim_try_bind(fd, 0), -EPERM);
	close(fd);
	fd = copy_file(&v, v.sb->file_size, F_SEAL_GROW | F_SEAL_SEAL);
	CHECK_EQ(victim_try_bind(fd, 0), -EPERM);
	close(fd);
	victim_free(&v);
}

TEST(a_copy_that_was_truncated_is_refused)
{
	struct victim v;

	victim_make(&v);
	for (uint64_t size = 4096; size < v.sb->file_size; size += size < 65536 ? 4096 : 65536) {
		int fd = copy_file(&v, size, SEALS);

		test_note("%llu bytes", (unsigned long long)size);
		CHECK_EQ(victim_try_bind(fd, 0), -EPROTO);
		close(fd);
	}
	victim_free(&v);
}

TEST(a_copy_in_a_larger_file_is_refused)
{
	struct victim v;
	int fd;

	victim_make(&v);
	fd = copy_file(&v, v.sb->file_size + 8192, SEALS);
	CHECK_EQ(victim_try_bind(fd, 0), -EPROTO);
	close(fd);
	victim_free(&v);
}

/* All the right bytes and seals: it is a vas, if a masterless one. */
TEST(a_sealed_copy_binds)
{
	struct victim v;
	int fd;

	victim_make(&v);
	fd = copy_file(&v, v.sb->file_size, SEALS);
	CHECK_EQ(victim_try_bind(fd, 0), 0);
	CHECK_EQ(victim_try_bind(fd, VAS_BIND_OBSERVE), 0);
	CHECK_EQ(victim_try_bind(fd, VAS_BIND_ADOPT), 0);
	close(fd);
	victim_free(&v);
}

TEST(a_file_sealed_against_writing_is_only_observed)
{
	struct victim v;
	char path[64];
	int fd, err;

	victim_make(&v);
	fd = copy_file(&v, v.sb->file_size, 0);
	CHECK_OK(fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_WRITE));
	err = victim_try_bind(fd, VAS_BIND_OBSERVE);
	CHECK_EQ(err, 0);
	CHECK(victim_try_bind(fd, 0) <= 0);
	CHECK(victim_try_bind(fd, VAS_BIND_ADOPT) < 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	close(fd);
	victim_free(&v);
}

TEST(holes_punched_into_any_part_harm_nobody)
{
	struct victim v;
	struct vas *bound;

	victim_make(&v);
	for (uint64_t at = 0; at < v.sb->file_size; at += 4096) {
		test_note("hole at %#llx", (unsigned long long)at);
		victim_free(&v);
		victim_make(&v);
		CHECK_OK(vas_bind(vas_fd(v.owner), 0, &bound));
		CHECK_OK(fallocate(vas_fd(v.owner), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   (off_t)at, 4096));
		victim_try_bind(vas_fd(v.owner), 0);
		victim_exercise(bound);
		vas_unbind(bound);
		victim_exercise_owner(&v);
		if (at > 2 * v.ram_size)
			at += 16 * 4096; /* the tables and logs are much of the same */
	}
	victim_free(&v);
}
