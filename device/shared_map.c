// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/shared_map.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/range.h"

/* What a map's offset and size are multiples of. 0: the file makes no sense. */
static uint64_t page_size(int fd)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return 0;
	if (fs.f_type == HUGETLBFS_MAGIC)
		page = (uint64_t)fs.f_bsize;
	return vas_is_power_of_two(page) ? page : 0;
}

/*
 * A file system in user space answers when it likes, and its pages come when it likes; so only
 * what has an answer to F_GET_SEALS, memfds and files in tmpfs and hugetlbfs, is asked for more.
 */
static int check_file(int fd, uint64_t offset, uint64_t size)
{
	struct stat file;

	if (fcntl(fd, F_GET_SEALS) < 0)
		return -EMEDIUMTYPE;
	if (fstat(fd, &file))
		return -errno;
	if (!S_ISREG(file.st_mode) || !size || file.st_size < 0 ||
	    !vas_range_fits(offset, size, (uint64_t)file.st_size))
		return -EINVAL;
	return 0;
}

int shared_map_open(struct shared_map *map, int fd, uint64_t offset, uint64_t size)
{
	int err = check_file(fd, offset, size);
	uint64_t page, skip;
	size_t map_size;

	*map = (struct shared_map){ 0 };
	if (err)
		return err;
	page = page_size(fd);
	if (!page)
		return -EINVAL;
	skip = offset & (page - 1);
	map_size = vas_align_up(skip + size, page);
	map->map = mmap(NULL, map_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
			(off_t)(offset - skip));
	if (map->map == MAP_FAILED)
		return -errno;
	err = guard_begin(&map->guard, map->map, map_size);
	if (err) {
		munmap(map->map, map_size);
		return err;
	}
	map->bytes = (uint8_t *)map->map + skip;
	map->size = size;
	return 0;
}

void shared_map_close(struct shared_map *map)
{
	size_t size = map->guard.size;

	if (!map->bytes)
		return;
	guard_end(&map->guard);
	munmap(map->map, size);
	map->bytes = NULL;
	map->size = 0;
}
