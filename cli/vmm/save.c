// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/save.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <vas/consumer.h>
#include <vas/dirty.h>
#include <vas/migrate.h>

#include "cli/ui/verb.h"
#include "cli/vmm/guest.h"
#include "cli/vmm/hold.h"
#include "cli/vmm/live.h"

#define DOWNTIME_MS 50

struct save {
	const struct saving *saving;
	struct guest guest;
	int is_frozen;
	struct live live; /* of a guest that runs meanwhile */
	struct vas_snapshot_options options;
	void *state;
};

/* All is in the file, which is not to be there if others wrote while it was copied. */
static int written(void *arg)
{
	struct save *s = arg;
	int err = s->saving->force ? 0 : guest_has_written(&s->guest);

	if (s->is_frozen)
		vas_thaw(s->guest.vas);
	s->is_frozen = 0;
	/* A guest that cannot go on is told of, and the file is whole all the same. */
	guest_go_on(&s->guest);
	return err;
}

int save_disks(const struct saving *saving)
{
	int status;

	if (!saving->disks)
		return 0;
	if (saving->file && setenv("VAS_SNAPSHOT", saving->file, 1))
		return -errno;
	status = system(saving->disks);
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	return vas_error_set(-ECANCELED, "the command of --disks failed");
}

static int disks_are_missing(int err)
{
	char words[256];

	snprintf(words, sizeof(words), "%s", vas_error());
	return vas_error_set(err,
			     "%s, which is not saved with it: --disks=COMMAND says how to copy "
			     "it while the guest stands",
			     words);
}

int save_check_disks(const struct saving *saving, struct qmp *qmp)
{
	int err = qmp && !saving->disks ? qemu_check_disks(qmp) : 0;

	return err == -EBUSY ? disks_are_missing(err) : err;
}

static int stop(struct save *s)
{
	int err = save_check_disks(s->saving, s->guest.qmp);

	if (!err)
		err = guest_stop(&s->guest);
	if (!err)
		err = vas_freeze(s->guest.vas, VAS_TIMEOUT_DEFAULT_NS, NULL);
	s->is_frozen = !err;
	return err;
}

static int write_file(struct save *s)
{
	const struct saving *saving = s->saving;

	s->options.fd = saving->fd;
	return vas_snapshot_save_with(s->guest.vas, saving->fd ? saving->folder : saving->file,
				      &s->options);
}

static int save_standing(struct save *s)
{
	int err = stop(s);

	if (!err && s->guest.qmp)
		err = guest_save(&s->guest, &s->state, &s->options.state_size);
	s->options.state = s->state;
	if (!err)
		err = save_disks(s->saving);
	return err ? err : write_file(s);
}

static ssize_t told(void *arg, struct vas_dirty_word *words, size_t nr)
{
	struct save *s = arg;
	ssize_t got = live_next(&s->live, words, nr);
	int err;

	if (got)
		return got;
	err = live_state(&s->live, &s->state, &s->options.state_size);
	s->options.state = s->state;
	return err ? err : save_disks(s->saving);
}

static int save_running(struct save *s)
{
	int err = save_check_disks(s->saving, s->guest.qmp);

	if (!err)
		err = qemu_sees_all_writes(s->guest.qmp);
	s->options.compare_told = !err;
	s->options.told = told;
	return err < 0 ? err : write_file(s);
}

/* 1: while it runs. */
static int begin_running(struct save *s)
{
	if (!s->guest.was_running || s->saving->stands)
		return 0;
	return live_begin(&s->live, &s->guest, DOWNTIME_MS);
}

static int save(struct save *s)
{
	int err;

	s->options = (struct vas_snapshot_options){ .parent = s->saving->parent,
						    .written = written,
						    .arg = s };
	err = begin_running(s);
	if (err >= 0)
		err = err ? save_running(s) : save_standing(s);
	live_end(&s->live);
	free(s->state);
	return err;
}

int save_to_file(const struct saving *saving)
{
	struct save s = { .saving = saving };
	int code = guest_open(saving->name, &s.guest), err;

	if (code)
		return code;
	code = guest_check_writers(&s.guest, saving->force ? GUEST_FORCED : GUEST_UNLESS_FORCED);
	if (!code) {
		err = save(&s);
		code = err ? hold_fail(err, saving->name) : EXIT_OK;
	}
	if (s.is_frozen)
		vas_thaw(s.guest.vas);
	guest_close(&s.guest);
	return code;
}
