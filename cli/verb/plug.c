// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas plug, vas unplug: a running guest gets memory more, and lets go of it. */
#include <stdio.h>

#include "cli/target/parse.h"
#include "cli/ui/json.h"
#include "cli/ui/text.h"
#include "cli/ui/verb.h"
#include "cli/vmm/dimm.h"

#define WAIT_NS 30000000000ull

static const struct option plug_longs[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static const struct option unplug_longs[] = {
	{ "wait", required_argument, NULL, 'w' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static void tell(const struct qemu_dimm *dimm, int as_json)
{
	if (!as_json) {
		note("%s of %s at %s", dimm->id, text_size(dimm->size).s, text_gpa(dimm->gpa).s);
		puts(dimm->id);
		return;
	}
	json_open(NULL, '{');
	json_text("name", dimm->id, sizeof(dimm->id));
	json_number("gpa", dimm->gpa);
	json_number("size", dimm->size);
	json_close();
}

static int plug(int argc, char **argv)
{
	struct options options = { argc, argv, ":jh", plug_longs, 0 };
	struct qemu_dimm dimm;
	struct guest guest;
	int as_json = 0, c, code;
	uint64_t size;

	while ((c = option_next(&options)) >= 0)
		as_json |= c == 'j';
	if (c == OPTION_STOP ||
	    option_rest(&options, 2, 2, "how much? vas plug NAME SIZE") == OPTION_STOP)
		return options.status;
	if (parse_size(argv[optind + 1], &size) || !size)
		return fail_usage("'%s' is no size: write 512M or 4G", argv[optind + 1]);
	code = guest_open(argv[optind], &guest);
	if (code)
		return code;
	code = dimm_plug(&guest, size, &dimm);
	guest_close(&guest);
	if (!code)
		tell(&dimm, as_json);
	return code;
}

static int unplug(int argc, char **argv)
{
	struct options options = { argc, argv, ":w:h", unplug_longs, 0 };
	uint64_t wait_ns = WAIT_NS;
	struct guest guest;
	int c, code;

	while ((c = option_next(&options)) >= 0)
		if (c == 'w' && parse_seconds(optarg, &wait_ns))
			return fail_usage("--wait: '%s' is not 0.1 to 3600 seconds", optarg);
	if (c == OPTION_STOP ||
	    option_rest(&options, 2, 2, "which memory? vas unplug NAME DIMM") == OPTION_STOP)
		return options.status;
	code = guest_open(argv[optind], &guest);
	if (code)
		return code;
	code = dimm_unplug(&guest, argv[optind + 1], wait_ns);
	guest_close(&guest);
	return code;
}

const struct verb verb_plug = {
	.name = "plug",
	.args = "[OPTION...] NAME SIZE",
	.summary = "Plug memory into a running guest",
	.help = "  -j, --json   print what was plugged as JSON\n"
		"\n"
		"Into a guest in a QEMU that was started with room for it, such as -m 1G,slots=4,maxmem=8G. The\n"
		"memory's name is printed. Linux takes multiples of 128 MiB.\n",
	.run = plug,
};

const struct verb verb_unplug = {
	.name = "unplug",
	.args = "[OPTION...] NAME DIMM",
	.summary = "Have a guest let go of memory that was plugged",
	.help = "  -w, --wait=SECONDS   for how long; 30 unless given\n"
		"\n"
		"DIMM is what 'vas plug' has printed, and a region's name. A guest that needs the memory keeps it:\n"
		"that is an error, and nothing has changed.\n",
	.run = unplug,
};
