// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * PID 1 of a guest that works on its disk, /dev/vda, and checks what it reads all the time.
 *
 *	disk: 1700 checked	requests so far, ten lines a second
 *	disk: 4 queues		of the device
 *	disk: serial TEXT
 *	disk: behind an IOMMU, TYPE
 *	disk: 128 MiB		whenever that is something else
 *	disk: BROKEN ...	an error, or other bytes than were written
 *
 * Each of WORKERS processes has a part of the disk for itself and remembers which version of each
 * block it wrote last: a block that is older, newer, or another's is found. What was read is
 * checked later, so that a VMM that loses what a device has written to memory is found, too. It
 * writes, reads, flushes, discards and zeroes. vas_offset=MIB, on the kernel's command line, is
 * where they begin; vas_only=read has them read, and expect zeros. vas_share=TAG: they work on the
 * file "disk" of a virtio file system instead.
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
#include <time.h>
#include <unistd.h>

#include "console.h"
#include "iommu.h"

enum {
	WORKERS = 6,
	BLOCK = 4096,
	BLOCKS = 1024,
	MOST = 16,
	SLOTS = 64,
	PERIOD_NS = 100 * 1000 * 1000
};

static uint64_t *nr_checked; /* shared */
static int only_reads;
static const char *disk = "/dev/vda", *share;

/* False: there is none, or not yet. */
static int mount_share(void)
{
	disk = "/share/disk";
	mkdir("/share", 0700);
	return !mount(share, "/share", "virtiofs", 0, NULL);
}

static void tell_of_device(void)
{
	char text[32] = "", path[64];
	int fd = open("/sys/block/vda/serial", O_RDONLY), nr = 0;

	if (fd >= 0 && read(fd, text, sizeof(text) - 1) >= 0)
		printf("disk: serial %s\n", text);
	do
		snprintf(path, sizeof(path), "/sys/block/vda/mq/%d", nr);
	while (!access(path, F_OK) && ++nr);
	printf("disk: %d queues\n", nr);
	tell_of_iommu("disk", "/sys/block/vda");
}

static void tell_of_size(void)
{
	static uint64_t told;
	unsigned long long sectors = 0;
	FILE *file = fopen("/sys/block/vda/size", "re");

	if (!file || fscanf(file, "%llu", &sectors) != 1)
		printf("disk: BROKEN: it has no size\n");
	if (file)
		fclose(file);
	if (sectors != told)
		printf("disk: %llu MiB\n", sectors >> 11);
	told = sectors;
}

/* ---- a worker ----------------------------------------------------------------------------- */

/* Blocks that were read, and the versions that they have to have. */
struct slot {
	uint64_t *buffer;
	uint32_t first, nr, version[MOST];
};

struct worker {
	int fd, index;
	struct slot slots[SLOTS];
	uint64_t nr_read;
	uint64_t at;		  /* of its part, in bytes */
	uint32_t version[BLOCKS]; /* 0: zeros */
	uint64_t random, round;
	uint64_t *buffer;
};

static uint64_t next_random(struct worker *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random;
}

static uint64_t value(const struct worker *w, uint32_t block, uint32_t version, uint32_t word)
{
	return version ? (uint64_t)version << 32 ^ (uint64_t)w->index << 28 ^ block << 10 ^ word :
			 0;
}

static void broken(const struct worker *w, const char *what, uint32_t block, uint64_t got)
{
	printf("disk: BROKEN: worker %d: %s of block %u: %#llx (%s)\n", w->index, what, block,
	       (unsigned long long)got, strerror(errno));
	for (;;)
		pause();
}

static void write_blocks(struct worker *w, uint32_t first, uint32_t nr)
{
	uint32_t version = (uint32_t)++w->round;

	for (uint32_t i = 0; i < nr; i++)
		for (uint32_t word = 0; word < BLOCK / 8; word++)
			w->buffer[i * BLOCK / 8 + word] = value(w, first + i, version, word);
	if (pwrite(w->fd, w->buffer, nr * BLOCK, (off_t)(w->at + (uint64_t)first * BLOCK)) !=
	    (ssize_t)(nr * BLOCK))
		broken(w, "write", first, nr);
	for (uint32_t i = 0; i < nr; i++)
		w->version[first + i] = version;
}

static void check_slot(const struct worker *w, const struct slot *slot)
{
	for (uint32_t i = 0; i < slot->nr; i++)
		for (uint32_t word = 0; word < BLOCK / 8; word++) {
			uint64_t got = slot->buffer[i * BLOCK / 8 + word];

			if (got != value(w, slot->first + i, slot->version[i], word))
				broken(w, "contents", slot->first + i, got);
		}
}

/*
 * What was read is looked at when the slot's turn comes again; only the device touches it till
 * then.
 */
static void read_blocks(struct worker *w, uint32_t first, uint32_t nr)
{
	struct slot *slot = &w->slots[w->nr_read++ % SLOTS];

	check_slot(w, slot);
	if (pread(w->fd, slot->buffer, nr * BLOCK, (off_t)(w->at + (uint64_t)first * BLOCK)) !=
	    (ssize_t)(nr * BLOCK))
		broken(w, "read", first, nr);
	slot->first = first;
	slot->nr = nr;
	memcpy(slot->version, &w->version[first], nr * sizeof(slot->version[0]));
}

static int clear(const struct worker *w, unsigned long how, uint32_t first, uint32_t nr)
{
	uint64_t range[] = { w->at + (uint64_t)first * BLOCK, (uint64_t)nr * BLOCK };

	if (!share)
		return ioctl(w->fd, how, range);
	return fallocate(w->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)range[0],
			 (off_t)range[1]);
}

static void zero_blocks(struct worker *w, uint32_t first, uint32_t nr)
{
	if (clear(w, BLKZEROOUT, first, nr))
		broken(w, "zeroing", first, nr);
	for (uint32_t i = 0; i < nr; i++)
		w->version[first + i] = 0;
}

/* What a discarded block has is not told, so it is written at once. */
static void discard_blocks(struct worker *w, uint32_t first, uint32_t nr)
{
	if (clear(w, BLKDISCARD, first, nr))
		broken(w, "discard", first, nr);
	write_blocks(w, first, nr);
}

static void step(struct worker *w)
{
	uint32_t nr = 1 + (uint32_t)(next_random(w) % MOST);
	uint32_t first = (uint32_t)(next_random(w) % (BLOCKS - nr));
	uint64_t what = only_reads ? 0 : next_random(w) % 64;

	if (what < 31)
		read_blocks(w, first, nr);
	else if (what < 60)
		write_blocks(w, first, nr);
	else if (what < 61)
		discard_blocks(w, first, nr);
	else if (what < 62)
		zero_blocks(w, first, nr);
	else if (fdatasync(w->fd))
		broken(w, "flush", 0, 0);
	__atomic_fetch_add(nr_checked, 1, __ATOMIC_RELAXED);
}

static uint64_t *get_buffer(void)
{
	return mmap(NULL, MOST * BLOCK, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
}

static void work(int index, uint64_t offset)
{
	static struct worker w;

	w.index = index;
	w.random = 88172645463325252ull + (uint64_t)index;
	w.at = offset + (uint64_t)index * BLOCKS * BLOCK;
	w.fd = open(disk, (only_reads ? O_RDONLY : O_RDWR) | O_DIRECT);
	w.buffer = get_buffer();
	for (int i = 0; i < SLOTS; i++)
		w.slots[i].buffer = get_buffer();
	if (w.fd < 0)
		broken(&w, "open", 0, 0);
	if (!only_reads)
		zero_blocks(&w, 0, BLOCKS);
	for (;;)
		step(&w);
}

static uint64_t number(const char *name)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : 0;
}

int main(void)
{
	const struct timespec period = { .tv_nsec = PERIOD_NS };

	take_console();
	load_listed_modules("disk");
	nr_checked = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	only_reads = getenv("vas_only") != NULL;
	share = getenv("vas_share");
	while (share ? !mount_share() : access(disk, F_OK))
		nanosleep(&period, NULL);
	if (!share)
		tell_of_device();
	for (int i = 0; i < WORKERS; i++)
		if (!fork())
			work(i, number("vas_offset") << 20);
	for (;;) {
		nanosleep(&period, NULL);
		if (!share)
			tell_of_size();
		printf("disk: %llu checked\n",
		       (unsigned long long)__atomic_load_n(nr_checked, __ATOMIC_RELAXED));
	}
}
