// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Who asks nobody gets pages by userfaultfd; what cannot come is an error, and leaves nothing behind. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/arrive.h>

#include "migrate/snapshot.h"
#include "saved.h"

#define LONG_NS 20000000000ull

static void need_userfaultfd(void)
{
	long fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0)
		test_skip("userfaultfd: %s", strerror(errno));
	close((int)fd);
}

/* Every page begins with a word that tells where it is; every other MiB is zero. */
static struct vas *numbered_vas(void)
{
	struct vas *vas = shadow_vas(SIZE);

	for (uint64_t gpa = 0; gpa < SIZE; gpa += VAS_PAGE_SIZE)
		if (!(gpa >> 20 & 1))
			CHECK_OK(vas_write(vas, gpa, &(uint64_t){ gpa + 1 }, 8, NULL));
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	return vas;
}

static uint64_t wanted_at(uint64_t gpa)
{
	return gpa >> 20 & 1 ? 0 : gpa + 1;
}

static char *map_bare(struct vas *vas)
{
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vas_fd(vas), 0);

	CHECK(p != MAP_FAILED);
	return p;
}

TEST(a_registered_mapping_is_filled_as_it_is_touched)
{
	struct vas *vas, *back;
	char *p;

	need_userfaultfd();
	enter_folder();
	vas = numbered_vas();
	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_CLONE, &back));
	p = map_bare(back);
	CHECK_OK(vas_arrive_mapped(back, p, SIZE, 0));
	for (uint64_t gpa = 0; gpa < SIZE; gpa += VAS_PAGE_SIZE) {
		test_note("gpa %#llx", (unsigned long long)gpa);
		CHECK_EQ(*(uint64_t *)(p + gpa), wanted_at(gpa));
	}
	CHECK_OK(vas_arrive_wait(back, LONG_NS));
	check_same(vas, back);
	vas_arrive_unmapped(back, p);
	munmap(p, SIZE);
	vas_destroy(back);
	vas_destroy(vas);
	leave_folder();
}

/* As KVM does: the kernel takes the fault, and writes. Meanwhile the rest comes. */
TEST(the_kernels_faults_are_caught_too)
{
	uint64_t value = 7, got;
	struct iovec local = { &value, 8 }, remote;
	struct vas *vas, *back;
	char *p;

	need_userfaultfd();
	enter_folder();
	vas = numbered_vas();
	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_LAZY, &back));
	p = map_bare(back);
	CHECK_OK(vas_arrive_mapped(back, p, SIZE, 0));
	for (uint64_t gpa = SIZE; gpa; gpa -= VAS_PAGE_SIZE) {
		remote = (struct iovec){ p + gpa - VAS_PAGE_SIZE + 8, 8 };
		CHECK_EQ(process_vm_writev(getpid(), &local, 1, &remote, 1, 0), 8);
	}
	for (uint64_t gpa = 0; gpa < SIZE; gpa += VAS_PAGE_SIZE) {
		CHECK_OK(vas_read(back, gpa, &got, 8, NULL));
		CHECK_EQ(got, wanted_at(gpa));
		CHECK_OK(vas_read(back, gpa + 8, &got, 8, NULL));
		CHECK_EQ(got, 7);
	}
	CHECK_OK(vas_arrive_wait(back, LONG_NS));
	munmap(p, SIZE);
	vas_destroy(back);
	vas_destroy(vas);
	leave_folder();
}

ROLE(nobody)
{
	struct vas *back;
	char *p;

	(void)sock;
	if (getuid() == 0)
		CHECK_OK(setresuid(65534, 65534, 65534));
	CHECK_OK(prctl(PR_SET_DUMPABLE, 1));
	if (syscall(SYS_userfaultfd, O_CLOEXEC) >= 0)
		return 77;
	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_CLONE, &back));
	p = map_bare(back);
	CHECK_EQ(vas_arrive_mapped(back, p, SIZE, 0), -EPERM);
	CHECK_HAS(vas_error(), "unprivileged_userfaultfd");
	for (uint64_t gpa = 0; gpa < SIZE; gpa += VAS_PAGE_SIZE) {
		uint64_t got;

		CHECK_OK(vas_read(back, gpa, &got, 8, NULL));
		CHECK_EQ(got, wanted_at(gpa));
	}
	CHECK_OK(vas_arrive_wait(back, LONG_NS));
	CHECK_OK(vas_arrive_mapped(back, p, SIZE, 0));
	CHECK_EQ(*(uint64_t *)(p + 4096), wanted_at(4096));
	vas_destroy(back);
	return 0;
}

TEST(without_userfaultfd_libvas_asks_and_kvm_is_refused)
{
	struct vas *vas;
	int sock, pid, status;

	enter_folder();
	vas = numbered_vas();
	CHECK_OK(chmod(".", 0755));
	CHECK_OK(chmod("full", 0644));
	pid = test_spawn("nobody", &sock);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	vas_destroy(vas);
	leave_folder();
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		test_skip("everybody may use userfaultfd here");
	CHECK_EQ(status, 0);
}

/* ---- what cannot come --------------------------------------------------------------------- */

static void damage(uint64_t gpa)
{
	struct snapshot_header header;
	int fd = open("full", O_RDWR);

	CHECK_EQ(pread(fd, &header, sizeof(header), 0), sizeof(header));
	CHECK_EQ(pwrite(fd, "damage", 6, (off_t)(header.data_offset + gpa)), 6);
	close(fd);
}

static sigjmp_buf out;

static void on_sigbus(int signal)
{
	(void)signal;
	siglongjmp(out, 1);
}

static int is_sigbus(const char *p)
{
	if (sigsetjmp(out, 1))
		return 1;
	(void)*(const volatile char *)p;
	return 0;
}

TEST(a_damaged_page_is_an_error_and_the_others_come)
{
	const uint64_t bad = 4 << 20, word = 256 << 10;
	struct vas *vas, *back;
	uint64_t got;
	char *p;

	need_userfaultfd();
	enter_folder();
	vas = numbered_vas();
	damage(bad + 4096);
	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_LAZY, &back));
	p = map_bare(back);
	CHECK_OK(vas_arrive_mapped(back, p, SIZE, 0));
	signal(SIGBUS, on_sigbus);
	CHECK_EQ(vas_read(back, bad, &got, 8, NULL), -EIO);
	CHECK_HAS(vas_error(), "damaged");
	CHECK(is_sigbus(p + bad));
	CHECK(is_sigbus(p + bad + word - 1));
	for (uint64_t gpa = 0; gpa < SIZE; gpa += VAS_PAGE_SIZE) {
		if (gpa - bad < word)
			continue;
		CHECK_EQ(*(uint64_t *)(p + gpa), wanted_at(gpa));
		CHECK_OK(vas_read(back, gpa, &got, 8, NULL));
		CHECK_EQ(got, wanted_at(gpa));
	}
	CHECK_EQ(vas_arrive_wait(back, LONG_NS), -EIO);
	CHECK_EQ(vas_read(back, bad + 8192, &got, 8, NULL), -EIO);
	CHECK_EQ(vas_snapshot_save(back, "again", NULL, NULL), -EIO);
	munmap(p, SIZE);
	vas_destroy(back);
	vas_destroy(vas);
	leave_folder();
}

/* ---- who serves dies ---------------------------------------------------------------------- */

ROLE(restorer)
{
	struct vas *vas;
	char byte;

	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_CLONE, &vas));
	CHECK_OK(vas_send(vas, sock, 0));
	CHECK_EQ(read(sock, &byte, 1), 0);
	return 1;
}

TEST(the_restorers_death_is_an_error_to_those_who_ask)
{
	struct vas *vas, *binder, *adopter, *kept;
	uint64_t got;
	int sock, pid;

	enter_folder();
	vas = numbered_vas();
	pid = test_spawn("restorer", &sock);
	CHECK_OK(vas_recv(sock, 0, &binder));
	CHECK_OK(vas_read(binder, 4096, &got, 8, NULL));
	CHECK_EQ(got, wanted_at(4096));
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	/* What has come stays, what was zero is; the rest is not taken for zero. */
	CHECK_OK(vas_read(binder, 8192, &got, 8, NULL));
	CHECK_EQ(got, wanted_at(8192));
	CHECK_OK(vas_read(binder, 1 << 20, &got, 8, NULL));
	CHECK_EQ(got, 0);
	CHECK_EQ(vas_read(binder, 2 << 20, &got, 8, NULL), -EIO);
	CHECK_HAS(vas_error(), "ended");
	CHECK_EQ(vas_arrive_wait(binder, LONG_NS), -EIO);
	CHECK_OK(vas_bind(vas_fd(binder), VAS_BIND_ADOPT, &adopter));
	CHECK_EQ(vas_read(adopter, 2 << 20, &got, 8, NULL), -EIO);
	CHECK_EQ(vas_snapshot_save(adopter, "again", NULL, NULL), -EIO);
	CHECK_OK(vas_bind(vas_fd(binder), VAS_BIND_OBSERVE, &kept));
	CHECK_EQ(vas_read(kept, 2 << 20, &got, 8, NULL), -EIO);
	vas_unbind(kept);
	vas_unbind(adopter);
	vas_unbind(binder);
	vas_destroy(vas);
	close(sock);
	leave_folder();
}

/* The same while the rest is on its way: at each moment a page is right, or an error. */
ROLE(hasty)
{
	struct vas *vas;
	char byte;

	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_LAZY, &vas));
	CHECK_OK(vas_send(vas, sock, 0));
	CHECK_EQ(read(sock, &byte, 1), 0);
	return 1;
}

TEST(a_death_half_way_never_shows_zeros)
{
	struct test_random random = { test_seed() };
	struct vas *vas, *binder;
	uint64_t got;
	int sock, pid, err, nr_errors = 0;

	enter_folder();
	vas = numbered_vas();
	for (int round = 0; round < 30; round++) {
		uint64_t until = test_random_below(&random, SIZE / VAS_PAGE_SIZE);

		pid = test_spawn("hasty", &sock);
		CHECK_OK(vas_recv(sock, 0, &binder));
		for (uint64_t i = 0; i < SIZE / VAS_PAGE_SIZE; i++) {
			uint64_t gpa = SIZE - (i + 1) * VAS_PAGE_SIZE;

			if (i == until)
				CHECK_OK(kill(pid, SIGKILL));
			err = vas_read(binder, gpa, &got, 8, NULL);
			nr_errors += err == -EIO;
			CHECK(err == 0 || err == -EIO);
			if (!err)
				CHECK_EQ(got, wanted_at(gpa));
		}
		CHECK_EQ(waitpid(pid, NULL, 0), pid);
		close(sock);
		vas_unbind(binder);
	}
	printf("# %d pages were lost\n", nr_errors);
	vas_destroy(vas);
	leave_folder();
}

/* ---- what stays behind -------------------------------------------------------------------- */

static void come_and_go(void)
{
	struct vas *back;
	uint64_t got;

	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_LAZY, &back));
	CHECK_OK(vas_read(back, 4096, &got, 8, NULL));
	vas_destroy(back);
	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_CLONE, &back));
	vas_unbind(back);
	/* Its second region is in a further backing, which is found out late. */
	CHECK_EQ(vas_snapshot_restore("other", VAS_RESTORE_LAZY, &back), -EOPNOTSUPP);
	CHECK_EQ(vas_snapshot_restore("cut", VAS_RESTORE_LAZY, &back), -EPROTO);
	CHECK_EQ(vas_snapshot_restore("absent", VAS_RESTORE_LAZY, &back), -ENOENT);
}

TEST(neither_an_end_nor_a_failure_leaves_anything)
{
	struct vas *vas, *other = shadow_vas(SIZE);
	struct vas_region more = { .gpa = SIZE, .size = 1 << 20, .name = "more" };
	int fd = memfd_create("more", MFD_CLOEXEC), fds, maps, i;

	enter_folder();
	vas = numbered_vas();
	CHECK_OK(vas_snapshot_save(vas, "cut", NULL, NULL));
	CHECK_OK(truncate("cut", 100000));
	CHECK_OK(ftruncate(fd, 1 << 20));
	more.backing = (uint32_t)vas_backing_add(other, fd);
	CHECK_OK(vas_region_add(other, &more, NULL));
	CHECK_OK(vas_snapshot_save(other, "other", NULL, NULL));
	come_and_go();
	fds = test_count_fds();
	maps = test_count_maps();
	for (i = 0; i < 20; i++)
		come_and_go();
	CHECK_EQ(test_count_fds(), fds);
	/* Stacks of threads are kept by the C library, up to a bound. */
	CHECK(test_count_maps() <= maps + 8);
	close(fd);
	vas_destroy(other);
	vas_destroy(vas);
	leave_folder();
}
