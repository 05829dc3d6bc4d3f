// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What modules take they give back: everything is used and let go many times over, and then no page,
 * process, file or thread is there that was not before.
 */
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"

#define MIB   (1ull << 20)
#define PAGE  4096ull
#define LIMIT (64 * MIB)

static long number_in(const char *path, const char *format)
{
	FILE *file = fopen(path, "re");
	char line[256];
	long value = -1;

	CHECK(file);
	while (value < 0 && fgets(line, sizeof(line), file))
		if (sscanf(line, format, &value) != 1)
			value = -1;
	fclose(file);
	CHECK(value >= 0);
	return value;
}

/* Pages that each processor keeps at hand, tens of MiB at times: free, but not in MemFree. */
static long kept_kib(void)
{
	FILE *file = fopen("/proc/zoneinfo", "re");
	long pages, sum = 0;
	char line[256];

	CHECK(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " count: %ld", &pages) == 1)
			sum += pages;
	fclose(file);
	return sum * (long)(PAGE / 1024);
}

struct census {
	long free_kib;
	long dentries;
	long threads;
	long mms;
};

/* KASAN keeps what was freed for a while, unless the slabs are shrunk. */
static void shrink_slabs(void)
{
	glob_t paths;
	size_t i;

	if (glob("/sys/kernel/slab/*/shrink", GLOB_NOSORT, NULL, &paths))
		return;
	for (i = 0; i < paths.gl_pathc; i++) {
		FILE *file = fopen(paths.gl_pathv[i], "we");

		if (!file)
			continue; /* gone meanwhile */
		fputs("1", file);
		fclose(file);
	}
	globfree(&paths);
}

/* Objects of the mm's slab: a process that is gone but not forgotten. */
static long nr_mms(void)
{
	return number_in("/proc/slabinfo", "mm_struct %ld");
}

/* Each open file holds one. Files themselves are counted to the nearest 32 a processor. */
static long nr_dentries(void)
{
	return number_in("/proc/sys/fs/dentry-state", "%ld");
}

/* What is cached, by slabs and for each processor; and by a debug kernel's checkers. */
static long slack_kib(void)
{
	return access("/sys/kernel/debug/kmemleak", F_OK) ? 4096 : 6 * 4096;
}

static struct census census(void)
{
	struct census now;
	FILE *file = fopen("/proc/sys/vm/drop_caches", "we");

	CHECK(file && fputs("3", file) > 0);
	fclose(file);
	shrink_slabs();
	now.free_kib = number_in("/proc/meminfo", "MemFree: %ld") + kept_kib();
	now.dentries = nr_dentries();
	now.threads = number_in("/proc/loadavg", "%*f %*f %*f %*d/%ld");
	now.mms = access("/proc/slabinfo", R_OK) ? 0 : nr_mms();
	return now;
}

static void use_everything(void)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	struct vas_test_range ranges[] = { { 0, MIB }, { 2 * MIB + 1, 3 } };
	struct vas_test_sg sg = { .ranges = (uintptr_t)ranges,
				  .nr = 2,
				  .flags = VAS_MAPPING_WRITE };
	struct vas_test_load load = {
		.gpa = 0, .len = MIB, .kind = VAS_TEST_LOAD_CACHE, .seed = 1
	};
	int device = device_bound(vas_fd(vas)), fd = vas_readonly_fd(vas);
	int observer = device_bound(fd), bell = eventfd(0, 0), irq = eventfd(0, 0);
	static uint8_t buf[MIB];
	uint32_t id;

	for (uint32_t context = 0; context <= VAS_TEST_WORKQUEUE; context++) {
		struct vas_test_copy copy = {
			.gpa = 5, .len = MIB, .context = context, .flags = VAS_TEST_WRITE
		};

		CHECK_OK(device_copy_in(device, &copy, buf, NULL));
		copy.flags = VAS_TEST_CACHED;
		CHECK_OK(device_copy_in(observer, &copy, buf, NULL));
	}
	CHECK_OK(device_load(device, &load));
	CHECK_OK(device_map(device, 0, 2 * MIB, VAS_MAPPING_WRITE, &id));
	CHECK_OK(device_map(observer, 0, 2 * MIB, 0, &id));
	CHECK_EQ(device_map(device, 3 * MIB, 2 * MIB, 0, &id), -EFAULT);
	CHECK_OK(device_sg_map(device, &sg));
	CHECK_OK(device_doorbell(device, bell, irq, 0));
	device_remove(vas, 1);
}

/* In a process of its own, which leaves the tidying up to its end. */
static void use_in_a_process(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		use_everything();
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static int all_is_let_go(void *unused)
{
	(void)unused;
	return !device_counter("bindings") && !device_counter("maps") &&
	       !device_counter("pinned_folios") && !device_counter("log_pages") &&
	       !device_counter("cached_folios");
}

static struct census before;

/* What is freed late is waited for. */
static int is_as_before(void *unused)
{
	struct census now = census();

	(void)unused;
	test_note("free %ld of %ld KiB, %ld of %ld dentries, %ld of %ld threads, %ld of %ld mms",
		  now.free_kib, before.free_kib, now.dentries, before.dentries, now.threads,
		  before.threads, now.mms, before.mms);
	return now.free_kib + slack_kib() >= before.free_kib &&
	       now.dentries <= before.dentries + 20 && now.threads <= before.threads + 4 &&
	       now.mms <= before.mms + 10;
}

TEST(nothing_is_left_behind)
{
	close(device_open()); /* skips here, without the modules */
	use_in_a_process();
	test_wait(all_is_let_go, NULL, 10000);
	before = census();
	for (int i = 0; i < 40; i++)
		use_in_a_process();
	test_wait(all_is_let_go, NULL, 10000);
	/* A round that leaks costs 4 MiB, a dentry, a thread or an mm; 40 of them show. */
	test_wait(is_as_before, NULL, 20000);
}
