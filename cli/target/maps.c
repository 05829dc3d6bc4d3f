// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/target/maps.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>

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
int maps_each(int pid, uint64_t deadline_ns, int (*take)(void *arg, const struct file_map *map),
	      void *arg)
{
	char path[32], line[512];
	struct file_map map;
	int nr = 0, is_start = 1, err = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	file = fopen(path, "re");
	if (!file)
		return errno == EACCES || errno == EPERM ? -EACCES : 0;
	while (!err && fgets(line, sizeof(line), file)) {
		if (is_start && !parse_line(line, &map))
			err = take(arg, &map);
		is_start = strchr(line, '\n') != NULL;
		if (!err && ++nr % LINES == 0 && now_ns() > deadline_ns)
			err = -ETIMEDOUT;
	}
	if (!err && ferror(file) && errno == EACCES)
		err = -EACCES;
	fclose(file);
	return err;
}
