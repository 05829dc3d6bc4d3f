// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/restored.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vas/migrate.h>

#include "cli/ui/verb.h"
#include "cli/vmm/qemu.h"

#define INDEX "@INDEX@"

int restored_take_args(struct restored *r, int argc, char **argv, const char *missing)
{
	/* getopt puts it before what is no option. */
	const int has_command = !strcmp(argv[optind - 1], "--");

	r->path = -1;
	if (optind == argc)
		return fail_usage("%s", missing);
	r->file = argv[optind];
	if (optind + 1 == argc)
		return EXIT_OK;
	if (!has_command)
		return fail_usage(
			"'%s' is one argument too many: what is to be started stands behind "
			"--",
			argv[optind + 1]);
	r->command = argv + optind + 1;
	return EXIT_OK;
}

static int is_trusted(const struct stat *st)
{
	return (st->st_uid == geteuid() || !st->st_uid) && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static int check_start(struct restored *r, const struct stat *st)
{
	if (r->flags & (VAS_RESTORE_LAZY | VAS_RESTORE_CLONE))
		return fail(
			EXIT_REFUSED,
			"%s: QEMU cannot run on memory that comes when it is touched, as it would "
			"see zeros: drop --lazy, or give --no-start",
			r->file);
	if (!r->command && !is_trusted(st))
		return fail(
			EXIT_REFUSED,
			"%s: others can write this file, so what it says is not started: say what "
			"is behind --, or give --no-start",
			r->file);
	r->starts = 1;
	return EXIT_OK;
}

int restored_open(struct restored *r, int only_looks)
{
	struct stat st;
	size_t size;
	int err;

	r->path = open(r->file, O_PATH | O_CLOEXEC);
	if (r->path < 0 || fstat(r->path, &st))
		return fail(EXIT_REFUSED, "%s: %s", r->file, strerror(errno));
	err = vas_snapshot_state(r->file, &r->state, &size);
	if (err)
		return fail_vas(err, r->file);
	if (r->holds_only)
		return EXIT_OK;
	if (!size && r->command)
		return fail(EXIT_REFUSED,
			    "%s: no QEMU's state is in it that could go on: memory can "
			    "be held without a command",
			    r->file);
	if (!size)
		return EXIT_OK;
	err = qemu_record_parse(r->state, size, &r->record);
	if (err)
		return fail_vas(err, r->file);
	r->has_guest = 1;
	return only_looks ? EXIT_OK : check_start(r, &st);
}

void restored_close(struct restored *r)
{
	if (r->path >= 0)
		close(r->path);
	qemu_record_clean(&r->record);
	free(r->state);
}

/* ---- one guest ---------------------------------------------------------------------------- */

/* Memory and state are read one after the other: of one file, and not of one in its place. */
static int check_same(const struct restored *r)
{
	struct stat before, now;

	if (!fstat(r->path, &before) && !stat(r->file, &now) && before.st_dev == now.st_dev &&
	    before.st_ino == now.st_ino)
		return EXIT_OK;
	return fail(EXIT_REFUSED, "%s: another snapshot has taken its place: try again", r->file);
}

/* A copy of the word with each @INDEX@ replaced. */
static char *with_index(const char *word, int index)
{
	char *copy = NULL;
	const char *mark;
	size_t len;
	FILE *out = open_memstream(&copy, &len);

	if (!out)
		return NULL;
	for (; (mark = strstr(word, INDEX)); word = mark + strlen(INDEX))
		fprintf(out, "%.*s%d", (int)(mark - word), word, index);
	fputs(word, out);
	fclose(out);
	return copy;
}

static char **command_of(char *const *command, int index)
{
	size_t nr = 0;
	char **copy;

	while (command[nr])
		nr++;
	copy = calloc(nr + 1, sizeof(*copy));
	for (size_t i = 0; copy && i < nr; i++) {
		copy[i] = with_index(command[i], index);
		if (!copy[i]) {
			child_argv_free(copy);
			return NULL;
		}
	}
	return copy;
}

static int start_one(struct restored *r, struct held *held, char **command)
{
	struct vas *vas;
	int err = vas_snapshot_restore(r->file, r->flags, &vas), code;

	held_init(held, err ? NULL : vas);
	if (err)
		return hold_fail(err, r->file);
	code = check_same(r);
	if (!code)
		code = command ? start_recorded(held, &r->record, command) :
				 fail(EXIT_REFUSED, "no memory");
	if (!code && r->record.is_running && !r->stays_paused)
		code = start_go_on(held);
	return code;
}

/* ---- all of them -------------------------------------------------------------------------- */

struct guests {
	struct held *held;
	char ***commands;
	int nr; /* begun */
};

static int start_all(struct restored *r, struct guests *guests, int nr)
{
	char *const *command = r->command ? r->command : r->record.command;
	int code = EXIT_OK;

	for (int i = 0; !code && i < nr && !has_signal(); i++) {
		guests->commands[i] = command_of(command, i);
		guests->nr++;
		code = start_one(r, &guests->held[i], guests->commands[i]);
	}
	return code;
}

static int tell_all(const struct guests *guests, int as_json)
{
	int code = EXIT_OK;

	for (int i = 0; !code && i < guests->nr; i++)
		code = hold_tell(guests->held[i].vas, as_json);
	return code;
}

/* All go on, or none. */
static int run_all(struct restored *r, struct guests *guests, int nr, int as_json, int report)
{
	int code = start_all(r, guests, nr);

	if (!code)
		code = tell_all(guests, as_json);
	background_report(report, code);
	if (!code)
		hold_serve(guests->held, guests->nr);
	for (int i = guests->nr - 1; i >= 0; i--) {
		if (code)
			start_kill(&guests->held[i]);
		held_end(&guests->held[i]);
		child_argv_free(guests->commands[i]);
	}
	for (int i = 0; !code && i < guests->nr; i++)
		code = guests->held[i].code;
	return code;
}

int restored_run(struct restored *r, int nr, int as_json)
{
	struct guests guests = { calloc((size_t)nr, sizeof(*guests.held)),
				 calloc((size_t)nr, sizeof(*guests.commands)), 0 };
	char *const *command = r->command ? r->command : r->record.command;
	int code = EXIT_OWN, report = -1;

	if (!guests.held || !guests.commands)
		fail(EXIT_OWN, "no memory");
	else if (!qemu_is_daemon(command) || (report = background_begin()) >= 0)
		code = run_all(r, &guests, nr, as_json, report);
	free(guests.held);
	free(guests.commands);
	return code;
}
