// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/emulator.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/ui/verb.h"
#include "cli/vmm/pidfd.h"
#include "cli/vmm/start.h"

#define NAME	"vas-qemu"
#define HELD_FD 3 /* of the holder's socket, above stderr */

struct emulator {
	struct plan plan;
	char *const *command; /* QEMU, and its arguments as they were given */
	struct qemu_more more;
	struct child child; /* what QEMU is to inherit, by numbers of whoever looks */
};

/* The holder's answer, with the fds of `child`. */
struct answer {
	int32_t code;
	int32_t monitor;		/* which of the fds it is, or -1 */
	uint64_t gpa[VAS_MAX_BACKINGS]; /* of the arguments' back ends */
};

/* What it says is what 'vas run' would say. */
static const struct verb messages = { .name = "run" };

union fds {
	char bytes[CMSG_SPACE(CHILD_MAX_FDS * sizeof(int))];
	struct cmsghdr header;
};

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int emulator_is(const char *name)
{
	name = base_of(name);
	return !strcmp(name, NAME) || !strncmp(name, NAME "-system-", strlen(NAME "-system-"));
}

/* ---- the holder --------------------------------------------------------------------------- */

static int send_answer(int sock, const struct answer *answer, const struct child *child)
{
	const size_t size = (size_t)child->nr_fds * sizeof(int);
	struct iovec part = { (void *)answer, sizeof(*answer) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	union fds fds = { 0 };

	if (size) {
		fds.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(size),
					       .cmsg_level = SOL_SOCKET,
					       .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&fds.header), child->fds, size);
		message.msg_control = fds.bytes;
		message.msg_controllen = CMSG_SPACE(size);
	}
	return sendmsg(sock, &message, MSG_NOSIGNAL) == sizeof(*answer) ? 0 : -errno;
}

static int which(const struct child *child, int fd)
{
	for (int i = 0; i < child->nr_fds; i++)
		if (child->fds[i] == fd)
			return i;
	return -1;
}

static int prepare(struct emulator *e, struct held *held)
{
	struct qemu_record fresh = { .memory = e->plan.memory, .genid = "auto" };
	int code;

	held->is_managed = 1;
	code = start_prepare_qemu(held, e->command, &fresh, &e->more);
	if (!code)
		start_turn(held);
	return code;
}

/* QEMU has its fds, or the process that is to become it ends with this code. */
static int hold(struct emulator *e, int sock, pid_t qemu)
{
	struct answer answer = { .monitor = -1 };
	struct held held;
	struct vas *vas;
	int err;

	answer.code = plan_create(&e->plan, &vas);
	if (answer.code) {
		held_init(&held, NULL);
	} else {
		held_init(&held, vas);
		answer.code = prepare(e, &held);
	}
	if (!answer.code) {
		answer.monitor = which(&held.child, e->more.monitor);
		for (size_t i = 0; i < e->more.backends.nr; i++)
			answer.gpa[i] = e->more.backends.at[i].gpa;
		held.successor = process_open(held.successor_pid = qemu);
	}
	/* It waits for this, and so has lived until here. */
	err = send_answer(sock, &answer, &held.child);
	close(sock);
	child_close(&held.child);
	if (!answer.code && !err && held.successor >= 0)
		hold_serve(&held, 1);
	held_end(&held);
	return answer.code;
}

/* Of what was inherited, the holder keeps stderr: all else is QEMU's. */
static void let_go(int sock)
{
	int null = open("/dev/null", O_RDWR);

	if (sock != HELD_FD)
		dup2(sock, HELD_FD);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	syscall(SYS_close_range, HELD_FD + 1, ~0u, 0);
}

/* A child of nobody's here, since QEMU waits for none: 0 in the process that started. */
static int fork_holder(struct emulator *e, const int socks[2], int *code)
{
	const pid_t qemu = getpid();
	pid_t pid = fork();

	if (pid > 0)
		waitpid(pid, NULL, 0);
	if (pid)
		return pid < 0 ? -errno : 0;
	setsid();
	if (fork())
		_exit(EXIT_OK);
	let_go(socks[1]);
	*code = hold(e, HELD_FD, qemu);
	return 1;
}

/* ---- what becomes QEMU -------------------------------------------------------------------- */

static int recv_answer(int sock, struct answer *answer, struct child *child)
{
	struct iovec part = { answer, sizeof(*answer) };
	union fds fds;
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = fds.bytes,
				  .msg_controllen = sizeof(fds.bytes) };
	struct cmsghdr *header;
	ssize_t nr;

	do {
		nr = recvmsg(sock, &message, 0); /* QEMU inherits them */
	} while (nr < 0 && errno == EINTR);
	if (nr != sizeof(*answer))
		return -ECONNRESET;
	header = CMSG_FIRSTHDR(&message);
	if (!header)
		return 0;
	child->nr_fds = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	memcpy(child->fds, CMSG_DATA(header), (size_t)child->nr_fds * sizeof(int));
	child->fd = child->fds[0];
	return 0;
}

static int become(char *const *command)
{
	execvp(command[0], command);
	if (errno == ENOENT)
		return fail(EXIT_NO_COMMAND, "there is no command '%s'", command[0]);
	return fail(EXIT_CANNOT_RUN, "cannot run %s: %s", command[0], strerror(errno));
}

static int become_qemu(struct emulator *e, const struct answer *answer)
{
	char **argv, **words;
	int next = 1; /* behind the vas's own file */

	if (backends_read(e->command, &e->more.backends))
		return EXIT_OWN;
	for (size_t i = e->more.backends.nr_nodes > 0; i < e->more.backends.nr; i++) {
		e->more.backends.at[i].fd = e->child.fds[next++];
		e->more.backends.at[i].gpa = answer->gpa[i];
	}
	e->more.memory = e->plan.memory;
	e->more.monitor = answer->monitor < 0 ? -1 : e->child.fds[answer->monitor];
	e->more.genid = qemu_takes_genid(e->command) ? "auto" : NULL;
	argv = qemu_argv(e->command, &e->more);
	words = argv ? child_argv(&e->child, argv) : NULL;
	if (!words)
		return fail(EXIT_OWN, "no memory for %s's arguments", e->command[0]);
	return become(words);
}

static int run(struct emulator *e)
{
	struct answer answer = { 0 };
	int socks[2], code = qemu_read_args(e->command, &e->plan), err;

	if (code)
		return code;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks))
		return fail(EXIT_OWN, "no sockets: %s", strerror(errno));
	err = fork_holder(e, socks, &code);
	if (err > 0)
		return code;
	close(socks[1]);
	if (!err)
		err = recv_answer(socks[0], &answer, &e->child);
	close(socks[0]);
	if (err)
		return fail(EXIT_OWN, "no process holds the memory: %s", strerror(-err));
	return answer.code ? answer.code : become_qemu(e, &answer);
}

int emulator_run(char **argv)
{
	char name[sizeof("qemu-system-") + sizeof(((struct utsname *)0)->machine)];
	struct emulator e = { .command = argv };
	struct utsname host;
	int code;

	verb_begin(&messages);
	uname(&host);
	snprintf(name, sizeof(name), "qemu-system-%s", host.machine);
	if (strcmp(base_of(argv[0]), NAME))
		argv[0] = (char *)base_of(argv[0]) + strlen("vas-");
	else
		argv[0] = name;
	code = qemu_has_guest(argv) ? run(&e) : become(argv);
	plan_clean(&e.plan);
	qemu_more_clean(&e.more);
	return code;
}
