// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas dump: all guest memory into a file; what holds nothing stays a hole. */
#include <stdio.h>
#include <string.h>

#include "cli/dump/dump_file.h"
#include "cli/dump/image.h"
#include "cli/dump/vmcoreinfo.h"
#include "cli/target/copy.h"
#include "cli/ui/text.h"
#include "cli/ui/verb.h"
#include "cli/vmm/reading.h"

enum { DUMP_FROZEN = 2000 };

static const struct option longs[] = {
	{ "format", required_argument, NULL, 'f' },
	{ "output", required_argument, NULL, 'o' },
	{ "frozen", no_argument, NULL, DUMP_FROZEN },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

struct dump {
	struct sink sink;
	struct dump_file file;
	struct image image;
	struct regions regions;
	uint64_t shift; /* file offset - gpa, in the range at hand */
	uint64_t done;
	struct progress progress;
};

#define PAGE 4096u

static int is_zero(const uint8_t *bytes, size_t len)
{
	static const uint8_t zeros[PAGE];

	return memcmp(bytes, zeros, len) == 0;
}

/* Pages of zeros are left out; what lies between them is written in one go. */
static int take(struct sink *sink, uint64_t gpa, const uint8_t *bytes, uint64_t len)
{
	struct dump *dump = (struct dump *)sink;
	const uint64_t offset = gpa + dump->shift;
	uint64_t from = 0, to = 0;
	int code = EXIT_OK;

	for (uint64_t at = 0; bytes && !code && at < len; at += PAGE) {
		uint64_t nr = len - at < PAGE ? len - at : PAGE;

		if (!is_zero(bytes + at, nr)) {
			to = at + nr;
			continue;
		}
		if (to > from)
			code = dump_file_put(&dump->file, offset + from, bytes + from, to - from);
		from = to = at + nr;
	}
	if (!code && to > from)
		code = dump_file_put(&dump->file, offset + from, bytes + from, to - from);
	dump->done += bytes ? len : 0;
	progress_show(&dump->progress, dump->done, 0);
	return code;
}

static int put_header(struct dump *dump, const struct image_range *range)
{
	uint8_t header[IMAGE_MOST_HEADER];
	size_t len = image_header(&dump->image, range, header);

	dump->shift = range->offset - range->gpa;
	return len ? dump_file_put(&dump->file, range->offset - len, header, len) : EXIT_OK;
}

/* Region by region: what stops one stops no other. */
static int put_memory(struct vas *vas, const char *name, struct dump *dump)
{
	const struct image_range *range = dump->image.ranges;
	struct regions one = { .nr = 1 };
	const struct copy copy = { vas, name, &one, &dump->sink };
	int code = EXIT_OK, worst = EXIT_OK;

	for (size_t i = 0; i < dump->regions.nr && code != EXIT_REFUSED; i++) {
		one.at = &dump->regions.at[i];
		code = EXIT_OK;
		if (one.at->gpa == range->gpa)
			code = put_header(dump, range);
		if (!code)
			code = copy_out(&copy, one.at->gpa, one.at->size);
		if (one.at->gpa + one.at->size == range->gpa + range->size)
			range++;
		worst = code ? code : worst;
	}
	return worst;
}

static int put_all(struct vas *vas, const char *name, struct dump *dump)
{
	int code = EXIT_OK, last;

	progress_begin(&dump->progress, "dump",
		       extents_data(vas, &dump->regions, 0, regions_end(&dump->regions)));
	if (dump->image.head_size)
		code = dump_file_put(&dump->file, 0, dump->image.head, dump->image.head_size);
	if (!code && dump->image.has_memory)
		code = put_memory(vas, name, dump);
	if (code != EXIT_REFUSED) {
		last = dump_file_finish(&dump->file, dump->image.size);
		code = last ? last : code;
	}
	text_clear_progress();
	return code;
}

/* The file's shape, by the layout of this moment. */
static int plan(struct vas *vas, const char *name, enum image_format format, struct dump *dump)
{
	struct vmcoreinfo info = { 0 };
	int err = regions_get(vas, &dump->regions);

	if (!err && (format == IMAGE_ELF || format == IMAGE_ELF_HEADERS))
		err = vmcoreinfo_find(vas, regions_end(&dump->regions), &info);
	if (err)
		return fail_vas(err, name);
	err = image_plan(&dump->image, format, &dump->regions, &info);
	vmcoreinfo_clean(&info);
	return err ? fail(EXIT_REFUSED, "%s: %s", name, strerror(-err)) : EXIT_OK;
}

static int dump_into(const char *name, const char *path, enum image_format format, int frozen)
{
	struct dump dump = { .sink.take = take };
	struct reading reading;
	int code = reading_begin(&reading, name, frozen);

	if (code)
		return code;
	code = dump_file_open(&dump.file, path);
	if (!code)
		code = plan(reading.vas, name, format, &dump);
	if (!code)
		code = put_all(reading.vas, name, &dump);
	dump_file_clean(&dump.file);
	image_clean(&dump.image);
	regions_clean(&dump.regions);
	return reading_end(&reading, code);
}

static int take_format(const char *value, enum image_format *format)
{
	static const char *const names[] = {
		[IMAGE_RAW] = "raw",
		[IMAGE_ELF] = "elf",
		[IMAGE_ELF_HEADERS] = "elf-headers",
		[IMAGE_LIME] = "lime",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(value, names[i]) == 0) {
			*format = (enum image_format)i;
			return EXIT_OK;
		}
	return fail_usage("--format: '%s' is none of raw, elf, elf-headers and lime", value);
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":o:h", longs, 0 };
	enum image_format format = IMAGE_RAW;
	const char *path = NULL;
	int c, frozen = 0;

	while ((c = option_next(&options)) >= 0) {
		if (c == 'o')
			path = optarg;
		else if (c == DUMP_FROZEN)
			frozen = 1;
		else if (take_format(optarg, &format))
			return EXIT_USAGE;
	}
	if (c == OPTION_STOP || option_rest(&options, 1, 1, "which vas? vas dump NAME -o FILE") < 0)
		return options.status;
	return dump_into(argv[optind], path, format, frozen);
}

const struct verb verb_dump = {
	.name = "dump",
	.args = "NAME [--format FORMAT] [-o FILE] [--frozen]",
	.summary = "Write all guest memory to a file",
	.help = "      --format raw          file offset = gpa; so it is without this option\n"
		"               elf          an ELF core file, for gdb, crash and drgn\n"
		"               elf-headers  only what an ELF core file begins with\n"
		"               lime         each range of memory behind a LiME header\n"
		"      --frozen              while the guest and all who write stand still\n"
		"  -o, --output FILE         the file, which appears when it is whole; else stdout\n"
		"\n"
		"What is no memory, was never touched or is zero is a hole in the file (zeros in a pipe or a device).\n"
		"Unless it is frozen, the guest goes on meanwhile: it is no snapshot of one moment.\n",
	.run = run,
};
