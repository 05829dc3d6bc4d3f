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
#include "cli/vmm/template.h"
#include "qemu/state.h"

#define ANSWER_MS   30000 /* the holder asks its QEMU first */
#define MONITOR_NS  10000000000ull
#define ADOPT_TRIES 500
#define ADOPT_MS    10

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

/* The guest's monitor: 0; 1 if there is none that answers any more; or -errno. */
static int open_monitor(const struct run_folder *folder, struct qmp **qmp)
{
	struct run_path path = run_folder_path(folder, "monitor");
	int err = qmp_open(path.s, MONITOR_NS, qmp);

	return err == -ENOENT || err == -ECONNREFUSED || err == -EOPNOTSUPP ? 1 : err;
}

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
	int err = open_monitor(folder, &qmp);

	*was_running = 0;
	if (err)
		return err > 0 ? 0 : err;
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

static int send_answer(int sock, int err)
{
	struct loan_answer answer = { .err = err };

	if (err)
		snprintf(answer.words, sizeof(answer.words), "%s", vas_error());
	return send(sock, &answer, sizeof(answer), MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(answer) ?
		       err :
		       -ECONNRESET;
}

int loan_give(int listener, const struct run_folder *folder, struct vas *vas, int *was_running)
{
	int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), err;

	if (sock < 0)
		return -1;
	if (!is_allowed(sock)) {
		close(sock);
		return -1;
	}
	err = check_lazy(vas);
	if (!err)
		err = look_at_guest(folder, was_running);
	err = send_answer(sock, err);
	if (!err)
		err = vas_handover_give(vas, sock, NULL, 0);
	if (!err)
		return sock;
	close(sock);
	return -1;
}

static void make_run(const struct run_folder *folder)
{
	struct qmp *qmp;
	int err = open_monitor(folder, &qmp);

	if (!err) {
		err = qemu_recover(qmp);
		qmp_close(qmp);
	}
	if (err < 0)
		note("a command that had stopped the guest was killed, and the guest cannot be "
		     "made to go on: %s",
		     vas_error());
	else if (!err)
		note("a command that had stopped the guest was killed: the guest goes on");
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
	if (!open_monitor(folder, &qmp)) {
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
	if (byte == LOAN_MAY_MOVE) {
		*was_running = STANDS_IN_DOUBT;
		return LOAN_MAY_MOVE;
	}
	if (byte == LOAN_KEPT || (byte == LOAN_KILLED && has_become_clones(folder, vas)))
		return LOAN_KEPT;
	close(sock);
	*err = adopt(vas);
	if (*err || byte != LOAN_KILLED)
		return (enum loan_end)byte;
	if (*was_running == STANDS_IN_DOUBT)
		note("a command that moved the guest was killed: the guest stands here, and may "
		     "run elsewhere: 'vas resume' if it does not");
	else if (*was_running)
		make_run(folder);
	return LOAN_KILLED;
}
