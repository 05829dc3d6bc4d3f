// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/blk/disk.h"

#ifdef HAVE_LIBURING
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <poll.h>
#include <stdlib.h>

struct disk_queue {
	const struct disk *disk;
	struct io_uring ring;
	uint32_t nr_prepared; /* and not begun */
};

static int open_ring(const struct disk *disk, uint32_t depth, struct disk_queue **queue)
{
	struct disk_queue *made = calloc(1, sizeof(*made));
	int err;

	if (!made)
		return -ENOMEM;
	made->disk = disk;
	err = io_uring_queue_init(depth, &made->ring, 0);
	if (err) {
		free(made);
		return err;
	}
	*queue = made;
	return 0;
}

static void close_ring(struct disk_queue *queue)
{
	io_uring_queue_exit(&queue->ring);
	free(queue);
}

static void prepare(struct io_uring_sqe *sqe, const struct disk *disk, const struct disk_io *io)
{
	switch (io->op) {
	case DISK_READ:
		io_uring_prep_readv(sqe, disk->fd, io->iov, io->nr, io->offset);
		break;
	case DISK_WRITE:
		io_uring_prep_writev(sqe, disk->fd, io->iov, io->nr, io->offset);
		break;
	case DISK_FLUSH:
		io_uring_prep_fsync(sqe, disk->fd, IORING_FSYNC_DATASYNC);
		break;
	default:
		io_uring_prep_fallocate(sqe, disk->fd,
					FALLOC_FL_KEEP_SIZE |
						(io->op == DISK_DISCARD || io->may_unmap ?
							 FALLOC_FL_PUNCH_HOLE :
							 FALLOC_FL_ZERO_RANGE),
					(off_t)io->offset, (off_t)io->len);
	}
}

/*
 * There is an entry for as many as the queue has, and each has one at a time. What is to be stable
 * is of drivers that nobody is in a hurry for.
 */
static bool submit(struct disk_queue *queue, struct disk_io *io)
{
	struct io_uring_sqe *sqe = io->is_stable ? NULL : io_uring_get_sqe(&queue->ring);

	if (!sqe) {
		io->err = disk_do(queue->disk, io);
		return true;
	}
	prepare(sqe, queue->disk, io);
	io_uring_sqe_set_data(sqe, io);
	queue->nr_prepared++;
	return false;
}

/* False: a part of it was done, and the rest is under way. */
static bool finish(struct disk_queue *queue, struct disk_io *io, int result)
{
	bool moves = io->op == DISK_READ || io->op == DISK_WRITE;

	if (moves && result > 0 && (uint64_t)result < io->len) {
		disk_io_advance(io, (uint64_t)result);
		return submit(queue, io);
	}
	if (result == -EINTR || result == -EAGAIN)
		return submit(queue, io);
	io->err = moves && !result ? -EIO : result < 0 ? result : 0;
	if ((io->err == -EOPNOTSUPP || io->err == -EINVAL) && !moves)
		io->err = disk_do(queue->disk, io);
	return true;
}

static uint32_t reap(struct disk_queue *queue, struct disk_io **done, uint32_t max)
{
	struct io_uring_cqe *cqe;
	uint32_t nr = 0;
	int begun;

	if (queue->nr_prepared) {
		begun = io_uring_submit(&queue->ring);
		if (begun > 0)
			queue->nr_prepared -= (uint32_t)begun;
		else
			poll(NULL, 0, 1); /* the system is short of memory */
	}
	while (nr < max && !io_uring_peek_cqe(&queue->ring, &cqe)) {
		struct disk_io *io = io_uring_cqe_get_data(cqe);
		int result = cqe->res;

		io_uring_cqe_seen(&queue->ring, cqe);
		if (finish(queue, io, result))
			done[nr++] = io;
	}
	return nr;
}

static int ring_fd(const struct disk_queue *queue)
{
	return queue->nr_prepared ? -EAGAIN : queue->ring.ring_fd;
}

static const struct disk_engine engine = {
	"io_uring", open_ring, close_ring, submit, reap, ring_fd,
};
const struct disk_engine *const disk_io_uring = &engine;
#else
const struct disk_engine *const disk_io_uring;
#endif
