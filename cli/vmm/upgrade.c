// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/upgrade.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vas/consumer.h>

#include "cli/ui/verb.h"
#include "cli/vmm/arguments.h"
#include "cli/vmm/dimm.h"
#include "cli/vmm/exclusive.h"
#include "cli/vmm/guest.h"
#include "cli/vmm/qemu.h"
#include "cli/vmm/start.h"
#include "cli/vmm/turn.h"

#define QUIT_MS 30000 /* it flushes its disks */

struct upgrade {
	struct guest guest;
	struct qemu_record now;	 /* how it runs, or ran */
	struct qemu_record next; /* how it is to; it borrows what is in the other */
	struct held held;	 /* of a guest without a holder */
	int is_held;		 /* by this process */
	struct turn turn;
};

/* ---- what there is ------------------------------------------------------------------------ */

static int take_record(struct upgrade *u, void *bytes, size_t size)
{
	int err = qemu_record_parse(bytes, size, &u->now);

	free(bytes);
	/* It lies in the bytes, and is not needed. */
	u->now.state = "";
	u->now.state_size = 0;
	return err;
}

static int describe(struct upgrade *u)
{
	size_t size;
	void *bytes;
	int err;

	if (!u->guest.is_saved)
		err = guest_describe(&u->guest, 0, &bytes, &size);
	else if ((err = run_folder_get(&u->guest.folder, RUN_STATE, &bytes, &size)))
		vas_error_set(err, "%s/" RUN_STATE ": %s", u->guest.folder.path, strerror(-err));
	return err ? err : take_record(u, bytes, size);
}

/* What cannot go on in another process, however it is started. */
static int check_command(const char *name, char *const *command)
{
	if (!command[0])
		return fail(EXIT_REFUSED,
			    "%s: another program started its QEMU, such as libvirt, and cannot "
			    "speak with another one: have that save and restore the guest",
			    name);
	if (!qemu_is(command[0]))
		return fail(EXIT_REFUSED,
			    "'%s' is no QEMU, as the guest needs one: qemu-system-...", command[0]);
	for (; *command; command++) {
		if (strstr(*command, "id=charmonitor"))
			return fail(EXIT_REFUSED,
				    "%s: these are libvirt's arguments, which cannot speak with "
				    "another QEMU: have it save and restore the guest",
				    name);
		if (strstr(*command, "snapshot=on") || argument_is(*command, "-snapshot"))
			return fail(EXIT_REFUSED,
				    "%s: what the guest writes to a disk goes to a file that ends "
				    "with its QEMU (%s)",
				    name, *command);
	}
	return EXIT_OK;
}

/* ---- the next QEMU ------------------------------------------------------------------------ */

static int start_by_holder(struct upgrade *u, const struct qemu_record *how, pid_t *pid)
{
	size_t size;
	void *bytes;
	int err = qemu_record_pack(how, &bytes, &size);

	if (err)
		return err;
	err = run_folder_put(&u->guest.folder, RUN_START, bytes, size);
	free(bytes);
	if (err)
		return vas_error_set(err, "%s: %s", u->guest.folder.path, strerror(-err));
	err = loan_start(u->guest.loan, pid);
	run_folder_drop(&u->guest.folder, RUN_START);
	return err;
}

static int start_here(struct upgrade *u, const struct qemu_record *how, pid_t *pid)
{
	int err = u->is_held ? 0 : held_take(&u->held, u->guest.vas, &u->guest.folder);

	u->is_held |= !err;
	if (!err)
		err = start_beside(&u->held, how);
	*pid = u->held.child.pid;
	return err;
}

/* Whose state it takes must be of its version, where the machine has none in its name. */
static int check_version(struct upgrade *u)
{
	struct qemu_kind kind;
	int err = strcmp(u->now.kind.machine, "microvm") ? 0 : qemu_kind(u->turn.next, &kind);

	if (err || strcmp(u->now.kind.machine, "microvm") ||
	    !strcmp(kind.version, u->now.kind.version))
		return err;
	return vas_error_set(-EOPNOTSUPP,
			     "a microvm goes on in a QEMU of the same version only, which is %s "
			     "and not %s",
			     u->now.kind.version, kind.version);
}

static int does_not(const struct qemu_record *how, pid_t pid, int err)
{
	char why[200];

	snprintf(why, sizeof(why), "%s", vas_error());
	return vas_error_set(err, "the guest does not go on in %.60s, process %d: %s",
			     how->command[0], pid, why);
}

/* It ends, and the guest is where it was. */
static int cancel(struct upgrade *u, const struct qemu_record *how, int err)
{
	const pid_t pid = qmp_pid(u->turn.next);

	turn_cancel(&u->turn);
	turn_end(&u->turn);
	return does_not(how, pid, err);
}

/* It is there, and can take the guest: else it has ended. */
static int start(struct upgrade *u, const struct qemu_record *how)
{
	pid_t pid = 0;
	int err = u->is_held ? -ENOTCONN : start_by_holder(u, how, &pid);

	if (err == -ENOTCONN)
		err = start_here(u, how, &pid);
	if (err)
		return err;
	err = turn_begin(&u->turn, &u->guest.folder, pid);
	if (err) {
		if (err != -ECHILD)
			kill(pid, SIGKILL);
		run_folder_drop_next(&u->guest.folder);
		return does_not(how, pid, err);
	}
	err = check_version(u);
	return err ? cancel(u, how, err) : 0;
}

/* The guest goes on in it. */
static void has_turned(struct upgrade *u)
{
	qmp_close(u->guest.qmp);
	u->guest.qmp = u->turn.next;
	u->turn.next = NULL;
	u->guest.is_stopped = 0;
	u->guest.is_saved = 0;
}

/* ---- two ways ----------------------------------------------------------------------------- */

static int beside(struct upgrade *u)
{
	int err = dimm_check(u->guest.qmp, u->guest.vas);

	if (!err)
		err = start(u, &u->next);
	if (err)
		return err;
	u->guest.is_stopped = u->guest.was_running;
	err = turn_over(&u->turn, u->guest.qmp, u->guest.was_running);
	if (!err) {
		has_turned(u);
		return 0;
	}
	return cancel(u, &u->next, err);
}

/* The guest goes from `state` to a QEMU that is started so. */
static int go_on_in(struct upgrade *u, const struct qemu_record *how, uint64_t stopped_ns)
{
	int err = start(u, how);

	if (err)
		return err;
	u->turn.stopped_ns = stopped_ns;
	err = turn_load(&u->turn);
	if (!err) {
		has_turned(u);
		return 0;
	}
	return cancel(u, how, err);
}

static int go_on_in_either(struct upgrade *u, uint64_t stopped_ns)
{
	char words[200];
	int err = go_on_in(u, &u->next, stopped_ns);

	if (!err)
		return 0;
	snprintf(words, sizeof(words), "%s", vas_error());
	if (!go_on_in(u, &u->now, stopped_ns))
		note("the guest goes on, in a QEMU that was started like the one before");
	else
		note("the guest stands, in %s: %s: 'vas resume' or 'vas upgrade' let it go on",
		     u->guest.folder.path, vas_error());
	return vas_error_set(err, "%s", words);
}

/* As it runs now, with its state. What can be asked before it stops was. */
static int save(struct upgrade *u, void **bytes, size_t *size, uint64_t *stopped_ns)
{
	struct guest *guest = &u->guest;
	struct qemu_record record = u->now;
	struct qemu_save saving;
	void *state = NULL;
	int err = dimm_check(guest->qmp, guest->vas);

	if (!err)
		err = qemu_save_begin(guest->qmp, &saving);
	if (err)
		return err;
	*stopped_ns = guest->was_running ? turn_now_ns() : 0;
	err = guest_stop(guest);
	err = err ? qemu_save_end(&saving, err) :
		    qemu_save_take(&saving, &state, &record.state_size);
	record.state = state;
	if (!err)
		err = qemu_record_pack(&record, bytes, size);
	free(state);
	return err;
}

/* Into `state`, with the old QEMU ended. */
static int put_aside(struct upgrade *u, uint64_t *stopped_ns)
{
	struct guest *guest = &u->guest;
	size_t size = 0;
	void *bytes = NULL;
	int err = save(u, &bytes, &size, stopped_ns);

	if (!err && (err = run_folder_put(&guest->folder, RUN_STATE, bytes, size)))
		vas_error_set(err, "%s: %s", guest->folder.path, strerror(-err));
	free(bytes);
	if (err)
		return err;
	err = monitor_quit(guest->qmp, QUIT_MS);
	if (err) {
		run_folder_drop(&guest->folder, RUN_STATE);
		return err;
	}
	qmp_close(guest->qmp);
	guest->qmp = NULL;
	guest->is_stopped = 0;
	guest->is_saved = 1;
	return 0;
}

static int in_turn(struct upgrade *u)
{
	uint64_t stopped_ns = 0;
	int err = put_aside(u, &stopped_ns);

	return err ? err : go_on_in_either(u, stopped_ns);
}

/* ---- all of it ---------------------------------------------------------------------------- */

static int turn(struct upgrade *u)
{
	const char *value, *argument = exclusive_argument(u->next.command, &value);

	if (u->guest.is_saved)
		return go_on_in(u, &u->next, 0);
	if (!argument)
		return beside(u);
	note("one QEMU after the other, as two cannot have this at once: %s%s%s", argument,
	     *value ? " " : "", value);
	return in_turn(u);
}

static void tell(struct upgrade *u)
{
	struct qemu_kind kind;

	if (qemu_kind(u->guest.qmp, &kind))
		return;
	note("%s goes on in process %d, QEMU %s", u->guest.name, qmp_pid(u->guest.qmp),
	     kind.version);
	if (u->turn.stood_ns)
		note("it stood for %.1f ms", (double)u->turn.stood_ns / 1e6);
}

/* Without a holder this process is one, as long as there is a guest. */
static int close_all(struct upgrade *u, int code)
{
	struct guest *guest = &u->guest;

	if (!u->is_held) {
		guest_close(guest);
		return code;
	}
	if (guest_go_on(guest))
		note("the guest stands still: %s: 'vas resume' makes it go on", vas_error());
	qmp_close(guest->qmp);
	free(guest->writers.at);
	loan_return(guest->loan, LOAN_KILLED);
	if (u->held.child.pid || guest->is_saved) {
		if (!code)
			code = hold_tell(guest->vas, 0);
		hold_serve(&u->held, 1);
		code = code ? code : u->held.code;
	} else {
		u->held.is_kept = 1;
	}
	held_end(&u->held);
	return code;
}

static int run(struct upgrade *u, char *const *command)
{
	int code, err = describe(u);

	if (err)
		return fail_vas(err, u->guest.name);
	u->next = u->now;
	if (command)
		u->next.command = (char **)command;
	code = check_command(u->guest.name, u->now.command);
	if (!code)
		code = check_command(u->guest.name, u->next.command);
	if (code)
		return code;
	err = turn(u);
	if (err)
		return fail_vas(err, u->guest.name);
	tell(u);
	return EXIT_OK;
}

static int upgrade(const char *name, char *const *command, int only_saved)
{
	struct upgrade u = { 0 };
	int code = guest_open_any(name, &u.guest), err;

	if (code)
		return code;
	if (u.guest.qmp && only_saved) {
		err = qemu_cont(u.guest.qmp);
		code = err ? fail_vas(err, name) : EXIT_OK;
	} else if (!u.guest.qmp && !u.guest.is_saved) {
		code = guest_fail_without(name);
	} else {
		code = run(&u, command);
	}
	code = close_all(&u, code);
	qemu_record_clean(&u.now);
	return code;
}

int upgrade_guest(const char *name, char *const *command)
{
	return upgrade(name, command, 0);
}

int upgrade_resume(const char *name)
{
	return upgrade(name, NULL, 1);
}
