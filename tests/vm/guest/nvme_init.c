// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * PID 1 of a guest that has an NVMe disk, /dev/nvme0n1: it makes a partition and a file system on
 * it, writes files, and verifies them after it has forgotten them.
 *
 *	nvme: interrupts by MSI		or by a line: what /proc/interrupts says
 *	nvme: verified 8 MiB		the end
 *	nvme: BROKEN ...		an error, or other bytes than were written
 */
#include <linux/fs.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <time.h>

#include "console.h"

#define DISK	  "/dev/nvme0n1"
#define PARTITION DISK "p1"
#define FIRST	  2048u /* sector of the partition */
#define FILES	  32u
#define WORDS	  (256u * 1024 / 8)

static uint64_t words[WORDS];

static void broken(const char *what)
{
	printf("nvme: BROKEN: %s: %s\n", what, strerror(errno));
	reboot(RB_AUTOBOOT);
}

static void await(const char *path)
{
	const struct timespec period = { .tv_nsec = 50 * 1000 * 1000 };

	while (access(path, F_OK))
		nanosleep(&period, NULL);
}

static void make_partition(void)
{
	uint8_t sector[512] = { [446 + 4] = 0x83, [510] = 0x55, [511] = 0xaa };
	int fd = open(DISK, O_RDWR | O_SYNC);
	uint64_t size = 0;
	uint32_t first = FIRST, nr;

	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size))
		broken(DISK);
	nr = (uint32_t)(size / 512) - FIRST;
	memcpy(&sector[446 + 8], &first, sizeof(first));
	memcpy(&sector[446 + 12], &nr, sizeof(nr));
	if (pwrite(fd, sector, sizeof(sector), 0) != sizeof(sector) || ioctl(fd, BLKRRPART))
		broken("the partition table");
	close(fd);
}

static void make_file_system(void)
{
	char *argv[] = { "/sbin/mkfs.ext4", "-q", "-F", PARTITION, NULL };
	pid_t pid = fork();
	int status;

	if (!pid) {
		execv(argv[0], argv);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		broken("mkfs.ext4");
}

static void mount_disk(void)
{
	if (mount(PARTITION, "/mnt", "ext4", 0, NULL))
		broken("mount");
}

static int open_file(uint32_t index, int flags)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/mnt/file-%u", index);
	fd = open(path, flags, 0600);
	if (fd < 0)
		broken(path);
	return fd;
}

static void write_file(uint32_t index)
{
	int fd = open_file(index, O_WRONLY | O_CREAT);

	for (uint32_t i = 0; i < WORDS; i++)
		words[i] = (uint64_t)index << 32 ^ i * 2654435761u;
	if (write(fd, words, sizeof(words)) != sizeof(words) || fsync(fd))
		broken("write");
	close(fd);
}

static void verify_file(uint32_t index)
{
	int fd = open_file(index, O_RDONLY);

	memset(words, 0, sizeof(words));
	if (read(fd, words, sizeof(words)) != sizeof(words))
		broken("read");
	for (uint32_t i = 0; i < WORDS; i++)
		if (words[i] != ((uint64_t)index << 32 ^ i * 2654435761u))
			broken("contents");
	close(fd);
}

static void tell_of_interrupts(void)
{
	FILE *file = fopen("/proc/interrupts", "r");
	char line[512];

	while (file && fgets(line, sizeof(line), file))
		if (strstr(line, "nvme")) {
			printf("nvme: interrupts by %s\n", strstr(line, "MSI") ? "MSI" : "a line");
			break;
		}
	if (file)
		fclose(file);
}

int main(void)
{
	take_console();
	mkdir("/mnt", 0700);
	load_listed_modules("nvme");
	await(DISK);
	make_partition();
	await(PARTITION);
	make_file_system();
	mount_disk();
	for (uint32_t i = 0; i < FILES; i++)
		write_file(i);
	if (umount("/mnt"))
		broken("umount");
	mount_disk();
	for (uint32_t i = 0; i < FILES; i++)
		verify_file(i);
	tell_of_interrupts();
	printf("nvme: verified %zu MiB\n", FILES * sizeof(words) >> 20);
	umount("/mnt");
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}
