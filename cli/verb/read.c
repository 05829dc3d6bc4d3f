// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas read: guest memory by guest-physical address, or by virtual one. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/target/argument.h"
#include "cli/target/copy.h"
#include "cli/target/virtual.h"
#include "cli/ui/out_file.h"
#include "cli/ui/output.h"
#include "cli/ui/verb.h"
#include "cli/vmm/reading.h"

enum { READ_FROZEN = 2000 };

static const struct option longs[] = {
	{ "hex", no_argument, NULL, 'x' },
	{ "raw", no_argument, NULL, 'r' },
	{ "output", required_argument, NULL, 'o' },
	VIRTUAL_OPTIONS,
	{ "frozen", no_argument, NULL, READ_FROZEN },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

struct printer {
	struct sink sink;
	struct output output;
	struct virtual_space space;
	int frozen;
};

static int take(struct sink *sink, uint64_t gpa, const uint8_t *bytes, uint64_t len)
{
	static const uint8_t zeros[4096];
	struct printer *printer = (struct printer *)sink;

	(void)gpa;
	if (bytes)
		output_put(&printer->output, bytes, len);
	for (uint64_t done = 0; !bytes && done < len && !ferror(printer->output.file);) {
		size_t nr = len - done < sizeof(zeros) ? (size_t)(len - done) : sizeof(zeros);

		output_put(&printer->output, zeros, nr);
		done += nr;
	}
	/* Whoever reads the pipe may have enough. */
	return ferror(printer->output.file) ? EXIT_REFUSED : EXIT_OK;
}

/* Page by page, or what takes its place: no walk holds for longer. */
static int copy_virtual(const struct copy *copy, const struct virtual_space *space, uint64_t va,
			uint64_t len)
{
	int code = EXIT_OK;

	for (uint64_t done = 0, nr; !code && done < len; done += nr) {
		struct page_walk_result page;
		int err = virtual_walk(space, copy->vas, va + done, &page);

		if (err)
			return virtual_stopped(copy->name, err, va + done, &page, done, len);
		nr = page.size - (va + done) % page.size;
		nr = nr < len - done ? nr : len - done;
		code = copy_out(copy, page.gpa, nr);
	}
	return code;
}

static int read_range(const char *name, uint64_t gpa, uint64_t len, struct printer *printer)
{
	struct regions regions;
	struct copy copy = { .name = name, .regions = &regions, .sink = &printer->sink };
	struct reading reading;
	int code = reading_begin(&reading, name, printer->frozen), err;

	if (code)
		return code;
	copy.vas = reading.vas;
	printer->sink.take = take;
	printer->output.gpa = gpa;
	err = regions_get(copy.vas, &regions);
	if (err)
		code = fail_vas(err, name);
	else if (printer->space.is_chosen)
		code = copy_virtual(&copy, &printer->space, gpa, len);
	else
		code = copy_out(&copy, gpa, len);
	regions_clean(&regions);
	output_end(&printer->output);
	return reading_end(&reading, code);
}

static int open_stream(struct out_file *file, const char *path, FILE **stream)
{
	int code = out_file_open(file, path), fd = code ? -1 : dup(file->fd);

	*stream = fd < 0 ? NULL : fdopen(fd, "w");
	if (!code && !*stream)
		code = fail(EXIT_REFUSED, "%s: %s", path, strerror(errno));
	if (fd >= 0 && !*stream)
		close(fd);
	return code;
}

static int read_into_file(const char *name, const char *path, uint64_t gpa, uint64_t len,
			  struct printer *printer)
{
	struct out_file file;
	int code = open_stream(&file, path, &printer->output.file), last;

	if (!code) {
		code = read_range(name, gpa, len, printer);
		if (ferror(printer->output.file) | fclose(printer->output.file))
			code = fail(EXIT_REFUSED, "%s: cannot write it: %s", path, strerror(errno));
	}
	/* Up to a hole in the layout, it is what was there to be read. */
	if (code == EXIT_OK || code == EXIT_STOPPED) {
		last = out_file_finish(&file);
		code = last ? last : code;
	}
	out_file_clean(&file);
	return code;
}

static int read_into(char **argv, const char *path, struct printer *printer)
{
	uint64_t gpa, len;
	int code = argument_range(argv[1], argv[2], &gpa, &len);

	if (code)
		return code;
	if (path)
		return read_into_file(argv[0], path, gpa, len, printer);
	printer->output.file = stdout;
	return read_range(argv[0], gpa, len, printer);
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":xro:h", longs, 0 };
	struct printer printer = { .output.format = OUTPUT_DUMP };
	const char *path = NULL;
	int c, form = 0, code = EXIT_OK;

	while (!code && (c = option_next(&options)) >= 0) {
		if (c == 'o') {
			path = optarg;
		} else if ((c == 'x' || c == 'r') && form && form != c) {
			code = fail_usage("--hex and --raw are two forms: choose one");
		} else if (c == 'x' || c == 'r') {
			form = c;
			printer.output.format = c == 'x' ? OUTPUT_HEX : OUTPUT_RAW;
		} else if (c == READ_FROZEN) {
			printer.frozen = 1;
		} else {
			code = virtual_option(&printer.space, c, optarg);
		}
	}
	if (code)
		return code;
	if (c == OPTION_STOP ||
	    option_rest(&options, 3, 3, "what is to be read? vas read NAME GPA LEN") < 0)
		return options.status;
	if (path && !form)
		printer.output.format = OUTPUT_RAW;
	code = virtual_check(&printer.space);
	return code ? code : read_into(argv + optind, path, &printer);
}

const struct verb verb_read = {
	.name = "read",
	.args = "NAME GPA LEN [--hex | --raw] [-o FILE] [--frozen] [--cr3 ADDR | --ttbr ADDR]",
	.summary = "Read guest memory",
	.help = "  -x, --hex            one line of hex digits\n"
		"  -r, --raw            the bytes as they are\n"
		"  -o, --output FILE    write to FILE; raw, unless --hex is given\n" FROZEN_HELP
			VIRTUAL_HELP "\n"
		"Otherwise lines of 16 bytes are shown as hex and text; '*' stands for lines that repeat the\n"
		"one before. A hole in the layout ends it with exit code 4. Memory that was never touched is\n"
		"read as zeros, and stays untouched.\n",
	.run = run,
};
