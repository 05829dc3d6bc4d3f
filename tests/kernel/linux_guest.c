// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "linux_guest.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define QEMU	 "/guest/qemu-system-x86_64"
#define MAX_ARGS 64

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

/*
 * What the guest says goes on to the log; true once it is content. QEMU is asked to end then, as it is if
 * the guest ends: to power off is another matter, in which a nested guest with two processors may hang.
 */
static int follow(const struct linux_guest *guest, int console, pid_t qemu)
{
	FILE *lines = fdopen(console, "r");
	char line[512];
	int is_content = 0;

	while (fgets(line, sizeof(line), lines)) {
		printf("# %s", line);
		test_note("the guest's last line: %s", line);
		if (!strstr(line, guest->verdict))
			continue;
		is_content = 1;
		kill(qemu, SIGTERM);
	}
	fclose(lines);
	return is_content;
}

static void *serve(void *arg)
{
	struct vhost_user *user = arg;
	int listener = user->sock;

	user->sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	return (void *)(intptr_t)vhost_user_serve(user);
}

void linux_guest_run(const struct linux_guest *guest, struct vhost_user *user)
{
	char initramfs[64];
	struct vas *vas;
	pthread_t thread;
	int console, status;
	void *result;
	pid_t pid;

	snprintf(initramfs, sizeof(initramfs), "/guest/%s.initramfs", guest->name);
	need("/guest/vmlinux", R_OK);
	need(initramfs, R_OK);
	need(QEMU, X_OK);
	need("/dev/kvm", W_OK);
	vas = device_vas(LINUX_GUEST_RAM, LINUX_GUEST_RAM, 0);
	user->vas_fd = vas_fd(vas);
	user->type = guest->device;
	user->sock = listen_here();
	CHECK_EQ(pthread_create(&thread, NULL, serve, user), 0);
	pid = start_qemu(guest, initramfs, user->vas_fd, &console);
	CHECK(follow(guest, console, pid));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	pthread_join(thread, &result);
	CHECK_OK((intptr_t)result);
	vas_unbind(vas);
}
