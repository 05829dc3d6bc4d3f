// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "migrate/snapshot/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "migrate/base/sum.h"

uint64_t snapshot_key(const struct snapshot_header *header)
{
	uint64_t key;

	memcpy(&key, header->id, sizeof(key));
	return key;
}

static int check_header(int fd, const struct snapshot_header *header)
{
	uint64_t size = header->nr_words * sizeof(struct snapshot_word), end;
	struct stat st;

	if (header->magic != SNAPSHOT_MAGIC)
		return vas_error_set(-EPROTO, "this is no snapshot of a vas");
	if (header->version != SNAPSHOT_VERSION)
		return vas_error_set(-EOPNOTSUPP, "a snapshot of version %u", header->version);
	if (header->header_sum !=
	    sum_add(snapshot_key(header), header, offsetof(struct snapshot_header, header_sum)))
		return vas_error_set(-EPROTO, "the snapshot's header is damaged");
	if (fstat(fd, &st) || header->nr_words > UINT64_MAX / 64 ||
	    header->state_size > STREAM_MAX_STATE ||
	    __builtin_add_overflow(header->words_offset, size, &end) ||
	    header->devices_size > STREAM_MAX_DEVICES ||
	    end != (uint64_t)st.st_size - header->state_size - header->devices_size ||
	    header->layout_size > SNAPSHOT_MAX_LAYOUT ||
	    header->data_offset > header->words_offset ||
	    header->data_offset != snapshot_data_offset(header->layout_size) ||
	    !memchr(header->parent, '\0', sizeof(header->parent)))
		return vas_error_set(-EPROTO,
				     "the snapshot is cut short, or its header makes no sense");
	return 0;
}

/*
 * The path may be another's choice. To open a FIFO or a device may hang or do something, so it is
 * looked at before: O_PATH opens nothing, and what is opened then is what was looked at.
 */
static int open_regular(const char *path, int flags)
{
	int at = open(path, O_PATH | O_CLOEXEC | flags), fd = -1;
	char self[64];
	struct stat st;

	if (at < 0 || fstat(at, &st))
		goto err_close;
	if (!S_ISREG(st.st_mode)) {
		close(at);
		return vas_error_set(-EPROTO, "%s is no regular file, and so no snapshot", path);
	}
	snprintf(self, sizeof(self), "/proc/self/fd/%d", at);
	fd = open(self, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		goto err_close;
	close(at);
	return fd;

err_close:
	fd = vas_error_set(-errno, "cannot open %s: %s", path, strerror(errno));
	if (at >= 0)
		close(at);
	return fd;
}

int snapshot_open(const char *path, int flags, struct snapshot_header *header)
{
	int err, fd = open_regular(path, flags);

	if (fd < 0)
		return fd;
	if (pread(fd, header, sizeof(*header), 0) != sizeof(*header))
		err = vas_error_set(-EPROTO, "%s is too short to be a snapshot", path);
	else
		err = check_header(fd, header);
	if (!err)
		return fd;
	close(fd);
	return err;
}

int snapshot_read(int fd, const struct snapshot_header *header, const struct vas_extent *where,
		  uint64_t sum, void **bytes)
{
	uint64_t at = 0;
	char *p;

	if (where->size &&
	    lseek(fd, (off_t)where->offset, SEEK_HOLE) < (off_t)(where->offset + where->size))
		return vas_error_set(-EPROTO,
				     "the snapshot has a hole where its layout or its list of "
				     "pages should be");
	p = malloc(where->size + 1);
	if (!p)
		return vas_error_set(-ENOMEM, "no memory for %llu bytes of a snapshot",
				     (unsigned long long)where->size);
	while (at < where->size) {
		ssize_t nr = pread(fd, p + at, where->size - at, (off_t)(where->offset + at));

		if (nr <= 0)
			break;
		at += (uint64_t)nr;
	}
	if (at < where->size || sum != sum_add(snapshot_key(header), p, where->size)) {
		free(p);
		return vas_error_set(-EPROTO, "the snapshot is damaged");
	}
	*bytes = p;
	return 0;
}

int snapshot_parent_path(const char *path, const char *parent, char out[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	int nr;

	if (parent[0] == '/' || !slash)
		nr = snprintf(out, PATH_MAX, "%s", parent);
	else
		nr = snprintf(out, PATH_MAX, "%.*s%s", (int)(slash - path + 1), path, parent);
	return nr < PATH_MAX ? 0 : vas_error_set(-ENAMETOOLONG, "the parent's path is too long");
}
