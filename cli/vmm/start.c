// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/start.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "cli/ui/verb.h"
#include "cli/vmm/arguments.h"
#include "cli/vmm/dimm.h"
#include "cli/vmm/pidfd.h"
#include "cli/vmm/qemu.h"
#include "cli/vmm/turn.h"

#define TRY_MS 2

/* ---- a process ---------------------------------------------------------------------------- */

int start_prepared(struct held *held, char *const *command)
{
	char **argv = child_argv(&held->child, command);
	int code;

	held->name = command[0];
	code = child_start(&held->child, argv);
	child_argv_free(argv);
	return code;
}

int start_command(struct held *held, char *const *command)
{
	int code = child_prepare(&held->child, vas_fd(held->vas));

	return code ? code : start_prepared(held, command);
}

void start_kill(struct held *held)
{
	int code;

	start_stand(held);
	if (held->successor >= 0)
		process_signal(held->successor, SIGKILL);
	if (held->child.pid) {
		kill(held->child.pid, SIGKILL);
		waitpid(held->child.pid, &code, 0);
		held->child.pid = 0;
	}
	start_detach(held);
}

void start_detach(struct held *held)
{
	child_detach(&held->child);
}

/* ---- QEMU --------------------------------------------------------------------------------- */

/*
 * The child inherits the lock of the folder, and a socket to listen at, as the next one; or else
 * runs without.
 */
static int give_monitor(struct held *held)
{
	int sock, copy;

	if (!held->folder.path[0] || child_inherit(&held->child, held->folder.lock) < 0)
		return -1;
	sock = run_folder_next(&held->folder);
	if (!sock)
		sock = run_folder_socket(&held->folder, RUN_NEXT_MONITOR);
	if (sock < 0) {
		note("%s: QEMU gets no monitor of ours: %s", held->folder.path, strerror(-sock));
		return -1;
	}
	copy = child_inherit(&held->child, sock);
	close(sock);
	return copy;
}

/* For commands that come later. */
static int describe(const struct held *held, char *const *command, const struct qemu_record *how)
{
	const int is_private = held->base >= 0;
	const int is_apart = is_private || vas_backing_fd(held->vas, 0) != vas_fd(held->vas);
	const struct run_ram ram = { .fd = is_apart ? held->child.fd : -1,
				     .is_private = is_private,
				     .is_incoming = how->state != NULL };
	int err = run_folder_set_ram(&held->folder, &ram);

	return err ? err :
		     run_folder_set_command(&held->folder, how->memory,
					    held->is_managed ? NULL : command);
}

/* The process that was started ends when QEMU is up, in the background. */
static int wait_for_daemon(struct held *held)
{
	int code;

	while (!child_has_ended(&held->child, held->name, &code))
		poll(NULL, 0, TRY_MS);
	if (code)
		return code;
	held_follow(held);
	return held->successor >= 0 ? EXIT_OK :
				      fail(EXIT_OWN, "%s is not in the background", held->name);
}

int start_prepare_qemu(struct held *held, char *const *command, const struct qemu_record *how,
		       struct qemu_more *more)
{
	const int has_genid = how->genid[0] && qemu_takes_genid(command);
	int ram, code, err;

	*more = (struct qemu_more){ .memory = how->memory,
				    .is_private = held->base >= 0,
				    .machine = how->kind.machine[0] ? how->kind.machine : NULL,
				    .genid = has_genid ? how->genid : NULL,
				    .is_incoming = how->state != NULL,
				    .goes_on = held->goes_on };
	held->name = command[0];
	ram = more->is_private ? held->base : vas_backing_fd(held->vas, 0);
	code = child_prepare(&held->child, ram);
	if (code)
		return code;
	/* Without us, it is still to be found by its vas. */
	if (ram != vas_fd(held->vas) && (err = child_keep(&held->child, vas_fd(held->vas))))
		return fail(EXIT_OWN, "%s: %s", held->folder.path, strerror(-err));
	code = backends_read(command, &more->backends);
	if (code)
		return code;
	err = backends_inherit(&more->backends, held->vas, &held->child);
	if (!err)
		err = dimm_start(held->vas, &held->child, more);
	if (err)
		return fail_vas(err, held->name);
	if (held->attaches && (err = child_attach(&held->child)))
		return fail(EXIT_OWN, "%s: %s", held->name, strerror(-err));
	more->monitor = give_monitor(held);
	err = more->monitor < 0 ? 0 : describe(held, command, how);
	return err ? fail(EXIT_OWN, "%s: %s", held->folder.path, strerror(-err)) : EXIT_OK;
}

/* As the next one, which nobody waits for. */
static int spawn_qemu(struct held *held, char *const *command, const struct qemu_record *how)
{
	struct qemu_more more;
	int code = start_prepare_qemu(held, command, how, &more);
	char **argv = code ? NULL : qemu_argv(command, &more);

	if (argv)
		code = start_prepared(held, argv);
	else if (!code)
		code = fail(EXIT_OWN, "no memory for %s's arguments", command[0]);
	free(argv);
	qemu_more_clean(&more);
	return code;
}

void start_turn(struct held *held)
{
	if (run_folder_has(&held->folder, RUN_NEXT_MONITOR))
		run_folder_turn(&held->folder);
}

int start_qemu(struct held *held, char *const *command, const struct qemu_record *how)
{
	int code = spawn_qemu(held, command, how);

	/* There is no other whose guest it could be. */
	if (!code)
		start_turn(held);
	if (!code && qemu_is_daemon(command))
		code = wait_for_daemon(held);
	return code;
}

/* ---- a guest that goes on ----------------------------------------------------------------- */

int start_connect(struct held *held)
{
	/* A daemon listens by now. */
	const pid_t pid = held->child.pid ? held->child.pid : getpid();
	int code = 0, err;

	if (held->qmp)
		return EXIT_OK;
	err = monitor_await(&held->folder, RUN_MONITOR, pid, &held->qmp);

	if (err == -ECHILD && held->child.pid && child_has_ended(&held->child, held->name, &code))
		return fail(EXIT_REFUSED, "%s has ended with %d before its guest could go on",
			    held->name, code);
	return err ? fail_vas(err, held->name) : EXIT_OK;
}

int start_await(struct held *held, const struct qemu_record *record)
{
	int code = start_connect(held), err;

	if (code || held->state >= 0)
		return code;
	err = qemu_load_begin(held->qmp, record->with_ram, &held->state);
	if (!err)
		return EXIT_OK;
	held->state = -1;
	return fail_vas(err, held->name);
}

/* Why the state does not go in is known to QEMU, which says so by itself. */
static int refused(const struct held *held, const struct qemu_record *record)
{
	return fail(EXIT_REFUSED, "%s does not take the guest's state, which is of %s, QEMU %s: %s",
		    held->name, record->kind.machine, record->kind.version, vas_error());
}

int start_write(struct held *held, const struct qemu_record *record, const void *part, size_t size)
{
	int err = qemu_load_write(held->state, part, size);

	return err ? refused(held, record) : EXIT_OK;
}

int start_loaded(struct held *held, const struct qemu_record *record)
{
	int err = qemu_load_end(held->qmp, record->with_ram, held->state);

	held->state = -1;
	return err ? refused(held, record) : EXIT_OK;
}

int start_load(struct held *held, const struct qemu_record *record)
{
	int code = start_await(held, record);

	if (!code)
		code = start_write(held, record, record->state, record->state_size);
	if (!code)
		code = start_loaded(held, record);
	if (code)
		start_kill(held);
	return code;
}

/* What it says about memory must be what there is. */
static int check_command(const struct qemu_record *record, char *const *command)
{
	struct plan plan = { .memory = record->memory, .machine = machine_by_name("flat", 4) };
	int code;

	if (!qemu_is(command[0]))
		return fail(EXIT_REFUSED,
			    "'%s' is no QEMU, as the guest needs one: qemu-system-...", command[0]);
	code = qemu_read_args(command, &plan);
	plan_clean(&plan);
	return code;
}

int start_recorded(struct held *held, const struct qemu_record *record, char *const *command)
{
	int code;

	if (!command)
		command = record->command;
	code = check_command(record, command);
	if (!code && !held->folder.path[0])
		code = fail(EXIT_REFUSED, "a guest cannot go on without a run folder");
	if (!code)
		code = start_qemu(held, command, record);
	if (code)
		start_kill(held);
	return code;
}

int start_go_on(struct held *held)
{
	int err = qemu_cont(held->qmp);

	start_stand(held);
	return err ? fail_vas(err, held->name) : EXIT_OK;
}

void start_stand(struct held *held)
{
	qmp_close(held->qmp);
	held->qmp = NULL;
	if (held->state >= 0)
		close(held->state);
	held->state = -1;
}

/* ---- beside another ----------------------------------------------------------------------- */

/* Who is in the background needs no daemon, which would not be its child. */
static char **without_daemon(char *const *command)
{
	char **copy;
	size_t nr = 0;

	while (command[nr])
		nr++;
	copy = calloc(nr + 1, sizeof(*copy));
	for (nr = 0; copy && *command; command++)
		if (!argument_is(*command, "-daemonize"))
			copy[nr++] = *command;
	return copy;
}

/* The name is for as long as it is held. */
static void keep_name(struct held *held, const char *name)
{
	char *own = strdup(name);

	if (!own)
		return;
	free(held->own_name);
	held->name = held->own_name = own;
}

int start_beside(struct held *held, const struct qemu_record *record)
{
	const char *name = held->name;
	char **command;
	int code;

	if (held->other.pid)
		return vas_error_set(-EBUSY, "two QEMUs run in it already");
	if (!held->folder.path[0])
		return vas_error_set(-ENOENT, "it has no run folder");
	command = without_daemon(record->command);
	if (!command)
		return vas_error_set(-ENOMEM, "no memory for a command");
	held->other = held->child;
	held->child.pid = 0;
	code = check_command(record, command);
	held->goes_on = 1;
	if (!code)
		code = spawn_qemu(held, command, record);
	held->goes_on = 0;
	if (!code) {
		keep_name(held, command[0]);
	} else {
		held->child.pid = held->other.pid;
		held->other.pid = 0;
		held->name = name;
		run_folder_drop_next(&held->folder);
	}
	free(command);
	return code ? vas_error_set(-ECANCELED, "its holder, process %d, has said why", getpid()) :
		      0;
}

int start_beside_asked(struct held *held)
{
	struct qemu_record record;
	void *bytes;
	size_t size;
	int err = run_folder_get(&held->folder, RUN_START, &bytes, &size);

	if (err)
		return vas_error_set(err, "%s/" RUN_START ": %s", held->folder.path,
				     strerror(-err));
	err = qemu_record_parse(bytes, size, &record);
	if (!err) {
		err = start_beside(held, &record);
		qemu_record_clean(&record);
	}
	free(bytes);
	return err;
}

static int go_on_from_state(struct held *held)
{
	struct turn turn;
	int err = turn_begin(&turn, &held->folder, held->child.pid);

	if (err) {
		start_kill(held);
		run_folder_drop_next(&held->folder);
		return err;
	}
	err = turn_load(&turn);
	if (err)
		turn_cancel(&turn);
	turn_end(&turn);
	return err;
}

void start_from_state(struct held *held)
{
	struct qemu_record record;
	void *bytes;
	size_t size;
	int err = run_folder_get(&held->folder, RUN_STATE, &bytes, &size);

	if (err) {
		vas_error_set(err, "its state: %s", strerror(-err));
	} else {
		err = qemu_record_parse(bytes, size, &record);
		if (!err) {
			err = start_beside(held, &record);
			qemu_record_clean(&record);
		}
		free(bytes);
	}
	if (!err)
		err = go_on_from_state(held);
	if (err)
		note("the guest stands in %s, as its QEMU cannot be started again: %s: 'vas "
		     "resume' tries that, 'vas upgrade' another QEMU",
		     held->folder.path, vas_error());
	else
		note("a command was killed between two QEMUs of the guest: it is as it was");
}

/* ---- the background ----------------------------------------------------------------------- */

static void await_report(int fd)
{
	unsigned char code;
	ssize_t nr;

	do {
		nr = read(fd, &code, 1);
	} while (nr < 0 && errno == EINTR);
	_exit(nr == 1 ? code : EXIT_OWN);
}

int background_begin(void)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) || (pid = fork()) < 0) {
		fail(EXIT_OWN, "cannot go into the background: %s", strerror(errno));
		return -1;
	}
	if (pid) {
		close(fds[1]);
		await_report(fds[0]);
	}
	close(fds[0]);
	setsid();
	return fds[1];
}

void background_report(int fd, int code)
{
	const unsigned char byte = (unsigned char)code;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	fflush(NULL);
	for (int i = STDIN_FILENO; i <= STDERR_FILENO && null >= 0; i++)
		dup2(null, i);
	if (null > STDERR_FILENO)
		close(null);
	if (write(fd, &byte, 1) != 1)
		note("nobody waits in the foreground any more");
	close(fd);
}
