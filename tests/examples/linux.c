// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * tinyvmm boots a stock Linux kernel, whose init (tests/vm/guest/disk_init.c) works on a disk that
 * threads of tinyvmm serve, and checks what it reads.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/harness.h"
#include "program.h"

#define DISK	 "/tmp/disk"
#define DISK_MIB 32
#define CHECKED	 300

static struct program vmm;

/* How many requests it has checked. */
static unsigned long nr_checked(const struct program *p)
{
	const char *at = p->text;
	unsigned long nr = 0, one;
	int end;

	for (; (at = strstr(at, "disk: ")); at++) {
		end = 0;
		if (sscanf(at, "disk: %lu checked%n", &one, &end) == 1 && end)
			nr = one;
	}
	return nr;
}

static void make_disk(void)
{
	int fd = open(DISK, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK_OK(fd);
	CHECK_OK(ftruncate(fd, DISK_MIB << 20));
	close(fd);
}

static void work(const char *kernel, const char *cpus, const char *device)
{
	const char *argv[] = { path_of("TEST_TINYVMM"),
			       "--mem",
			       "160",
			       "--cpus",
			       cpus,
			       "--append",
			       path_of("TEST_APPEND"),
			       "--initrd",
			       path_of("TEST_INITRD"),
			       "--device",
			       device,
			       path_of(kernel),
			       NULL };

	make_disk();
	program_start(&vmm, argv);
	while (nr_checked(&vmm) < CHECKED) {
		CHECK(!strstr(vmm.text, "BROKEN") && !strstr(vmm.text, "I/O error"));
		CHECK(program_read(&vmm));
	}
	kill(vmm.pid, SIGTERM);
	CHECK_EQ(program_finish(&vmm), -SIGTERM);
}

TEST(a_kernel_that_is_an_elf_file_works_on_its_disk)
{
	work("TEST_VMLINUX", "1", "blk,path=" DISK);
	CHECK_HAS(vmm.text, "disk: 1 queues");
}

TEST(two_processors_have_a_queue_each)
{
	work("TEST_VMLINUX", "2", "blk,path=" DISK ",queues=2");
	CHECK_HAS(vmm.text, "disk: 2 queues");
}

TEST(a_kernel_that_is_a_bzimage_works_on_its_disk)
{
	work("TEST_BZIMAGE", "1", "blk,path=" DISK);
}
