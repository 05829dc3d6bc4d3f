// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas clone: many vas of one snapshot, which share what they do not touch. */
#include <stdlib.h>
#include <vas/migrate.h>

#include "cli/vmm/child.h"
#include "cli/vmm/hold.h"
#include "cli/target/parse.h"
#include "cli/ui/verb.h"

#define MOST 1024

static const struct option longs[] = {
	{ "number", required_argument, NULL, 'n' },
	{ "any-folder", no_argument, NULL, 'a' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

struct job {
	const char *file;
	uint32_t flags;
	int nr;
	int as_json;
};

static int make(const struct job *job, struct vas **clones)
{
	int code = EXIT_OK, err;

	for (int i = 0; !code && i < job->nr; i++) {
		err = vas_snapshot_restore(job->file, job->flags, &clones[i]);
		code = err ? hold_fail(err, job->file) : hold_tell(clones[i], job->as_json);
	}
	return code;
}

static int hold(const struct job *job)
{
	struct vas **clones = calloc((size_t)job->nr, sizeof(*clones));
	int code;

	if (!clones)
		return fail(EXIT_REFUSED, "no memory");
	block_signals();
	code = make(job, clones);
	if (!code)
		hold_serve(clones, job->nr);
	for (int i = job->nr - 1; i >= 0; i--)
		vas_destroy(clones[i]);
	free(clones);
	return code;
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":n:ajh", longs, 0 };
	struct job job = { .flags = VAS_RESTORE_CLONE, .nr = 1 };
	int c;

	while ((c = option_next(&options)) >= 0) {
		if (c == 'n' && (parse_number(optarg, &job.nr) || job.nr < 1 || job.nr > MOST))
			return fail_usage("--number: '%s' is not 1 to %d", optarg, MOST);
		if (c == 'a')
			job.flags |= VAS_RESTORE_ANY_FOLDER;
		job.as_json |= c == 'j';
	}
	if (c == OPTION_STOP ||
	    option_rest(&options, 1, 1, "of which file? vas clone FILE") == OPTION_STOP)
		return options.status;
	job.file = argv[optind];
	return hold(&job);
}

const struct verb verb_clone = {
	.name = "clone",
	.args = "[OPTION...] FILE",
	.summary = "Make many vas of one snapshot, which share what they do not touch",
	.help = "  -n, --number=N     so many; a line with PID/FD is printed for each\n"
		"  -a, --any-folder   read parents that the snapshot names in other folders than its own\n"
		"  -j, --json         print what was made as JSON, an object a line\n"
		"\n"
		"A page takes memory of a clone's own once somebody reads or writes it. Only programs that use libvas\n"
		"may do that; others find zeros. They are held until a signal ends this.\n",
	.run = run,
};
