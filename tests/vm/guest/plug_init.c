// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * PID 1 of a guest that devices are plugged into and out of while it runs. On each disk that comes
 * it makes a partition, if there is none, and works on that until the disk goes; on an Ethernet
 * device it pings the gateway.
 *
 *	plug: ready
 *	plug: vda has come
 *	plug: vda: 1700 checked		requests since it came, ten lines a second
 *	plug: vda has gone
 *	plug: eth0 has come		then "ethernet: 5 pings answered": ethernet.h
 *	plug: eth0 has gone
 *	plug: BROKEN ...		an error while the disk was there, or other bytes than were
 *					written, also before it went the last time
 *
 * Each of WORKERS processes has a part of the partition for itself. A block says which one it is
 * and its version. The version that was written last, and that was asked for last, are remembered:
 * a disk that is pulled out has one of the two.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "console.h"
#include "ethernet.h"

enum { WORKERS = 3, BLOCK = 4096, BLOCKS = 512, PERIOD_NS = 100 * 1000 * 1000, SECTOR = 512 };

#define DISK	  "/dev/vda"
#define PARTITION "/dev/vda1"
#define FIRST	  2048u /* its first sector */

/* Of all times that the disk was there. */
static struct shared {
	uint64_t nr_checked; /* this time */
	uint32_t written[WORKERS][BLOCKS], asked[WORKERS][BLOCKS];
} * shared;

static void sleep_a_period(void)
{
	const struct timespec period = { .tv_nsec = PERIOD_NS };

	nanosleep(&period, NULL);
}

static int disk_is_there(void)
{
	return !access("/sys/block/vda", F_OK);
}

static void fail(const char *what, uint64_t got)
{
	printf("plug: BROKEN: %s: %#llx (%s)\n", what, (unsigned long long)got, strerror(errno));
	for (;;)
		pause();
}

/* An error is none once the disk has gone, or is going: then the kernel takes it away. */
static void ended(const char *what, uint64_t got)
{
	const int err = errno;

	for (int i = 0; i < 1200; i++) {
		if (!disk_is_there())
			_exit(0);
		sleep_a_period();
	}
	errno = err;
	fail(what, got);
}

/* ---- a partition -------------------------------------------------------------------------- */

/* One entry of the table, of all that lies behind the first MiB. */
static void make_partition(int fd, uint32_t nr_sectors)
{
	static uint8_t sector[SECTOR] __attribute__((aligned(SECTOR)));
	const uint32_t where[] = { FIRST, nr_sectors - FIRST };

	sector[0x1be + 4] = 0x83; /* Linux's */
	memcpy(&sector[0x1be + 8], where, sizeof(where));
	sector[0x1fe] = 0x55;
	sector[0x1ff] = 0xaa;
	if (pwrite(fd, sector, SECTOR, 0) != SECTOR || fsync(fd) || ioctl(fd, BLKRRPART))
		ended("a partition cannot be made", 0);
}

static void find_partition(void)
{
	int fd = open(DISK, O_RDWR);
	uint64_t size;

	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size))
		ended("no disk can be opened", 0);
	if (access(PARTITION, F_OK)) {
		if (shared->written[0][0])
			fail("the partition is lost", 0);
		make_partition(fd, (uint32_t)(size / SECTOR));
	}
	close(fd);
}

/* ---- a worker ----------------------------------------------------------------------------- */

static uint64_t value(int worker, uint32_t block, uint32_t version, uint32_t word)
{
	return (uint64_t)version << 32 ^ (uint64_t)worker << 28 ^ (uint64_t)block << 10 ^ word;
}

static off_t place(int worker, uint32_t block)
{
	return ((off_t)worker * BLOCKS + block) * BLOCK;
}

static void write_block(int fd, int worker, uint32_t block, uint64_t *words)
{
	uint32_t version = ++shared->asked[worker][block];

	for (uint32_t i = 0; i < BLOCK / 8; i++)
		words[i] = value(worker, block, version, i);
	if (pwrite(fd, words, BLOCK, place(worker, block)) != BLOCK)
		ended("write", block);
	shared->written[worker][block] = version;
}

static void read_block(int fd, int worker, uint32_t block, uint64_t *words)
{
	uint32_t version, *written = &shared->written[worker][block];

	if (!shared->asked[worker][block])
		return;
	if (pread(fd, words, BLOCK, place(worker, block)) != BLOCK)
		ended("read", block);
	version = (uint32_t)(words[0] >> 32);
	if (version != *written && version != shared->asked[worker][block])
		fail("an old block", words[0]);
	for (uint32_t i = 0; version && i < BLOCK / 8; i++)
		if (words[i] != value(worker, block, version, i))
			fail("contents", words[i]);
	*written = shared->asked[worker][block] = version;
}

/* Of what was there the last time all is read first. */
static void work(int worker)
{
	uint64_t *words =
		mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open(PARTITION, O_RDWR | O_DIRECT);

	if (fd < 0)
		ended("the partition cannot be opened", 0);
	for (uint32_t block = 0; block < BLOCKS; block++)
		read_block(fd, worker, block, words);
	for (uint64_t random = 88172645463325252ull + (uint64_t)worker;;) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		if (random & 1 << 20)
			write_block(fd, worker, (uint32_t)(random % BLOCKS), words);
		else
			read_block(fd, worker, (uint32_t)(random % BLOCKS), words);
		__atomic_fetch_add(&shared->nr_checked, 1, __ATOMIC_RELAXED);
	}
}

static void start_workers(void)
{
	shared->nr_checked = 0;
	if (fork())
		return;
	find_partition();
	for (int i = 0; i < WORKERS; i++)
		if (!fork())
			work(i);
	_exit(0);
}

/* ---- devices ------------------------------------------------------------------------------ */

static void look_for_disk(void)
{
	static int was_there;

	if (was_there && disk_is_there())
		printf("plug: vda: %llu checked\n",
		       (unsigned long long)__atomic_load_n(&shared->nr_checked, __ATOMIC_RELAXED));
	if (was_there == disk_is_there())
		return;
	was_there = !was_there;
	/* As long as anybody has it open, the next one has another name. */
	while (!was_there && waitpid(-1, NULL, 0) > 0)
		;
	printf("plug: vda has %s\n", was_there ? "come" : "gone");
	if (was_there)
		start_workers();
}

static void look_for_network(void)
{
	static int was_there;

	if (was_there == !access("/sys/class/net/eth0", F_OK))
		return;
	was_there = !was_there;
	printf("plug: eth0 has %s\n", was_there ? "come" : "gone");
	if (!was_there || fork())
		return;
	bring_up();
	ping();
	_exit(0);
}

int main(void)
{
	take_console();
	load_listed_modules("plug");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	printf("plug: ready\n");
	for (;;) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		look_for_disk();
		look_for_network();
		sleep_a_period();
	}
}
