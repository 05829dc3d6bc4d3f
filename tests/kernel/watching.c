// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What people see of bindings and maps: /sys/kernel/debug/vas, and trace events. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "device.h"
#include "include/uapi/linux/vas.h"

#define MIB  (1ull << 20)
#define PAGE 4096ull

#define DEBUG "/sys/kernel/debug/vas/"
#define TRACE "/sys/kernel/debug/tracing/"

static char text[256 << 10];

static const char *contents(const char *path)
{
	FILE *file = fopen(path, "re");
	size_t len;

	if (!file)
		test_fail(__FILE__, __LINE__, "%s: not there", path);
	len = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[len] = '\0';
	return text;
}

static void put(const char *path, const char *value)
{
	FILE *file = fopen(path, "we");

	CHECK(file);
	CHECK(fputs(value, file) >= 0);
	CHECK_EQ(fclose(file), 0);
}

TEST(debugfs_tells_who_is_bound_and_who_has_maps)
{
	struct vas *vas = device_vas(64 * MIB, MIB, 0);
	int device, observer, fd = vas_readonly_fd(vas);
	uint32_t id;

	CHECK_EQ(contents(DEBUG "bindings")[0], '\0');
	CHECK_EQ(contents(DEBUG "maps")[0], '\0');
	device = device_bound(vas_fd(vas));
	observer = device_bound(fd);
	CHECK_OK(device_map(device, 0x3000, 2 * PAGE, VAS_MAPPING_WRITE, &id));
	CHECK_HAS(contents(DEBUG "bindings"), "vas_test binder");
	CHECK_HAS(text, "vas_test observer");
	CHECK_HAS(contents(DEBUG "maps"), "vas_test gpa=0x3000 len=0x2000");
	CHECK_EQ(device_counter("bindings"), 2);
	CHECK_EQ(device_counter("maps"), 1);
	CHECK(device_counter("pinned_folios") > 2);
	close(device);
	close(observer);
	CHECK_EQ(contents(DEBUG "bindings")[0], '\0');
	CHECK_EQ(contents(DEBUG "maps")[0], '\0');
	CHECK_EQ(device_counter("pinned_folios"), 0);
}

/* One of each kind of thing that is traced. */
static int has_resumed(void *device)
{
	return device_counts(*(int *)device).resumed == 1;
}

static void do_everything(void)
{
	struct vas *vas = device_vas(64 * MIB, MIB, 0);
	struct vas_ko_attach attach = { .fd = vas_fd(vas) };
	struct vas_ko_freeze freeze = { .timeout_ns = TEST_HANG_NS };
	uint64_t region = device_add(vas, 8 * MIB, MIB);
	int device = device_bound(vas_fd(vas)), drive = open("/dev/vas", O_RDWR | O_CLOEXEC);
	uint32_t id;

	CHECK_OK(device_map(device, 8 * MIB, PAGE, VAS_MAPPING_WRITE, &id));
	CHECK_OK(ioctl(drive, VAS_KO_ATTACH, &attach));
	CHECK_OK(ioctl(drive, VAS_KO_FREEZE, &freeze));
	CHECK_OK(ioctl(drive, VAS_KO_THAW));
	test_wait(has_resumed, &device, 100000); /* or the next request may overtake this one */
	device_remove(vas, region);
	CHECK_EQ(device_unmap(device, id), -ENOENT);
	close(device);
	close(drive);
	vas_destroy(vas);
}

TEST(trace_events_tell_what_happens)
{
	static const char *const wanted[] = {
		"vas_bind: ",
		"holder=vas_test",
		"vas_generation: ",
		"vas_mapping_create: ",
		"gpa=0x800000 len=0x1000",
		"vas_freeze: ",
		" freeze err=0",
		"request=quiesce",
		" thaw err=0",
		"request=keep",
		"vas_invalidate: ",
		"request=unmap",
		"vas_mapping_destroy: ",
		"vas_unbind: ",
	};

	close(device_open()); /* skips here, without the modules */
	if (access(TRACE "events/vas/enable", W_OK))
		test_skip("this kernel has no trace events");
	put(TRACE "trace", "");
	put(TRACE "events/vas/enable", "1");
	do_everything();
	put(TRACE "events/vas/enable", "0");
	contents(TRACE "trace");
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		CHECK_HAS(text, wanted[i]);
}
