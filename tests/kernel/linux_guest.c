// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "linux_guest.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define QEMU	 "/guest/qemu-system-x86_64"
#define MAX_ARGS 64
#define BOOTS	 3

static void need(const char *path, int mode)
{
	if (access(path, mode))
		test_skip("%s is missing in this machine", path);
}

static int listen_here(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = LINUX_GUEST_SOCKET };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	unlink(LINUX_GUEST_SOCKET);
	CHECK_OK(bind(sock, (struct sockaddr *)&address, sizeof(address)));
	CHECK_OK(listen(sock, 1));
	return sock;
}

static void exec_qemu(const struct linux_guest *guest, const char *initramfs, int ram)
{
	char memory[128];
	const char *args[MAX_ARGS] = {
		QEMU,
		"-L",
		"/guest",
		"-machine",
		"microvm,accel=kvm,acpi=on,pit=off,pic=off,isa-serial=on,pcie=on,"
		"memory-backend=ram",
		"-cpu",
		"host",
		"-smp",
		"2",
		"-m",
		"256M",
		"-object",
		memory,
		"-display",
		"none",
		"-nodefaults",
		"-no-reboot",
		"-serial",
		"stdio",
		"-kernel",
		"/guest/vmlinux",
		"-initrd",
		initramfs,
		"-append",
		getenv("TEST_CMDLINE") ?: "console=ttyS0 panic=-1",
		"-chardev",
		"socket,id=device,path=" LINUX_GUEST_SOCKET,
	};
	int nr = 0;

	snprintf(memory, sizeof(memory),
		 "memory-backend-file,id=ram,mem-path=/proc/self/fd/%d,share=on,size=%llu", ram,
		 LINUX_GUEST_RAM);
	while (args[nr])
		nr++;
	for (int i = 0; guest->args[i] && nr < MAX_ARGS - 1; i++)
		args[nr++] = guest->args[i];
	execv(QEMU, (char *const *)args);
	perror("exec " QEMU);
	_exit(1);
}

/* Its console is *out. The copy of the fd is not closed by exec. */
static pid_t start_qemu(const struct linux_guest *guest, const char *initramfs, int vas_fd,
			int *out)
{
	int pair[2];
	pid_t pid;

	CHECK_OK(pipe2(pair, O_CLOEXEC));
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(pair[1], STDOUT_FILENO);
		dup2(pair[1], STDERR_FILENO);
		exec_qemu(guest, initramfs, dup(vas_fd));
	}
	close(pair[1]);
	*out = pair[0];
	return pid;
}

enum end { HANGS, NOT_CONTENT, CONTENT };

/* A guest that has not begun by then hangs: a part of what a case may take. */
static int boot_ms(void)
{
	const char *timeout = getenv("TEST_TIMEOUT");

	return timeout ? atoi(timeout) * 1000 / (BOOTS + 1) : TEST_HANG_MS;
}

/* Or it has ended. */
static bool says_something(int console, bool has_booted)
{
	struct pollfd fd = { .fd = console, .events = POLLIN };

	return poll(&fd, 1, has_booted ? -1 : boot_ms()) > 0;
}

/*
 * What the guest says goes on to the log. Once it is content QEMU is asked to end, as it is if the guest
 * ends: to power off is another matter, in which a nested guest with two processors may hang.
 */
static enum end follow(const struct linux_guest *guest, int console, pid_t qemu)
{
	FILE *lines = fdopen(console, "r");
	enum end end = NOT_CONTENT;
	bool has_booted = false;
	char line[512];

	setvbuf(lines, NULL, _IONBF, 0);
	for (;;) {
		if (!says_something(console, has_booted)) {
			end = HANGS;
			kill(qemu, SIGKILL);
			break;
		}
		if (!fgets(line, sizeof(line), lines))
			break;
		printf("# %s", line);
		test_note("the guest's last line: %s", line);
		has_booted |= strstr(line, "guest: ") != NULL;
		if (!strstr(line, guest->verdict))
			continue;
		end = CONTENT;
		kill(qemu, SIGTERM);
	}
	fclose(lines);
	return end;
}

static void *serve(void *arg)
{
	struct vhost_user *user = arg;
	int listener = user->sock;

	user->sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	return (void *)(intptr_t)vhost_user_serve(user);
}

static enum end run(const struct linux_guest *guest, const char *initramfs, struct vhost_user *user)
{
	struct vas *vas;
	pthread_t thread;
	int console, status;
	void *result;
	enum end end;
	pid_t pid;

	vas = device_vas(LINUX_GUEST_RAM, LINUX_GUEST_RAM, 0);
	user->vas_fd = vas_fd(vas);
	user->type = guest->device;
	user->sock = listen_here();
	CHECK_EQ(pthread_create(&thread, NULL, serve, user), 0);
	pid = start_qemu(guest, initramfs, user->vas_fd, &console);
	end = follow(guest, console, pid);
	CHECK(end == HANGS || end == CONTENT);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	pthread_join(thread, &result);
	if (end == CONTENT) {
		CHECK_EQ(status, 0);
		CHECK_OK((intptr_t)result);
	}
	vas_unbind(vas);
	return end;
}

/* Where KVM is emulated, a guest may hang before its init, which loads the device's driver. */
void linux_guest_run(const struct linux_guest *guest, struct vhost_user *user)
{
	const struct vhost_user unused = *user;
	enum end end = HANGS;
	char initramfs[64];
	int i;

	snprintf(initramfs, sizeof(initramfs), "/guest/%s.initramfs", guest->name);
	need("/guest/vmlinux", R_OK);
	need(initramfs, R_OK);
	need(QEMU, X_OK);
	need("/dev/kvm", W_OK);
	for (i = 0; i < BOOTS && end == HANGS; i++) {
		*user = unused;
		end = run(guest, initramfs, user);
	}
	CHECK_EQ(end, CONTENT);
}
