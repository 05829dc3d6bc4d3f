/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* For a guest's init: the modules that its devices need. */
#ifndef TESTS_VM_GUEST_LISTED_MODULES_H
#define TESTS_VM_GUEST_LISTED_MODULES_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Those that /modules/list names, in its order. What does not work is told after `word`. */
static inline void load_listed_modules(const char *word)
{
	char file[256];
	FILE *list = fopen("/modules/list", "r");

	while (list && fscanf(list, "%255s", file) == 1) {
		int fd = open(file, O_RDONLY);

		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
			printf("%s: BROKEN: cannot load %s: %s\n", word, file, strerror(errno));
		close(fd);
	}
	if (list)
		fclose(list);
}

#endif
