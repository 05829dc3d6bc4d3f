// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <signal.h>

#include "cli/vmm/child.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/ui/verb.h"

extern char **environ;

/* A blocked signal becomes pending even where it is ignored, as nohup(1) leaves SIGHUP. */
static int is_ignored(int sig)
{
	struct sigaction action;

	return !sigaction(sig, NULL, &action) && action.sa_handler == SIG_IGN;
}

static void signals_of_interest(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGQUIT);
	if (!is_ignored(SIGHUP))
		sigaddset(set, SIGHUP);
}

static void signals_of_parent(sigset_t *set)
{
	signals_of_interest(set);
	sigaddset(set, SIGUSR1);
	sigaddset(set, SIGUSR2);
	sigaddset(set, SIGCHLD);
}

/* A child gets the signals that this process got, before it blocked the first one. */
static sigset_t first_mask;
static int has_first_mask;

static void block(const sigset_t *set)
{
	sigset_t before;

	sigprocmask(SIG_BLOCK, set, &before);
	if (!has_first_mask)
		first_mask = before;
	has_first_mask = 1;
}

void block_signals(void)
{
	sigset_t set;

	signals_of_interest(&set);
	block(&set);
}

void block_parent_signals(void)
{
	sigset_t set;

	signals_of_parent(&set);
	block(&set);
}

int has_signal(void)
{
	sigset_t set;

	return !sigpending(&set) && (sigismember(&set, SIGINT) || sigismember(&set, SIGTERM) ||
				     sigismember(&set, SIGHUP) || sigismember(&set, SIGQUIT));
}

int wait_or_signal(uint64_t ns)
{
	struct timespec delay = { (time_t)(ns / 1000000000ull), (long)(ns % 1000000000ull) };
	sigset_t set;

	signals_of_interest(&set);
	return sigtimedwait(&set, NULL, &delay) > 0;
}

int signals_fd(void)
{
	sigset_t set;

	signals_of_interest(&set);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

int parent_signals_fd(void)
{
	sigset_t set;

	signals_of_parent(&set);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int reopen(int fd)
{
	char path[32];
	int copy;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	copy = open(path, O_RDWR); /* without O_CLOEXEC: it is to be inherited */
	return copy < 0 ? -errno : copy;
}

int child_prepare(struct child *child, int fd)
{
	/* Ignored, as a parent may leave it, it would take the child's exit code away. */
	signal(SIGCHLD, SIG_DFL);
	block_parent_signals();
	child->fd = reopen(fd);
	if (child->fd < 0)
		return fail(EXIT_OWN, "the child's memory: %s", strerror(-child->fd));
	child->fds[0] = child->fd;
	child->nr_fds = 1;
	return EXIT_OK;
}

int child_keep(struct child *child, int fd)
{
	int copy = child->nr_fds < CHILD_MAX_FDS ? reopen(fd) : -EMFILE;

	if (copy >= 0)
		child->fds[child->nr_fds++] = copy;
	return copy < 0 ? copy : 0;
}

int child_inherit(struct child *child, int fd)
{
	int copy = child->nr_fds < CHILD_MAX_FDS ? fcntl(fd, F_DUPFD, 3) : -1;

	if (copy < 0)
		return -EMFILE;
	child->fds[child->nr_fds++] = copy;
	return copy;
}

/* ---- one that ends with us ---------------------------------------------------------------- */

/*
 * A pipe whose other end is closed tells its reader by a signal, if that has asked for one. Reader
 * is whose pid stands in the open file description, which the child keeps alive and we can change.
 */
int child_attach(struct child *child)
{
	int err;

	if (pipe2(child->leash, O_CLOEXEC))
		return -errno;
	child->is_attached = 1;
	err = child_inherit(child, child->leash[0]);
	if (err < 0)
		child_detach(child);
	return err < 0 ? err : 0;
}

static int tighten(const struct child *child)
{
	const int end = child->leash[0];

	return fcntl(end, F_SETOWN, child->pid) || fcntl(end, F_SETSIG, SIGKILL) ||
			       fcntl(end, F_SETFL, O_ASYNC) ?
		       -errno :
		       0;
}

void child_detach(struct child *child)
{
	if (!child->is_attached)
		return;
	fcntl(child->leash[0], F_SETFL, 0);
	close(child->leash[0]);
	close(child->leash[1]);
	child->is_attached = 0;
}

/* ---- its arguments ------------------------------------------------------------------------ */

/* A copy of arg with each "@FD@" replaced. */
static char *replace_fd(const char *arg, const char *number)
{
	const char *mark;
	char *copy = NULL;
	size_t len;
	FILE *out = open_memstream(&copy, &len);

	if (!out)
		return NULL;
	if (!strcmp(arg, "{}"))
		arg = "@FD@";
	for (; (mark = strstr(arg, "@FD@")); arg = mark + strlen("@FD@")) {
		fwrite(arg, 1, (size_t)(mark - arg), out);
		fputs(number, out);
	}
	fputs(arg, out);
	fclose(out);
	return copy;
}

void child_argv_free(char **argv)
{
	for (size_t i = 0; argv && argv[i]; i++)
		free(argv[i]);
	free(argv);
}

char **child_argv(const struct child *child, char *const *argv)
{
	char number[16], **copy;
	size_t nr = 0;

	while (argv[nr])
		nr++;
	copy = calloc(nr + 1, sizeof(*copy));
	snprintf(number, sizeof(number), "%d", child->fd);
	for (size_t i = 0; copy && i < nr; i++) {
		copy[i] = replace_fd(argv[i], number);
		if (!copy[i]) {
			child_argv_free(copy);
			return NULL;
		}
	}
	return copy;
}

/* ---- its life ----------------------------------------------------------------------------- */

static int spawn(struct child *child, char **argv)
{
	posix_spawnattr_t attr;
	sigset_t ignored;
	char number[16];
	int err;

	snprintf(number, sizeof(number), "%d", child->fd);
	if (setenv("VAS_FD", number, 1))
		return -errno;
	err = posix_spawnattr_init(&attr);
	if (err)
		return -err;
	sigemptyset(&ignored);
	sigaddset(&ignored, SIGPIPE); /* by hold_tell() */
	posix_spawnattr_setsigmask(&attr, &first_mask);
	posix_spawnattr_setsigdefault(&attr, &ignored);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	err = posix_spawnp(&child->pid, argv[0], NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	if (err || !child->is_attached || !(err = -tighten(child)))
		return -err;
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
	return -err;
}

int child_has_ended(struct child *child, const char *name, int *code)
{
	int status;

	if (waitpid(child->pid, &status, WNOHANG) != child->pid)
		return 0;
	child->pid = 0;
	if (WIFEXITED(status)) {
		*code = WEXITSTATUS(status);
		return 1;
	}
	*code = 128 + WTERMSIG(status);
	note("%s was ended by signal %d (%s)", name, WTERMSIG(status), strsignal(WTERMSIG(status)));
	return 1;
}

void child_close(struct child *child)
{
	while (child->nr_fds)
		close(child->fds[--child->nr_fds]);
	child->fd = -1;
}

int child_start(struct child *child, char **argv)
{
	int err = argv ? spawn(child, argv) : -ENOMEM;

	child_close(child);
	if (!err)
		return EXIT_OK;
	child_detach(child);
	child->pid = 0;
	if (err == -ENOENT)
		return fail(EXIT_NO_COMMAND, "there is no command '%s'", argv[0]);
	return fail(argv ? EXIT_CANNOT_RUN : EXIT_OWN, "cannot run %s: %s",
		    argv ? argv[0] : "a command", strerror(-err));
}
