/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The disk of a guest that checks what it reads (tests/vm/guest/disk_init.c), and what it says. */
#ifndef TESTS_EXAMPLES_GUEST_DISK_H
#define TESTS_EXAMPLES_GUEST_DISK_H

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "guest_progress.h"
#include "tests/harness.h"

#define DISK	 "/tmp/disk"
#define DISK_MIB 32

static inline void make_disk(void)
{
	int fd = open(DISK, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK_OK(fd);
	CHECK_OK(ftruncate(fd, DISK_MIB << 20));
	close(fd);
}

/* How many requests it has checked. */
static inline unsigned long nr_checked(const struct program *vmm)
{
	return progress_of(vmm, "disk");
}

static inline void await_checked(struct program *vmm, unsigned long nr)
{
	await_progress(vmm, "disk", nr);
}

/* On the bus of the guest whose owner has its socket there. option may be NULL. */
static inline void serve_disk_by(const char *vas, struct program *device, const char *bus,
				 const char *option)
{
	const char *argv[] = { vas,  "device",	"blk", "disk", "--path",
			       DISK, "--guest", bus,   option, NULL };

	program_start(device, argv);
}

static inline void serve_disk(struct program *device, const char *bus)
{
	serve_disk_by(path_of("TEST_VAS"), device, bus, "--wait");
}

static inline int is_there(void *path)
{
	return !access(path, F_OK);
}

#endif
