// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A stock Linux guest of tinyvmm's works on what other programs serve by vhost-user, and checks what
 * it reads (tests/vm/guest/disk_init.c): a disk of qemu-storage-daemon's, and a file in a folder of
 * virtiofsd's. The first is killed under load, and goes on as another process. Another guest speaks
 * with the host through passt (ethernet_init.c).
 */
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "guest_disk.h"
#include "guest_network.h"

#define QSD	  "/usr/bin/qemu-storage-daemon"
#define VIRTIOFSD "/usr/lib/qemu/virtiofsd"
#define SOCK	  "/tmp/device"
#define FOLDER	  "/tmp/folder"
#define JAIL	  "/tmp/jail"
#define CHECKED	  300

static struct program vmm, device;

static void start_vmm(const char *spec, const char *initrd, const char *append)
{
	char line[1024];
	const char *argv[] = { path_of("TEST_TINYVMM"),
			       "--mem",
			       "160",
			       "--append",
			       line,
			       "--initrd",
			       path_of(initrd),
			       "--device",
			       spec,
			       path_of("TEST_VMLINUX"),
			       NULL };

	snprintf(line, sizeof(line), "%s %s", path_of("TEST_APPEND"), append);
	program_start(&vmm, argv);
}

static void end_all(void)
{
	kill(vmm.pid, SIGTERM);
	CHECK_EQ(program_finish(&vmm), -SIGTERM);
	kill(device.pid, SIGKILL);
	program_finish(&device);
	unlink(SOCK);
}

static void start_disk(void)
{
	const char *argv[] = { QSD,
			       "--blockdev",
			       "driver=file,node-name=disk,filename=" DISK,
			       "--export",
			       "type=vhost-user-blk,id=export,node-name=disk,writable=on,"
			       "addr.type=unix,addr.path=" SOCK,
			       NULL };

	unlink(SOCK);
	program_start(&device, argv);
	test_wait(is_there, SOCK, TEST_HANG_MS);
}

TEST(a_guest_works_on_a_disk_of_qemu_storage_daemons)
{
	if (access(QSD, X_OK))
		test_skip("there is no qemu-storage-daemon");
	make_disk();
	start_disk();
	start_vmm("vhost-user-blk,path=" SOCK, "TEST_INITRD", "");
	await_checked(&vmm, CHECKED);
	for (int i = 0; i < 3; i++) {
		kill(device.pid, SIGKILL);
		CHECK_EQ(program_finish(&device), -SIGKILL);
		start_disk();
		await_checked(&vmm, nr_checked(&vmm) + CHECKED / 3);
	}
	end_all();
}

TEST(a_guest_works_in_a_folder_of_virtiofsds)
{
	const char *argv[] = { VIRTIOFSD, "--socket-path=" SOCK, "-o", "source=" FOLDER,
			       "-o",	  "sandbox=chroot",	 "-o", "cache=none",
			       NULL };

	if (access(VIRTIOFSD, X_OK))
		test_skip("there is no virtiofsd");
	make_disk();
	CHECK_OK(mkdir(FOLDER, 0700));
	CHECK_OK(rename(DISK, FOLDER "/disk"));
	program_start(&device, argv);
	test_wait(is_there, SOCK, TEST_HANG_MS);
	start_vmm("vhost-user-fs,name=shared,path=" SOCK, "TEST_INITRD", "vas_share=shared");
	await_checked(&vmm, CHECKED);
	end_all();
}

/* ---- a network ----------------------------------------------------------------------------- */

static void copy(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out;
	struct stat st;

	if (in < 0)
		test_skip("there is no passt that speaks vhost-user");
	CHECK_OK(fstat(in, &st));
	out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	CHECK_EQ(sendfile(out, in, NULL, (size_t)st.st_size), st.st_size);
	close(in);
	close(out);
}

static void make_folder(const char *path, mode_t mode)
{
	CHECK_OK(mkdir(path, 0755));
	CHECK_OK(chmod(path, mode));
}

/* A file system with what it needs. */
static void make_jail(void)
{
	make_folder(JAIL, 0755);
	CHECK_OK(mount("jail", JAIL, "tmpfs", 0, NULL));
	make_folder(JAIL "/lib64", 0755);
	make_folder(JAIL "/lib", 0755);
	make_folder(JAIL "/proc", 0755);
	make_folder(JAIL "/tmp", 01777);
	CHECK_OK(mount("proc", JAIL "/proc", "proc", 0, NULL));
	copy("/passt/passt", JAIL "/passt");
	copy("/passt/libc.so.6", JAIL "/lib/libc.so.6");
	copy("/passt/ld-linux-x86-64.so.2", JAIL "/lib64/ld-linux-x86-64.so.2");
}

/* passt asks for echoes as a user without privileges does. */
static void allow_pings(void)
{
	int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC);

	CHECK_OK(fd);
	CHECK_EQ(write(fd, "0 2147483647", 12), 12);
	close(fd);
}

/*
 * It makes a user namespace and changes its root to nothing, which no process can that is in a
 * chroot, or whose root is the initial RAM disk. So the jail becomes the root of a mount namespace.
 */
static void exec_passt(void)
{
	const char *argv[] = { "/passt",
			       "--foreground",
			       "--vhost-user",
			       "--socket-path=/tmp/passt",
			       "--ipv4-only",
			       "--address=10.0.2.15",
			       "--netmask=24",
			       "--gateway=10.0.2.2",
			       "--runas=65534:65534",
			       NULL };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!unshare(CLONE_NEWNS) && !chdir(JAIL) && !mount(".", "/", NULL, MS_MOVE, NULL) &&
	    !chroot(".") && !chdir("/"))
		execv(argv[0], (char **)argv);
	perror(argv[0]);
	_exit(127);
}

/* A client that goes at once is none to it. */
static int listens(void *arg)
{
	const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = JAIL "/tmp/passt" };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	CHECK_EQ(waitpid(*(pid_t *)arg, NULL, WNOHANG), 0);
	err = connect(sock, (const struct sockaddr *)&address, sizeof(address));
	close(sock);
	return !err;
}

TEST(a_guest_speaks_with_the_host_through_passt)
{
	static int sock;
	pid_t pid;

	make_jail();
	make_tap();
	allow_pings();
	serve(&tcp_echo, sizeof(tcp_echo), &sock);
	pid = fork();
	CHECK_OK(pid);
	if (!pid)
		exec_passt();
	test_wait(listens, &pid, TEST_HANG_MS);
	start_vmm("vhost-user-net,path=" JAIL "/tmp/passt", "TEST_ETHERNET", "");
	CHECK_EQ(program_finish(&vmm), 0);
	CHECK(!strstr(vmm.text, "BROKEN"));
	CHECK_HAS(vmm.text, "ethernet: 5 pings answered");
	CHECK_HAS(vmm.text, "ethernet: 512 KiB came back");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
