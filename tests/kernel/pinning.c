// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What modules pin counts as pinned by the process that bound, and stays within its limit. What
 * they allocate for the guest counts as the memory of that process's cgroup.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control.h"
#include "device.h"

#define MIB   (1ull << 20)
#define PAGE  4096ull
#define LIMIT (1ull << 36)

static struct vas *new_vas(void)
{
	return device_vas(LIMIT, 4 * MIB, 0);
}

/* Pages that are pinned in this process's name. */
static long pinned(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	long kib = -1;

	CHECK(file);
	while (kib < 0 && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmPin: %ld", &kib) != 1)
			kib = -1;
	fclose(file);
	CHECK(kib >= 0);
	return kib * 1024 / (long)PAGE;
}

/* From now on this process has to keep to its RLIMIT_MEMLOCK. */
static void obey_limits(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	CHECK_OK(syscall(SYS_capget, &header, data));
	data[0].effective &= ~(1u << CAP_IPC_LOCK);
	CHECK_OK(syscall(SYS_capset, &header, data));
}

static void set_limit(long pages)
{
	struct rlimit limit = { (rlim_t)pages * PAGE, RLIM_INFINITY };

	CHECK_OK(setrlimit(RLIMIT_MEMLOCK, &limit));
}

/* What a binding pins for itself. */
static long pages_of_a_binding(struct vas *vas)
{
	int device = device_bound(vas_fd(vas));
	long nr = pinned();

	close(device);
	CHECK_EQ(pinned(), 0);
	return nr;
}

TEST(what_is_pinned_is_counted_and_given_back)
{
	struct vas *vas = new_vas();
	struct vas_test_range ranges[] = { { 0, PAGE }, { 3 * PAGE - 1, 2 } };
	struct vas_test_sg sg = { .ranges = (uintptr_t)ranges,
				  .nr = 2,
				  .flags = VAS_MAPPING_WRITE };
	int device = device_bound(vas_fd(vas));
	long own = pinned(), log;
	uint32_t id;

	CHECK(own > 0);
	CHECK_OK(device_map(device, PAGE - 1, 2, 0, &id));
	CHECK_EQ(pinned(), own + 2);
	CHECK_EQ(device_map(device, 3 * MIB, 2 * MIB, 0, &id), -EFAULT);
	CHECK_EQ(pinned(), own + 2);
	/* To be written, so pages of the log are held, too: one of each level. */
	CHECK_OK(device_map(device, 0, MIB, VAS_MAPPING_WRITE, &id));
	log = pinned() - own - 2 - (long)(MIB / PAGE);
	CHECK(log > 0 && log <= 3);
	CHECK_OK(device_unmap(device, id));
	CHECK_EQ(pinned(), own + 2 + log);
	CHECK_OK(device_sg_map(device, &sg));
	CHECK_EQ(pinned(), own + 2 + log + 3);
	CHECK_OK(device_sg_unmap(device));
	CHECK_OK(device_unbind(device));
	CHECK_EQ(pinned(), 0);
}

TEST(a_process_cannot_bind_or_map_beyond_its_limit)
{
	struct vas *vas = new_vas();
	long own = pages_of_a_binding(vas);
	int device = device_open(), second = device_open();
	uint32_t id, other;

	obey_limits();
	set_limit(own - 1);
	CHECK_EQ(device_bind(device, vas_fd(vas)), -ENOMEM);
	CHECK_EQ(pinned(), 0);
	set_limit(own + 8);
	CHECK_OK(device_bind(device, vas_fd(vas)));
	CHECK_EQ(device_map(device, 0, 9 * PAGE, 0, &id), -ENOMEM);
	CHECK_EQ(pinned(), own);
	CHECK_OK(device_map(device, 0, 8 * PAGE, 0, &id));
	CHECK_EQ(device_map(device, 0, 1, 0, &other), -ENOMEM);
	CHECK_OK(device_unmap(device, id));
	CHECK_OK(device_map(device, 0, 8 * PAGE, 0, &id));
	/* All bindings of the process together. */
	CHECK_EQ(device_bind(second, vas_fd(vas)), -ENOMEM);
	CHECK_EQ(pinned(), own + 8);
}

TEST(the_limit_is_the_binders_whoever_maps)
{
	struct vas_test_load load = { .len = PAGE, .kind = VAS_TEST_LOAD_MAP, .seed = 1 };
	struct vas *vas = new_vas();
	long own = pages_of_a_binding(vas);
	int device = device_open();
	struct vas_test_load_result result;

	obey_limits();
	set_limit(own);
	CHECK_OK(device_bind(device, vas_fd(vas)));
	CHECK_OK(device_load(device, &load)); /* a kernel thread, which may do anything */
	do {
		result = device_load_stop(device);
		CHECK_OK(device_load(device, &load));
	} while (!result.err && !result.done);
	CHECK_EQ(result.err, -ENOMEM);
	CHECK_EQ(result.done, 0);
}

TEST(a_write_that_the_log_has_no_page_for_is_refused)
{
	struct vas *vas = new_vas();
	long own = pages_of_a_binding(vas);
	struct control c = control_open(vas_fd(vas));
	int device = device_open();
	uint64_t word = 1;

	obey_limits();
	set_limit(own);
	CHECK_OK(device_bind(device, vas_fd(vas)));
	CHECK_OK(device_write(device, 0, &word, sizeof(word), NULL));
	control_flags(&c, VAS_STATE_TRACKING);
	word = 2;
	CHECK_EQ(device_write(device, 0, &word, sizeof(word), NULL), -ENOMEM);
	CHECK_OK(device_read(device, 0, &word, sizeof(word), NULL));
	CHECK_EQ(word, 1);
	CHECK_EQ(control_nr_dirty(&c), 0);
	CHECK_EQ(pinned(), own);
}

/* A pin in a binder's name stays when that binder ends: who takes it marks what it says. */
TEST(a_pin_that_a_peer_forges_leaves_nothing_pinned)
{
	struct vas *vas = new_vas();
	struct control c = control_open(vas_fd(vas));
	int device = device_bound(vas_fd(vas));
	uint32_t id;

	CHECK_OK(device_map(device, 0, PAGE, 0, &id));
	for (uint32_t i = 2; i < c.sb->nr_pins; i++)
		c.pins[i].tag = control_owners_tag(&c);
	c.pins[1] = c.pins[0];
	c.pins[1].flags = VAS_PIN_WRITABLE;
	c.pins[1].size = 2 * MIB;
	CHECK_OK(device_unbind(device));
	CHECK_EQ(pinned(), 0);
	CHECK(!control_is_dirty(&c, MIB));
	CHECK_OK(device_bind(device, vas_fd(vas)));
	c.pins[0].tag = control_owners_tag(&c);
	CHECK_OK(device_map(device, 0, PAGE, 0, &id));
	CHECK_EQ(c.pins[1].size, PAGE);
	CHECK(control_is_dirty(&c, MIB));
	CHECK_EQ(device_counter("log_pages"), 0);
	CHECK_OK(device_unbind(device));
	CHECK_EQ(pinned(), 0);
}

/* ---- memory that is allocated ------------------------------------------------------------- */

#define CGROUPS "/tmp/cgroups"
#define CGROUP	CGROUPS "/pinning"

static int put_text(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return err;
}

/* This process is in a cgroup of its own from now on, whose memory is counted. */
static void enter_cgroup(void)
{
	mkdir(CGROUPS, 0700);
	if (mount("cgroup2", CGROUPS, "cgroup2", 0, NULL) && errno != EBUSY)
		test_skip("no cgroups");
	if (put_text(CGROUPS "/cgroup.subtree_control", "+memory"))
		test_skip("no cgroups with memory");
	CHECK(!mkdir(CGROUP, 0700) || errno == EEXIST);
	CHECK_OK(put_text(CGROUP "/cgroup.procs", "0"));
}

static void leave_cgroup(void)
{
	CHECK_OK(put_text(CGROUPS "/cgroup.procs", "0"));
}

static long bytes_in_cgroup(void)
{
	char text[32] = "";
	int fd = open(CGROUP "/memory.current", O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return atol(text);
}

static void fill_by(int device, uint32_t context, uint64_t gpa)
{
	static char bytes[4 * MIB];
	struct vas_test_copy copy = {
		.gpa = gpa, .len = sizeof(bytes), .flags = VAS_TEST_WRITE, .context = context
	};
	long before;

	memset(bytes, 5, sizeof(bytes));
	before = bytes_in_cgroup();
	CHECK_OK(device_copy_in(device, &copy, bytes, NULL));
	test_note("context %u: %ld bytes", context, bytes_in_cgroup() - before);
	CHECK(bytes_in_cgroup() - before >= (long)sizeof(bytes));
}

/* By maps of single pages, in no order: most of them. */
static void fill_by_maps(int device, uint64_t gpa)
{
	struct vas_test_load load = { .gpa = gpa, .len = 4 * MIB, .kind = VAS_TEST_LOAD_MAP };
	long before = bytes_in_cgroup();
	uint64_t done;

	for (done = 0; done < 2 * load.len / PAGE; load.seed++) {
		struct vas_test_load_result result;

		CHECK_OK(device_load(device, &load));
		usleep(100000);
		result = device_load_stop(device);
		CHECK_OK(result.err);
		done += result.done;
	}
	test_note("maps: %ld bytes", bytes_in_cgroup() - before);
	CHECK(bytes_in_cgroup() - before >= (long)load.len / 2);
}

TEST(guest_memory_that_is_allocated_for_a_module_counts_for_who_bound)
{
	struct vas *vas = device_vas(LIMIT, 32 * MIB, 0);
	int device, file = device_add_file(vas, 64 * MIB, 4 * MIB);

	enter_cgroup();
	device = device_bound(vas_fd(vas));
	CHECK(device_offer(device, file) > 0);
	fill_by(device, VAS_TEST_SELF, 0);
	fill_by(device, VAS_TEST_KTHREAD, 4 * MIB);
	fill_by(device, VAS_TEST_WORKQUEUE, 8 * MIB);
	fill_by(device, VAS_TEST_KTHREAD, 64 * MIB);
	fill_by_maps(device, 16 * MIB);
	leave_cgroup();
}
