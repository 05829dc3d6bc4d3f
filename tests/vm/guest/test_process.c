// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "kmsg.h"
#include "report.h"
#include "test_process.h"

enum {
	SKIPPED = 77,
	TIMED_OUT = -1,
	LINE_MAX_LEN = 512,
};

long test_limit_s = 60;

/* The last line that was printed whole, the last that tells why TAP skips, and the one that is growing */
struct last_line {
	char whole[LINE_MAX_LEN];
	char why[LINE_MAX_LEN];
	char part[LINE_MAX_LEN];
	size_t part_len;
};

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static pid_t start(char *const argv[], int output)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	setsid();
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	execv(argv[0], argv);
	printf("cannot run %s: %s\n", argv[0], strerror(errno));
	fflush(stdout);
	_exit(127);
}

static void end_line(struct last_line *last)
{
	const char *skip;

	last->part[last->part_len] = '\0';
	if (last->part_len)
		memcpy(last->whole, last->part, last->part_len + 1);
	skip = strstr(last->part, "# SKIP ");
	if (skip)
		strcpy(last->why, skip + strlen("# SKIP "));
	last->part_len = 0;
}

static void keep(struct last_line *last, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] == '\n')
			end_line(last);
		else if (last->part_len < LINE_MAX_LEN - 1)
			last->part[last->part_len++] = text[i];
}

/* Pass on what has been printed. 0 once nothing more can come. */
static ssize_t forward(int output, struct last_line *last)
{
	char text[4096];
	ssize_t len = read(output, text, sizeof(text));

	if (len > 0) {
		fwrite(text, 1, len, stdout);
		fflush(stdout);
		keep(last, text, len);
	}
	return len;
}

/*
 * Wait until the program itself has ended: a child that it left behind may hold the output open for
 * ever. SIGCHLD is blocked but while we wait, so that none is missed.
 */
static int watch(pid_t pid, int output, struct last_line *last)
{
	long long deadline = now_ms() + test_limit_s * 1000;
	struct pollfd event = { .fd = output, .events = POLLIN };
	int status;

	for (;;) {
		long long left = deadline - now_ms();
		struct timespec wait = { left / 1000, left % 1000 * 1000000 };
		sigset_t none;

		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		if (left <= 0)
			return TIMED_OUT;
		sigemptyset(&none);
		if (ppoll(&event, 1, &wait, &none) > 0 && forward(output, last) <= 0)
			event.fd = -1;
	}
}

/* Everybody but init goes: the machine runs one test at a time. */
static void kill_leftovers(void)
{
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
}

static void judge(const char *name, int status, const struct last_line *last)
{
	int alarms = kmsg_check();

	if (alarms)
		report("not ok %s # the kernel logged the %d lines above", name, alarms);
	else if (status == TIMED_OUT)
		report("not ok %s # not done after %ld s", name, test_limit_s);
	else if (WIFSIGNALED(status))
		report("not ok %s # killed by signal %d", name, WTERMSIG(status));
	else if (WEXITSTATUS(status) == SKIPPED)
		report("skip %s # %s", name, *last->why ? last->why : last->whole);
	else if (WEXITSTATUS(status))
		report("not ok %s # exit status %d: %s", name, WEXITSTATUS(status), last->whole);
	else if (strstr(last->whole, " passed, ")) /* how TAP ends */
		report("ok %s %s", name, last->whole);
	else
		report("ok %s", name);
}

static void on_child(int signal)
{
	(void)signal;
}

/* SIGCHLD needs a handler to end ppoll(), and is blocked (how) while the program runs. */
static void catch_children(int how)
{
	struct sigaction action = { .sa_handler = on_child };
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigaction(SIGCHLD, &action, NULL);
	sigprocmask(how, &child, NULL);
}

void test_run(const char *name, char *const argv[])
{
	struct last_line last = { .part_len = 0 };
	int output[2], status;
	pid_t pid;

	report("run %s", name);
	if (pipe2(output, O_CLOEXEC)) {
		report("not ok %s # no pipe: %s", name, strerror(errno));
		return;
	}
	pid = start(argv, output[1]);
	catch_children(SIG_BLOCK);
	close(output[1]);
	if (pid < 0) {
		report("not ok %s # no process: %s", name, strerror(errno));
		goto out;
	}
	status = watch(pid, output[0], &last);
	kill_leftovers();
	while (forward(output[0], &last) > 0)
		;
	end_line(&last);
	judge(name, status, &last);
out:
	close(output[0]);
	catch_children(SIG_UNBLOCK);
}
