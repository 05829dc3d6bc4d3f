// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * PID 1 of a Linux guest that has a virtio disk: reads what the host has put there, writes what the
 * host will look for, with many requests at once, and says on its console what came of it.
 *
 * The disk's sectors say where they are: word w of sector s is pattern(seed, s * 64 + w). The host has
 * filled the first half with seed 1; this fills the second half with seed 2, from several processes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../vm/guest/console.h"

#include "blk_linux.h"

#define DISK "/dev/vda"

static void leave(void)
{
	fflush(stdout);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static void fail(const char *what)
{
	printf("guest: failed: %s: %s\n", what, strerror(errno));
	leave();
}

/* In the order in which /modules.list names them: the kernel's own drivers, as they were packed. */
static void load_modules(void)
{
	FILE *list = fopen("/modules.list", "re");
	char path[256];
	int fd;

	while (list && fgets(path, sizeof(path), list)) {
		path[strcspn(path, "\n")] = '\0';
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
			fail(path);
		close(fd);
	}
}

static void wait_for_disk(void)
{
	struct timespec nap = { .tv_nsec = 10000000 };
	int tries;

	for (tries = 0; access(DISK, F_OK); tries++) {
		if (tries == 6000)
			fail("no " DISK);
		nanosleep(&nap, NULL);
	}
}

static void tell(const char *file)
{
	char text[64] = "";
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
		printf("guest: %s: %.*s\n", file, (int)strcspn(text, "\n"), text);
}

/* A piece of the disk, past the guest's page cache: each is a request of its own. */
static void check_segment(int fd, uint64_t *buf, uint64_t at, uint64_t seed)
{
	if (pread(fd, buf, BLK_LINUX_PIECE, (off_t)at) != BLK_LINUX_PIECE)
		fail("read");
	if (blk_linux_check(buf, at, seed)) {
		errno = EILSEQ;
		fail("what was read is not what was written");
	}
}

static int work(uint64_t first, uint64_t step)
{
	int fd = open(DISK, O_RDWR | O_DIRECT | O_CLOEXEC);
	uint64_t *buf = aligned_alloc(4096, BLK_LINUX_PIECE);
	uint64_t at, half = BLK_LINUX_DISK / 2;

	if (fd < 0 || !buf)
		fail("open " DISK);
	for (at = first * BLK_LINUX_PIECE; at < half; at += step * BLK_LINUX_PIECE) {
		check_segment(fd, buf, at, 1);
		blk_linux_fill(buf, half + at, 2);
		if (pwrite(fd, buf, BLK_LINUX_PIECE, (off_t)(half + at)) != BLK_LINUX_PIECE)
			fail("write");
		memset(buf, 0, BLK_LINUX_PIECE);
		check_segment(fd, buf, half + at, 2);
	}
	if (fsync(fd))
		fail("flush");
	return 0;
}

static void work_in_many(void)
{
	int i, status;

	for (i = 0; i < BLK_LINUX_PROCESSES; i++)
		if (!fork())
			_exit(work((uint64_t)i, BLK_LINUX_PROCESSES));
	while (wait(&status) > 0)
		if (status)
			fail("a process died");
}

int main(void)
{
	struct utsname name;
	uint64_t size;
	int fd;

	take_console();
	uname(&name);
	printf("guest: Linux %s\n", name.release);
	load_modules();
	wait_for_disk();
	tell("/sys/block/vda/serial");
	tell("/sys/block/vda/device/features");
	fd = open(DISK, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size) || size != BLK_LINUX_DISK)
		fail("size of " DISK);
	close(fd);
	work_in_many();
	puts(BLK_LINUX_VERDICT);
	leave();
}
