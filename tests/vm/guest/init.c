// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * PID 1 of a test machine: follows /plan, reports to the host, and ends the machine.
 *
 * The plan has a directive a line; words are split at blanks:
 *
 *	limit SECONDS		how long each test may take
 *	env NAME=VALUE		for the tests
 *	load FILE [PARAMETER...]	load a module that the tests need
 *	own FILE [PARAMETER...]	load a module that is itself tested: unloaded after the tests
 *	run PROGRAM [ARGUMENT...]	a test: exit status 0 = ok, 77 = skip, else not ok
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "kmsg.h"
#include "kvm_hold.h"
#include "modules.h"
#include "report.h"
#include "stage.h"
#include "test_process.h"

enum { WORDS_MAX = 64 };

static void leave(void)
{
	sync();
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

static void mount_at(const char *type, const char *path)
{
	mkdir(path, 0755);
	if (mount(type, path, type, 0, NULL) && errno != EBUSY)
		printf("init: cannot mount %s at %s: %s\n", type, path, strerror(errno));
}

static void set_up_files(void)
{
	mount_at("devtmpfs", "/dev");
	mount_at("proc", "/proc");
	mount_at("sysfs", "/sys");
	mount_at("debugfs", "/sys/kernel/debug");
	/* Not over what has come along: the programs of a checkout in /tmp. */
	if (!rmdir("/tmp") || errno == ENOENT)
		mount_at("tmpfs", "/tmp");
	mount_at("tmpfs", "/dev/shm");
	symlink("/proc/self/fd", "/dev/fd");
}

static void set_up_console(void)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY);

	if (fd >= 0) {
		dup2(fd, STDIN_FILENO);
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	klogctl(8, NULL, 7); /* all but debug messages, now that the long boot log is over */
}

static void set_up_loopback(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
}

/*
 * Where the kernel looks for leaks, have it look once everything is unloaded. It takes no object
 * for lost that is younger than 5 s or that changed since the scan before, hence the wait and two
 * scans.
 */
static void scan_leaks(void)
{
	int fd = open("/sys/kernel/debug/kmemleak", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	report("run leaks");
	for (int left = 6; left; left = sleep(left))
		;
	if (write(fd, "scan", 4) < 0 || write(fd, "scan", 4) < 0)
		report("not ok leaks # cannot scan: %s", strerror(errno));
	else if (stage_end("leaks", 0))
		report("ok leaks");
	close(fd);
}

static void run_test(char *rest)
{
	char *words[WORDS_MAX + 1] = { NULL };
	char name[256], *next = NULL;
	const char *base;
	static bool holds_kvm;
	int nr = 0;

	/* All modules are there by now. */
	if (!holds_kvm)
		kvm_hold();
	holds_kvm = true;
	base = rest + strcspn(rest, " ");
	while (base > rest && base[-1] != '/')
		base--;
	snprintf(name, sizeof(name), "%s", base);
	for (char *word = strtok_r(rest, " ", &next); word && nr < WORDS_MAX;
	     word = strtok_r(NULL, " ", &next))
		words[nr++] = word;
	if (nr)
		test_run(name, words);
}

/* False if the run is to end here. */
static bool follow(char *line)
{
	char *rest = line + strcspn(line, " ");

	if (*rest)
		*rest++ = '\0';
	if (!strcmp(line, "limit"))
		test_limit_s = strtol(rest, NULL, 10);
	else if (!strcmp(line, "env"))
		putenv(strdup(rest));
	else if (!strcmp(line, "load"))
		return modules_load(rest, false);
	else if (!strcmp(line, "own"))
		return modules_load(rest, true);
	else if (!strcmp(line, "run"))
		run_test(rest);
	return true;
}

static void follow_plan(void)
{
	FILE *plan = fopen("/plan", "re");
	char line[4096];

	if (!plan) {
		report("not ok plan # there is none");
		return;
	}
	while (fgets(line, sizeof(line), plan)) {
		line[strcspn(line, "\n")] = '\0';
		if (!follow(line))
			break;
	}
	fclose(plan);
}

int main(void)
{
	set_up_files();
	set_up_console();
	set_up_loopback();
	report_open();
	report("run boot");
	if (stage_end("boot", kmsg_open()))
		follow_plan();
	modules_unload();
	scan_leaks();
	report_close();
	leave();
}
