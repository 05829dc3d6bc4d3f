// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A stock Linux in an unmodified QEMU with KVM, its RAM a vas, its disk served by vas_blk.ko: the guest
 * uses the driver that it comes with, and each sector is looked at on both sides. QEMU does the
 * device's registers, as it does for any vhost-user device.
 *
 * In the machine: the guest's kernel is /guest/vmlinux, its initramfs /guest/initramfs.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blk_linux.h"
#include "device.h"
#include "vhost_user.h"

#define RAM    (256ull << 20)
#define SOCKET "/tmp/blk.sock"
#define QEMU   "/guest/qemu-system-x86_64"

static int has_all(void)
{
	return !access("/guest/vmlinux", R_OK) && !access("/guest/initramfs", R_OK) &&
	       !access(QEMU, X_OK) && !access("/dev/kvm", W_OK);
}

static int make_disk(void)
{
	static uint64_t buf[BLK_LINUX_PIECE / 8];
	int file = memfd_create("disk", MFD_CLOEXEC);

	CHECK_OK(ftruncate(file, BLK_LINUX_DISK));
	for (uint64_t at = 0; at < BLK_LINUX_DISK / 2; at += BLK_LINUX_PIECE) {
		blk_linux_fill(buf, at, 1);
		CHECK_EQ(pwrite(file, buf, BLK_LINUX_PIECE, (off_t)at), BLK_LINUX_PIECE);
	}
	return file;
}

static void check_disk(int file)
{
	static uint64_t buf[BLK_LINUX_PIECE / 8];

	for (uint64_t at = 0; at < BLK_LINUX_DISK; at += BLK_LINUX_PIECE) {
		uint64_t seed = at < BLK_LINUX_DISK / 2 ? 1 : 2;

		test_note("disk at %#llx", (unsigned long long)at);
		CHECK_EQ(pread(file, buf, BLK_LINUX_PIECE, (off_t)at), BLK_LINUX_PIECE);
		CHECK_OK(blk_linux_check(buf, at, seed));
	}
}

static int listen_here(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = SOCKET };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	unlink(SOCKET);
	CHECK_OK(bind(sock, (struct sockaddr *)&address, sizeof(address)));
	CHECK_OK(listen(sock, 1));
	return sock;
}

static void exec_qemu(int ram)
{
	char memory[128];

	snprintf(memory, sizeof(memory),
		 "memory-backend-file,id=ram,mem-path=/proc/self/fd/%d,share=on,size=%llu", ram,
		 RAM);
	execl(QEMU, QEMU, "-L", "/guest", "-machine",
	      "microvm,accel=kvm,acpi=on,pit=off,pic=off,isa-serial=on,pcie=on,memory-backend=ram",
	      "-cpu", "host", "-smp", "2", "-m", "256M", "-object", memory, "-nodefaults",
	      "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", "/guest/vmlinux",
	      "-initrd", "/guest/initramfs", "-append",
	      getenv("TEST_CMDLINE") ?: "console=ttyS0 panic=-1", "-chardev",
	      "socket,id=blk,path=" SOCKET, "-device",
	      "vhost-user-blk-pci,chardev=blk,num-queues=2", NULL);
	perror("exec " QEMU);
	_exit(1);
}

/* Its console is *out. The copy of the fd is not closed by exec. */
static pid_t start_qemu(struct vas *vas, int *out)
{
	int pair[2];
	pid_t pid;

	CHECK_OK(pipe2(pair, O_CLOEXEC));
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(pair[1], STDOUT_FILENO);
		dup2(pair[1], STDERR_FILENO);
		exec_qemu(dup(vas_fd(vas)));
	}
	close(pair[1]);
	*out = pair[0];
	return pid;
}

/*
 * What the guest says goes on to the log; true once it is content. QEMU is asked to end then, as it is if
 * the guest ends: to power off is another matter, in which a nested guest with two processors may hang.
 */
static int follow(int console, pid_t qemu)
{
	FILE *lines = fdopen(console, "r");
	char line[512];
	int is_content = 0;

	while (fgets(line, sizeof(line), lines)) {
		printf("# %s", line);
		test_note("the guest's last line: %s", line);
		if (!strstr(line, BLK_LINUX_VERDICT))
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
	return (void *)(intptr_t)vhost_user_serve(user);
}

TEST(a_stock_linux_uses_a_disk_that_the_kernel_serves)
{
	struct vhost_user user = { .capacity = BLK_LINUX_DISK };
	struct vas *vas;
	pthread_t thread;
	int console, status;
	void *result;
	pid_t pid;

	if (!has_all())
		test_skip("no QEMU, no guest or no KVM in this machine");
	vas = device_vas(RAM, RAM, 0);
	user.vas_fd = vas_fd(vas);
	user.file = make_disk();
	user.sock = listen_here();
	CHECK_EQ(pthread_create(&thread, NULL, serve, &user), 0);
	pid = start_qemu(vas, &console);
	CHECK(follow(console, pid));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	pthread_join(thread, &result);
	CHECK_OK((intptr_t)result);
	check_disk(user.file);
	printf("# %llu and %llu requests\n", (unsigned long long)user.queues[0].nr_requests,
	       (unsigned long long)user.queues[1].nr_requests);
	/* 512 pieces read, 512 written, 512 read again, and the guest's own looks at the disk. */
	CHECK(user.queues[0].nr_requests + user.queues[1].nr_requests > 1536);
}
