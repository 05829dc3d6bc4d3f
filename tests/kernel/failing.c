// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Each call of the modules with its first allocation or user copy failing, then the second, and so on
 * until there are no more: an error, nothing left behind, and the same call works afterwards. Needs a
 * kernel with fault injection.
 */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <vas/dirty.h>

#include "blk_guest.h"
#include "device.h"
#include "examples/echo.h"
#include "faults.h"
#include "include/uapi/linux/vas.h"
#include "kernel/modules/example/vas_example.h"
#include "net_guest.h"

#define MAX_POINTS 2000

struct subject {
	struct vas *vas;
	int device;
	int bell;
	int irq;
};

static struct subject s;

static void setup(void)
{
	close(device_open()); /* skips here, without the modules */
	if (faults_init())
		test_skip("this kernel cannot make allocations fail");
	s.vas = device_vas(64 * MIB, 4 * MIB, 0);
	s.device = device_bound(vas_fd(s.vas));
	s.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s.irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

/* call() does something and, if that has worked, undoes it: 0 or -errno of the doing. */
static void fails_cleanly(const char *name, int (*call)(void))
{
	unsigned int n, nr_errors = 0;

	for (n = 1; n < MAX_POINTS; n++) {
		int err, hit;

		test_note("%s, failure %u", name, n);
		faults_arm(n);
		err = call();
		hit = faults_arm(0);
		CHECK(!err || hit);
		nr_errors += !!err;
		if (!hit)
			break;
	}
	test_note("%s: %u points, %u of them errors", name, n - 1, nr_errors);
	CHECK(n < MAX_POINTS);
	CHECK(n > 1);
	CHECK_OK(call());
}

static int bind_and_unbind(void)
{
	int device = open("/dev/vas_test", O_RDWR | O_CLOEXEC), err;

	if (device < 0)
		return -errno;
	err = device_bind(device, vas_fd(s.vas));
	close(device);
	return err;
}

static int copy_everywhere(void)
{
	static uint8_t buf[3 * 4096];
	int err = 0;

	for (uint32_t context = 0; context <= VAS_TEST_WORKQUEUE && !err; context++) {
		struct vas_test_copy copy = {
			.gpa = 5, .len = sizeof(buf), .context = context, .flags = VAS_TEST_WRITE
		};

		err = device_copy_in(s.device, &copy, buf, NULL);
		copy.flags = VAS_TEST_CACHED | VAS_TEST_WRITE;
		if (!err)
			err = device_copy_in(s.device, &copy, buf, NULL);
	}
	return err;
}

/* To memory that is not there yet, on a page of the log that is not, either. */
static int copy_to_a_hole(void)
{
	static uint64_t gpa;
	uint64_t word = 1;

	gpa = (gpa + 8192) % (4 * MIB);
	if (fallocate(vas_fd(s.vas), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)gpa, 4096))
		return -errno;
	return device_write(s.device, gpa, &word, sizeof(word), NULL);
}

static int map_and_unmap(void)
{
	uint32_t id;
	int err = device_map(s.device, 100, 2 * MIB, VAS_MAPPING_WRITE, &id);

	return err ? err : device_unmap(s.device, id);
}

static int list_and_unlist(void)
{
	struct vas_test_range ranges[] = { { 0, MIB }, { 2 * MIB + 1, 3 }, { 3 * MIB, 70000 } };
	struct vas_test_sg sg = { .ranges = (uintptr_t)ranges,
				  .nr = 3,
				  .flags = VAS_MAPPING_WRITE };
	int err = device_sg_map(s.device, &sg);

	/* The list is there even if its size could not be told. */
	device_sg_unmap(s.device);
	return err;
}

static int ring_and_stop(void)
{
	int err = device_doorbell(s.device, s.bell, s.irq, 0);
	uint64_t nr_rings;

	if (!err)
		ioctl(s.device, VAS_TEST_DOORBELL_STOP,
		      &nr_rings); /* stops, whether it can tell or not */
	return err;
}

static int load_and_stop(void)
{
	struct vas_test_load load = { .len = MIB, .seed = 1 };
	int err = device_load(s.device, &load);
	struct vas_test_load_result result;

	if (!err)
		ioctl(s.device, VAS_TEST_LOAD_STOP, &result); /* as above */
	return err;
}

static int drive(void)
{
	struct vas_ko_attach attach = { .fd = vas_fd(s.vas) };
	struct vas_ko_range range = { .gpa = MIB, .size = MIB };
	struct vas_ko_prepare prepare = { .ranges = (uintptr_t)&range,
					  .nr = 1,
					  .timeout_ns = 1000000000 };
	struct vas_ko_freeze freeze = { .timeout_ns = 1000000000 };
	int fd = open("/dev/vas", O_RDWR | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = ioctl(fd, VAS_KO_ATTACH, &attach) || ioctl(fd, VAS_KO_PREPARE, &prepare) ||
			      ioctl(fd, VAS_KO_COMMIT) || ioctl(fd, VAS_KO_FREEZE, &freeze) ||
			      ioctl(fd, VAS_KO_THAW) ?
		      -errno :
		      0;
	close(fd);
	return err;
}

static int serve_foo(void)
{
	struct foo_serve serve = {
		.vas_fd = vas_fd(s.vas),
		.doorbell_fd = s.bell,
		.irq_fd = s.irq,
		.flags = FOO_BY_MAP,
		.gpa = ECHO_GPA,
	};
	int foo = open("/dev/foo", O_RDWR | O_CLOEXEC), err;

	if (foo < 0)
		return -errno;
	err = ioctl(foo, FOO_SERVE, &serve) ? -errno : 0;
	close(foo);
	return err;
}

static struct guest guest;

static int serve_disk(void)
{
	int err;

	guest.blk = open("/dev/vas_blk", O_RDWR | O_CLOEXEC);
	if (guest.blk < 0)
		return -errno;
	err = blk_open(&guest, 0);
	if (!err)
		err = queue_start(&guest, 0);
	close(guest.blk);
	return err;
}

static struct net_guest network;

static int serve_network(void)
{
	struct vas_net_open arg = { .features = VERSION_1, .nr_pairs = 1 };
	int err;

	network.net = open("/dev/vas_net", O_RDWR | O_CLOEXEC);
	if (network.net < 0)
		return -errno;
	err = net_guest_open(&network, arg);
	if (!err)
		err = net_guest_start(&network, 0, 0);
	if (!err)
		err = net_guest_start(&network, 1, 0);
	close(network.net);
	return err;
}

/* What is behind an IOMMU that says the same of all of it. */
static int set_view(int fd)
{
	struct vas_queue_view view = { .max_entries = 100 };
	struct vas_queue_map map = { .size = RAM, .prot = VAS_QUEUE_READ | VAS_QUEUE_WRITE };
	struct vas_queue_maps maps = { .maps = (uintptr_t)&map, .nr = 1 };

	return ioctl(fd, VAS_QUEUE_VIEW, &view) || ioctl(fd, VAS_QUEUE_MAP, &maps) ? -errno : 0;
}

static int serve_network_by_iovas(void)
{
	struct vas_net_open arg = { .features = VERSION_1 | 1ull << 33, .nr_pairs = 1 };
	int err;

	network.net = open("/dev/vas_net", O_RDWR | O_CLOEXEC);
	if (network.net < 0)
		return -errno;
	err = net_guest_open(&network, arg);
	if (!err)
		err = set_view(network.net);
	if (!err)
		err = net_guest_start(&network, 0, 0);
	if (!err)
		err = net_guest_start(&network, 1, 0);
	close(network.net);
	return err;
}

static int all_is_let_go(void *unused)
{
	(void)unused;
	return !device_counter("bindings") && !device_counter("maps") &&
	       !device_counter("pinned_folios") && !device_counter("log_pages") &&
	       !device_counter("cached_folios");
}

static void end(void)
{
	close(s.device);
	test_wait(all_is_let_go, NULL, TEST_HANG_MS);
}

TEST(binding_fails_cleanly)
{
	setup();
	fails_cleanly("bind", bind_and_unbind);
	end();
}

TEST(copies_fail_cleanly)
{
	struct vas_tracker *dirty;

	setup();
	fails_cleanly("copy", copy_everywhere);
	fails_cleanly("copy to a hole", copy_to_a_hole);
	CHECK_OK(vas_tracker_attach(s.vas, "test", 0, &dirty));
	fails_cleanly("copy to a hole, tracked", copy_to_a_hole);
	vas_tracker_detach(dirty);
	end();
}

TEST(maps_and_lists_fail_cleanly)
{
	setup();
	fails_cleanly("map", map_and_unmap);
	fails_cleanly("list", list_and_unlist);
	end();
}

TEST(events_and_threads_fail_cleanly)
{
	setup();
	fails_cleanly("bell", ring_and_stop);
	fails_cleanly("load", load_and_stop);
	end();
}

TEST(driving_fails_cleanly)
{
	setup();
	fails_cleanly("drive", drive);
	end();
}

TEST(consumers_fail_cleanly)
{
	setup();
	fails_cleanly("foo", serve_foo);
	close(s.device);
	guest_init(&guest, 0);
	close(guest.blk);
	fails_cleanly("blk", serve_disk);
	end();
}

TEST(networks_fail_cleanly)
{
	setup();
	net_guest_init(&network, 0);
	close(network.sock);
	close(network.net);
	fails_cleanly("net", serve_network);
	fails_cleanly("net by iovas", serve_network_by_iovas);
	end();
}
