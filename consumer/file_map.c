// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "consumer/file_map.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <vas/lazy.h>
#include <vas/consumer.h>

#define HUGE_PAGE (2ull << 20)

/* One backing. `base` is NULL if nobody uses it, or if its mapping could not be had. */
struct file {
	char *base;
	uint64_t size;
	uint32_t users;
};

struct vas_file_maps {
	struct vas *vas;
	uint32_t users; /* maps_lock, like next */
	struct vas_file_maps *next;
	pthread_mutex_t lock; /* files */
	uint64_t ram_size;
	struct file files[VAS_MAX_BACKINGS];
};

static pthread_mutex_t maps_lock = PTHREAD_MUTEX_INITIALIZER;
static struct vas_file_maps *all_maps;

/* ---- of a vas ------------------------------------------------------------------------------ */

static struct vas_file_maps *maps_new(struct vas *vas)
{
	struct vas_file_maps *maps = calloc(1, sizeof(*maps));
	struct vas_info info;

	if (!maps || vas_info(vas, &info)) {
		free(maps);
		return NULL;
	}
	maps->vas = vas;
	maps->ram_size = info.ram_size;
	pthread_mutex_init(&maps->lock, NULL);
	maps->next = all_maps;
	all_maps = maps;
	return maps;
}

int vas_file_maps_get(struct vas *vas, struct vas_file_maps **out)
{
	struct vas_file_maps *maps;

	pthread_mutex_lock(&maps_lock);
	for (maps = all_maps; maps && maps->vas != vas; maps = maps->next)
		;
	if (!maps)
		maps = maps_new(vas);
	if (maps)
		maps->users++;
	pthread_mutex_unlock(&maps_lock);
	*out = maps;
	return maps ? 0 : vas_error_set(-ENOMEM, "no memory to map the vas's files");
}

void vas_file_maps_put(struct vas_file_maps *maps)
{
	struct vas_file_maps **link = &all_maps;

	pthread_mutex_lock(&maps_lock);
	if (!--maps->users) {
		while (*link != maps)
			link = &(*link)->next;
		*link = maps->next;
		pthread_mutex_destroy(&maps->lock);
		free(maps);
	}
	pthread_mutex_unlock(&maps_lock);
}

/* ---- mapping ------------------------------------------------------------------------------- */

/* hva and file offset are to be congruent modulo this: a large page of the file, or of the CPU. */
static uint64_t alignment_of(int fd)
{
	struct stat st;

	/* hugetlbfs tells its page size here. */
	if (fstat(fd, &st) || (uint64_t)st.st_blksize < HUGE_PAGE)
		return HUGE_PAGE;
	return st.st_blksize;
}

static int map_aligned(int fd, int prot, uint64_t offset, uint64_t size, char **hva)
{
	uint64_t align = alignment_of(fd), reserved;
	char *start, *at;

	/* A mapping of huge pages has whole ones. */
	if (__builtin_add_overflow(size, 2 * align, &reserved))
		return -ENOMEM;
	start = mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (start == MAP_FAILED)
		return -errno;
	at = start + ((offset - (uintptr_t)start) & (align - 1));
	if (mmap(at, size, prot, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, offset) ==
	    MAP_FAILED) {
		int err = -errno;

		munmap(start, reserved);
		return err;
	}
	if (at > start)
		munmap(start, at - start);
	munmap(at + size, reserved - size - (at - start));
	/* A child has no use for it, and guest memory no place in a core dump. */
	madvise(at, size, MADV_DONTFORK);
	madvise(at, size, MADV_DONTDUMP);
	*hva = at;
	return 0;
}

/* The same, and lazy pages of the vas's own file are filled when they are touched. */
static int map_and_watch(struct vas_file_maps *maps, uint32_t backing, int prot, uint64_t offset,
			 uint64_t size, char **hva)
{
	int fd = vas_backing_fd(maps->vas, backing);
	int err = map_aligned(fd, prot, offset, size, hva);

	if (err)
		return vas_error_set(err, "cannot map %#llx bytes: %s", (unsigned long long)size,
				     strerror(-err));
	if (!backing)
		err = vas_lazy_register(maps->vas, *hva, size, offset);
	if (err)
		munmap(*hva, size);
	return err;
}

static void unmap(struct vas_file_maps *maps, char *hva, uint64_t size)
{
	vas_lazy_unregister(maps->vas, hva);
	munmap(hva, size);
}

/* ---- regions ------------------------------------------------------------------------------- */

/* The first user has the whole file mapped, if that can be had. */
static void file_get(struct vas_file_maps *maps, uint32_t backing, int fd)
{
	struct file *file = &maps->files[backing];
	struct stat st;

	if (file->users++)
		return;
	file->size = backing ? 0 : maps->ram_size;
	if (backing && !fstat(fd, &st))
		file->size = st.st_size;
	if (!file->size ||
	    map_and_watch(maps, backing, PROT_READ | PROT_WRITE, 0, file->size, &file->base))
		file->base = NULL;
}

static void file_put(struct vas_file_maps *maps, uint32_t backing)
{
	struct file *file = &maps->files[backing];

	if (--file->users || !file->base)
		return;
	unmap(maps, file->base, file->size);
	file->base = NULL;
}

static int map_region(struct vas_file_maps *maps, const struct vas_region *region, uint32_t flags,
		      struct vas_file_map *map)
{
	const struct file *file = &maps->files[region->backing];
	int prot = flags & FILE_MAP_READONLY ? PROT_READ : PROT_READ | PROT_WRITE;

	if (prot & PROT_WRITE && file->base && region->offset + region->size <= file->size) {
		map->kind = FILE_MAP_WHOLE;
		map->hva = file->base + region->offset;
		return 0;
	}
	map->kind = FILE_MAP_ALONE;
	return map_and_watch(maps, region->backing, prot, region->offset, region->size, &map->hva);
}

int vas_file_map_get(struct vas_file_maps *maps, const struct vas_region *region, uint32_t flags,
		     struct vas_file_map *map)
{
	int fd, err;

	*map = (struct vas_file_map){ .hva = region->hva, .size = region->size };
	if (region->flags & VAS_REGION_LOCAL)
		return 0;
	map->backing = region->backing;
	fd = vas_backing_fd(maps->vas, map->backing);
	if (fd < 0)
		return fd;
	pthread_mutex_lock(&maps->lock);
	file_get(maps, map->backing, fd);
	err = map_region(maps, region, flags, map);
	if (err)
		file_put(maps, map->backing);
	pthread_mutex_unlock(&maps->lock);
	return err;
}

void vas_file_map_put(struct vas_file_maps *maps, const struct vas_file_map *map)
{
	if (map->kind == FILE_MAP_NONE)
		return;
	pthread_mutex_lock(&maps->lock);
	if (map->kind == FILE_MAP_ALONE)
		unmap(maps, map->hva, map->size);
	file_put(maps, map->backing);
	pthread_mutex_unlock(&maps->lock);
}
