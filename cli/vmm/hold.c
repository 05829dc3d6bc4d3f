// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/hold.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "cli/target/name.h"
#include "cli/target/writers.h"
#include "cli/ui/json.h"
#include "cli/ui/text.h"
#include "cli/ui/verb.h"
#include "cli/vmm/loan.h"
#include "cli/vmm/pidfd.h"
#include "cli/vmm/start.h"
#include "cli/vmm/turn.h"

#define BACKLOG 16

int hold_fail(int err, const char *file)
{
	if (err != -EXDEV)
		return fail_vas(err, file);
	return fail(EXIT_REFUSED, "%s: %s: give --any-folder if it may be", file, vas_error());
}

int hold_tell(struct vas *vas, int as_json)
{
	struct vas_info info;
	char uuid[UUID_TEXT_LEN];
	int err = vas_info(vas, &info);

	if (err)
		return fail_vas(err, "the new vas");
	/* Whoever reads this may be gone: no reason for the memory to go, too. */
	signal(SIGPIPE, SIG_IGN);
	if (!as_json) {
		printf("%d/%d\n", getpid(), vas_fd(vas));
	} else {
		name_format_uuid(info.uuid, uuid);
		json_open(NULL, '{');
		json_number("pid", (uint64_t)getpid());
		json_number("fd", (uint64_t)vas_fd(vas));
		json_text("name", info.name, sizeof(info.name));
		json_text("uuid", uuid, sizeof(uuid));
		json_close();
	}
	/* Whoever reads it waits for it. */
	fflush(stdout);
	return EXIT_OK;
}

/* ---- one vas ------------------------------------------------------------------------------ */

static void init(struct held *held, struct vas *vas)
{
	*held = (struct held){ .vas = vas,
			       .base = -1,
			       .folder.lock = -1,
			       .listener = -1,
			       .loan = -1,
			       .state = -1,
			       .successor = -1 };
}

/* Without, others cannot ask for it, and that is all. */
static void listen_to_others(struct held *held)
{
	held->listener = run_folder_socket(&held->folder, "owner");
	if (held->listener >= 0 && !listen(held->listener, BACKLOG))
		return;
	note("%s: no socket: other commands cannot ask for this vas while it is held",
	     held->folder.path);
	if (held->listener >= 0)
		close(held->listener);
	held->listener = -1;
}

void held_init(struct held *held, struct vas *vas)
{
	struct vas_info info;

	init(held, vas);
	if (!vas)
		return;
	/* They are for hold_serve() now: whoever ended this here would leave the folder. */
	block_signals();
	if (!vas_info(vas, &info) && !run_folder_make(&held->folder, info.uuid))
		listen_to_others(held);
}

int held_take(struct held *held, struct vas *vas, const struct run_folder *folder)
{
	int err;

	init(held, vas);
	held->folder = *folder;
	err = run_folder_lock(&held->folder);
	if (err)
		return vas_error_set(err, "%s: %s", folder->path, strerror(-err));
	run_folder_drop(&held->folder, "owner");
	listen_to_others(held);
	return 0;
}

void held_end(struct held *held)
{
	const int fds[] = { held->listener, held->loan, held->successor };

	/* Of somebody else's vas, both end our use and no more. */
	if (held->is_kept)
		vas_unbind(held->vas);
	else
		vas_destroy(held->vas);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(held->own_name);
	run_folder_remove(&held->folder);
}

static const struct writer *first_map(const struct writers *writers)
{
	for (size_t i = 0; i < writers->nr; i++)
		if (writers->at[i].has_map)
			return &writers->at[i];
	return NULL;
}

void held_follow(struct held *held)
{
	struct writers writers = { 0 };
	const struct writer *next;

	if (held->successor >= 0)
		close(held->successor);
	held->successor = -1;
	if (held->vas)
		writers_find(held->vas, 0, &writers);
	next = first_map(&writers);
	if (next)
		held->successor = process_open(held->successor_pid = next->pid);
	held->is_over = held->successor < 0 && !run_folder_has(&held->folder, RUN_STATE);
	if (held->successor >= 0)
		note("process %d (%s) goes on in the memory of %s, which is held until it ends",
		     next->pid, text_shown(next->comm, sizeof(next->comm)).s, held->name);
	free(writers.at);
}

static int has_process(const struct held *held)
{
	return held->child.pid || held->successor >= 0;
}

static void look_at_children(struct held *held)
{
	int code;

	/* Of two, the one that is left has the guest, and is what counts. */
	if (held->other.pid && child_has_ended(&held->other, held->name, &code))
		held->other.pid = 0;
	if (!held->child.pid || !child_has_ended(&held->child, held->name, &held->code))
		return;
	held->child.pid = held->other.pid;
	held->other.pid = 0;
	if (!has_process(held))
		held_follow(held);
}

/* ---- all of them -------------------------------------------------------------------------- */

enum { FD_NOTIFY, FD_LISTENER, FD_LOAN, FD_SUCCESSOR, NR_FDS };

static void watch(const struct held *held, struct pollfd fds[NR_FDS])
{
	const int is_ours = held->loan < 0;

	/* What cannot be watched is -1, which poll() passes over. */
	fds[FD_NOTIFY].fd = is_ours && held->vas ? vas_notify_fd(held->vas) : -1;
	fds[FD_LISTENER].fd = is_ours && held->vas ? held->listener : -1;
	fds[FD_LOAN].fd = held->loan;
	fds[FD_SUCCESSOR].fd = held->successor;
	for (int i = 0; i < NR_FDS; i++)
		fds[i].events = POLLIN;
}

/* A command asks for a QEMU beside the one that has the guest. */
static void start_asked(struct held *held)
{
	int err;

	/* One that has just ended is none of the two. */
	look_at_children(held);
	err = start_beside_asked(held);

	loan_started(held->loan, err, held->child.pid);
	if (err)
		return;
	held->has_next = 1;
	held->is_over = 0;
}

static void kill_child(struct child *child, pid_t guest)
{
	if (!child->pid || child->pid == guest)
		return;
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
	child->pid = 0;
}

/* The command was killed. The guest is in one place, and goes on there. */
static void undo(struct held *held)
{
	struct qmp *qmp;
	int err = turn_settle(&held->folder, &qmp), is_saved;

	if (err) {
		note("a command was killed that was at work on the guest: %s", vas_error());
		return;
	}
	is_saved = !qmp && run_folder_has(&held->folder, RUN_STATE);
	/* One that was started and does not listen yet, or hangs. */
	if (held->has_next || is_saved) {
		kill_child(&held->other, qmp ? qmp_pid(qmp) : 0);
		kill_child(&held->child, qmp ? qmp_pid(qmp) : 0);
		if (!held->child.pid)
			held->child.pid = held->other.pid;
		held->other.pid = 0;
	}
	held->has_next = 0;
	if (is_saved)
		start_from_state(held);
	else
		loan_undo(qmp, held->was_running);
}

static void recv_loan(struct held *held)
{
	int err;
	enum loan_end end =
		loan_recv(held->loan, &held->folder, held->vas, &held->was_running, &err);

	if (end == LOAN_MAY_MOVE)
		return;
	if (end == LOAN_START) {
		start_asked(held);
		return;
	}
	held->has_next &= end == LOAN_KILLED;
	if (end == LOAN_KEPT) {
		vas_unbind(held->vas);
		held->vas = NULL;
		close(held->loan);
	}
	held->loan = -1;
	/* Memory may have been plugged, which QEMU has. */
	if (held->vas && !err)
		name_offer_backings(held->vas,
				    held->child.pid ? held->child.pid : held->successor_pid);
	if (err)
		note("the vas that was lent belongs to another process by now: %s", vas_error());
	else if (end == LOAN_KILLED)
		undo(held);
	/* What runs in it is ended by whoever has moved it. */
	if (!has_process(held))
		held->is_over |= err || end == LOAN_MOVED || end == LOAN_KEPT;
}

static void serve(struct held *held, const struct pollfd fds[NR_FDS])
{
	if (fds[FD_NOTIFY].revents)
		vas_notifications(held->vas);
	if (fds[FD_LOAN].revents)
		recv_loan(held);
	else if (fds[FD_LISTENER].revents)
		held->loan =
			loan_give(held->listener, &held->folder, held->vas, &held->was_running);
	if (fds[FD_SUCCESSOR].revents && held->child.pid) {
		close(held->successor);
		held->successor = -1;
	} else if (fds[FD_SUCCESSOR].revents) {
		held_follow(held);
	}
}

static void pass_on(struct held *held, const struct signalfd_siginfo *info)
{
	held->child.was_told = 1;
	/* A key that was pressed (Ctrl-C) reached the child as well. */
	if (info->ssi_code == SI_KERNEL)
		return;
	if (held->other.pid)
		kill(held->other.pid, (int)info->ssi_signo);
	if (held->child.pid)
		kill(held->child.pid, (int)info->ssi_signo);
	else if (held->successor >= 0)
		process_signal(held->successor, (int)info->ssi_signo);
	else
		held->is_over = 1;
}

static int some_run(const struct held *held, int nr)
{
	while (nr && !has_process(&held[nr - 1]))
		nr--;
	return nr > 0;
}

/* 1: a signal ends this, as nothing runs that it could be passed on to. */
static int take_signals(int fd, struct held *held, int nr)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGCHLD && !some_run(held, nr))
			return 1;
		for (int i = 0; i < nr; i++)
			if (info.ssi_signo == SIGCHLD)
				look_at_children(&held[i]);
			else
				pass_on(&held[i], &info);
	}
	return 0;
}

/* With nothing to run on them, all are moved away only if each is. */
static int are_over(const struct held *held, int nr)
{
	for (int i = 0; i < nr; i++)
		if (!held[i].is_over || held[i].loan >= 0)
			return 0;
	return 1;
}

static void serve_all(struct held *held, int nr, struct pollfd *fds)
{
	int is_over = 0;

	while (!is_over && !are_over(held, nr)) {
		for (int i = 0; i < nr; i++)
			watch(&held[i], fds + 1 + i * NR_FDS);
		if (poll(fds, (nfds_t)(1 + nr * NR_FDS), -1) < 0)
			continue;
		for (int i = 0; i < nr; i++)
			serve(&held[i], fds + 1 + i * NR_FDS);
		if (fds[0].revents)
			is_over = take_signals(fds[0].fd, held, nr);
	}
}

void hold_serve(struct held *held, int nr)
{
	struct pollfd *fds = calloc((size_t)(1 + nr * NR_FDS), sizeof(*fds));

	block_parent_signals();
	for (int i = 0; i < nr; i++)
		held[i].is_over = 0;
	if (!fds) {
		fail(EXIT_REFUSED, "no memory");
		return;
	}
	fds[0].fd = parent_signals_fd();
	fds[0].events = POLLIN;
	if (fds[0].fd >= 0)
		serve_all(held, nr, fds);
	else
		fail(EXIT_REFUSED, "signals cannot be waited for");
	if (fds[0].fd >= 0)
		close(fds[0].fd);
	free(fds);
}

int hold_until_signal(struct vas *vas, int as_json)
{
	struct held held;
	int code;

	held_init(&held, vas);
	code = hold_tell(vas, as_json);
	if (!code)
		hold_serve(&held, 1);
	held_end(&held);
	return code;
}
