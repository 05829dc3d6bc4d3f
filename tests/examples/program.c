// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "program.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vas/vas.h>

#include "examples/tinyvmm_socket.h"
#include "tests/guests/mailbox.h"
#include "tests/harness.h"

const char *path_of(const char *variable)
{
	const char *path = getenv(variable);

	if (!path)
		test_skip("%s does not say where it is", variable);
	return path;
}

const char *guest_path(const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", path_of("TEST_GUESTS"), name);
	return path;
}

/* ---- programs ------------------------------------------------------------------------------ */

void program_start(struct program *p, const char *const argv[])
{
	int pipes[2];

	CHECK_OK(pipe2(pipes, O_CLOEXEC));
	p->pid = fork();
	if (!p->pid) {
		dup2(pipes[1], 1);
		dup2(pipes[1], 2);
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	close(pipes[1]);
	p->out = pipes[0];
	p->len = 0;
	p->text[0] = 0;
}

/* A guest that says ten lines a second does so for as long as the machine is slow. */
static void make_room(struct program *p)
{
	const size_t half = sizeof(p->text) / 2;

	if (p->len < sizeof(p->text) - 4096)
		return;
	p->len -= half;
	memmove(p->text, p->text + half, p->len + 1);
}

int program_read(struct program *p)
{
	struct pollfd fd = { .fd = p->out, .events = POLLIN };
	ssize_t nr;

	test_note("%s", p->text);
	CHECK_EQ(poll(&fd, 1, TEST_HANG_MS), 1);
	make_room(p);
	nr = read(p->out, p->text + p->len, sizeof(p->text) - 1 - p->len);
	CHECK_OK(nr);
	p->len += nr;
	p->text[p->len] = 0;
	return nr > 0;
}

void program_await(struct program *p, const char *text)
{
	while (!strstr(p->text, text))
		if (!program_read(p))
			CHECK_HAS(p->text, text);
}

int program_finish(struct program *p)
{
	int status;

	while (program_read(p))
		;
	close(p->out);
	CHECK_EQ(waitpid(p->pid, &status, 0), p->pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void foo_start(struct program *foo, const char *path, const char *option)
{
	const char *argv[] = { path_of("TEST_FOO"), "--socket", path, option, NULL };

	program_start(foo, argv);
	program_await(foo, "serving");
}

int vmm_connect(const char *path)
{
	int fd = socket_connect(path);

	CHECK_OK(fd);
	return fd;
}

/* ---- the echo guest ------------------------------------------------------------------------ */

#define FIELD(name) (GUEST_MAILBOX + offsetof(struct guest_mailbox, name))

struct progress {
	struct vas *vas;
	uint64_t target;
};

uint64_t rounds_done(struct vas *vas)
{
	uint64_t done;

	CHECK_OK(vas_load_le64(vas, FIELD(done), &done, __ATOMIC_RELAXED));
	return done;
}

static int filled_so_far(void *arg)
{
	struct progress *progress = arg;

	return rounds_done(progress->vas) >= progress->target;
}

void rounds_await(struct vas *vas, uint64_t more)
{
	struct progress progress = { vas, rounds_done(vas) + more };

	test_wait(filled_so_far, &progress, TEST_HANG_MS);
}

void rounds_stop(struct vas *vas)
{
	CHECK_OK(vas_store_le32(vas, FIELD(turn), 1, __ATOMIC_RELAXED));
}
