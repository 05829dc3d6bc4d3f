// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/fork.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <vas/consumer.h>
#include <vas/dirty.h>

#include "cli/target/name.h"
#include "cli/ui/verb.h"
#include "cli/vmm/guest.h"
#include "cli/vmm/template.h"

struct fork {
	const struct saving *saving;
	struct guest guest;
	int ram; /* its file */
	struct qemu_save save;
	int is_saving;
	int is_frozen;
	int is_taken; /* there is no guest to go on any more */
	/* who takes the state, and the last byte of it that came */
	int (*pass)(void *to, const void *part, size_t size);
	void *to;
	char last;
	int has_last;
	int code; /* of pass() */
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

static int pass(struct fork *f, const void *part, size_t size)
{
	f->code = f->pass(f->to, part, size);
	return f->code ? -ECANCELED : 0;
}

/* The last byte is kept back: without it, no clone is done with loading, and opens its disks. */
static int take(void *arg, const void *part, size_t size)
{
	struct fork *f = arg;
	int err = f->has_last ? pass(f, &f->last, 1) : 0;

	if (!err && size > 1)
		err = pass(f, part, size - 1);
	f->last = ((const char *)part)[size - 1];
	f->has_last = 1;
	return err;
}

static int save(void *arg, int (*to_all)(void *to, const void *part, size_t size), void *to)
{
	struct fork *f = arg;
	int err = qemu_save_begin(f->guest.qmp, &f->save);

	f->pass = to_all;
	f->to = to;
	f->is_saving = !err;
	if (!err)
		err = guest_stop(&f->guest);
	if (!err)
		err = qemu_save_pass(&f->save, take, f);
	if (!err)
		err = save_disks(f->saving);
	if (!err && f->has_last)
		err = pass(f, &f->last, 1);
	if (f->code)
		return f->code;
	return err ? fail_vas(err, f->guest.name) : EXIT_OK;
}

static int commit(void *arg)
{
	struct fork *f = arg;
	int code = check_binders(f), err;

	if (code)
		return code;
	err = template_close(f->ram);
	if (err)
		return fail_vas(err, f->guest.name);
	f->is_taken = 1;
	guest_end_here(&f->guest);
	return EXIT_OK;
}

/* What is left of it is the RAM: the name is the clones'. */
static void end(void *arg)
{
	struct fork *f = arg;
	int err = guest_take(&f->guest);

	vas_unbind(f->guest.vas);
	f->guest.vas = NULL;
	if (!err)
		err = template_seal(f->ram);
	if (err)
		note("the clones run, and whoever still has their template mapped could change it: "
		     "%s",
		     vas_error());
}

/* The guest is as it was. */
static void undo(struct fork *f)
{
	if (f->is_saving)
		qemu_save_end(&f->save, -ECANCELED);
	if (f->is_frozen)
		vas_thaw(f->guest.vas);
}

static int run(struct fork *f, struct restored *r, int nr, int as_json)
{
	const struct restored_source source = { f->guest.vas, save, commit, end, f };
	void *record;
	size_t size;
	int code = check_binders(f), err;

	if (!code)
		code = guest_check_writers(&f->guest, GUEST_CANNOT_FORCE);
	if (code)
		return code;
	err = save_check_disks(f->saving, f->guest.qmp);
	/* Who binds from here on does not write. */
	if (!err)
		err = vas_freeze(f->guest.vas, VAS_TIMEOUT_DEFAULT_NS, NULL);
	f->is_frozen = !err;
	if (!err)
		err = guest_describe(&f->guest, 0, &record, &size);
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
	if (f.guest.qmp && has_ram_apart(f.guest.vas)) {
		f.ram = fcntl(vas_backing_fd(f.guest.vas, 0), F_DUPFD_CLOEXEC, 0);
		code = f.ram < 0 ? fail(EXIT_OWN, "no fd for a template: %s", strerror(errno)) :
				   run(&f, r, nr, as_json);
		if (!f.is_taken)
			undo(&f);
		if (f.ram >= 0)
			close(f.ram);
	} else {
		code = FORK_NOT;
	}
	guest_close(&f.guest);
	return code;
}
