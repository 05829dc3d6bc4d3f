/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The processes of this host, from /proc. */
#ifndef CLI_PROCESS_H
#define CLI_PROCESS_H

#include <sys/types.h>

#define PROCESS_COMM_LEN 16

/* In ascending order; the caller frees *pids. How many, or -errno. */
ssize_t process_list(pid_t **pids);

/* Its name, which may hold anything; "" if it is gone. */
void process_comm(pid_t pid, char comm[PROCESS_COMM_LEN]);

/*
 * What take() returns for the first entry of /proc/PID/fd or /proc/PID/task for which that is not
 * 0, given the open folder and the entry's number as text; 0 if there is none, or the caller may
 * not look.
 */
int process_each(pid_t pid, const char *folder, int (*take)(void *arg, int dir, const char *entry),
		 void *arg);

/*
 * A thread of it that has memory, or 0, as for a process that has ended, and for the kernel's own.
 * Where the first one has ended, /proc/PID tells of no memory and no fd, and /proc/THREAD does.
 */
pid_t process_living(pid_t pid);

#endif
