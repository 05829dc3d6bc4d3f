// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "migrate/snapshot/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vas/consumer.h>

int atomic_open(struct atomic_file *file, const char *path)
{
	*file = (struct atomic_file){ .path = path, .fd = -1 };
	if (snprintf(file->temporary, sizeof(file->temporary), "%s.XXXXXX", path) >=
	    (int)sizeof(file->temporary))
		return vas_error_set(-ENAMETOOLONG, "the path is too long");
	file->fd = mkostemp(file->temporary, O_CLOEXEC);
	return file->fd < 0 ? vas_error_set(-errno, "cannot make %s: %s", file->temporary,
					    strerror(errno)) :
			      0;
}

int atomic_write(const struct atomic_file *file, const void *bytes, size_t size, uint64_t offset)
{
	const char *p = bytes;

	while (size) {
		ssize_t nr = pwrite(file->fd, p, size, (off_t)offset);

		if (nr < 0 && errno == EINTR)
			continue;
		if (nr <= 0)
			return vas_error_set(nr ? -errno : -ENOSPC, "cannot write %s: %s",
					     file->temporary, strerror(nr ? errno : ENOSPC));
		p += nr;
		size -= (size_t)nr;
		offset += (uint64_t)nr;
	}
	return 0;
}

int atomic_settle(struct atomic_file *file)
{
	char folder[PATH_MAX];
	int fd, err = 0;

	if (fsync(file->fd) || rename(file->temporary, file->path))
		return vas_error_set(-errno, "cannot put %s in its place: %s", file->path,
				     strerror(errno));
	close(file->fd);
	file->fd = -1;
	strcpy(folder, file->path);
	fd = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd))
		err = vas_error_set(-errno, "cannot sync the folder of %s: %s", file->path,
				    strerror(errno));
	if (fd >= 0)
		close(fd);
	return err;
}

void atomic_clean(struct atomic_file *file)
{
	if (file->fd < 0)
		return;
	close(file->fd);
	unlink(file->temporary);
	file->fd = -1;
}
