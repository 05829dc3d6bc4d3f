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

static inline void guest_begin(void)
{
	struct utsname name;

	take_console();
	uname(&name);
	printf("guest: Linux %s\n", name.release);
	load_listed_modules("guest");
}

#endif
