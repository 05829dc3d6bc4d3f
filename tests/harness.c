// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The runner: PROGRAM [--list] [--seed N] [--timeout SECONDS] [--here] [PART-OF-A-NAME...]
 * --here runs the cases in this very process, for a debugger.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "harness_private.h"

#define ROLE_FD 3

static struct {
	struct test_case *first, **last;
	struct test_role *roles;
	uint64_t seed;
	unsigned int timeout_s;
	int here;
	int list;
	char **names;
	int nr_names;
} runner = { .last = &runner.first };

void test_register(struct test_case *test)
{
	*runner.last = test;
	runner.last = &test->next;
}

void test_register_role(struct test_role *role)
{
	role->next = runner.roles;
	runner.roles = role;
}

uint64_t test_seed(void)
{
	return runner.seed;
}

static int run_role(const char *name)
{
	for (struct test_role *r = runner.roles; r; r = r->next)
		if (!strcmp(r->name, name))
			return r->run(ROLE_FD);
	fprintf(stderr, "no role %s\n", name);
	return 2;
}

static void exec_role(const char *role, int fd, pid_t parent)
{
	char seed[32];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	snprintf(seed, sizeof(seed), "%" PRIu64, runner.seed);
	if (fd == ROLE_FD || dup2(fd, ROLE_FD) == ROLE_FD)
		execl("/proc/self/exe", "test", "--seed", seed, "--role", role, NULL);
	perror("exec /proc/self/exe");
	_exit(127);
}

int test_spawn(const char *role, int *sock)
{
	pid_t parent = getpid(), pid;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		test_fail(__FILE__, __LINE__, "socketpair: %s", strerror(errno));
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		test_fail(__FILE__, __LINE__, "fork: %s", strerror(errno));
	if (pid == 0) {
		/* dup2 onto itself would keep close-on-exec. */
		int fd = pair[1] == ROLE_FD ? dup(pair[1]) : pair[1];

		exec_role(role, fd, parent);
	}
	close(pair[1]);
	*sock = pair[0];
	return pid;
}

static int wanted(const struct test_case *test)
{
	for (int i = 0; i < runner.nr_names; i++)
		if (strstr(test->name, runner.names[i]))
			return 1;
	return !runner.nr_names;
}

static void run_child(struct test_case *test)
{
	setpgid(0, 0);
	if (runner.timeout_s)
		alarm(runner.timeout_s);
	test->run(test->arg);
	fflush(NULL);
	exit(0);
}

static void run_forked(struct test_case *test, int nr)
{
	int status;
	pid_t pid;

	harness_begin(test->name, nr);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		run_child(test);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid > 0)
		kill(-pid, SIGKILL); /* whatever the case left behind is of its own group */
	test->result = harness_end(pid < 0 ? -1 : status);
}

static void run_here(struct test_case *test, int nr)
{
	harness_begin(test->name, nr);
	test->run(test->arg);
	test->result = harness_end(0);
}

static int run_all(void)
{
	int nr = 0, count[TEST_SKIPPED + 1] = { 0 };

	for (struct test_case *t = runner.first; t; t = t->next)
		nr += wanted(t);
	printf("1..%d\n# seed %" PRIu64 "\n", nr, runner.seed);
	nr = 0;
	for (struct test_case *t = runner.first; t; t = t->next) {
		if (!wanted(t))
			continue;
		if (runner.here)
			run_here(t, ++nr);
		else
			run_forked(t, ++nr);
		count[t->result]++;
	}
	printf("# %d passed, %d failed, %d skipped\n", count[TEST_PASSED], count[TEST_FAILED],
	       count[TEST_SKIPPED]);
	if (count[TEST_FAILED] || !nr)
		return 1;
	return count[TEST_PASSED] ? 0 : 77;
}

static int list_all(void)
{
	for (struct test_case *t = runner.first; t; t = t->next)
		if (wanted(t))
			printf("%s\n", t->name);
	return 0;
}

static int parse(int argc, char **argv, const char **role)
{
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "--list"))
			runner.list = 1;
		else if (!strcmp(argv[i], "--here"))
			runner.here = 1;
		else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
			runner.seed = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--timeout") && i + 1 < argc)
			runner.timeout_s = (unsigned int)strtoul(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--role") && i + 1 < argc)
			*role = argv[++i];
		else
			return -1;
	}
	runner.names = argv + i;
	runner.nr_names = argc - i;
	return 0;
}

static void defaults(void)
{
	const char *seed = getenv("TEST_SEED"), *timeout = getenv("TEST_TIMEOUT");

	if (seed)
		runner.seed = strtoull(seed, NULL, 0);
	else if (getrandom(&runner.seed, sizeof(runner.seed), GRND_NONBLOCK) < 0)
		runner.seed = test_now_ns();
	runner.timeout_s =
		timeout ? (unsigned int)strtoul(timeout, NULL, 0) : 2 * TEST_HANG_MS / 1000;
}

int test_main(int argc, char **argv)
{
	const char *role = NULL;

	setvbuf(stdout, NULL, _IOLBF, 0);
	defaults();
	if (parse(argc, argv, &role)) {
		fprintf(stderr, "usage: %s [--list] [--here] [--seed N] [--timeout S] [NAME...]\n",
			argv[0]);
		return 2;
	}
	if (role) {
		harness_begin(role, 0);
		return run_role(role);
	}
	if (runner.list)
		return list_all();
	harness_init();
	return run_all();
}
