// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A test program that does, or asks for, what the harness has to notice or to provide. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int put(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0) {
		perror(file);
		return 1;
	}
	close(fd);
	return 0;
}

static int leave_child(void)
{
	if (fork())
		return 0;
	signal(SIGTERM, SIG_IGN);
	for (;;)
		pause();
}

/* The machine dies as of QEMU's fault, once: what is in the file says whether it has. */
static int die_of_qemu(const char *file)
{
	int fd = open(file, O_RDWR | O_SYNC | O_CLOEXEC);
	char died;

	if (fd < 0 || pread(fd, &died, 1, 0) != 1)
		return 1;
	if (died)
		return 0;
	if (pwrite(fd, "1", 1, 0) != 1)
		return 1;
	return put("/dev/kmsg", "int3: 0000 [#1], made up by a test\n") ||
	       put("/proc/sysrq-trigger", "c");
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";

	printf("going to %s\n", how);
	fflush(stdout);
	if (!strcmp(how, "pass"))
		return 0;
	if (!strcmp(how, "fail"))
		return 3;
	if (!strcmp(how, "skip"))
		return 77;
	if (!strcmp(how, "die"))
		return raise(SIGSEGV);
	if (!strcmp(how, "hang"))
		for (;;)
			pause();
	if (!strcmp(how, "leave-child"))
		return leave_child();
	if (!strcmp(how, "log-warning"))
		return put("/dev/kmsg", "WARNING: made up by a test\n");
	if (!strcmp(how, "need") && argc > 2)
		return access(argv[2], R_OK) != 0;
	if (!strcmp(how, "env") && argc > 3)
		return !getenv(argv[2]) || strcmp(getenv(argv[2]), argv[3]);
	if (!strcmp(how, "write") && argc > 3)
		return put(argv[2], argv[3]);
	if (!strcmp(how, "die-of-qemu") && argc > 2)
		return die_of_qemu(argv[2]);
	if (!strcmp(how, "panic"))
		return put("/proc/sysrq-trigger", "c");
	return 1;
}
