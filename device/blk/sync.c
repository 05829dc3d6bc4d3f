// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The engines that are done with a request when it is submitted. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device/blk/disk.h"

#define ZEROES (64u << 10)

void disk_io_advance(struct disk_io *io, uint64_t done)
{
	io->offset += done;
	io->len -= done;
	while (io->nr && done >= io->iov->iov_len) {
		done -= io->iov->iov_len;
		io->iov++;
		io->nr--;
	}
	if (!io->nr)
		return;
	io->iov->iov_base = (char *)io->iov->iov_base + done;
	io->iov->iov_len -= done;
}

/* Nothing at all is the end of a file that is shorter than it was. */
static int transfer(int fd, struct disk_io io)
{
	while (io.len) {
		ssize_t nr = io.op == DISK_READ ? preadv(fd, io.iov, (int)io.nr, (off_t)io.offset) :
						  pwritev(fd, io.iov, (int)io.nr, (off_t)io.offset);

		if (nr < 0 && errno == EINTR)
			continue;
		if (nr <= 0)
			return nr ? -errno : -EIO;
		disk_io_advance(&io, (uint64_t)nr);
	}
	return 0;
}

/* A device's sectors may be larger than a guest's: then it takes none in part (EINVAL). */
static int punch(int fd, const struct disk_io *io, int mode)
{
	if (!fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)io->offset, (off_t)io->len))
		return 0;
	return errno == EINVAL ? -EOPNOTSUPP : -errno;
}

/* What is allowed to be no more than a hint: a file that has no holes is left as it is. */
static int discard(int fd, const struct disk_io *io)
{
	int err = punch(fd, io, FALLOC_FL_PUNCH_HOLE);

	return err == -EOPNOTSUPP ? 0 : err;
}

static int write_zeroes_plainly(int fd, const struct disk_io *io)
{
	static const char zeroes[ZEROES];
	uint64_t done = 0;

	while (done < io->len) {
		uint64_t left = io->len - done;
		struct iovec iov = { (void *)zeroes, left < ZEROES ? left : ZEROES };
		struct disk_io part = {
			.op = DISK_WRITE,
			.nr = 1,
			.iov = &iov,
			.offset = io->offset + done,
			.len = iov.iov_len,
		};
		uint64_t len = iov.iov_len;
		int err = transfer(fd, part);

		if (err)
			return err;
		done += len;
	}
	return 0;
}

static int write_zeroes(int fd, const struct disk_io *io)
{
	int err = punch(fd, io, io->may_unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);

	return err == -EOPNOTSUPP ? write_zeroes_plainly(fd, io) : err;
}

static int flush(int fd)
{
	return fdatasync(fd) ? -errno : 0;
}

static int move(int fd, const struct disk_io *io)
{
	switch (io->op) {
	case DISK_READ:
	case DISK_WRITE:
		return transfer(fd, *io);
	case DISK_FLUSH:
		return flush(fd);
	case DISK_DISCARD:
		return discard(fd, io);
	default:
		return write_zeroes(fd, io);
	}
}

int disk_do(const struct disk *disk, const struct disk_io *io)
{
	int err = move(disk->fd, io);

	return !err && io->is_stable ? flush(disk->fd) : err;
}

/* ---- memory ------------------------------------------------------------------------------- */

static void copy(char *at, const struct disk_io *io)
{
	uint32_t i;

	for (i = 0; i < io->nr; i++) {
		if (io->op == DISK_READ)
			memcpy(io->iov[i].iov_base, at, io->iov[i].iov_len);
		else
			memcpy(at, io->iov[i].iov_base, io->iov[i].iov_len);
		at += io->iov[i].iov_len;
	}
}

static int do_memory(const struct disk *disk, const struct disk_io *io)
{
	switch (io->op) {
	case DISK_READ:
	case DISK_WRITE:
		copy(disk->memory + io->offset, io);
		return 0;
	case DISK_WRITE_ZEROES:
		memset(disk->memory + io->offset, 0, io->len);
		return 0;
	default:
		return 0;
	}
}

/* ---- engines ------------------------------------------------------------------------------ */

/* They keep nothing for a queue. */
static int open_queue(const struct disk *disk, uint32_t depth, struct disk_queue **queue)
{
	(void)depth;
	*queue = (struct disk_queue *)disk;
	return 0;
}

static void close_queue(struct disk_queue *queue)
{
	(void)queue;
}

static const struct disk *disk_of(struct disk_queue *queue)
{
	return (const struct disk *)queue;
}

static uint32_t reap_none(struct disk_queue *queue, struct disk_io **done, uint32_t max)
{
	(void)queue;
	(void)done;
	(void)max;
	return 0;
}

static int no_fd(const struct disk_queue *queue)
{
	(void)queue;
	return -1;
}

static bool submit_sync(struct disk_queue *queue, struct disk_io *io)
{
	io->err = disk_do(disk_of(queue), io);
	return true;
}

static bool submit_memory(struct disk_queue *queue, struct disk_io *io)
{
	io->err = do_memory(disk_of(queue), io);
	return true;
}

static bool submit_null(struct disk_queue *queue, struct disk_io *io)
{
	(void)queue;
	io->err = 0;
	return true;
}

const struct disk_engine disk_sync = {
	"sync", open_queue, close_queue, submit_sync, reap_none, no_fd,
};
const struct disk_engine disk_memory = {
	"memory", open_queue, close_queue, submit_memory, reap_none, no_fd,
};
const struct disk_engine disk_null = {
	"null", open_queue, close_queue, submit_null, reap_none, no_fd,
};
