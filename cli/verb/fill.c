// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas fill: set guest memory to one byte. */
#include "cli/target/argument.h"
#include "cli/target/copy.h"
#include "cli/target/name.h"
#include "cli/target/parse.h"
#include "cli/ui/verb.h"

static const struct option longs[] = {
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int fill_range(char **argv, uint8_t byte)
{
	uint64_t gpa, len;
	size_t done = 0;
	struct vas *vas;
	int code = argument_range(argv[1], argv[2], &gpa, &len), err;

	if (code)
		return code;
	code = name_bind(argv[0], VAS_ROLE_BINDER, &vas);
	if (code)
		return code;
	err = vas_fill(vas, gpa, byte, len, &done);
	if (err)
		code = copy_stopped(argv[0], err, gpa, done, len);
	vas_unbind(vas);
	return code;
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":h", longs, 0 };
	uint64_t byte = 0;
	int nr;

	if (option_next(&options) == OPTION_STOP)
		return options.status;
	nr = option_rest(&options, 3, 4, "what is to be filled? vas fill NAME GPA LEN [BYTE]");
	if (nr == OPTION_STOP)
		return options.status;
	if (nr == 4 && (parse_size(argv[optind + 3], &byte) || byte > 255))
		return fail_usage("'%s' is no byte: write 0 to 255, or 0x00 to 0xff",
				  argv[optind + 3]);
	return fill_range(argv + optind, (uint8_t)byte);
}

const struct verb verb_fill = {
	.name = "fill",
	.args = "NAME GPA LEN [BYTE]",
	.summary = "Set guest memory to one byte, 0 unless given",
	.help = "A hole in the layout, or a read-only region, ends it; the message tells how far it got.\n",
	.run = run,
};
