// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/dump/dump_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
	struct stat st;
	int code = out_file_open(&file->out, path);

	if (code)
		return code;
	file->fd = file->out.fd;
	if (fstat(file->fd, &st))
		return fail_file(file);
	file->is_stream = !S_ISREG(st.st_mode);
	return EXIT_OK;
}

int dump_file_open(struct dump_file *file, const char *path)
{
	*file = (struct dump_file){ .out = OUT_FILE_NONE, .fd = -1, .path = path };
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
	return out_file_finish(&file->out);
}

void dump_file_clean(struct dump_file *file)
{
	out_file_clean(&file->out);
}
