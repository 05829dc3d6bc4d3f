// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Pages into the file: whole, where nobody has looked; and to those who wait for them. */
#include "lib/lazy/lazy.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/base/pwrite.h"

int vas_lazy_check_host(void)
{
	const char *path = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
	FILE *file = fopen(path, "re");
	char text[128] = "";

	if (!file)
		return 0;
	if (!fgets(text, sizeof(text), file))
		text[0] = '\0';
	fclose(file);
	/* A huge page would bring its other pages as zeros. */
	if (strstr(text, "[always]") || strstr(text, "[within_size]") || strstr(text, "[force]"))
		return vas_error_set(-EOPNOTSUPP,
				     "memory cannot be filled page by page while %s says so: %s",
				     path, text);
	return 0;
}

static int write_pages(const struct lazy *a, uint64_t offset, const char *pages, uint64_t size)
{
	return pwrite_all(a->vas->backings[0].fd, pages, size, offset, NULL);
}

/* Whole pages, which are in nobody's sight before they are complete. */
int vas_lazy_place(struct lazy *a, uint64_t offset, char *pages, uint64_t size)
{
	int err;

	if (a->uffd < 0)
		return write_pages(a, offset, pages, size);
	while (size) {
		struct uffdio_copy copy = { .dst = (uintptr_t)a->dest + offset,
					    .src = (uintptr_t)pages,
					    .len = size };
		uint64_t done = VAS_PAGE_SIZE;

		if (!ioctl(a->uffd, UFFDIO_COPY, &copy) || copy.copy > 0) {
			done = (uint64_t)copy.copy;
		} else if (errno == EEXIST) {
			/* Somebody has touched the bare file, who must not: ours is right. */
			err = write_pages(a, offset, pages, VAS_PAGE_SIZE);
			if (err)
				return err;
		} else if (errno != EAGAIN) {
			return -errno;
		} else {
			done = 0;
		}
		pages += done;
		offset += done;
		size -= done;
	}
	return 0;
}

/* A page that is SIGBUS to whoever touches it: beyond the end of a file that has none. */
static void poison(struct lazy *a, char *hva, uint64_t size)
{
	if (a->nothing_fd < 0)
		a->nothing_fd = memfd_create("vas-nothing", MFD_CLOEXEC);
	if (a->nothing_fd < 0 || mmap(hva, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
				      a->nothing_fd, 0) == MAP_FAILED)
		mmap(hva, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

void vas_lazy_wake(struct lazy *a, uint64_t offset, uint64_t size, bool failed)
{
	const struct lazy_map *map;

	for (map = a->maps; map; map = map->next) {
		uint64_t from = offset > map->offset ? offset : map->offset, end = offset + size;
		struct uffdio_range range;

		if (end > map->offset + map->size)
			end = map->offset + map->size;
		if (from >= end)
			continue;
		range.start = (uintptr_t)map->hva + (from - map->offset);
		range.len = end - from;
		if (failed)
			poison(a, (char *)(uintptr_t)range.start, range.len);
		ioctl(a->uffd, UFFDIO_WAKE, &range);
	}
}
