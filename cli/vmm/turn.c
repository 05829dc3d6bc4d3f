// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/turn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <vas/consumer.h>

#include "cli/ui/verb.h"

#define BEGIN_NS  100000000
#define QUIT_MS	  30000 /* it flushes its disks */
#define CANCEL_MS 5000	/* it has nothing to flush */

uint64_t turn_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void turn_let_begin(void)
{
	const struct timespec delay = { .tv_nsec = BEGIN_NS };

	nanosleep(&delay, NULL);
}

int turn_begin(struct turn *turn, const struct run_folder *folder, pid_t pid)
{
	*turn = (struct turn){ .folder = folder };
	return monitor_await(folder, RUN_NEXT_MONITOR, pid, &turn->next);
}

void turn_end(struct turn *turn)
{
	qmp_close(turn->next);
	turn->next = NULL;
}

void turn_cancel(struct turn *turn)
{
	char words[512];

	snprintf(words, sizeof(words), "%s", vas_error());
	if (monitor_quit(turn->next, CANCEL_MS))
		note("%s", vas_error());
	run_folder_drop_next(turn->folder);
	vas_error_set(0, "%s", words);
}

/* From here on it is the guest's. */
static int commit(struct turn *turn)
{
	int err = run_folder_turn(turn->folder);

	if (!err)
		return 0;
	return vas_error_set(err, "%s: %s", turn->folder->path, strerror(-err));
}

static int go_on(struct turn *turn, int is_running)
{
	int err = is_running ? qemu_cont(turn->next) : 0;

	if (!err && turn->stopped_ns)
		turn->stood_ns = turn_now_ns() - turn->stopped_ns;
	return err;
}

static int hand_over(struct turn *turn, struct qmp *from, int is_running)
{
	struct qemu_save save;
	uint64_t stopped_ns;
	int err = qemu_hand_over(from, turn->next, &save, &stopped_ns);

	turn->stopped_ns = is_running ? stopped_ns : 0;
	if (!err)
		err = commit(turn);
	if (!err && (err = go_on(turn, is_running)))
		run_folder_turn(turn->folder); /* back */
	return err && save.qmp ? qemu_save_end(&save, err) : err;
}

int turn_over(struct turn *turn, struct qmp *from, int is_running)
{
	int err = hand_over(turn, from, is_running);

	if (err)
		return err;
	if (qemu_handed_over(turn->next))
		note("%s", vas_error());
	turn_let_begin();
	if (monitor_quit(from, QUIT_MS))
		note("the guest goes on in another QEMU, but %s", vas_error());
	run_folder_drop_next(turn->folder);
	return 0;
}

/* It has not run: what is saved is what it is. */
static int put_back(struct turn *turn, const void *bytes, size_t size)
{
	int err = run_folder_put(turn->folder, RUN_STATE, bytes, size);

	return err ? err : run_folder_turn(turn->folder);
}

static int load(struct turn *turn, const void *bytes, size_t size)
{
	struct qemu_record saved;
	int err = qemu_record_parse(bytes, size, &saved);

	if (err)
		return err;
	err = qemu_load(turn->next, saved.state, saved.state_size, saved.with_ram);
	if (!err)
		err = commit(turn);
	if (!err) {
		run_folder_drop(turn->folder, RUN_STATE);
		err = go_on(turn, saved.is_running);
		if (err && put_back(turn, bytes, size))
			note("%s: the guest's state cannot be written again", turn->folder->path);
	}
	qemu_record_clean(&saved);
	return err;
}

int turn_load(struct turn *turn)
{
	size_t size;
	void *bytes;
	int err = run_folder_get(turn->folder, RUN_STATE, &bytes, &size);

	if (err)
		return vas_error_set(err, "%s/" RUN_STATE ": %s", turn->folder->path,
				     strerror(-err));
	err = load(turn, bytes, size);
	free(bytes);
	if (!err)
		run_folder_drop_next(turn->folder);
	return err;
}

int turn_settle(const struct run_folder *folder, struct qmp **qmp)
{
	struct qmp *next;
	int err = monitor_open(folder, RUN_NEXT_MONITOR, &next);

	*qmp = NULL;
	if (!err && next)
		err = monitor_quit(next, CANCEL_MS);
	qmp_close(next);
	if (err)
		return err;
	if (folder->path[0]) {
		run_folder_drop_next(folder);
		run_folder_drop(folder, RUN_START);
	}
	err = monitor_open(folder, RUN_MONITOR, qmp);
	if (!err && *qmp)
		run_folder_drop(folder, RUN_STATE);
	return err;
}
