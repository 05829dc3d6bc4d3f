// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas clone: many vas of one snapshot, which share what they do not touch. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vas/migrate.h>

#include "cli/target/parse.h"
#include "cli/ui/verb.h"
#include "cli/vmm/fork.h"
#include "cli/vmm/restored.h"
#include "cli/vmm/save.h"

#define MOST 1024

enum { CLONE_NO_START = 2000, CLONE_PAUSED, CLONE_FORCE, CLONE_DISKS, CLONE_PRIVATE };

static const struct option longs[] = {
	{ "number", required_argument, NULL, 'n' },
	{ "any-folder", no_argument, NULL, 'a' },
	{ "private", no_argument, NULL, CLONE_PRIVATE },
	{ "no-start", no_argument, NULL, CLONE_NO_START },
	{ "paused", no_argument, NULL, CLONE_PAUSED },
	{ "disks", required_argument, NULL, CLONE_DISKS },
	{ "force", no_argument, NULL, CLONE_FORCE },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

struct job {
	struct restored restored;
	struct saving saving; /* of a guest that runs: its file is for this process alone */
	char own[32];	      /* that file, by its fd */
	int fd;
	int nr;
	int as_json;
};

/* ---- a vas that is there ------------------------------------------------------------------ */

/* Its snapshot never has a name, and goes with this process. */
static int save(struct job *job)
{
	const char *temp = getenv("TMPDIR");
	int code;

	job->saving.folder = temp && *temp ? temp : "/var/tmp";
	job->saving.fd = &job->fd;
	code = save_to_file(&job->saving);
	if (code)
		return code;
	snprintf(job->own, sizeof(job->own), "/proc/self/fd/%d", job->fd);
	job->restored.file = job->own;
	return EXIT_OK;
}

/* What is no file is the name of a vas. */
static int is_name(const struct job *job)
{
	return access(job->restored.file, F_OK);
}

/* ---- memory alone ------------------------------------------------------------------------- */

static int make(const struct job *job, struct held *clones, int *nr)
{
	int code = EXIT_OK, err;

	while (!code && *nr < job->nr && !has_signal()) {
		struct vas *vas;

		err = vas_snapshot_restore(job->restored.file,
					   job->restored.flags | VAS_RESTORE_CLONE, &vas);
		if (err)
			return hold_fail(err, job->restored.file);
		held_init(&clones[(*nr)++], vas);
		code = hold_tell(vas, job->as_json);
	}
	return code;
}

static int hold(const struct job *job)
{
	struct held *clones = calloc((size_t)job->nr, sizeof(*clones));
	int code, nr = 0;

	if (!clones)
		return fail(EXIT_REFUSED, "no memory");
	code = make(job, clones, &nr);
	if (!code)
		hold_serve(clones, nr);
	while (nr)
		held_end(&clones[--nr]);
	free(clones);
	return code;
}

/* What is private is so to a QEMU. */
static int check_private(const struct restored *restored)
{
	if (!restored->is_private || restored->starts)
		return EXIT_OK;
	return fail(
		EXIT_REFUSED,
		"%s: no QEMU would be started, whose private memory it could be: drop --private",
		restored->file);
}

static int clone_file(struct job *job)
{
	int code = is_name(job) ? save(job) : EXIT_OK;

	if (!code)
		code = restored_open(&job->restored, 0);
	if (!code)
		code = check_private(&job->restored);
	if (!code)
		code = job->restored.starts ? restored_run(&job->restored, job->nr, job->as_json) :
					      hold(job);
	if (job->fd >= 0)
		close(job->fd);
	return code;
}

static int clone_all(struct job *job)
{
	struct restored *restored = &job->restored;
	int code = FORK_NOT;

	job->saving.name = restored->file;
	if (restored->is_private && !restored->holds_only && is_name(job))
		code = fork_guest(&job->saving, restored, job->nr, job->as_json);
	if (code == FORK_NOT)
		code = clone_file(job);
	restored_close(restored);
	return code;
}

static int take_option(struct job *job, int c)
{
	if (c == 'n' && (parse_number(optarg, &job->nr) || job->nr < 1 || job->nr > MOST))
		return fail_usage("--number: '%s' is not 1 to %d", optarg, MOST);
	if (c == 'a')
		job->restored.flags |= VAS_RESTORE_ANY_FOLDER;
	if (c == CLONE_DISKS)
		job->saving.disks = optarg;
	job->restored.is_private |= c == CLONE_PRIVATE;
	job->restored.holds_only |= c == CLONE_NO_START;
	job->restored.stays_paused |= c == CLONE_PAUSED;
	job->saving.force |= c == CLONE_FORCE;
	job->as_json |= c == 'j';
	return EXIT_OK;
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":n:ajh", longs, 0 };
	struct job job = { .restored.path = -1, .fd = -1, .nr = 1 };
	int c, code = EXIT_OK;

	while (!code && (c = option_next(&options)) >= 0)
		code = take_option(&job, c);
	if (code)
		return code;
	if (c == OPTION_STOP)
		return options.status;
	code = restored_take_args(&job.restored, argc, argv, "of what? vas clone FILE|NAME");
	return code ? code : clone_all(&job);
}

const struct verb verb_clone = {
	.name = "clone",
	.args = "[OPTION...] FILE|NAME [-- QEMU [ARGUMENT...]]",
	.summary = "Make many guests, or many vas, of one snapshot or guest",
	.help = "  -n, --number=N     so many; a line with PID/FD is printed for each\n"
		"  -a, --any-folder   read parents that the snapshot names in other folders than its own\n"
		"      --private      share what no guest has written; nobody but its QEMU sees a clone's memory\n"
		"      --no-start     make vas, and start no QEMU\n"
		"      --paused       start QEMUs, and let the guests stand until 'vas resume'\n"
		"      --disks=COMMAND, --force   as 'vas snapshot' has them, for the NAME of a guest that runs\n"
		"  -j, --json         print what was made as JSON, an object a line\n"
		"\n"
		"What has a QEMU's state is started so many times, as it was or as the words behind -- say, with\n"
		"@INDEX@ in them replaced by 0, 1 and so on: each needs sockets, files and disks of its own. Of\n"
		"memory alone, a page takes memory of a clone's own once somebody reads or writes it, and only\n"
		"programs that use libvas may do that; others find zeros. They are held until a signal ends this.\n",
	.run = run,
};
