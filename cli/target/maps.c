// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/target/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS	     5000000000ull /* at all processes */
#define LINES	     1024	   /* between two looks at the clock */
#define NSEC_PER_SEC 1000000000ull

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

uint64_t maps_deadline(void)
{
	return now_ns() + LOOK_NS;
}

/* ---- by questions ------------------------------------------------------------------------- */

/* Linux 6.11's, as in its <linux/fs.h>. */
struct procmap_query {
	uint64_t size;
	uint64_t flags;
	uint64_t addr;
	uint64_t vma_start;
	uint64_t vma_end;
	uint64_t vma_flags;
	uint64_t vma_page_size;
	uint64_t vma_offset;
	uint64_t inode;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint32_t vma_name_size;
	uint32_t build_id_size;
	uint64_t vma_name_addr;
	uint64_t build_id_addr;
};

#define QUERY	     _IOWR('f', 17, struct procmap_query)
#define VMA_WRITABLE 0x02u
#define VMA_SHARED   0x08u
#define THIS_OR_NEXT 0x10u
#define OF_A_FILE    0x20u

/* -ENOTTY, before the first map: this kernel cannot be asked. */
static int ask_each(int fd, uint64_t deadline_ns,
		    int (*take)(void *arg, const struct file_map *map), void *arg)
{
	struct procmap_query query = { .size = sizeof(query),
				       .flags = THIS_OR_NEXT | OF_A_FILE | VMA_SHARED };
	int nr = 0, err = 0;

	while (!err && !ioctl(fd, QUERY, &query)) {
		const struct file_map map = {
			.dev = makedev(query.dev_major, query.dev_minor),
			.ino = (ino_t)query.inode,
			.offset = query.vma_offset,
			.size = query.vma_end - query.vma_start,
			.is_writable = (query.vma_flags & VMA_WRITABLE) != 0,
		};

		err = take(arg, &map);
		query.addr = query.vma_end;
		if (!err && ++nr % LINES == 0 && now_ns() > deadline_ns)
			err = -ETIMEDOUT;
	}
	if (err)
		return err;
	/* That was the last one; or ESRCH. */
	return errno == ENOENT ? 0 : -errno;
}

/* ---- by text ------------------------------------------------------------------------------ */

/* "7f00-7f80 rw-s 00001000 00:01 4711   /memfd:..." */
static int parse_line(const char *line, struct file_map *map)
{
	unsigned long long start, end, offset, ino;
	unsigned int major, minor;
	char mode[5];

	if (sscanf(line, "%llx-%llx %4s %llx %x:%x %llu", &start, &end, mode, &offset, &major,
		   &minor, &ino) != 7 ||
	    !ino || mode[3] != 's')
		return -EINVAL;
	*map = (struct file_map){ .dev = makedev(major, minor),
				  .ino = (ino_t)ino,
				  .offset = offset,
				  .size = end - start,
				  .is_writable = mode[1] == 'w' };
	return 0;
}

/* A line that is too long for the buffer comes in pieces, of which only the first is understood. */
static int read_each(FILE *file, uint64_t deadline_ns,
		     int (*take)(void *arg, const struct file_map *map), void *arg)
{
	int nr = 0, has_line = 0, is_start = 1, err = 0;
	struct file_map map;
	char line[512];

	while (!err && fgets(line, sizeof(line), file)) {
		has_line = 1;
		if (is_start && !parse_line(line, &map))
			err = take(arg, &map);
		is_start = strchr(line, '\n') != NULL;
		if (!err && ++nr % LINES == 0 && now_ns() > deadline_ns)
			err = -ETIMEDOUT;
	}
	if (!err && ferror(file) && errno == EACCES)
		return -EACCES;
	return err || has_line ? err : -ESRCH;
}

int maps_each(int pid, uint64_t deadline_ns, int (*take)(void *arg, const struct file_map *map),
	      void *arg)
{
	char path[32];
	int fd, err;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES || errno == EPERM ? -EACCES : -ESRCH;
	err = ask_each(fd, deadline_ns, take, arg);
	file = err == -ENOTTY ? fdopen(fd, "r") : NULL;
	if (file)
		err = read_each(file, deadline_ns, take, arg);
	if (file)
		fclose(file);
	else
		close(fd);
	return err;
}
