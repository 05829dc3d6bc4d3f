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
	struct restored *r;
	struct held *held;
	char ***commands;
	struct template base; /* of private ones */
	uint8_t stamp[16];    /* of the file, before it was read for that */
	int is_found;	      /* another command had read it */
	int nr_wanted;
	int nr;	       /* begun */
	int nr_loaded; /* of those */
	int code;      /* why one could not be started */
};

/* The next one's QEMU, whose memory may still be empty: it waits for its state. */
static int start_in(struct guests *guests, struct vas *vas)
{
	const struct restored *r = guests->r;
	const int i = guests->nr++;
	struct held *held = &guests->held[i];

	held_init(held, vas);
	held->base = guests->base.fd;
	guests->commands[i] = command_of(r->command ? r->command : r->record.command, i);
	return guests->commands[i] ? start_recorded(held, &r->record, guests->commands[i]) :
				     fail(EXIT_REFUSED, "no memory");
}

static int start_while_it_comes(void *arg, struct vas *vas)
{
	struct guests *guests = arg;

	guests->code = start_in(guests, vas);
	return guests->code ? -ECANCELED : 0;
}

static int start_copied(struct guests *guests)
{
	const struct restored *r = guests->r;
	const struct vas_restore_options options = { r->flags, start_while_it_comes, guests };
	const int i = guests->nr;
	struct vas *vas;
	int err = vas_snapshot_restore_with(r->file, &options, &vas);

	if (!err)
		return check_same(r);
	/* The vas is gone. */
	if (guests->nr > i)
		guests->held[i].vas = NULL;
	return guests->code ? guests->code : hold_fail(err, r->file);
}

static int lay_out(const struct guests *guests, const struct held *held)
{
	int err = template_lay_out(&guests->base, held->vas);

	return err ? hold_fail(err, guests->r->file) : EXIT_OK;
}

static int start_private(struct guests *guests)
{
	struct vas *vas;
	int err = template_clone(&guests->base, &vas), code;

	if (err)
		return hold_fail(err, guests->r->file);
	code = start_in(guests, vas);
	/* Before, the template's regions are not known. */
	return code || !guests->base.hva ? code : lay_out(guests, &guests->held[guests->nr - 1]);
}

static int start_next(struct guests *guests)
{
	return guests->r->is_private ? start_private(guests) : start_copied(guests);
}

static int load_next(struct guests *guests)
{
	return start_load(&guests->held[guests->nr_loaded++], &guests->r->record);
}

/* As many as there are CPUs are started at a time. */
static int is_to_start(const struct guests *guests)
{
	return guests->nr < guests->nr_wanted &&
	       guests->nr - guests->nr_loaded < sysconf(_SC_NPROCESSORS_ONLN) && !has_signal();
}

static int start_first(void *arg)
{
	struct guests *guests = arg;

	while (!guests->code && is_to_start(guests))
		guests->code = start_private(guests);
	return guests->code ? -ECANCELED : 0;
}

/* While the first QEMUs start, the template is read. */
static int read_base(struct guests *guests)
{
	const struct restored *r = guests->r;
	int err = template_make(&guests->base, r->file, r->flags, start_first, guests);
	int code = EXIT_OK;

	if (err)
		return guests->code ? guests->code : hold_fail(err, r->file);
	for (int i = 0; !code && i < guests->nr; i++)
		code = lay_out(guests, &guests->held[i]);
	return code ? code : check_same(r);
}

static int make_base(struct guests *guests)
{
	const struct restored *r = guests->r;
	int has_stamp = vas_snapshot_stamp(r->file, r->flags, guests->stamp) >= 0;

	guests->is_found = has_stamp && template_find(&guests->base, guests->stamp);
	return guests->is_found ? check_same(r) : read_base(guests);
}

/* For those who clone the same file later, if it is still what was read. */
static void offer_base(const struct guests *guests)
{
	const struct restored *r = guests->r;
	uint8_t now[16];

	if (vas_snapshot_stamp(r->file, r->flags, now) == 1 &&
	    !memcmp(now, guests->stamp, sizeof(now)))
		template_offer(&guests->base, &guests->held[0].folder, now);
}

/* While one QEMU loads, the next ones start. */
static int start_of_file(struct guests *guests)
{
	int code = guests->r->is_private ? make_base(guests) : EXIT_OK;

	while (!code && guests->nr_loaded < guests->nr_wanted && !has_signal())
		code = is_to_start(guests) ? start_next(guests) : load_next(guests);
	return code || guests->nr_loaded == guests->nr_wanted ? code : EXIT_OWN;
}

static int pass(void *to, const void *part, size_t size)
{
	const struct guests *guests = to;
	int code = EXIT_OK;

	for (int i = 0; !code && i < guests->nr; i++)
		code = start_write(&guests->held[i], &guests->r->record, part, size);
	return code;
}

/*
 * All wait for the state before the guest stops that they come from. They load it while that one is
 * still saving it.
 */
static int start_of_source(struct guests *guests)
{
	const struct restored_source *source = guests->r->source;
	int err = template_of(&guests->base, source->memory), code;

	code = err ? fail_vas(err, guests->r->file) : EXIT_OK;
	while (!code && guests->nr < guests->nr_wanted && !has_signal())
		code = start_private(guests);
	for (int i = 0; !code && i < guests->nr; i++)
		code = start_await(&guests->held[i], &guests->r->record);
	if (!code && has_signal())
		code = EXIT_OWN;
	if (!code)
		code = source->save(source->arg, pass, guests);
	for (int i = 0; !code && i < guests->nr; i++)
		code = start_loaded(&guests->held[i], &guests->r->record);
	return code ? code : source->commit(source->arg);
}

/* From a file, all go on or none is there. Without a source any more, who cannot go on stands. */
static int go_on_all(const struct guests *guests)
{
	const struct restored *r = guests->r;
	const int goes_on = r->record.is_running && !r->stays_paused;
	int code = EXIT_OK;

	for (int i = 0; i < guests->nr && (!code || r->source); i++)
		if (!goes_on)
			start_stand(&guests->held[i]);
		else if ((code = start_go_on(&guests->held[i])) && r->source)
			note("it stands still: 'vas resume' lets it go on");
	return r->source ? EXIT_OK : code;
}

/* What takes time, and is in nobody's way. */
static void finish(const struct guests *guests)
{
	const struct restored_source *source = guests->r->source;

	if (source)
		source->end(source->arg);
	else if (guests->r->is_private && !guests->is_found && template_seal(guests->base.fd))
		note("%s", vas_error());
	else if (guests->r->is_private)
		offer_base(guests);
}

static int tell_all(const struct guests *guests, int as_json)
{
	int code = EXIT_OK;

	for (int i = 0; !code && i < guests->nr; i++)
		code = hold_tell(guests->held[i].vas, as_json);
	return code;
}

/* All go on, or none. */
static int run_all(struct guests *guests, int as_json, int report)
{
	int code = guests->r->source ? start_of_source(guests) : start_of_file(guests);

	if (!code)
		code = go_on_all(guests);
	if (!code)
		finish(guests);
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
	struct guests guests = { .r = r, .base.fd = -1, .nr_wanted = nr };
	char *const *command = r->command ? r->command : r->record.command;
	int code = r->is_private ? qemu_check_private(command) : EXIT_OK, report = -1;

	guests.held = calloc((size_t)nr, sizeof(*guests.held));
	guests.commands = calloc((size_t)nr, sizeof(*guests.commands));
	if (!code && (!guests.held || !guests.commands))
		code = fail(EXIT_OWN, "no memory");
	if (!code && qemu_is_daemon(command)) {
		report = background_begin();
		code = report < 0 ? EXIT_OWN : EXIT_OK;
	}
	if (!code)
		code = run_all(&guests, as_json, report);
	template_clean(&guests.base);
	free(guests.held);
	free(guests.commands);
	return code;
}
