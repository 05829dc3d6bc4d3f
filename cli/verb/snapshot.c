// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas snapshot: a vas's memory and layout, into a file. */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/ui/json.h"
#include "cli/ui/text.h"
#include "cli/ui/verb.h"
#include "cli/vmm/save.h"

enum { SNAPSHOT_DISKS = 2000, SNAPSHOT_FORCE, SNAPSHOT_STANDING };

static const struct option longs[] = {
	{ "parent", required_argument, NULL, 'p' },
	{ "any-folder", no_argument, NULL, 'a' },
	{ "disks", required_argument, NULL, SNAPSHOT_DISKS },
	{ "force", no_argument, NULL, SNAPSHOT_FORCE },
	{ "standing", no_argument, NULL, SNAPSHOT_STANDING },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

struct job {
	struct saving saving;
	const char *parent; /* as the user gave it; NULL: none */
	int any_folder;
	int as_json;
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
 * be moved; else from the root. A name with a slash says that other folders are meant.
 */
static int name_parent(const struct job *job, char name[PATH_MAX])
{
	char here[PATH_MAX], there[PATH_MAX], copy[PATH_MAX];
	const char *folder = there;
	int code = folder_of(job->saving.file, here);

	if (!code)
		code = folder_of(job->parent, there);
	if (code)
		return code;
	strcpy(copy, job->parent);
	if (!strcmp(here, there))
		folder = job->any_folder ? "." : "";
	if (snprintf(name, PATH_MAX, "%s%s%s", folder, *folder ? "/" : "", basename(copy)) <
	    PATH_MAX)
		return EXIT_OK;
	return fail_usage("--parent: the path is too long");
}

static int tell(const struct job *job)
{
	struct stat st;

	if (stat(job->saving.file, &st))
		return fail(EXIT_REFUSED, "%s: %s", job->saving.file, strerror(errno));
	if (!job->as_json) {
		note("%s takes %s on disk", job->saving.file,
		     text_size((uint64_t)st.st_blocks * 512).s);
		return EXIT_OK;
	}
	json_open(NULL, '{');
	json_text("file", job->saving.file, strlen(job->saving.file));
	if (job->parent)
		json_text("parent", job->parent, strlen(job->parent));
	else
		json_null("parent");
	json_number("size", (uint64_t)st.st_size);
	json_number("allocated", (uint64_t)st.st_blocks * 512);
	json_close();
	return EXIT_OK;
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":p:ajh", longs, 0 };
	struct job job = { 0 };
	char relative[PATH_MAX];
	int c, code;

	while ((c = option_next(&options)) >= 0) {
		if (c == 'p')
			job.parent = optarg;
		job.any_folder |= c == 'a';
		job.as_json |= c == 'j';
		job.saving.force |= c == SNAPSHOT_FORCE;
		job.saving.stands |= c == SNAPSHOT_STANDING;
		if (c == SNAPSHOT_DISKS)
			job.saving.disks = optarg;
	}
	if (c == OPTION_STOP ||
	    option_rest(&options, 2, 2, "into which file? vas snapshot NAME FILE") == OPTION_STOP)
		return options.status;
	job.saving.name = argv[optind];
	job.saving.file = argv[optind + 1];
	if (job.parent) {
		code = name_parent(&job, relative);
		if (code)
			return code;
		job.parent = job.saving.parent = relative;
	}
	code = save_to_file(&job.saving);
	return code ? code : tell(&job);
}

const struct verb verb_snapshot = {
	.name = "snapshot",
	.args = "[OPTION...] NAME FILE",
	.summary = "Save a guest, or a vas's memory and layout, to a file",
	.help = "  -p, --parent=FILE   save only what differs from this snapshot, which must stay as it is\n"
		"  -a, --any-folder    the parent's own parents may lie in other folders than it does\n"
		"      --disks=COMMAND  copies the guest's disks, by the shell, while it stands\n"
		"      --standing      stop the guest first, and copy its memory while it stands\n"
		"      --force         save although somebody may write to the memory meanwhile\n"
		"  -j, --json          print what was made as JSON\n"
		"\n"
		"The file is sparse, and appears under its name when it is whole. A guest in a QEMU that 'vas run'\n"
		"started is saved with its devices: memory is copied while it runs, and it stands for the rest.\n",
	.run = run,
};
