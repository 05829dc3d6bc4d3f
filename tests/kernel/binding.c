// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A module's binding: what it takes, what it leaves, what it outlives. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vas/lazy.h>

#include "control.h"
#include "device.h"
#include "include/uapi/linux/vas.h"

#define MIB (1ull << 20)

TEST(a_module_binds_by_fd_alone)
{
	struct vas *vas = device_vas(64 * MIB, MIB, 0);
	int device = device_bound(vas_fd(vas));

	CHECK_EQ(device_info(device).limit, 64 * MIB);
	CHECK_EQ(device_info(device).readonly, 0);
	CHECK_EQ(device_bind(device, vas_fd(vas)), -EEXIST);
	close(device);
	vas_destroy(vas);
}

TEST(a_module_is_a_binder_like_any_other)
{
	struct vas *vas = device_vas(64 * MIB, MIB, 0);
	struct vas_info before = device_vas_info(vas), during, after;
	int device = device_bound(vas_fd(vas));

	during = device_vas_info(vas);
	CHECK_EQ(during.nr_binders, before.nr_binders + 1);
	CHECK(during.nr_threads > before.nr_threads);
	CHECK_OK(device_unbind(device));
	after = device_vas_info(vas);
	CHECK_EQ(after.nr_binders, before.nr_binders);
	CHECK_EQ(after.nr_threads, before.nr_threads);
	close(device);
	vas_destroy(vas);
}

TEST(a_read_only_fd_makes_an_observer)
{
	struct vas *vas = device_vas(64 * MIB, MIB, 0);
	struct vas_info before = device_vas_info(vas);
	int fd = vas_readonly_fd(vas), device = device_bound(fd);
	uint32_t word = 0, id;

	CHECK_EQ(device_info(device).readonly, 1);
	CHECK_EQ(device_vas_info(vas).nr_binders, before.nr_binders);
	CHECK_EQ(device_vas_info(vas).nr_threads, before.nr_threads);
	CHECK_OK(device_read(device, 0, &word, sizeof(word), NULL));
	CHECK_EQ(device_write(device, 0, &word, sizeof(word), NULL), -EACCES);
	CHECK_EQ(device_map(device, 0, 4096, VAS_MAPPING_WRITE, &id), -EACCES);
	CHECK_OK(device_map(device, 0, 4096, 0, &id));
	close(device);
	close(fd);
	vas_destroy(vas);
}

static int fetch_ones(struct vas_source *source, uint64_t gpa, void *pages, uint64_t *bits)
{
	(void)source;
	(void)gpa;
	memset(pages, 0xff, VAS_LOG_PAGES_PER_WORD * VAS_PAGE_SIZE);
	*bits = UINT64_MAX;
	return 0;
}

static void end_source(struct vas_source *source)
{
	(void)source;
}

/* A module asks nobody for a page: it would take for zeros what has not come. */
TEST(memory_that_is_still_to_come_is_not_bound)
{
	struct vas_source source = { fetch_ones, end_source };
	struct vas_options options = { .limit = 64 * MIB };
	struct vas_region region = { .size = MIB };
	struct vas_dirty_word word = { 0, UINT64_MAX };
	struct vas_layout *layout;
	struct vas *vas;
	int device = device_open();
	uint32_t value = 0;

	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_add(layout, &region, NULL));
	CHECK_OK(vas_layout_commit_lazy(layout, &source, &word, 1, VAS_LAZY_ON_TOUCH));
	CHECK_EQ(device_bind(device, vas_fd(vas)), -EBUSY);
	CHECK_OK(vas_lazy_wait(vas, TEST_HANG_NS));
	CHECK_OK(device_bind(device, vas_fd(vas)));
	CHECK_OK(device_read(device, 4096, &value, sizeof(value), NULL));
	CHECK_EQ(value, 0xffffffff);
	close(device);
	vas_destroy(vas);
}

TEST(what_is_no_vas_is_refused)
{
	int device = device_open(), fd = memfd_create("plain", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int unsealed = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), pair[2];

	CHECK_EQ(device_bind(device, -1), -EBADF);
	CHECK_EQ(device_bind(device, null), -EINVAL);
	CHECK_OK(pipe(pair));
	CHECK_EQ(device_bind(device, pair[1]), -EBADF);
	CHECK_EQ(device_bind(device, pair[0]), -EINVAL);
	CHECK_OK(ftruncate(fd, 65536));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
	CHECK_EQ(device_bind(device, fd), -EPROTO);
	CHECK_OK(ftruncate(unsealed, 65536));
	CHECK_EQ(device_bind(device, unsealed), -EPERM);
}

/* Opening a file of FUSE's, for one, can take as long as a peer likes. */
TEST(a_file_that_is_not_sealed_is_not_even_opened)
{
	struct vas_ko_attach attach;
	char name[] = "/unsealed-XXXXXX", event[4096];
	int device = device_open(), drive = open("/dev/vas", O_RDWR | O_CLOEXEC);
	int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (watch < 0)
		test_skip("this kernel has no inotify");
	attach = (struct vas_ko_attach){ .fd = mkstemp(name) };
	CHECK(attach.fd >= 0);
	CHECK(inotify_add_watch(watch, name, IN_OPEN | IN_CLOSE) >= 0);
	CHECK_EQ(device_bind(device, attach.fd), -EPERM);
	CHECK_EQ(ioctl(drive, VAS_KO_ATTACH, &attach), -1);
	CHECK_EQ(errno, EPERM);
	CHECK_EQ(read(watch, event, sizeof(event)), -1);
	CHECK_EQ(errno, EAGAIN);
	/* It would have been seen. */
	close(open(name, O_RDONLY | O_CLOEXEC));
	CHECK(read(watch, event, sizeof(event)) > 0);
	unlink(name);
}

TEST(a_binding_outlives_the_process_that_made_the_vas)
{
	int pair[2], device = device_open(), status;
	char byte = 0;
	pid_t pid;

	CHECK_OK(pipe(pair));
	pid = fork();
	if (!pid) {
		struct vas *vas = device_vas(64 * MIB, MIB, 0);

		CHECK_OK(vas_write(vas, 4096, "alive", 6, NULL));
		CHECK_OK(device_bind(device, vas_fd(vas)));
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_OK(device_read(device, 4096, &byte, 1, NULL));
	CHECK_EQ(byte, 'a');
	CHECK_OK(device_write(device, MIB - 1, &byte, 1, NULL));
	close(device);
}

TEST(the_modules_stay_while_anybody_is_bound)
{
	struct vas *vas = device_vas(64 * MIB, MIB, 0);
	int device = device_bound(vas_fd(vas));

	CHECK_EQ(syscall(SYS_delete_module, "vas_test", O_NONBLOCK), -1);
	CHECK_EQ(errno, EWOULDBLOCK);
	CHECK_EQ(syscall(SYS_delete_module, "vas", O_NONBLOCK), -1);
	CHECK_EQ(errno, EWOULDBLOCK);
	close(device);
	vas_destroy(vas);
}

TEST(the_end_of_a_binding_is_told_once)
{
	struct vas *vas = device_vas(64 * MIB, MIB, 0);
	int device = device_bound(vas_fd(vas));
	uint64_t before = device_counts(device).released;

	CHECK_OK(device_unbind(device));
	CHECK_EQ(device_counts(device).released, before + 1);
	CHECK_EQ(device_unbind(device), -ENXIO);
	CHECK_OK(device_bind(device, vas_fd(vas)));
	close(device);
	vas_destroy(vas);
}

TEST(as_many_binders_as_there_are_places)
{
	struct vas_options options = { .limit = MIB, .nr_slots = 64 };
	int devices[64], nr, err = 0;
	struct vas *vas;

	CHECK_OK(vas_create(&options, &vas));
	for (nr = 0; nr < 64 && !err; nr++) {
		devices[nr] = device_open();
		err = device_bind(devices[nr], vas_fd(vas));
	}
	CHECK_EQ(err, -EAGAIN);
	CHECK(nr > 2);
	close(devices[0]);
	CHECK_OK(device_bind(devices[nr - 1], vas_fd(vas)));
}

/* vas.ko asks nobody for a page, so it waits until all are there. */
TEST(memory_that_is_still_lazy_is_left_alone)
{
	struct vas *vas = device_vas(64 * MIB, MIB, 0);
	struct control c = control_open(vas_fd(vas));
	int bound = device_bound(vas_fd(vas)), device = device_open();
	uint64_t word = 1;

	control_flags(&c, VAS_STATE_LAZY);
	CHECK_EQ(device_bind(device, vas_fd(vas)), -EBUSY);
	CHECK_EQ(device_read(bound, 0, &word, sizeof(word), NULL), -EBUSY);
	CHECK_EQ(device_write(bound, 0, &word, sizeof(word), NULL), -EBUSY);
	control_flags(&c, 0);
	CHECK_OK(device_bind(device, vas_fd(vas)));
	CHECK_OK(device_read(bound, 0, &word, sizeof(word), NULL));
	CHECK_EQ(word, 0);
	close(device);
	close(bound);
}

/* What a binder that has died still has is had by whoever needs it. */
TEST(the_dead_make_room)
{
	struct vas *vas = device_vas(64 * MIB, MIB, 0);
	struct control c = control_open(vas_fd(vas));
	uint32_t id, i;
	int device;

	for (i = 0; i < c.sb->nr_slots; i++)
		if (!c.slots[i].tag)
			c.slots[i].tag = DEAD_TAG;
	device = device_bound(vas_fd(vas));
	for (i = 0; i < c.sb->nr_slots && c.slots[i].tag == DEAD_TAG; i++)
		;
	CHECK(i < c.sb->nr_slots);
	c.control->pins_claimed = c.sb->nr_pins - 1;
	for (i = 0; i < c.sb->nr_pins; i++)
		if (!c.pins[i].tag)
			c.pins[i].tag = DEAD_TAG;
	CHECK_OK(device_map(device, 0, 4096, VAS_MAPPING_WRITE, &id));
	CHECK(c.pins[0].tag != DEAD_TAG);
	CHECK_OK(device_unmap(device, id));
	CHECK_EQ(c.pins[0].tag, 0);
	close(device);
	vas_destroy(vas);
}
