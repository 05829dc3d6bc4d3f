// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/handle/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/layout.h"
#include "lib/base/error.h"
#include "lib/handle/proto.h"
#include "lib/handle/sigbus.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21U << 26)
#endif

#define STEP  (4ull << 20) /* of an allocation */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static int make_memfd(const char *kind, const char *of, unsigned int flags)
{
	char name[VAS_NAME_LEN + 8];
	int fd;

	flags |= MFD_CLOEXEC | MFD_ALLOW_SEALING;
	snprintf(name, sizeof(name), "%s:%s", kind, of);
	fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create(name, flags);
	if (fd < 0)
		return vas_error_set(-errno, "cannot create a memfd: %s", strerror(errno));
	return fd;
}

/* The flags of the file that has the RAM. */
static unsigned int ram_flags(uint32_t create_flags)
{
	return create_flags & VAS_CREATE_HUGETLB ? MFD_HUGETLB | MFD_HUGE_2MB : 0;
}

/*
 * A signal makes the kernel undo what it has done so far, and a timer's would come again before the
 * next try has got any further: so none comes in a step, and all between two.
 */
int vas_file_allocate(int fd, uint64_t offset, uint64_t size)
{
	int saved_errno = errno, err = 0;
	sigset_t all, before;
	uint64_t step;

	sigfillset(&all);
	for (; size && !err; offset += step, size -= step) {
		step = size < STEP ? size : STEP;
		pthread_sigmask(SIG_SETMASK, &all, &before);
		err = fallocate(fd, 0, (off_t)offset, (off_t)step) ? -errno : 0;
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	errno = saved_errno;
	return err == -ENOSPC ? -ENOMEM : err;
}

/* Everything but tables and logs, which are allocated as they grow. */
static int allocate_control(const struct vas *vas, int fd)
{
	const struct vas_superblock *sb = &vas->sb;
	uint64_t start = sb->extents[VAS_EXT_CONTROL].offset;
	uint64_t end = sb->extents[VAS_EXT_TABLE0].offset;
	uint64_t last = sb->file_size - sizeof(*sb);
	int err = vas_file_allocate(fd, start, end - start);

	return err ? err : vas_file_allocate(fd, last, sizeof(*sb));
}

/* The superblock goes through a map: hugetlbfs has no write(). */
static int write_superblock(const struct vas *vas, int fd)
{
	size_t size = vas->sb.page_size;
	char *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			  (off_t)(vas->sb.file_size - size));

	if (page == MAP_FAILED)
		return -errno;
	memcpy(page + size - sizeof(vas->sb), &vas->sb, sizeof(vas->sb));
	munmap(page, size);
	return 0;
}

/* Beyond RLIMIT_FSIZE, ftruncate() would not only fail but send SIGXFSZ first. */
static int set_size(int fd, uint64_t size)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_FSIZE, &limit) && size > limit.rlim_cur)
		return -EFBIG;
	return ftruncate(fd, (off_t)size) ? -errno : 0;
}

/*
 * With F_SEAL_SEAL for good: a peer that may write it cannot seal it against the others. Whoever
 * has a read-only fd and another uid must not open it anew for writing.
 */
static int seal(int fd, int seals)
{
	return fcntl(fd, F_ADD_SEALS, seals) || fchmod(fd, 0600) ? -errno : 0;
}

static int fail_create(int fd, uint64_t size, int err)
{
	close(fd);
	return vas_error_set(err, "cannot make a file of %llu bytes%s: %s",
			     (unsigned long long)size,
			     err == -EFBIG  ? " (RLIMIT_FSIZE)" :
			     err == -ENOMEM ? " (no memory or hugepages left)" :
					      "",
			     strerror(-err));
}

/* A file for regions and nothing else: its fd. */
static int create_ram(const char *name, uint64_t size, uint32_t create_flags, int seals)
{
	int fd = make_memfd("vas-ram", name, ram_flags(create_flags)), err;

	if (fd < 0)
		return fd;
	err = set_size(fd, size);
	if (!err)
		err = seal(fd, seals);
	return err ? fail_create(fd, size, err) : fd;
}

int vas_ram_create(struct vas *vas)
{
	vas->backings[0].fd = create_ram(vas->sb.name, vas->sb.ram_size, vas->create_flags,
					 F_SEAL_SHRINK | F_SEAL_GROW);
	return vas->backings[0].fd < 0 ? vas->backings[0].fd : 0;
}

int vas_file_create_backing(const char *name, uint64_t size, uint32_t create_flags)
{
	return create_ram(name ? name : "", size, create_flags, SEALS);
}

int vas_file_create(struct vas *vas)
{
	int fd = make_memfd("vas", vas->sb.name,
			    vas_has_ram_apart(vas) ? 0 : ram_flags(vas->create_flags));
	int err;

	if (fd < 0)
		return fd;
	err = set_size(fd, vas->sb.file_size);
	if (!err)
		err = allocate_control(vas, fd);
	if (!err)
		err = write_superblock(vas, fd);
	if (!err)
		err = seal(fd, SEALS);
	if (err)
		return fail_create(fd, vas->sb.file_size, err);
	vas->fd = fd;
	return 0;
}

/* Before anything else: files of other kinds than the kernel's own may never answer. */
static int check_seals(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 && errno == EBADF)
		return vas_error_set(-EBADF, "fd %d: %s", fd, strerror(errno));
	if (seals < 0)
		return vas_error_set(-EPERM, "this file cannot be sealed, so it is no vas");
	if ((seals & SEALS) != SEALS)
		return vas_error_set(
			-EPERM, "the file is not sealed against a change of its size (seals %#x)",
			(unsigned int)seals);
	return 0;
}

int vas_file_check(struct vas *vas, int fd)
{
	struct stat st;
	ssize_t nr;
	int err = check_seals(fd);

	if (err)
		return err;
	if (fstat(fd, &st))
		return vas_error_set(-errno, "fd %d: %s", fd, strerror(errno));
	if (st.st_size < (off_t)sizeof(vas->sb))
		return vas_error_set(-EPROTO, "the file is too small for a vas");
	nr = pread(fd, &vas->sb, sizeof(vas->sb), st.st_size - (off_t)sizeof(vas->sb));
	if (nr != (ssize_t)sizeof(vas->sb))
		return vas_error_set(nr < 0 ? -errno : -EPROTO, "the superblock cannot be read");
	err = vas_superblock_check(&vas->sb, (uint64_t)st.st_size, VAS_FEATURES_REQUIRED_KNOWN);
	if (err == -EOPNOTSUPP)
		return vas_error_set(
			err, "version %u, required features %#llx: made by a newer libvas",
			vas->sb.version, (unsigned long long)vas->sb.features_required);
	if (err)
		return vas_error_set(err, "the file has no valid vas superblock");
	return 0;
}

int vas_file_reopen(int fd, int open_flags)
{
	char path[32];
	int new_fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	new_fd = open(path, open_flags | O_CLOEXEC);
	if (new_fd < 0)
		return vas_error_set(-errno, "cannot open %s anew: %s%s", path, strerror(errno),
				     errno == ENOENT ? " (is /proc mounted, and the fd open?)" :
						       "");
	return new_fd;
}

int vas_control_map(struct vas *vas)
{
	int prot = vas->role == VAS_ROLE_OBSERVER ? PROT_READ : PROT_READ | PROT_WRITE;
	uint64_t start = vas_control_start(&vas->sb);
	void *p;

	vas->control_size = vas->sb.file_size - start;
	p = mmap(NULL, vas->control_size, prot, MAP_SHARED | MAP_NORESERVE, vas->fd, (off_t)start);
	if (p == MAP_FAILED)
		return vas_error_set(-errno, "cannot map the control area (%zu bytes): %s",
				     vas->control_size, strerror(errno));
	if (!(vas->bind_flags & VAS_BIND_DUMP))
		madvise(p, vas->control_size, MADV_DONTDUMP);
	vas->control = p;
	vas->ctl = vas_extent(vas, VAS_EXT_CONTROL);
	vas->head.generation = &vas->ctl->generation;
	vas_log_init(&vas->log, vas_extent(vas, VAS_EXT_LOG), vas->sb.limit);
	vas_proto_init(vas);
	vas->control_watch = vas_fault_watch(vas, p, vas->control_size);
	return vas->control_watch < 0 ? vas->control_watch : 0;
}

void vas_control_unmap(struct vas *vas)
{
	if (!vas->control)
		return;
	if (vas->control_watch >= 0)
		vas_fault_unwatch(vas->control_watch);
	munmap(vas->control, vas->control_size);
	vas->control = NULL;
}

int vas_file_describe(int fd, struct vas_backing_entry *entry)
{
	struct statfs fs;
	struct stat st;
	int seals;

	if (fstat(fd, &st) || fstatfs(fd, &fs))
		return vas_error_set(-errno, "fd %d: %s", fd, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return vas_error_set(-EINVAL,
				     "a backing is a memfd or a regular file, this is neither");
	seals = fcntl(fd, F_GET_SEALS);
	memset(entry, 0, sizeof(*entry));
	entry->dev = st.st_dev;
	entry->ino = st.st_ino;
	entry->size = (uint64_t)st.st_size;
	entry->page_size = VAS_PAGE_SIZE;
	if (fs.f_type == HUGETLBFS_MAGIC)
		entry->page_size = (uint32_t)fs.f_bsize;
	if (entry->page_size != VAS_PAGE_SIZE && entry->page_size != 2u << 20)
		return vas_error_set(-EINVAL,
				     "hugetlb pages of %u bytes are not supported, 2 MiB are",
				     entry->page_size);
	entry->flags = VAS_BACKING_USED;
	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		entry->flags |= VAS_BACKING_UNSEALED;
	return 0;
}

static bool is_sealed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
}

int vas_backing_take(struct vas *vas, struct backing *backing, int fd)
{
	bool is_readonly = is_sealed(fd), is_apart = backing == vas->backings;
	int copy;

	if (is_readonly || (is_apart && vas->role == VAS_ROLE_OBSERVER))
		copy = vas_file_reopen(fd, O_RDONLY);
	else
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy == -1)
		return vas_error_set(-errno, "cannot duplicate fd %d: %s", fd, strerror(errno));
	if (copy < 0)
		return copy;
	backing->fd = copy;
	backing->readonly = is_readonly;
	return 0;
}

int vas_backing_dup(struct vas *vas, uint32_t backing)
{
	int fd;

	pthread_mutex_lock(&vas->lock);
	fd = vas->backings[backing].fd;
	if (fd >= 0)
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	pthread_mutex_unlock(&vas->lock);
	return fd;
}

void vas_backing_close(struct backing *backing)
{
	if (backing->fd >= 0)
		close(backing->fd);
	backing->fd = -1;
}
