/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a block device has its bytes in, and the engines that move them:
 *
 *	sync		preadv(), pwritev() in the queue's thread: where nothing waits, as on tmpfs
 *	io_uring	as many requests at once as the queue has
 *	memory		nothing but memory: gone with the process
 *	null		moves no bytes: what the rest costs
 */
#ifndef DEVICE_BLK_DISK_H
#define DEVICE_BLK_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

enum disk_op { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD, DISK_WRITE_ZEROES };

/* One request. iov is the engine's until it is done. */
struct disk_io {
	enum disk_op op;
	bool may_unmap; /* DISK_WRITE_ZEROES */
	bool is_stable; /* the same, DISK_WRITE: it is not done before the disk has it for good */
	uint32_t nr;	/* of iov; DISK_READ, DISK_WRITE */
	struct iovec *iov;
	uint64_t offset;
	uint64_t len;
	int err; /* when it is done: 0 or -errno */
};

struct disk;
struct disk_queue; /* an engine's, for one queue and its thread */

struct disk_engine {
	const char *name;
	/* For so many requests at once. -errno. */
	int (*open)(const struct disk *disk, uint32_t depth, struct disk_queue **queue);
	void (*close)(struct disk_queue *queue);
	/* True: done, ->err is set; false: under way, and reaped later. */
	bool (*submit)(struct disk_queue *queue, struct disk_io *io);
	/* Have all begun that was submitted; those that are done. */
	uint32_t (*reap)(struct disk_queue *queue, struct disk_io **done, uint32_t max);
	/*
	 * Readable when there is something to reap. -1: all is done when it is submitted; -EAGAIN:
	 * something is to be begun, reap again.
	 */
	int (*fd)(const struct disk_queue *queue);
};

extern const struct disk_engine disk_sync, disk_memory, disk_null;
extern const struct disk_engine *const disk_io_uring; /* NULL: it was built without liburing */

struct disk {
	const struct disk_engine *engine;
	uint64_t size; /* bytes; atomic: disk_size() */
	bool read_only;
	int fd; /* or -1 */
	const char *path;
	char *memory; /* disk_memory */
};

static inline uint64_t disk_size(const struct disk *disk)
{
	return __atomic_load_n(&disk->size, __ATOMIC_RELAXED);
}

enum disk_kind { DISK_FILE, DISK_MEMORY, DISK_NULL };

struct disk_options {
	enum disk_kind kind;
	const char *path;   /* DISK_FILE: a file or a block device */
	const char *engine; /* "auto", "sync", "io_uring"; NULL is auto */
	uint64_t size;	    /* DISK_MEMORY, DISK_NULL */
	bool read_only;
};

/* -errno, and vas_error() says why. */
int disk_open(struct disk *disk, const struct disk_options *options);
void disk_close(struct disk *disk);

/* Its file may have another size now, which requests and the guest are to see: true. */
bool disk_look(struct disk *disk);

/*
 * While a guest uses a file it is locked (flock), shared if it is only read. Who had it before is
 * waited for, ten seconds at most: a guest that moves stops there before it goes on here, and the
 * last I/O of a process that was killed ends before its lock does. -EBUSY, and vas_error() says so.
 */
int disk_lock(const struct disk *disk);
void disk_unlock(const struct disk *disk);

/* The engine sync's: do all of it now. 0 or -errno. */
int disk_do(const struct disk *disk, const struct disk_io *io);

/* The rest of a request of which the first `done` bytes were moved. */
void disk_io_advance(struct disk_io *io, uint64_t done);

#endif
