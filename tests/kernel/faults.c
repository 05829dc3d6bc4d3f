// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "faults.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const kinds[] = { "failslab", "fail_page_alloc", "fail_usercopy" };

static void set(const char *kind, const char *what, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", kind, what);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return; /* not every kind has everything */
	dprintf(fd, "%s", value);
	close(fd);
}

int faults_init(void)
{
	if (access("/proc/thread-self/fail-nth", W_OK))
		return -1;
	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		set(kinds[i], "ignore-gfp-wait", "N");
		set(kinds[i], "ignore-gfp-highmem", "N");
		set(kinds[i], "min-order", "0");
		set(kinds[i], "verbose", "0"); /* a stack for each would look like an alarm */
	}
	return 0;
}

int faults_arm(unsigned int n)
{
	char text[16] = "";
	int fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC), left;

	if (fd < 0 || pread(fd, text, sizeof(text) - 1, 0) <= 0) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	left = atoi(text);
	dprintf(fd, "%u", n);
	close(fd);
	/* What is left of the count: 0 once it has come to the end, which is the failure. */
	return !left;
}
