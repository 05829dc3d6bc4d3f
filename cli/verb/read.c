// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas read: guest memory by guest-physical address. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/target/argument.h"
#include "cli/target/copy.h"
#include "cli/target/name.h"
#include "cli/ui/output.h"
#include "cli/ui/verb.h"

static const struct option longs[] = {
	{ "hex", no_argument, NULL, 'x' },
	{ "raw", no_argument, NULL, 'r' },
	{ "output", required_argument, NULL, 'o' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

struct printer {
	struct sink sink;
	struct output output;
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

static int read_range(const char *name, uint64_t gpa, uint64_t len, struct printer *printer)
{
	struct regions regions;
	struct copy copy = { .name = name, .regions = &regions, .sink = &printer->sink };
	int code = name_bind_to_read(name, &copy.vas), err;

	if (code)
		return code;
	printer->sink.take = take;
	printer->output.gpa = gpa;
	err = regions_get(copy.vas, &regions);
	if (err)
		code = fail_vas(err, name);
	else
		code = copy_out(&copy, gpa, len);
	regions_clean(&regions);
	output_end(&printer->output);
	vas_unbind(copy.vas);
	return code;
}

static int open_output(const char *path, FILE **file)
{
	int fd = output_open(path);

	*file = fd < 0 ? NULL : fdopen(fd, "w");
	return *file ? EXIT_OK : fail(EXIT_REFUSED, "%s: %s", path, strerror(errno));
}

static int read_into(char **argv, const char *path, struct printer *printer)
{
	uint64_t gpa, len;
	int code = argument_range(argv[1], argv[2], &gpa, &len);

	if (code)
		return code;
	printer->output.file = stdout;
	if (path)
		code = open_output(path, &printer->output.file);
	if (code)
		return code;
	code = read_range(argv[0], gpa, len, printer);
	if (path && (ferror(printer->output.file) | fclose(printer->output.file)))
		return fail(EXIT_REFUSED, "%s: cannot write it: %s", path, strerror(errno));
	return code;
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":xro:h", longs, 0 };
	struct printer printer = { 0 };
	const char *path = NULL;
	int c, is_chosen = 0;

	while ((c = option_next(&options)) >= 0) {
		if (c == 'o') {
			path = optarg;
			continue;
		}
		is_chosen = 1;
		printer.output.format = c == 'x' ? OUTPUT_HEX : OUTPUT_RAW;
	}
	if (c == OPTION_STOP ||
	    option_rest(&options, 3, 3, "what is to be read? vas read NAME GPA LEN") < 0)
		return options.status;
	if (path && !is_chosen)
		printer.output.format = OUTPUT_RAW;
	return read_into(argv + optind, path, &printer);
}

const struct verb verb_read = {
	.name = "read",
	.args = "NAME GPA LEN [--hex | --raw] [-o FILE]",
	.summary = "Read guest memory",
	.help = "  -x, --hex            one line of hex digits\n"
		"  -r, --raw            the bytes as they are\n"
		"  -o, --output FILE    write to FILE; raw, unless --hex is given\n"
		"\n"
		"Otherwise lines of 16 bytes are shown as hex and text; '*' stands for lines that repeat the\n"
		"one before. A hole in the layout ends it with exit code 4. Memory that was never touched is\n"
		"read as zeros, and stays untouched.\n",
	.run = run,
};
