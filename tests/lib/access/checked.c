// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* An observer's copies, and those behind a page that failed, where a sandbox forbids their call. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/forbid.h"
#include "tests/lib/simple_vas.h"

TEST(an_observer_reads_where_process_vm_readv_is_forbidden)
{
	struct vas *vas = simple_vas(), *observer;
	char bytes[3 * PAGE];
	size_t done;

	simple_add(vas, 0, 4);
	CHECK_OK(vas_fill(vas, 0, 'x', 4 * PAGE, NULL));
	forbid(SYS_process_vm_readv, SYS_process_vm_writev, EPERM);
	CHECK_OK(vas_bind(vas_fd(vas), VAS_BIND_OBSERVE, &observer));
	CHECK_OK(vas_read(observer, 100, bytes, sizeof(bytes), &done));
	CHECK_EQ(done, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		CHECK_EQ(bytes[i], 'x');
	vas_unbind(observer);
	vas_destroy(vas);
}

/* The second page is gone: what is before it is copied, and it is an error, not a signal. */
TEST(a_failing_page_is_an_error_where_process_vm_readv_is_forbidden)
{
	struct vas *vas = simple_vas();
	struct vas_region region = { .size = 2 * PAGE, .backing = 1 };
	int fd = memfd_create("backing", MFD_CLOEXEC);
	char bytes[2 * PAGE] = "";
	size_t done;

	CHECK_OK(ftruncate(fd, 2 * PAGE));
	CHECK_EQ(vas_backing_add(vas, fd), 1);
	CHECK_OK(vas_region_add(vas, &region, NULL));
	CHECK_OK(vas_fill(vas, 0, 'x', 2 * PAGE, NULL));
	forbid(SYS_process_vm_readv, SYS_process_vm_writev, EPERM);
	CHECK_OK(ftruncate(fd, PAGE));
	for (int i = 0; i < 2; i++) {
		CHECK(vas_read(vas, 0, bytes, sizeof(bytes), &done) < 0);
		CHECK(vas_write(vas, PAGE, "y", 1, &done) < 0);
		CHECK_OK(vas_read(vas, 0, bytes, PAGE, &done));
		CHECK_EQ(bytes[PAGE - 1], 'x');
		CHECK_OK(vas_write(vas, 0, "x", 1, &done));
	}
	close(fd);
	vas_destroy(vas);
}
