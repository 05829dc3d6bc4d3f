// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/monitor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "cli/vmm/child.h"
#include "cli/vmm/pidfd.h"

#define MONITOR_NS 10000000000ull
#define CONNECT_NS 5000000000ull
#define TRIES	   60000 /* until QEMU has come so far that it listens: a minute */
#define TRY_MS	   1
#define KILL_MS	   5000
#define RESETS	   3

static int open_in(const struct run_folder *folder, const char *file, uint64_t ns, struct qmp **qmp)
{
	struct run_path path = run_folder_path(folder, file);

	*qmp = NULL;
	return folder->path[0] ? qmp_open(path.s, ns, qmp) : -ENOENT;
}

int monitor_open(const struct run_folder *folder, const char *file, struct qmp **qmp)
{
	int err, tries = RESETS;

	/* One that is about to end may have accepted us, and does not the next time. */
	while ((err = open_in(folder, file, MONITOR_NS, qmp)) == -ECONNRESET && tries--)
		poll(NULL, 0, TRY_MS);
	if (err)
		*qmp = NULL;
	return err == -ENOENT || err == -ECONNREFUSED ? 0 : err;
}

static int has_ended(int process, int ms)
{
	struct pollfd fd = { .fd = process, .events = POLLIN };

	return poll(&fd, 1, ms) == 1;
}

int monitor_await(const struct run_folder *folder, const char *file, pid_t pid, struct qmp **qmp)
{
	int process = process_open(pid), tries = TRIES, err;

	if (process < 0)
		return vas_error_set(-ECHILD, "it has ended");
	while ((err = open_in(folder, file, CONNECT_NS, qmp)) && tries-- && !has_signal())
		if (has_ended(process, TRY_MS) || (err != -ECONNREFUSED && err != -ECONNRESET))
			break;
	if (err && has_ended(process, 0))
		err = vas_error_set(-ECHILD, "it has ended");
	else if (err && has_signal())
		err = vas_error_set(-EINTR, "a signal came");
	close(process);
	return err;
}

int monitor_quit(struct qmp *qmp, int timeout_ms)
{
	const pid_t pid = qmp_pid(qmp);
	int process = process_open(pid), is_over;

	if (process < 0)
		return errno == ESRCH ? 0 : vas_error_set(-errno, "QEMU, process %d: %m", pid);
	is_over = !qemu_quit(qmp) && has_ended(process, timeout_ms);
	if (!is_over) {
		process_signal(process, SIGKILL);
		is_over = has_ended(process, KILL_MS);
	}
	close(process);
	return is_over ? 0 : vas_error_set(-ETIMEDOUT, "QEMU, process %d, does not end", pid);
}
