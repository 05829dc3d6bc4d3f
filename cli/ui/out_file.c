// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/ui/out_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vas/vas.h>

#include "cli/ui/verb.h"

static int fail_file(const char *path)
{
	return fail(EXIT_REFUSED, "%s: %s", path, strerror(errno));
}

/* No file, or one that has no name, such as a memfd by /dev/fd/N. */
static int open_as_it_is(struct out_file *file, const char *path)
{
	file->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	return file->fd < 0 ? fail_file(path) : EXIT_OK;
}

/* What cannot have the other's owner stays the caller's alone. */
static void be_like(int fd, const struct stat *st)
{
	if (!fchown(fd, st->st_uid, st->st_gid))
		fchmod(fd, st->st_mode & 07777);
}

int out_file_open(struct out_file *file, const char *path)
{
	struct stat st;
	const int is_there = !stat(path, &st);

	*file = (struct out_file)OUT_FILE_NONE;
	if (!is_there && errno != ENOENT)
		return fail_file(path);
	if (is_there && (!S_ISREG(st.st_mode) || !realpath(path, file->path)))
		return open_as_it_is(file, path);
	if (atomic_open(&file->atomic, is_there ? file->path : path))
		return fail(EXIT_REFUSED, "%s", vas_error());
	file->fd = file->atomic.fd;
	if (is_there)
		be_like(file->fd, &st);
	return EXIT_OK;
}

int out_file_finish(struct out_file *file)
{
	if (file->atomic.fd < 0)
		return EXIT_OK;
	file->fd = -1;
	return atomic_settle(&file->atomic) ? fail(EXIT_REFUSED, "%s", vas_error()) : EXIT_OK;
}

void out_file_clean(struct out_file *file)
{
	if (file->atomic.fd >= 0)
		atomic_clean(&file->atomic);
	else if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}
