// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas snapshot: a vas's memory and layout, into a file. */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <vas/migrate.h>

#include "cli/vmm/hold.h"
#include "cli/ui/json.h"
#include "cli/ui/text.h"
#include "cli/ui/verb.h"

static const struct option longs[] = {
	{ "parent", required_argument, NULL, 'p' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int folder_of(const char *path, char folder[PATH_MAX])
{
	char copy[PATH_MAX];

	if (strlen(path) >= sizeof(copy))
		return fail_usage("'%.32s...' is too long for a path", path);
	strcpy(copy, path);
	if (realpath(dirname(copy), folder))
		return EXIT_OK;
	return fail(EXIT_REFUSED, "the folder of %s: %s", path, strerror(errno));
}

/*
 * As the new snapshot will name it: from its own folder if both are there, so that the folder can
 * be moved; else from the root.
 */
static int name_parent(const char *file, const char *parent, char name[PATH_MAX])
{
	char here[PATH_MAX], there[PATH_MAX], copy[PATH_MAX];
	int code = folder_of(file, here);

	if (!code)
		code = folder_of(parent, there);
	if (code)
		return code;
	strcpy(copy, parent);
	if (snprintf(name, PATH_MAX, "%s%s%s", strcmp(here, there) ? there : "",
		     strcmp(here, there) ? "/" : "", basename(copy)) < PATH_MAX)
		return EXIT_OK;
	return fail_usage("--parent: the path is too long");
}

static int tell(const char *file, const char *parent, int as_json)
{
	struct stat st;

	if (stat(file, &st))
		return fail(EXIT_REFUSED, "%s: %s", file, strerror(errno));
	if (!as_json) {
		note("%s takes %s on disk", file, text_size((uint64_t)st.st_blocks * 512).s);
		return EXIT_OK;
	}
	json_open(NULL, '{');
	json_text("file", file, strlen(file));
	if (parent)
		json_text("parent", parent, strlen(parent));
	else
		json_null("parent");
	json_number("size", (uint64_t)st.st_size);
	json_number("allocated", (uint64_t)st.st_blocks * 512);
	json_close();
	return EXIT_OK;
}

static int save(const char *name, const char *file, const char *parent, int as_json)
{
	struct vas *vas;
	int code = hold_adopt(name, &vas), err;

	if (code)
		return code;
	err = vas_snapshot_save(vas, file, parent, NULL);
	code = err ? fail_vas(err, name) : tell(file, parent, as_json);
	/* It was there without an owner before, and is again. */
	vas_unbind(vas);
	return code;
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":p:jh", longs, 0 };
	const char *parent = NULL;
	char relative[PATH_MAX];
	int as_json = 0, c, code;

	while ((c = option_next(&options)) >= 0) {
		if (c == 'p')
			parent = optarg;
		as_json |= c == 'j';
	}
	if (c == OPTION_STOP ||
	    option_rest(&options, 2, 2, "into which file? vas snapshot NAME FILE") == OPTION_STOP)
		return options.status;
	if (parent) {
		code = name_parent(argv[optind + 1], parent, relative);
		if (code)
			return code;
		parent = relative;
	}
	return save(argv[optind], argv[optind + 1], parent, as_json);
}

const struct verb verb_snapshot = {
	.name = "snapshot",
	.args = "[OPTION...] NAME FILE",
	.summary = "Save a vas's memory and layout to a file",
	.help = "  -p, --parent=FILE   save only what differs from this snapshot, which must stay as it is\n"
		"  -j, --json          print what was made as JSON\n"
		"\n"
		"The file is sparse, and appears under its name when it is whole. The vas must have no living\n"
		"owner: a machine that runs is saved by the process that runs it (vas_snapshot_save(3)).\n",
	.run = run,
};
