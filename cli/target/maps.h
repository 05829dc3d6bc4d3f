/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Who has a vas's memory mapped, by /proc/PID/maps: also who has no fd of it any more, and who
 * never bound to it, such as an unmodified QEMU or a vhost-user back end.
 */
#ifndef CLI_MAPS_H
#define CLI_MAPS_H

#include <stdint.h>
#include <sys/types.h>

/* A shared mapping of a file. */
struct file_map {
	dev_t dev;
	ino_t ino;
	uint64_t offset;
	uint64_t size;
	int is_writable;
};

/*
 * Each of a process, or of a thread's: 0, or what take() returned if that is not 0. -EACCES: the
 * caller may not look into it. -ESRCH: it has no memory, as it has ended, or is a thread of the
 * kernel's; or its first thread has ended, and process_living() tells another. deadline_ns: of
 * CLOCK_MONOTONIC; -ETIMEDOUT.
 */
int maps_each(int pid, uint64_t deadline_ns, int (*take)(void *arg, const struct file_map *map),
	      void *arg);

/* When a look at all processes that begins now should be over. */
uint64_t maps_deadline(void);

#endif
