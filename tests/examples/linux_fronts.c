// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A stock Linux guest of tinyvmm's works on what other programs serve by vhost-user, and checks what
 * it reads (tests/vm/guest/disk_init.c): a disk of qemu-storage-daemon's, and a file in a folder of
 * virtiofsd's. The first is killed under load, and goes on as another process.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "guest_disk.h"

#define QSD	  "/usr/bin/qemu-storage-daemon"
#define VIRTIOFSD "/usr/lib/qemu/virtiofsd"
#define SOCK	  "/tmp/device"
#define FOLDER	  "/tmp/folder"
#define CHECKED	  300

static struct program vmm, device;

static void start_vmm(const char *spec, const char *append)
{
	char line[1024];
	const char *argv[] = { path_of("TEST_TINYVMM"),
			       "--mem",
			       "160",
			       "--append",
			       line,
			       "--initrd",
			       path_of("TEST_INITRD"),
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
	start_vmm("vhost-user-blk,path=" SOCK, "");
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
	start_vmm("vhost-user-fs,name=shared,path=" SOCK, "vas_share=shared");
	await_checked(&vmm, CHECKED);
	end_all();
}
