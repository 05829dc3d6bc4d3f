// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas dump: all guest memory into a file, at file offset = gpa; what holds nothing stays a hole. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/target/copy.h"
#include "cli/target/name.h"
#include "cli/ui/output.h"
#include "cli/ui/text.h"
#include "cli/ui/verb.h"

static const struct option longs[] = {
	{ "output", required_argument, NULL, 'o' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

struct dump {
	struct sink sink;
	int fd;
	int is_stream; /* no holes can be left, zeros must be written */
	const char *path;
	uint64_t at; /* of a stream: what was written so far */
	uint64_t done;
	struct progress progress;
};

#define PAGE 4096u

static const uint8_t zeros[16 * PAGE];

static int write_all(struct dump *dump, uint64_t gpa, const uint8_t *bytes, size_t len)
{
	while (len) {
		ssize_t nr = dump->is_stream ? write(dump->fd, bytes, len) :
					       pwrite(dump->fd, bytes, len, (off_t)gpa);

		if (nr < 0 && errno == EINTR)
			continue;
		if (nr < 0)
			return fail(EXIT_REFUSED, "%s: %s", dump->path, strerror(errno));
		bytes += nr;
		gpa += (uint64_t)nr;
		dump->at += (uint64_t)nr;
		len -= (size_t)nr;
	}
	return EXIT_OK;
}

/* Zeros up to gpa. */
static int fill_stream(struct dump *dump, uint64_t gpa)
{
	int code = EXIT_OK;

	while (!code && dump->is_stream && dump->at < gpa) {
		uint64_t nr = gpa - dump->at;

		code = write_all(dump, 0, zeros, nr < sizeof(zeros) ? (size_t)nr : sizeof(zeros));
	}
	return code;
}

static int is_zero(const uint8_t *bytes, size_t len)
{
	return memcmp(bytes, zeros, len) == 0;
}

/* Pages of zeros are left out; what lies between them is written in one go. */
static int take(struct sink *sink, uint64_t gpa, const uint8_t *bytes, uint64_t len)
{
	struct dump *dump = (struct dump *)sink;
	uint64_t from = 0, to = 0;
	int code = EXIT_OK;

	for (uint64_t at = 0; bytes && !code && at < len; at += PAGE) {
		uint64_t nr = len - at < PAGE ? len - at : PAGE;

		if (!is_zero(bytes + at, nr)) {
			to = at + nr;
			continue;
		}
		if (to > from)
			code = fill_stream(dump, gpa + from);
		if (!code && to > from)
			code = write_all(dump, gpa + from, bytes + from, to - from);
		from = to = at + nr;
	}
	if (!code && to > from)
		code = fill_stream(dump, gpa + from);
	if (!code && to > from)
		code = write_all(dump, gpa + from, bytes + from, to - from);
	dump->done += bytes ? len : 0;
	progress_show(&dump->progress, dump->done, 0);
	return code;
}

static int dump_regions(struct vas *vas, const char *name, struct dump *dump)
{
	struct regions regions, one = { .nr = 1 };
	const struct copy copy = { vas, name, &one, &dump->sink };
	int code = EXIT_OK, worst = EXIT_OK, err = regions_get(vas, &regions);
	uint64_t end;

	if (err)
		return fail_vas(err, name);
	end = regions_end(&regions);
	progress_begin(&dump->progress, "dump", extents_data(vas, &regions, 0, end));
	for (size_t i = 0; i < regions.nr && code != EXIT_REFUSED; i++) {
		one.at = &regions.at[i];
		code = copy_out(&copy, one.at->gpa, one.at->size);
		worst = code > worst ? code : worst;
	}
	if (worst != EXIT_REFUSED && dump->is_stream)
		code = fill_stream(dump, end);
	else if (worst != EXIT_REFUSED && ftruncate(dump->fd, (off_t)end))
		code = fail(EXIT_REFUSED, "%s: cannot make it %" PRIu64 " bytes long: %s",
			    dump->path, end, strerror(errno));
	worst = code > worst ? code : worst;
	regions_clean(&regions);
	text_clear_progress();
	return worst;
}

/*
 * A file becomes an image with holes, so it is emptied: what it holds would show in them. Not what
 * was to be added to, by >>, or written to before: there, offsets would be no gpas.
 */
static int prepare_file(struct dump *dump, const struct stat *st)
{
	int appends = fcntl(dump->fd, F_GETFL) & O_APPEND;

	if (lseek(dump->fd, 0, SEEK_CUR) > 0 || (appends && st->st_size))
		return fail_usage("%s has something in it that was to stay, and a dump begins at "
				  "offset 0: give -o FILE, or > instead of >>",
				  dump->path);
	/* At its end is where the next byte belongs, as in a pipe. */
	dump->is_stream = !!appends;
	if (ftruncate(dump->fd, 0))
		return fail(EXIT_REFUSED, "%s: cannot empty it: %s", dump->path, strerror(errno));
	return EXIT_OK;
}

static int open_output(struct dump *dump, const char *path)
{
	struct stat st;

	dump->path = path ? path : "stdout";
	dump->fd = path ? output_open(path) : STDOUT_FILENO;
	if (dump->fd < 0 || fstat(dump->fd, &st))
		return fail(EXIT_REFUSED, "%s: %s", dump->path, strerror(errno));
	if (isatty(dump->fd))
		return fail_usage("a terminal cannot show a dump: give -o FILE");
	/* Pipes and devices: what they have in place of a hole is not ours to say. */
	dump->is_stream = !S_ISREG(st.st_mode);
	return dump->is_stream ? EXIT_OK : prepare_file(dump, &st);
}

static int dump_into(const char *name, const char *path)
{
	struct dump dump = { .sink.take = take };
	struct vas *vas;
	int code = name_bind_to_read(name, &vas);

	if (code)
		return code;
	code = open_output(&dump, path);
	if (!code)
		code = dump_regions(vas, name, &dump);
	if (path && dump.fd >= 0 && close(dump.fd) && !code)
		code = fail(EXIT_REFUSED, "%s: %s", path, strerror(errno));
	vas_unbind(vas);
	return code;
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":o:h", longs, 0 };
	const char *path = NULL;
	int c;

	while ((c = option_next(&options)) >= 0)
		path = optarg;
	if (c == OPTION_STOP || option_rest(&options, 1, 1, "which vas? vas dump NAME -o FILE") < 0)
		return options.status;
	return dump_into(argv[optind], path);
}

const struct verb verb_dump = {
	.name = "dump",
	.args = "NAME [-o FILE]",
	.summary = "Write all guest memory to a file, at file offset = gpa",
	.help = "  -o, --output FILE    the file; else stdout\n"
		"\n"
		"What is no memory, was never touched or is zero is a hole in the file (zeros in a pipe or a device).\n"
		"The guest goes on meanwhile: it is no snapshot of one moment.\n",
	.run = run,
};
