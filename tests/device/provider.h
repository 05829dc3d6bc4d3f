/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Who serves the device of a test: a process, which can be killed, or a thread of this one. */
#ifndef TESTS_DEVICE_PROVIDER_H
#define TESTS_DEVICE_PROVIDER_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"

static pid_t process;	     /* 0: there is none */
static int thread_stop = -1; /* -1: there is none */
static pthread_t thread;

/* It plays the role, and reads what it is to know. */
static inline void process_start(const char *role, const void *what, size_t size)
{
	int sock;

	process = test_spawn(role, &sock);
	CHECK_EQ(write(sock, what, size), size);
	close(sock);
}

static inline void kill_process(void)
{
	CHECK_OK(kill(process, SIGKILL));
	CHECK_EQ(waitpid(process, NULL, 0), process);
	process = 0;
}

static int (*thread_serve)(int stop_fd);

static void *run_thread(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)thread_serve(thread_stop);
}

static inline void thread_start(int (*serve)(int stop_fd))
{
	thread_serve = serve;
	thread_stop = eventfd(0, EFD_CLOEXEC);
	CHECK_OK(pthread_create(&thread, NULL, run_thread, NULL));
}

static inline void stop_thread(void)
{
	void *result;

	eventfd_write(thread_stop, 1);
	CHECK_OK(pthread_join(thread, &result));
	CHECK_EQ((intptr_t)result, -ECANCELED);
	close(thread_stop);
	thread_stop = -1;
}

#endif
