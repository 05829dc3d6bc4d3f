// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "load.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define BALLAST_SIZE (64ull << 20)
#define ONE_IN	     8u	 /* pauses of the killer stops a process, */
#define LONG_ONE_IN  16u /* of them one for long */
#define STOP_NS	     200000000ull
#define LONG_STOP_NS 2000000000ull

/* ---- hogs and ballast ----------------------------------------------------------------------- */

static void hog(void)
{
	for (volatile uint64_t n = 0;; n++)
		;
}

static void ballast(void)
{
	for (;;) {
		char *memory = mmap(NULL, BALLAST_SIZE, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (memory == MAP_FAILED)
			continue;
		for (uint64_t at = 0; at < BALLAST_SIZE; at += PAGE)
			memory[at] = 1;
		munmap(memory, BALLAST_SIZE);
	}
}

static void start(struct killer *k, void (*run)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run();
	}
	CHECK(pid > 0);
	k->load[k->nr_load++] = pid;
}

void load_start(struct killer *k)
{
	long nr = sysconf(_SC_NPROCESSORS_ONLN);

	if (!k->t->options.load)
		return;
	start(k, ballast);
	for (long i = 0; i < nr && k->nr_load < MAX_LOAD; i++)
		start(k, hog);
}

void load_stop(struct killer *k)
{
	while (k->nr_load) {
		pid_t pid = k->load[--k->nr_load];

		kill(pid, SIGKILL);
		CHECK_EQ(waitpid(pid, NULL, 0), pid);
	}
}

/* ---- stops ---------------------------------------------------------------------------------- */

static void stop_one(struct killer *k)
{
	unsigned int i = (unsigned int)test_random_below(&k->random, k->nr);
	uint64_t most = test_random_below(&k->random, LONG_ONE_IN) ? STOP_NS : LONG_STOP_NS;

	if (!k->pids[i] || k->continue_ns[i])
		return;
	CHECK_OK(kill(k->pids[i], SIGSTOP));
	k->continue_ns[i] = test_now_ns() + test_random_below(&k->random, most);
	k->stops++;
	k->owner_stops += i == 0;
}

static void continue_until(struct killer *k, uint64_t now_ns)
{
	for (unsigned int i = 0; i < k->nr; i++) {
		if (!k->continue_ns[i] || k->continue_ns[i] > now_ns)
			continue;
		k->continue_ns[i] = 0;
		if (k->pids[i])
			CHECK_OK(kill(k->pids[i], SIGCONT));
	}
}

void load_continue_all(struct killer *k)
{
	continue_until(k, UINT64_MAX);
}

void load_step(struct killer *k)
{
	if (!k->t->options.load)
		return;
	continue_until(k, test_now_ns());
	if (test_random_below(&k->random, ONE_IN) == 0)
		stop_one(k);
}
