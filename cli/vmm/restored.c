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
#include "cli/vmm/template.h"

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

int restored_take_record(struct restored *r, void *bytes, size_t size)
{
	int err;

	r->state = bytes;
	err = qemu_record_parse(bytes, size, &r->record);
	if (err)
		return fail_vas(err, r->file);
	if (!r->command && !r->record.command[0])
		return fail(EXIT_REFUSED,
			    "%s: its QEMU was started by another program or user, which alone "
			    "can say how: say what is to be started behind --, or give --no-start",
			    r->file);
	/* It is not what it was: the guest hears of that. */
	if (r->record.genid[0])
		strcpy(r->record.genid, "auto");
	r->has_guest = 1;
	return EXIT_OK;
}

int restored_open(struct restored *r, int only_looks)
{
	struct stat st;
	size_t size;
	int err, code;

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
	code = restored_take_record(r, r->state, size);
	if (code)
		return code;
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

	if (r->source)
		return EXIT_OK;
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

/* ---- all of them -------------------------------------------------------------------------- */

struct guests {
	struct held *held;
	char ***commands;
	struct template base; /* of private ones */
	int nr;		      /* begun */
	int nr_loaded;	      /* of those */
};

static int make_vas(const struct restored *r, const struct guests *guests, struct vas **vas)
{
	int err = r->is_private ? template_clone(&guests->base, vas) :
				  vas_snapshot_restore(r->file, r->flags, vas);

	return err ? hold_fail(err, r->file) : check_same(r);
}

static int start_next(struct restored *r, struct guests *guests)
{
	const int i = guests->nr++;
	struct held *held = &guests->held[i];
	struct vas *vas = NULL;
	int code = make_vas(r, guests, &vas);

	held_init(held, vas);
	held->base = guests->base.fd;
	if (code)
		return code;
	guests->commands[i] = command_of(r->command ? r->command : r->record.command, i);
	return guests->commands[i] ? start_recorded(held, &r->record, guests->commands[i]) :
				     fail(EXIT_REFUSED, "no memory");
}

static int load_next(struct restored *r, struct guests *guests)
{
	return start_load(&guests->held[guests->nr_loaded++], &r->record);
}

/* While one QEMU loads, the next ones start: as many as there are CPUs. */
static int start_all(struct restored *r, struct guests *guests, int nr)
{
	const long ahead = sysconf(_SC_NPROCESSORS_ONLN);
	int code = EXIT_OK;

	while (!code && guests->nr_loaded < nr && !has_signal())
		code = guests->nr < nr && guests->nr - guests->nr_loaded < ahead ?
			       start_next(r, guests) :
			       load_next(r, guests);
	return code || guests->nr_loaded == nr ? code : EXIT_OWN;
}

struct pass {
	const struct restored *r;
	struct guests *guests;
};

static int pass(void *to, const void *part, size_t size)
{
	const struct pass *p = to;
	int code = EXIT_OK;

	for (int i = 0; !code && i < p->guests->nr; i++)
		code = start_write(&p->guests->held[i], &p->r->record, part, size);
	return code;
}

/*
 * All wait for the state before the guest stops that they come from. They load it while that one is
 * still saving it.
 */
static int start_of_source(struct restored *r, struct guests *guests, int nr)
{
	struct pass to = { r, guests };
	int code = EXIT_OK;

	while (!code && guests->nr < nr && !has_signal())
		code = start_next(r, guests);
	for (int i = 0; !code && i < guests->nr; i++)
		code = start_await(&guests->held[i]);
	if (!code && has_signal())
		code = EXIT_OWN;
	if (!code)
		code = r->source->save(r->source->arg, pass, &to);
	for (int i = 0; !code && i < nr; i++)
		code = start_loaded(&guests->held[i], &r->record);
	return code ? code : r->source->commit(r->source->arg);
}

/* From a file, all go on or none is there. Without a source any more, who cannot go on stands. */
static int go_on_all(const struct restored *r, const struct guests *guests)
{
	const int goes_on = r->record.is_running && !r->stays_paused;
	int code = EXIT_OK;

	for (int i = 0; i < guests->nr && (!code || r->source); i++)
		if (!goes_on)
			start_stand(&guests->held[i]);
		else if ((code = start_go_on(&guests->held[i])) && r->source)
			note("it stands still: 'vas resume' lets it go on");
	return r->source ? EXIT_OK : code;
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
	int code = r->source ? start_of_source(r, guests, nr) : start_all(r, guests, nr);

	if (!code)
		code = go_on_all(r, guests);
	if (!code && r->source)
		r->source->end(r->source->arg);
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

static int make_base(const struct restored *r, struct template *base)
{
	int code = qemu_check_private(r->command ? r->command : r->record.command), err;

	if (code)
		return code;
	err = r->source ? template_of(base, r->source->memory) :
			  template_make(base, r->file, r->flags);
	return err ? hold_fail(err, r->file) : check_same(r);
}

static int prepare(const struct restored *r, struct guests *guests, int nr)
{
	guests->held = calloc((size_t)nr, sizeof(*guests->held));
	guests->commands = calloc((size_t)nr, sizeof(*guests->commands));
	if (!guests->held || !guests->commands)
		return fail(EXIT_OWN, "no memory");
	return r->is_private ? make_base(r, &guests->base) : EXIT_OK;
}

int restored_run(struct restored *r, int nr, int as_json)
{
	struct guests guests = { .base.fd = -1 };
	int code = prepare(r, &guests, nr), report = -1;

	if (!code && qemu_is_daemon(r->command ? r->command : r->record.command)) {
		report = background_begin();
		code = report < 0 ? EXIT_OWN : EXIT_OK;
	}
	if (!code)
		code = run_all(r, &guests, nr, as_json, report);
	template_clean(&guests.base);
	free(guests.held);
	free(guests.commands);
	return code;
}
