// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * To be preloaded: the process is killed as soon as it has added the seal of DIES_AT, a number, to a
 * file. So a command dies between two of its steps.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>

__attribute__((visibility("default"))) int fcntl(int fd, int command, ...)
{
	int (*real)(int, int, ...) = (int (*)(int, int, ...))dlsym(RTLD_NEXT, "fcntl");
	const char *at = getenv("DIES_AT");
	va_list list;
	void *arg;
	int ret;

	va_start(list, command);
	arg = va_arg(list, void *);
	va_end(list);
	ret = real(fd, command, arg);
	if (command == F_ADD_SEALS && !ret && at && (long)arg == strtol(at, NULL, 0))
		raise(SIGKILL);
	return ret;
}
