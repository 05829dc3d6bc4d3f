// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/target/memory_file.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#ifndef HAVE_STATX /* musl before 1.2.5 */
#include <linux/stat.h>
#include <sys/syscall.h>
#define statx(...) syscall(SYS_statx, __VA_ARGS__)
#endif

#define MAX_DEVICES 64

/* The devices of such file systems: of mounted ones, and of those that memfds come from. */
struct devices {
	dev_t devices[MAX_DEVICES];
	size_t nr;
};

static void add(struct devices *d, dev_t device)
{
	if (d->nr < MAX_DEVICES)
		d->devices[d->nr++] = device;
}

static void add_memfd(struct devices *d, unsigned int flags)
{
	int fd = memfd_create("device", MFD_CLOEXEC | flags);
	struct stat st;

	if (fd < 0)
		return;
	if (!fstat(fd, &st))
		add(d, st.st_dev);
	close(fd);
}

static int is_memory(const char *type)
{
	return !strncmp(type, "tmpfs ", 6) || !strncmp(type, "hugetlbfs ", 10) ||
	       !strncmp(type, "devtmpfs ", 9);
}

/* "36 35 98:0 /root /mount options - type source ..." */
static void add_mounts(struct devices *d)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	unsigned int major, minor;
	char *line = NULL, *type;
	size_t size = 0;

	if (!file)
		return;
	while (getline(&line, &size, file) > 0) {
		type = strstr(line, " - ");
		if (type && is_memory(type + 3) &&
		    sscanf(line, "%*d %*d %u:%u", &major, &minor) == 2)
			add(d, makedev(major, minor));
	}
	free(line);
	fclose(file);
}

static const struct devices *memory_devices(void)
{
	static struct devices devices;

	if (!devices.nr) {
		add_memfd(&devices, 0);
		add_memfd(&devices, MFD_HUGETLB);
		add_memfd(&devices, MFD_HUGETLB | MFD_HUGE_2MB);
		add_memfd(&devices, MFD_HUGETLB | MFD_HUGE_1GB);
		add_mounts(&devices);
	}
	return &devices;
}

int memory_file_stat(const char *path, struct stat *st)
{
	const struct devices *d = memory_devices();
	struct statx stx;
	dev_t device;
	size_t i;

	/* What is known already; the file system is not asked. */
	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_TYPE, &stx))
		return 0;
	device = makedev(stx.stx_dev_major, stx.stx_dev_minor);
	for (i = 0; i < d->nr && d->devices[i] != device; i++)
		;
	return i < d->nr && S_ISREG(stx.stx_mode) && !stat(path, st);
}
