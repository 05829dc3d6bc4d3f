// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/loan.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vas/consumer.h>
#include <vas/handover.h>

#include "cli/ui/verb.h"
#include "cli/vmm/monitor.h"
#include "cli/vmm/template.h"

#define ANSWER_MS   30000 /* the holder asks its QEMU first */
#define ADOPT_TRIES 500
#define ADOPT_MS    10
#define LOOK_MS	    50

#define STANDS_IN_DOUBT 2 /* of was_running */

/* ---- the command -------------------------------------------------------------------------- */

static int connect_to(const struct run_folder *folder)
{
	struct run_path path = run_folder_path(folder, "owner");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(to.sun_path, path.s, sizeof(path.s));
	if (sock >= 0 && !connect(sock, (const struct sockaddr *)&to, sizeof(to)))
		return sock;
	if (sock >= 0)
		close(sock);
	return -1;
}

/* It comes in one piece: it is small, and the socket was empty. */
static int recv_answer(int sock, struct loan_answer *answer)
{
	struct pollfd fd = { .fd = sock, .events = POLLIN };

	if (poll(&fd, 1, ANSWER_MS) != 1)
		return -ETIMEDOUT;
	if (recv(sock, answer, sizeof(*answer), MSG_DONTWAIT) != sizeof(*answer))
		return -ECONNRESET;
	answer->words[sizeof(answer->words) - 1] = '\0';
	return 0;
}

int loan_take(const struct run_folder *folder, const char *name, struct vas **vas, int *out)
{
	struct loan_answer answer;
	int sock = connect_to(folder), err, code;
	void *state = NULL;
	size_t size;

	if (sock < 0)
		return -1;
	err = recv_answer(sock, &answer);
	if (err)
		code = fail(EXIT_REFUSED,
			    "%s: its holder does not answer: another command is at "
			    "work on it, or it hangs",
			    name);
	else if (answer.err)
		code = fail(EXIT_REFUSED, "%s: %s", name, answer.words);
	else
		code = (err = vas_handover_take(sock, 0, vas, &state, &size)) ?
			       fail_vas(err, name) :
			       EXIT_OK;
	free(state);
	if (code)
		close(sock);
	else
		*out = sock;
	return code;
}

void loan_return(int sock, enum loan_end end)
{
	const char byte = (char)end;

	if (sock < 0)
		return;
	send(sock, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(sock);
}

int loan_may_move(int sock)
{
	const char byte = LOAN_MAY_MOVE;

	return sock < 0 || send(sock, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 ? 0 : -errno;
}

int loan_start(int sock, pid_t *pid)
{
	const char byte = LOAN_START;
	struct loan_answer answer;
	int err =
		sock < 0 || send(sock, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1 ? -ENOTCONN : 0;

	if (!err && (err = recv_answer(sock, &answer)) == -ECONNRESET)
		err = -ENOTCONN;
	if (err)
		return vas_error_set(err, "the holder does not answer: %s", strerror(-err));
	*pid = answer.pid;
	return answer.err ? vas_error_set(answer.err, "%s", answer.words) : 0;
}

int loan_keep(int sock)
{
	struct pollfd fd = { .fd = sock, .events = POLLIN };
	char byte = LOAN_KEPT;
	int err = 0;

	if (sock < 0)
		return 0;
	if (send(sock, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
		err = -errno;
	else if (poll(&fd, 1, ANSWER_MS) != 1 || recv(sock, &byte, 1, MSG_DONTWAIT) != 0)
		err = -ETIMEDOUT;
	close(sock);
	return err;
}

/* ---- the holder --------------------------------------------------------------------------- */

static int check_lazy(struct vas *vas)
{
	struct vas_info info;
	int err = vas_info(vas, &info);

	if (err || !info.nr_lazy)
		return err;
	return vas_error_set(-EBUSY,
			     "its memory comes when it is touched, and %llu pages have not "
			     "come yet: only its holder, process %d, can fill them",
			     (unsigned long long)info.nr_lazy, getpid());
}

static int look_at_guest(const struct run_folder *folder, int *was_running)
{
	struct qmp *qmp;
	int err = monitor_open(folder, RUN_MONITOR, &qmp);

	*was_running = 0;
	if (err || !qmp)
		return err == -EOPNOTSUPP ? 0 : err;
	/* Neither running nor standing: that is for the command to mind. */
	*was_running = qemu_is_running(qmp) == 1;
	qmp_close(qmp);
	return 0;
}

static int is_allowed(int sock)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return !getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &size) &&
	       (peer.uid == geteuid() || !peer.uid);
}

static int send_answer(int sock, int err, pid_t pid)
{
	struct loan_answer answer = { .err = err, .pid = pid };

	if (err)
		snprintf(answer.words, sizeof(answer.words), "%s", vas_error());
	return send(sock, &answer, sizeof(answer), MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(answer) ?
		       err :
		       -ECONNRESET;
}

int loan_give(int listener, const struct run_folder *folder, struct vas *vas, int *was_running)
{
	int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), err;

	if (sock < 0) {
		poll(NULL, 0, LOOK_MS); /* with no fd left, it would be told at once */
		return -1;
	}
	if (!is_allowed(sock)) {
		close(sock);
		return -1;
	}
	err = check_lazy(vas);
	if (!err)
		err = look_at_guest(folder, was_running);
	err = send_answer(sock, err, 0);
	if (!err)
		err = vas_handover_give(vas, sock, NULL, 0);
	if (!err)
		return sock;
	close(sock);
	return -1;
}

void loan_started(int sock, int err, pid_t pid)
{
	send_answer(sock, err, pid);
}

void loan_undo(struct qmp *qmp, int was_running)
{
	int err = 0;

	if (was_running == STANDS_IN_DOUBT)
		note("a command that moved the guest was killed: the guest stands here, and may "
		     "run elsewhere: 'vas resume' if it does not");
	else if (qmp && was_running)
		err = qemu_recover(qmp);
	if (err)
		note("a command that had stopped the guest was killed, and the guest cannot be "
		     "made to go on: %s",
		     vas_error());
	else if (qmp && was_running == 1)
		note("a command that had stopped the guest was killed: the guest goes on");
	qmp_close(qmp);
}

/* The guest has become its clones, and is nobody's here any more. */
static int has_become_clones(const struct run_folder *folder, const struct vas *vas)
{
	const int ram = vas_backing_fd(vas, 0);
	struct qmp *qmp;

	if (ram < 0 || !template_is_closed(ram))
		return 0;
	note("a command that made clones of the guest was killed: they have its memory by now, and "
	     "stand until 'vas resume' if they do not run");
	if (!monitor_open(folder, RUN_MONITOR, &qmp) && qmp) {
		qemu_end(qmp);
		qmp_close(qmp);
	}
	return 1;
}

/* Of a process that was killed, the socket may go before the owner's lock does. */
static int adopt(struct vas *vas)
{
	int err, tries = ADOPT_TRIES;

	while ((err = vas_adopt(vas)) == -EBUSY && tries--)
		poll(NULL, 0, ADOPT_MS);
	return err;
}

enum loan_end loan_recv(int sock, const struct run_folder *folder, struct vas *vas,
			int *was_running, int *err)
{
	char byte = LOAN_KILLED;

	*err = 0;
	if (recv(sock, &byte, 1, MSG_DONTWAIT) != 1)
		byte = LOAN_KILLED;
	if (byte == LOAN_MAY_MOVE)
		*was_running = STANDS_IN_DOUBT;
	if (byte == LOAN_MAY_MOVE || byte == LOAN_KEPT || byte == LOAN_START)
		return (enum loan_end)byte;
	if (byte == LOAN_KILLED && has_become_clones(folder, vas))
		return LOAN_KEPT;
	close(sock);
	*err = adopt(vas);
	return (enum loan_end)byte;
}
