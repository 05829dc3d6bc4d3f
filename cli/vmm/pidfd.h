/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Processes by fd, whose number cannot be another one's by now. Not every C library has these. */
#ifndef VAS_CLI_PIDFD_H
#define VAS_CLI_PIDFD_H

#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* An fd of the process, which polls readable once it has ended; or -1 and errno. */
static inline int process_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static inline void process_signal(int process, int signo)
{
	syscall(SYS_pidfd_send_signal, process, signo, NULL, 0);
}

#endif
