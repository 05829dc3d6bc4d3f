// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/blk/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "lib/base/deadline.h"

#define LOCK_NS	 (10 * NSEC_PER_SEC)
#define RETRY_MS 10

/* ---- a file ------------------------------------------------------------------------------- */

int disk_lock(const struct disk *disk)
{
	int how = (disk->read_only ? LOCK_SH : LOCK_EX) | LOCK_NB;
	struct deadline deadline = deadline_in(LOCK_NS);

	while (disk->fd >= 0 && flock(disk->fd, how)) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return vas_error_set(-errno, "%s: cannot lock it: %s", disk->path,
					     strerror(errno));
		if (!deadline_left_ns(deadline))
			return vas_error_set(-EBUSY,
					     "%s: another process has it in use, and locked",
					     disk->path);
		poll(NULL, 0, RETRY_MS);
	}
	return 0;
}

void disk_unlock(const struct disk *disk)
{
	if (disk->fd >= 0)
		flock(disk->fd, LOCK_UN);
}

static int check_kind(int fd, const char *path)
{
	struct stat file;

	if (fstat(fd, &file))
		return vas_error_set(-errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(file.st_mode) && !S_ISBLK(file.st_mode))
		return vas_error_set(-EINVAL, "%s is neither a file nor a block device", path);
	return 0;
}

static int find_size(struct disk *disk, const char *path)
{
	off_t size = lseek(disk->fd, 0, SEEK_END);

	if (size < 0)
		return vas_error_set(-errno, "%s: %s", path, strerror(errno));
	disk->size = (uint64_t)size & ~511ull;
	return disk->size ?
		       0 :
		       vas_error_set(-EINVAL, "%s is empty: a disk has a sector at least", path);
}

bool disk_look(struct disk *disk)
{
	off_t end = disk->fd < 0 ? -1 : lseek(disk->fd, 0, SEEK_END);
	uint64_t size = (uint64_t)end & ~511ull;

	if (end < 512 || size == disk_size(disk))
		return false;
	__atomic_store_n(&disk->size, size, __ATOMIC_RELAXED);
	return true;
}

/* Where pages are memory, nothing waits, and io_uring would have a thread do what it needn't. */
static bool is_memory(int fd)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

static int try_io_uring(struct disk *disk)
{
	struct disk_queue *queue;
	int err = disk_io_uring ? disk_io_uring->open(disk, 1, &queue) : -ENOSYS;

	if (!err)
		disk_io_uring->close(queue);
	return err;
}

static int choose_engine(struct disk *disk, const char *name)
{
	bool is_auto = !name || !strcmp(name, "auto");
	int err;

	disk->engine = &disk_sync;
	if (!is_auto && !strcmp(name, "sync"))
		return 0;
	if (!is_auto && strcmp(name, "io_uring"))
		return vas_error_set(-EINVAL,
				     "there is no engine '%s': write auto, sync or io_uring", name);
	if (is_auto && is_memory(disk->fd))
		return 0;
	err = try_io_uring(disk);
	if (!err)
		disk->engine = disk_io_uring;
	else if (!is_auto && !disk_io_uring)
		return vas_error_set(err,
				     "this vas was built without liburing: there is no io_uring");
	else if (!is_auto)
		return vas_error_set(err, "the kernel gives no io_uring: %s", strerror(-err));
	return 0;
}

static int open_file(struct disk *disk, const struct disk_options *options)
{
	int err;

	disk->fd = open(options->path, (options->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (disk->fd < 0)
		return vas_error_set(-errno, "%s: %s", options->path, strerror(errno));
	err = check_kind(disk->fd, options->path);
	if (!err)
		err = find_size(disk, options->path);
	return err ? err : choose_engine(disk, options->engine);
}

/* ---- memory ------------------------------------------------------------------------------- */

static int open_memory(struct disk *disk, const struct disk_options *options)
{
	disk->engine = options->kind == DISK_MEMORY ? &disk_memory : &disk_null;
	disk->size = options->size & ~511ull;
	if (!disk->size || disk->size > INT64_MAX)
		return vas_error_set(-EINVAL, "%llu bytes is no size of a disk",
				     (unsigned long long)options->size);
	if (options->kind == DISK_NULL)
		return 0;
	disk->memory = mmap(NULL, disk->size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (disk->memory != MAP_FAILED)
		return 0;
	disk->memory = NULL;
	return vas_error_set(-errno, "no memory for %llu bytes", (unsigned long long)disk->size);
}

int disk_open(struct disk *disk, const struct disk_options *options)
{
	int err;

	*disk = (struct disk){ .fd = -1, .path = options->path, .read_only = options->read_only };
	err = options->kind == DISK_FILE ? open_file(disk, options) : open_memory(disk, options);
	if (err)
		disk_close(disk);
	return err;
}

void disk_close(struct disk *disk)
{
	if (disk->memory)
		munmap(disk->memory, disk->size);
	if (disk->fd >= 0)
		close(disk->fd);
	*disk = (struct disk){ .fd = -1 };
}
