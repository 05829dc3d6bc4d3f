// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/dump/dump_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vas/vas.h>

#include "cli/ui/output.h"
#include "cli/ui/verb.h"

static int fail_file(const struct dump_file *file)
{
	return fail(EXIT_REFUSED, "%s: %s", file->path, strerror(errno));
}

/*
 * A file becomes an image with holes, so it is emptied: what it holds would show in them. Not what
 * was to be added to, by >>, or written to before: there, offsets would be wrong.
 */
static int prepare_stdout(struct dump_file *file, const struct stat *st)
{
	int appends = fcntl(file->fd, F_GETFL) & O_APPEND;

	if (lseek(file->fd, 0, SEEK_CUR) > 0 || (appends && st->st_size))
		return fail_usage("%s has something in it that was to stay, and a dump begins at "
				  "offset 0: give -o FILE, or > instead of >>",
				  file->path);
	/* At its end is where the next byte belongs, as in a pipe. */
	file->is_stream = !!appends;
	if (ftruncate(file->fd, 0))
		return fail(EXIT_REFUSED, "%s: cannot empty it: %s", file->path, strerror(errno));
	return EXIT_OK;
}

static int open_stdout(struct dump_file *file)
{
	struct stat st;

	file->path = "stdout";
	file->fd = STDOUT_FILENO;
	if (fstat(file->fd, &st))
		return fail_file(file);
	if (isatty(file->fd))
		return fail_usage("a terminal cannot show a dump: give -o FILE");
	/* Pipes and devices: what they have in place of a hole is not ours to say. */
	file->is_stream = !S_ISREG(st.st_mode);
	return file->is_stream ? EXIT_OK : prepare_stdout(file, &st);
}

static int open_path(struct dump_file *file, const char *path)
{
	static char real[PATH_MAX];
	struct stat st;

	if (stat(path, &st)) {
		if (errno != ENOENT)
			return fail_file(file);
	} else if (!S_ISREG(st.st_mode) || !realpath(path, real)) {
		/* No file, or one that has no name, such as a memfd by /dev/fd/N. */
		file->is_stream = !S_ISREG(st.st_mode);
		file->fd = output_open(path);
		return file->fd < 0 ? fail_file(file) : EXIT_OK;
	} else {
		path = real; /* a link stays one: the file that it leads to is replaced */
	}
	if (atomic_open(&file->atomic, path))
		return fail(EXIT_REFUSED, "%s", vas_error());
	file->fd = file->atomic.fd;
	return EXIT_OK;
}

int dump_file_open(struct dump_file *file, const char *path)
{
	*file = (struct dump_file){ .atomic.fd = -1, .fd = -1, .path = path };
	return path ? open_path(file, path) : open_stdout(file);
}

static int write_all(struct dump_file *file, uint64_t offset, const uint8_t *bytes, size_t len)
{
	while (len) {
		ssize_t nr = file->is_stream ? write(file->fd, bytes, len) :
					       pwrite(file->fd, bytes, len, (off_t)offset);

		if (nr < 0 && errno == EINTR)
			continue;
		if (nr < 0)
			return fail_file(file);
		bytes += nr;
		offset += (uint64_t)nr;
		file->at += (uint64_t)nr;
		len -= (size_t)nr;
	}
	return EXIT_OK;
}

/* Zeros up to offset. */
static int fill_stream(struct dump_file *file, uint64_t offset)
{
	static const uint8_t zeros[65536];
	int code = EXIT_OK;

	while (!code && file->is_stream && file->at < offset) {
		uint64_t nr = offset - file->at;

		code = write_all(file, 0, zeros, nr < sizeof(zeros) ? (size_t)nr : sizeof(zeros));
	}
	return code;
}

int dump_file_put(struct dump_file *file, uint64_t offset, const void *bytes, size_t len)
{
	int code = fill_stream(file, offset);

	return code ? code : write_all(file, offset, bytes, len);
}

int dump_file_finish(struct dump_file *file, uint64_t size)
{
	if (file->is_stream)
		return fill_stream(file, size);
	if (ftruncate(file->fd, (off_t)size))
		return fail(EXIT_REFUSED, "%s: cannot make it %" PRIu64 " bytes long: %s",
			    file->path, size, strerror(errno));
	if (file->atomic.fd >= 0 && atomic_settle(&file->atomic))
		return fail(EXIT_REFUSED, "%s", vas_error());
	return EXIT_OK;
}

void dump_file_clean(struct dump_file *file)
{
	if (file->atomic.path)
		atomic_clean(&file->atomic);
	else if (file->fd >= 0 && file->fd != STDOUT_FILENO)
		close(file->fd);
}
