/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* For a guest's init: file systems, its output on the console, modules. */
#ifndef TESTS_VM_GUEST_CONSOLE_H
#define TESTS_VM_GUEST_CONSOLE_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline void take_console(void)
{
	int fd;

	mkdir("/dev", 0755);
	mkdir("/proc", 0555);
	mkdir("/sys", 0555);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	fd = open("/dev/console", O_RDWR | O_NOCTTY);
	if (fd < 0)
		return;
	dup2(fd, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

/* Those that /modules/list names, in its order. "who: BROKEN ..." tells of one that fails. */
static inline void load_listed_modules(const char *who)
{
	char file[256];
	FILE *list = fopen("/modules/list", "r");

	while (list && fscanf(list, "%255s", file) == 1) {
		int fd = open(file, O_RDONLY);

		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
			printf("%s: BROKEN: cannot load %s: %s\n", who, file, strerror(errno));
		close(fd);
	}
	if (list)
		fclose(list);
}

#endif
