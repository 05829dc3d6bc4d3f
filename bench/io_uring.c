// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What a disk's engine would gain by registering what io_uring uses: its file, and the guest's
 * memory, which is pinned by that (IORING_REGISTER_BUFFERS). Random reads of 4 KiB, DEPTH at once,
 * into a memfd as a vas's is. The limit is preadv().
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "harness.h"

#define BLOCK	  4096u
#define MAX_DEPTH 32u
#define DISK	  (256ull << 20)
#define RAM	  (64ull << 20)

struct way {
	const char *name;
	bool file, buffer; /* are registered */
};

static const struct way ways[] = {
	{ "readv", false, false },
	{ "fixed-file", true, false },
	{ "fixed-buffer", false, true },
	{ "fixed-both", true, true },
};
#define NR_WAYS (sizeof(ways) / sizeof(ways[0]))

struct subject {
	const struct way *way;
	struct io_uring ring;
	struct iovec iov[MAX_DEPTH];
	char *ram;
	int fd;
	uint32_t depth;
	uint64_t random;
};

static uint64_t next_random(struct subject *subject)
{
	subject->random = subject->random * 6364136223846793005ull + 1442695040888963407ull;
	return subject->random >> 33;
}

static off_t next_offset(struct subject *subject)
{
	return (off_t)(next_random(subject) % (DISK / BLOCK) * BLOCK);
}

static char *next_place(struct subject *subject)
{
	return subject->ram + next_random(subject) % (RAM / BLOCK) * BLOCK;
}

static void prepare(struct subject *subject, uint32_t slot)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&subject->ring);
	const struct way *way = subject->way;
	off_t offset = next_offset(subject);
	int fd = way->file ? 0 : subject->fd;

	subject->iov[slot] = (struct iovec){ next_place(subject), BLOCK };
	if (way->buffer)
		io_uring_prep_read_fixed(sqe, fd, subject->iov[slot].iov_base, BLOCK,
					 (uint64_t)offset, 0);
	else
		io_uring_prep_readv(sqe, fd, &subject->iov[slot], 1, (uint64_t)offset);
	if (way->file)
		sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data64(sqe, slot);
}

static void must(bool is_so, const char *what)
{
	if (is_so)
		return;
	fprintf(stderr, "io_uring: %s\n", what);
	exit(1);
}

static uint64_t run_ring(void *ctx, uint64_t nr)
{
	struct subject *subject = ctx;
	struct io_uring_cqe *cqe;
	uint64_t posted, sum = 0;

	for (posted = 0; posted < subject->depth && posted < nr; posted++)
		prepare(subject, (uint32_t)posted);
	while (nr) {
		must(io_uring_submit_and_wait(&subject->ring, 1) >= 0, "nothing is submitted");
		while (nr && !io_uring_peek_cqe(&subject->ring, &cqe)) {
			uint32_t slot = (uint32_t)io_uring_cqe_get_data64(cqe);

			must(cqe->res == (int)BLOCK, "a read fails");
			io_uring_cqe_seen(&subject->ring, cqe);
			sum += *(uint8_t *)subject->iov[slot].iov_base;
			if (nr-- > subject->depth)
				prepare(subject, slot);
		}
	}
	return sum;
}

static uint64_t run_limit(void *ctx, uint64_t nr)
{
	struct subject *subject = ctx;
	uint64_t sum = 0;

	while (nr--) {
		struct iovec iov = { next_place(subject), BLOCK };

		must(preadv(subject->fd, &iov, 1, next_offset(subject)) == BLOCK, "a read fails");
		sum += *(uint8_t *)iov.iov_base;
	}
	return sum;
}

static int open_ring(struct subject *subject)
{
	struct iovec all = { subject->ram, RAM };
	int err = io_uring_queue_init(MAX_DEPTH, &subject->ring, 0);

	if (!err && subject->way->file)
		err = io_uring_register_files(&subject->ring, &subject->fd, 1);
	if (!err && subject->way->buffer)
		err = io_uring_register_buffers(&subject->ring, &all, 1);
	return err;
}

static char *make_ram(void)
{
	int fd = memfd_create("bench", MFD_CLOEXEC);
	char *ram;

	must(fd >= 0 && !ftruncate(fd, (off_t)RAM), "no memory");
	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(ram != MAP_FAILED, "no memory");
	memset(ram, 1, RAM);
	return ram;
}

static int measure(struct bench_session *session, const char *name, struct subject *subjects)
{
	static const uint32_t depths[] = { 1, MAX_DEPTH };
	int err = 0;

	for (size_t i = 0; i < 2 && !err; i++) {
		struct bench_case bcase = { .nr_subjects = 0 };
		char full[64];

		snprintf(full, sizeof(full), "%s/read/%u", name, depths[i]);
		if (!bench_wants(session, full))
			continue;
		bcase.name = full;
		bench_case_add(&bcase, BENCH_LIMIT, run_limit, &subjects[0]);
		for (size_t j = 0; j < NR_WAYS; j++) {
			subjects[j].depth = depths[i];
			bench_case_add(&bcase, ways[j].name, run_ring, &subjects[j]);
		}
		err = bench_measure(session, &bcase);
	}
	return err;
}

static int run_disk(struct bench_session *session, const char *name, const char *folder, int flags)
{
	struct subject subjects[NR_WAYS] = { { 0 } };
	char path[128], *ram = make_ram();
	int fd, err = 0;

	snprintf(path, sizeof(path), "%s/vas-bench-XXXXXX", folder);
	fd = mkostemp(path, O_CLOEXEC);
	must(fd >= 0, "no file");
	for (uint64_t at = 0; at < DISK; at += RAM)
		must(pwrite(fd, ram, RAM, (off_t)at) == (ssize_t)RAM, "the file is not written");
	must(!fsync(fd), "the file is not written");
	close(fd);
	fd = open(path, O_RDWR | O_CLOEXEC | flags);
	unlink(path);
	if (fd < 0) {
		bench_skip(session, name, strerror(errno));
		return 0;
	}
	for (size_t i = 0; i < NR_WAYS && !err; i++) {
		subjects[i] =
			(struct subject){ .way = &ways[i], .ram = ram, .fd = fd, .random = 1 };
		err = open_ring(&subjects[i]);
	}
	if (err)
		bench_skip(session, name, strerror(-err));
	else
		err = measure(session, name, subjects);
	for (size_t i = 0; i < NR_WAYS; i++)
		if (subjects[i].way && subjects[i].ring.ring_fd > 0)
			io_uring_queue_exit(&subjects[i].ring);
	close(fd);
	munmap(ram, RAM);
	return err;
}

static int run(struct bench_session *session)
{
	int err = run_disk(session, "tmpfs", "/dev/shm", 0);

	if (!err)
		err = run_disk(session, "cached", "/var/tmp", 0);
	return err ?: run_disk(session, "direct", "/var/tmp", O_DIRECT);
}

static const struct bench bench = {
	.name = "io_uring",
	.summary =
		"Random reads of 4 KiB by io_uring, with registered files and memory or without.",
	.run = run,
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, &bench);
}
