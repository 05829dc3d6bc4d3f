// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Who asks nobody gets pages by userfaultfd, and a signal for one that cannot come. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/lazy.h>

#include "migrate/snapshot/snapshot.h"
#include "tests/migrate/snapshot/numbered.h"

static void need_userfaultfd(void)
{
	long fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0)
		test_skip("userfaultfd: %s", strerror(errno));
	close((int)fd);
}

static char *map_bare(struct vas *vas)
{
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vas_fd(vas), 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static int is_complete(void *vas)
{
	return vas_lazy_wait(vas, 0) == 0;
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
	CHECK_OK(vas_lazy_register(back, p, SIZE, 0));
	for (uint64_t gpa = 0; gpa < SIZE; gpa += VAS_PAGE_SIZE) {
		test_note("gpa %#llx", (unsigned long long)gpa);
		CHECK_EQ(*(uint64_t *)(p + gpa), wanted_at(gpa));
	}
	/* Nobody waits for it: it is over with the last page. */
	test_wait(is_complete, back, TEST_HANG_MS);
	CHECK_OK(vas_lazy_wait(back, TEST_HANG_NS));
	check_same(vas, back);
	vas_lazy_unregister(back, p);
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
	CHECK_OK(vas_lazy_register(back, p, SIZE, 0));
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
	CHECK_OK(vas_lazy_wait(back, TEST_HANG_NS));
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
	CHECK_EQ(vas_lazy_register(back, p, SIZE, 0), -EPERM);
	CHECK_HAS(vas_error(), "unprivileged_userfaultfd");
	for (uint64_t gpa = 0; gpa < SIZE; gpa += VAS_PAGE_SIZE) {
		uint64_t got;

		CHECK_OK(vas_read(back, gpa, &got, 8, NULL));
		CHECK_EQ(got, wanted_at(gpa));
	}
	CHECK_OK(vas_lazy_wait(back, TEST_HANG_NS));
	CHECK_OK(vas_lazy_register(back, p, SIZE, 0));
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
	CHECK_OK(vas_lazy_register(back, p, SIZE, 0));
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
	CHECK_EQ(vas_lazy_wait(back, TEST_HANG_NS), -EIO);
	CHECK_EQ(vas_read(back, bad + 8192, &got, 8, NULL), -EIO);
	CHECK_EQ(vas_snapshot_save(back, "again", NULL, NULL), -EIO);
	munmap(p, SIZE);
	vas_destroy(back);
	vas_destroy(vas);
	leave_folder();
}
