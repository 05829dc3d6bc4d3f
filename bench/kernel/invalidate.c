// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "invalidate.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <vas/vas.h>

#include "include/uapi/linux/vas.h"
#include "kernel/modules/test/vas_test.h"
#include "ticks.h"

#define PAGE	   4096
#define TIMEOUT_NS 1000000000
#define NR_TRIES   16 /* of which the best counts */

static int ask_once(int driver, int user, uint64_t gpa, bool ticks, double *cost)
{
	struct vas_test_map map = { .gpa = gpa, .len = PAGE, .flags = 1 };
	struct vas_ko_range range = { .gpa = gpa, .size = PAGE };
	struct vas_ko_prepare prepare = {
		.ranges = (uintptr_t)&range,
		.nr = 1,
		.timeout_ns = TIMEOUT_NS,
	};
	struct vas_test_info info;

	if (ioctl(user, VAS_TEST_MAP, &map))
		return -errno;
	*cost = ticks_now(ticks);
	if (ioctl(driver, VAS_KO_PREPARE, &prepare))
		return -errno;
	*cost = ticks_now(ticks) - *cost;
	if (ioctl(driver, VAS_KO_COMMIT) || ioctl(user, VAS_TEST_INFO, &info))
		return -errno;
	return info.nr_maps ? -EBUSY : 0;
}

static int best(int driver, int user, uint64_t gpa, bool ticks, double *least)
{
	double cost = 0;
	int err = 0;

	*least = 1e18;
	for (unsigned int i = 0; i < NR_TRIES && !err; i++) {
		err = ask_once(driver, user, gpa, ticks, &cost);
		*least = cost < *least ? cost : *least;
	}
	return err;
}

static int connect_to(struct vas *vas, int driver, int user)
{
	struct vas_ko_attach attach = { .fd = vas_fd(vas) };
	int32_t fd = vas_fd(vas);

	if (ioctl(driver, VAS_KO_ATTACH, &attach) || ioctl(user, VAS_TEST_BIND, &fd))
		return -errno;
	return 0;
}

int invalidate_measure(struct vas *vas, uint64_t gpa, bool ticks, double *rounds,
		       unsigned int nr_rounds)
{
	int driver = open("/dev/vas", O_RDWR | O_CLOEXEC);
	int user = open("/dev/vas_test", O_RDWR | O_CLOEXEC);
	int err = driver < 0 || user < 0 ? -ENODEV : connect_to(vas, driver, user);

	for (unsigned int i = 0; i < nr_rounds && !err; i++)
		err = best(driver, user, gpa, ticks, &rounds[i]);
	if (user >= 0)
		close(user);
	if (driver >= 0)
		close(driver);
	return err;
}
