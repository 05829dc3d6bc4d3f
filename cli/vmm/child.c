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

void block_signals(void)
{
	sigset_t set;

	signals_of_interest(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

int has_signal(void)
{
	sigset_t set;

	return !sigpending(&set) && (sigismember(&set, SIGINT) || sigismember(&set, SIGTERM) ||
				     sigismember(&set, SIGHUP) || sigismember(&set, SIGQUIT));
}

int signals_fd(void)
{
	sigset_t set;

	signals_of_interest(&set);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

void wait_for_signal(void)
{
	sigset_t set;
	int sig;

	block_signals();
	signals_of_interest(&set);
	sigwait(&set, &sig);
}

int child_prepare(struct child *child, struct vas *vas)
{
	char path[32];
	sigset_t set;

	/* Ignored, as a parent may leave it, it would take the child's exit code away. */
	signal(SIGCHLD, SIG_DFL);
	signals_of_parent(&set);
	sigprocmask(SIG_BLOCK, &set, &child->mask);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", vas_fd(vas));
	child->fd = open(path, O_RDWR); /* without O_CLOEXEC: it is to be inherited */
	if (child->fd < 0)
		return fail(EXIT_OWN, "%s: %s", path, strerror(errno));
	return EXIT_OK;
}

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

static int spawn(struct child *child, char **argv)
{
	posix_spawnattr_t attr;
	char number[16];
	int err;

	snprintf(number, sizeof(number), "%d", child->fd);
	if (setenv("VAS_FD", number, 1))
		return -errno;
	err = posix_spawnattr_init(&attr);
	if (err)
		return -err;
	posix_spawnattr_setsigmask(&attr, &child->mask);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	err = posix_spawnp(&child->pid, argv[0], NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	return -err;
}

/* 0 while it lives, else 1 and its exit code. */
static int has_ended(const struct child *child, const char *name, int *code)
{
	int status;

	if (waitpid(child->pid, &status, WNOHANG) != child->pid)
		return 0;
	if (WIFEXITED(status)) {
		*code = WEXITSTATUS(status);
		return 1;
	}
	*code = 128 + WTERMSIG(status);
	note("%s was ended by signal %d (%s)", name, WTERMSIG(status), strsignal(WTERMSIG(status)));
	return 1;
}

static int wait_for_end(struct child *child, const char *name)
{
	sigset_t set;
	siginfo_t info;
	int code;

	signals_of_parent(&set);
	while (!has_ended(child, name, &code)) {
		if (sigwaitinfo(&set, &info) < 0 || info.si_signo == SIGCHLD)
			continue;
		child->was_told = 1;
		/* A key that was pressed (Ctrl-C) reached the child as well. */
		if (info.si_code != SI_KERNEL)
			kill(child->pid, info.si_signo);
	}
	return code;
}

int child_run(struct child *child, char **argv)
{
	int err;

	child->was_told = 0;
	err = spawn(child, argv);

	/* From here on only the child's description counts, so that its end frees the memory. */
	close(child->fd);
	child->fd = -1;
	if (err == -ENOENT)
		return fail(EXIT_NO_COMMAND, "there is no command '%s'", argv[0]);
	if (err)
		return fail(EXIT_CANNOT_RUN, "cannot run %s: %s", argv[0], strerror(-err));
	return wait_for_end(child, argv[0]);
}
