// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "killer.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#define STUCK_NS     TEST_HANG_NS
#define EXIT_CHECKED 3

static void violated(struct torture *t, const char *format, va_list ap)
{
	int nobody = 0;

	if (__atomic_compare_exchange_n(&t->shared->violated, &nobody, 1, 0, __ATOMIC_ACQ_REL,
					__ATOMIC_RELAXED))
		vsnprintf(t->shared->violation, sizeof(t->shared->violation), format, ap);
	__atomic_store_n(&t->shared->stop, 1, __ATOMIC_RELEASE);
}

void torture_violated(struct torture *t, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	violated(t, format, ap);
	va_end(ap);
	if (getenv("TORTURE_ABORT"))
		abort();
	_exit(EXIT_CHECKED);
}

void torture_complain(struct torture *t, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	violated(t, format, ap);
	va_end(ap);
}

int torture_doomed;

void torture_doom(struct torture *t, unsigned int kind, struct test_random *random, uint64_t one_in,
		  uint64_t within_ns)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
	struct itimerspec when = { .it_value.tv_nsec = 1 };
	timer_t timer;

	if (test_random_below(random, one_in) || !t->options.pause_us ||
	    __atomic_load_n(&t->shared->spared, __ATOMIC_RELAXED) & kind)
		return;
	__atomic_store_n(&torture_doomed, 1, __ATOMIC_RELAXED);
	when.it_value.tv_nsec += (long)test_random_below(random, within_ns);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &when, NULL))
		torture_violated(t, "no timer: %s", strerrorname_np(errno));
}

static void start(struct killer *k, unsigned int i)
{
	uint64_t seed = k->t->seed + 1000003 * ++k->started;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		k->run(k->t, i, seed);
		exit(0);
	}
	CHECK(pid > 0);
	k->pids[i] = pid;
	k->continue_ns[i] = 0;
	k->beat_ns[i] = test_now_ns();
}

/* None ends by itself while the torture goes on. */
static void bury(struct killer *k, unsigned int i, int status)
{
	k->pids[i] = 0;
	if (torture_stopped(k->t))
		return;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		k->kills++;
		k->owner_kills += i == 0;
		start(k, i);
		return;
	}
	torture_complain(k->t, "process %u ended: %s %d", i,
			 WIFSIGNALED(status) ? "signal" : "status",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void look_after(struct killer *k, unsigned int i)
{
	uint64_t beat = 0, now = test_now_ns();
	int status;

	if (waitpid(k->pids[i], &status, WNOHANG) == k->pids[i]) {
		bury(k, i, status);
		return;
	}
	for (unsigned int thread = 0; thread < k->t->options.threads; thread++)
		beat += __atomic_load_n(&k->t->shared->beats[i][thread], __ATOMIC_RELAXED);
	if (beat != k->beat[i])
		k->beat_ns[i] = now;
	else if (now - k->beat_ns[i] > STUCK_NS)
		torture_complain(k->t, "process %u is stuck", i);
	k->beat[i] = beat;
}

void killer_kill_one(struct killer *k, unsigned int first, unsigned int nr)
{
	unsigned int i = first + (unsigned int)test_random_below(&k->random, nr);
	int status;

	if (!k->pids[i])
		return;
	kill(k->pids[i], SIGKILL);
	CHECK_EQ(waitpid(k->pids[i], &status, 0), k->pids[i]);
	bury(k, i, status);
}

void killer_start(struct killer *k, unsigned int nr)
{
	k->nr = nr;
	k->start_ns = test_now_ns();
	for (unsigned int i = 0; i < nr; i++)
		start(k, i);
	load_start(k);
}

void killer_pause(struct killer *k)
{
	uint64_t us = k->t->options.pause_us;
	const struct timespec pause = {
		0, us ? (long)(1000 * (1 + test_random_below(&k->random, us))) : 10000000
	};

	ppoll(NULL, 0, &pause, NULL);
	load_step(k);
	for (unsigned int i = 0; i < k->nr; i++)
		if (k->pids[i])
			look_after(k, i);
}

void killer_stop(struct killer *k)
{
	uint64_t end = test_now_ns() + STUCK_NS;
	const struct timespec pause = { 0, 1000000 };

	__atomic_store_n(&k->t->shared->stop, 1, __ATOMIC_RELEASE);
	load_stop(k);
	load_continue_all(k);
	for (unsigned int i = 0; i < k->nr; i++) {
		while (k->pids[i] && waitpid(k->pids[i], NULL, WNOHANG) == 0) {
			if (test_now_ns() > end) {
				torture_complain(k->t, "process %u does not stop", i);
				kill(k->pids[i], SIGKILL);
			}
			ppoll(NULL, 0, &pause, NULL);
		}
	}
}
