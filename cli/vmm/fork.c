// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/fork.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <vas/consumer.h>
#include <vas/migrate.h>

#include "cli/target/name.h"
#include "cli/ui/verb.h"
#include "cli/vmm/guest.h"

struct fork {
	const struct saving *saving;
	struct guest guest;
	void *record; /* with its state */
	size_t size;
	int is_taken; /* there is no guest to go on any more */
};

/* Who is bound may have it mapped, which is in the way of the seal: we and the holder may be. */
static int check_binders(struct fork *f)
{
	struct vas_info info;
	int err = vas_info(f->guest.vas, &info);

	if (err)
		return fail_vas(err, f->guest.name);
	if (info.nr_binders > 1u + (f->guest.loan >= 0))
		return fail(EXIT_REFUSED,
			    "%s: others are bound to it, who would keep its memory from being "
			    "sealed: 'vas ls' lists them",
			    f->guest.name);
	return EXIT_OK;
}

static int stop(void *arg, struct qemu_record *record)
{
	struct fork *f = arg;
	struct qemu_record saved;
	int err = guest_stop(&f->guest);

	if (!err)
		err = guest_save(&f->guest, &f->record, &f->size);
	if (!err)
		err = save_disks(f->saving);
	if (!err)
		err = qemu_record_parse(f->record, f->size, &saved);
	if (err)
		return fail_vas(err, f->guest.name);
	record->state = saved.state;
	record->state_size = saved.state_size;
	qemu_record_clean(&saved);
	return EXIT_OK;
}

/* It has ended, and nobody goes on: keep it, in a file. */
static void rescue(struct fork *f)
{
	struct vas_snapshot_options options = { .state = f->record, .state_size = f->size };
	char file[64];
	int err;

	snprintf(file, sizeof(file), "/var/tmp/vas-rescued-%d", getpid());
	err = vas_snapshot_save_with(f->guest.vas, file, &options);
	if (err)
		fail_vas(err, file);
	else
		note("the guest was saved: 'vas restore %s' lets it go on", file);
}

static int end(void *arg)
{
	struct fork *f = arg;
	int code = check_binders(f), err;

	if (code)
		return code;
	err = guest_may_move(&f->guest);
	if (!err)
		err = guest_take(&f->guest);
	f->is_taken = !err;
	if (!err)
		err = vas_ram_seal(f->guest.vas, NULL);
	if (err) {
		code = fail_vas(err, f->guest.name);
		if (f->is_taken)
			rescue(f);
		return code;
	}
	/* What is left of it is the RAM: the name is the clones'. */
	vas_unbind(f->guest.vas);
	f->guest.vas = NULL;
	return EXIT_OK;
}

static int run(struct fork *f, struct restored *r, int nr, int as_json)
{
	const struct restored_source source = { f->guest.vas, stop, end, f };
	void *record;
	size_t size;
	int code = check_binders(f), err;

	if (!code)
		code = guest_check_writers(&f->guest, GUEST_CANNOT_FORCE);
	if (code)
		return code;
	err = save_check_disks(f->saving, f->guest.qmp);
	if (!err)
		err = guest_describe(&f->guest, &record, &size);
	if (err)
		return fail_vas(err, f->guest.name);
	code = restored_take_record(r, record, size);
	r->source = &source;
	if (!code)
		code = restored_run(r, nr, as_json);
	r->source = NULL;
	return code;
}

static int has_ram_apart(const struct vas *vas)
{
	return vas_backing_fd(vas, 0) >= 0 && vas_backing_fd(vas, 0) != vas_fd(vas);
}

int fork_guest(const struct saving *saving, struct restored *r, int nr, int as_json)
{
	struct fork f = { .saving = saving };
	int code = guest_open(saving->name, &f.guest);

	if (code)
		return code;
	code = f.guest.qmp && has_ram_apart(f.guest.vas) ? run(&f, r, nr, as_json) : FORK_NOT;
	guest_close(&f.guest);
	free(f.record);
	return code;
}
