// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The file has no name while it is written (O_TMPFILE), so that nothing is left of a saver that is
 * killed. linkat() does not replace, hence a name beside the place for a moment, and rename().
 * Where there are no nameless files it has that name from the beginning. Who is killed with it
 * there leaves it, without the lock that savers hold, and the next one takes it away.
 */
#include "migrate/base/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "lib/base/pwrite.h"

static int fail_opening(const struct atomic_file *file)
{
	return vas_error_set(-errno, "cannot make %s: %s", file->temporary, strerror(errno));
}

/* ---- what the dead have left -------------------------------------------------------------- */

/* Is fd's file the one under the name still? */
static int is_named(int fd, const char *name)
{
	struct stat mine, named;

	return !fstat(fd, &mine) && !lstat(name, &named) && mine.st_dev == named.st_dev &&
	       mine.st_ino == named.st_ino;
}

static int remove_leftover(const struct atomic_file *file)
{
	const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	int fd = open(file->temporary, flags), err = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : fail_opening(file);
	if (flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
		err = vas_error_set(-EBUSY, "somebody else is about to save to %s", file->path);
	else if (is_named(fd, file->temporary) && unlink(file->temporary))
		err = vas_error_set(-errno, "cannot remove %s, which a save has left behind: %s",
				    file->temporary, strerror(errno));
	close(fd);
	return err;
}

/* ---- opening, writing --------------------------------------------------------------------- */

static int open_folder(const struct atomic_file *file, int flags)
{
	char folder[PATH_MAX];

	strcpy(folder, file->path);
	return open(dirname(folder), flags | O_CLOEXEC, 0600);
}

/* What a kernel or a file system says that has no nameless files. */
static int has_none(void)
{
	return errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL;
}

int atomic_open_nameless(struct atomic_file *file, const char *folder)
{
	*file = (struct atomic_file){ .path = folder, .fd = -1 };
	if (snprintf(file->temporary, sizeof(file->temporary), "%s/vas-XXXXXX", folder) >=
	    (int)sizeof(file->temporary))
		return vas_error_set(-ENAMETOOLONG, "the path is too long");
	file->fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (file->fd < 0 && has_none()) {
		file->fd = mkostemp(file->temporary, O_CLOEXEC);
		if (file->fd >= 0)
			unlink(file->temporary);
	}
	return file->fd < 0 ? fail_opening(file) : 0;
}

/* What rename() would say of the path in the end, after all the work. */
static int check_path(const char *path)
{
	struct stat st;
	size_t len = strlen(path);
	int err = 0;

	if (!len)
		err = ENOENT;
	else if (path[len - 1] == '/' || (!lstat(path, &st) && S_ISDIR(st.st_mode)))
		err = EISDIR;
	return err ? vas_error_set(-err, "cannot make '%s': %s", path, strerror(err)) : 0;
}

int atomic_open(struct atomic_file *file, const char *path)
{
	int err = check_path(path);

	*file = (struct atomic_file){ .path = path, .fd = -1 };
	if (err)
		return err;
	if (snprintf(file->temporary, sizeof(file->temporary), "%s.unfinished", path) >=
	    (int)sizeof(file->temporary))
		return vas_error_set(-ENAMETOOLONG, "the path is too long");
	err = remove_leftover(file);
	if (err)
		return err;
	file->fd = open_folder(file, O_TMPFILE | O_RDWR);
	if (file->fd < 0 && has_none()) {
		file->fd = open(file->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		file->is_named = file->fd >= 0;
	}
	if (file->fd < 0)
		return fail_opening(file);
	/*
	 * Nobody else has it yet. Where there are no locks, savers at one time are not kept apart.
	 */
	flock(file->fd, LOCK_EX | LOCK_NB);
	return 0;
}

int atomic_write(const struct atomic_file *file, const void *bytes, size_t size, uint64_t offset)
{
	int err = pwrite_all(file->fd, bytes, size, offset, NULL);

	return err ? vas_error_set(err, "cannot write %s: %s", file->temporary, strerror(-err)) : 0;
}

int atomic_truncate(const struct atomic_file *file, uint64_t size)
{
	struct write_signals signals;
	int err;

	write_signals_block(&signals);
	err = ftruncate(file->fd, (off_t)size) ? -errno : 0;
	write_signals_restore(&signals, err);
	return err ? vas_error_set(err, "cannot size %s: %s", file->temporary, strerror(-err)) : 0;
}

/* ---- the end ------------------------------------------------------------------------------ */

static int give_name(struct atomic_file *file)
{
	char self[64];
	int err;

	if (file->is_named)
		return 0;
	err = remove_leftover(file);
	if (err)
		return err;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", file->fd);
	if (linkat(AT_FDCWD, self, AT_FDCWD, file->temporary, AT_SYMLINK_FOLLOW))
		return fail_opening(file);
	file->is_named = true;
	return 0;
}

static int sync_folder(const struct atomic_file *file)
{
	int err = 0, fd = open_folder(file, O_RDONLY | O_DIRECTORY);

	if (fd < 0 || fsync(fd))
		err = vas_error_set(-errno, "cannot sync the folder of %s: %s", file->path,
				    strerror(errno));
	if (fd >= 0)
		close(fd);
	return err;
}

int atomic_settle(struct atomic_file *file)
{
	int err;

	if (fsync(file->fd))
		return vas_error_set(-errno, "cannot sync %s: %s", file->path, strerror(errno));
	err = give_name(file);
	if (err)
		return err;
	if (rename(file->temporary, file->path))
		return vas_error_set(-errno, "cannot put %s in its place: %s", file->path,
				     strerror(errno));
	close(file->fd);
	file->fd = -1;
	return sync_folder(file);
}

void atomic_clean(struct atomic_file *file)
{
	if (file->fd < 0)
		return;
	if (file->is_named)
		unlink(file->temporary);
	close(file->fd);
	file->fd = -1;
}
