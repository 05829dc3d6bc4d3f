/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What PID 1 of each Linux guest does before and after its own work. */
#ifndef TESTS_KERNEL_LINUX_INIT_H
#define TESTS_KERNEL_LINUX_INIT_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdnoreturn.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../vm/guest/console.h"

static inline noreturn void guest_leave(void)
{
	fflush(stdout);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static inline noreturn void guest_fail(const char *what)
{
	printf("guest: failed: %s: %s\n", what, strerror(errno));
	guest_leave();
}

static inline void guest_tell(const char *file)
{
	char text[80] = "";
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
		printf("guest: %s: %.*s\n", file, (int)strcspn(text, "\n"), text);
	if (fd >= 0)
		close(fd);
}

/* In the order in which /modules.list names them: the kernel's own drivers, as they were packed. */
static inline void guest_load_modules(void)
{
	FILE *list = fopen("/modules.list", "re");
	char path[256];
	int fd;

	while (list && fgets(path, sizeof(path), list)) {
		path[strcspn(path, "\n")] = '\0';
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
			guest_fail(path);
		close(fd);
	}
}

static inline void guest_begin(void)
{
	struct utsname name;

	take_console();
	uname(&name);
	printf("guest: Linux %s\n", name.release);
	guest_load_modules();
}

#endif
