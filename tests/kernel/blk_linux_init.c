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
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "blk_linux.h"
#include "linux_init.h"

#define DISK "/dev/vda"

static void wait_for_disk(void)
{
	struct timespec nap = { .tv_nsec = 10000000 };
	int tries;

	for (tries = 0; access(DISK, F_OK); tries++) {
		if (tries == 6000)
			guest_fail("no " DISK);
		nanosleep(&nap, NULL);
	}
}

/* A piece of the disk, past the guest's page cache: each is a request of its own. */
static void check_segment(int fd, uint64_t *buf, uint64_t at, uint64_t seed)
{
	if (pread(fd, buf, BLK_LINUX_PIECE, (off_t)at) != BLK_LINUX_PIECE)
		guest_fail("read");
	if (blk_linux_check(buf, at, seed)) {
		errno = EILSEQ;
		guest_fail("what was read is not what was written");
	}
}

static int work(uint64_t first, uint64_t step)
{
	int fd = open(DISK, O_RDWR | O_DIRECT | O_CLOEXEC);
	uint64_t *buf = aligned_alloc(4096, BLK_LINUX_PIECE);
	uint64_t at, half = BLK_LINUX_DISK / 2;

	if (fd < 0 || !buf)
		guest_fail("open " DISK);
	for (at = first * BLK_LINUX_PIECE; at < half; at += step * BLK_LINUX_PIECE) {
		check_segment(fd, buf, at, 1);
		blk_linux_fill(buf, half + at, 2);
		if (pwrite(fd, buf, BLK_LINUX_PIECE, (off_t)(half + at)) != BLK_LINUX_PIECE)
			guest_fail("write");
		memset(buf, 0, BLK_LINUX_PIECE);
		check_segment(fd, buf, half + at, 2);
	}
	if (fsync(fd))
		guest_fail("flush");
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
			guest_fail("a process died");
}

int main(void)
{
	uint64_t size;
	int fd;

	guest_begin();
	wait_for_disk();
	guest_tell("/sys/block/vda/serial");
	guest_tell("/sys/block/vda/device/features");
	fd = open(DISK, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size) || size != BLK_LINUX_DISK)
		guest_fail("size of " DISK);
	close(fd);
	work_in_many();
	puts(BLK_LINUX_VERDICT);
	guest_leave();
}
