/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Which of other processes' files can be looked into: those whose file system is the kernel's own
 * memory. Any other may be served by somebody (FUSE) who never answers, and opening one, or asking
 * for its size, may wait for ever.
 */
#ifndef CLI_MEMORY_FILE_H
#define CLI_MEMORY_FILE_H

#include <sys/stat.h>

/*
 * Is the file behind the path (/proc/PID/fd/N, so nobody is asked for its name either) a regular
 * one in a memfd, tmpfs or hugetlbfs? Then *st is what there is to know of it. Never waits.
 */
int memory_file_stat(const char *path, struct stat *st);

#endif
