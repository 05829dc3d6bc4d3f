// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * SEEK_HOLE looks at every page up to the next hole, however far that is, so it is no way to look
 * at a large guest range by range. mincore() looks at the pages that it is given. What it says is
 * there, is there; what it says is not may be swapped out, and then SEEK_DATA knows. Of files that
 * are not the caller's own it says nothing but "there", and SEEK_HOLE must do. hugetlbfs calls
 * everything data, and mincore() tells there of what this process has touched alone: the rest can
 * only be read.
 */
#include "lib/access/resident.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/handle/file.h"

static bool is_ours(int fd)
{
	struct stat st;

	return fd < 0 || (fstat(fd, &st) == 0 && (st.st_uid == geteuid() || geteuid() == 0));
}

void vas_resident_init(struct resident *r, struct vas *vas)
{
	int saved_errno = errno;
	uint32_t i;

	*r = (struct resident){ .is_ours = is_ours(vas->lock_fd) };
	pthread_mutex_lock(&vas->lock);
	for (i = 0; r->is_ours && i < VAS_MAX_BACKINGS; i++)
		r->is_ours = is_ours(vas->backings[i].fd);
	pthread_mutex_unlock(&vas->lock);
	errno = saved_errno;
}

/* The region's file: a duplicate, or what only the handle's end closes. */
static int file_get(struct vas *vas, const struct vas_region *region)
{
	return region->backing || vas_has_ram_apart(vas) ? vas_backing_dup(vas, region->backing) :
							   vas->lock_fd;
}

static void file_put(const struct vas *vas, int fd)
{
	if (fd >= 0 && fd != vas->lock_fd)
		close(fd);
}

uint64_t vas_resident_present(const void *hva, uint64_t len)
{
	unsigned char pages[RESIDENT_MAX / VAS_PAGE_SIZE + 1];
	uint64_t before = (uintptr_t)hva % VAS_PAGE_SIZE, nr, i;
	char *from = (char *)(uintptr_t)hva - before;
	int saved_errno = errno;

	len = len < RESIDENT_MAX ? len : RESIDENT_MAX;
	nr = (before + len + VAS_PAGE_SIZE - 1) / VAS_PAGE_SIZE;
	nr = nr < sizeof(pages) ? nr : sizeof(pages);
	if (mincore(from, nr * VAS_PAGE_SIZE, pages)) {
		errno = saved_errno;
		return 0;
	}
	for (i = 0; i < nr && pages[i] & 1; i++)
		;
	nr = i * VAS_PAGE_SIZE;
	return nr <= before ? 0 : nr - before < len ? nr - before : len;
}

/* The offset, -1 if there is none; `offset` itself if the file cannot tell. */
static off_t seek(int fd, off_t offset, int whence)
{
	int saved_errno = errno;
	off_t at = lseek(fd, offset, whence);

	if (at < 0 && errno != ENXIO)
		at = offset;
	errno = saved_errno;
	return at;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Data, if not all of it then as much as is certain. */
static uint64_t data_at(struct resident *r, int fd, off_t offset, uint64_t page_size, uint64_t left)
{
	off_t next;

	if (r->is_ours)
		return least(left, page_size - (uint64_t)offset % page_size);
	next = seek(fd, offset, SEEK_HOLE);
	return next > offset ? least(left, (uint64_t)(next - offset)) : left;
}

/* What the file says of `left` bytes from offset on. */
static struct range look(struct resident *r, int fd, off_t offset, uint64_t page_size,
			 uint64_t left)
{
	off_t next = seek(fd, offset, SEEK_DATA);

	if (next < 0 || (uint64_t)(next - offset) >= left)
		return (struct range){ .len = left, .is_hole = true };
	if (next > offset)
		return (struct range){ .len = (uint64_t)(next - offset), .is_hole = true };
	return (struct range){ .len = data_at(r, fd, offset, page_size, left) };
}

struct range vas_resident_at(struct resident *r, struct vas *vas,
			     const struct vas_region_map_entry *e, uint64_t gpa, const void *hva,
			     uint64_t range)
{
	const struct view *view = vas_view_of(vas);
	const struct vas_region *region = &view->set->regions[e->region];
	uint64_t left = e->gpa + e->size - gpa, there;
	uint64_t page_size = vas->backings[region->backing].entry.page_size;
	off_t offset = (off_t)(region->offset + (gpa - e->gpa));
	struct range found;
	int fd;

	if (region->flags & VAS_REGION_LOCAL)
		return (struct range){ .len = least(left, range) };
	if (r->generation == view->state.generation && gpa < r->data_end)
		return (struct range){ .len = least(least(left, range), r->data_end - gpa) };
	there = r->is_ours ? vas_resident_present(hva, range) : 0;
	if (there)
		return (struct range){ .len = there };
	if (page_size != VAS_PAGE_SIZE)
		return (struct range){ .len = least(least(left, range),
						    page_size - (uint64_t)offset % page_size),
				       .is_unsure = true };
	fd = file_get(vas, region);
	found = look(r, fd, offset, page_size, left);
	file_put(vas, fd);
	if (found.is_hole)
		return found;
	r->generation = view->state.generation;
	r->data_end = gpa + found.len;
	found.len = least(found.len, range);
	return found;
}

size_t vas_resident_read(struct vas *vas, const struct vas_region_map_entry *e, uint64_t gpa,
			 void *buf, size_t len)
{
	const struct vas_region *region = &vas_view_of(vas)->set->regions[e->region];
	uint64_t offset = region->offset + (gpa - e->gpa);
	int saved_errno = errno, fd = file_get(vas, region);
	size_t done = 0;

	while (done < len) {
		ssize_t nr = pread(fd, (char *)buf + done, len - done, (off_t)(offset + done));

		if (nr < 0 && errno == EINTR)
			continue;
		if (nr <= 0)
			break;
		done += (size_t)nr;
	}
	file_put(vas, fd);
	errno = saved_errno;
	return done;
}

static bool has_fixed_size(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && seals & F_SEAL_SHRINK && seals & F_SEAL_GROW;
}

bool vas_resident_get(struct vas *vas, const struct vas_region_map_entry *e, uint64_t gpa,
		      struct fresh *fresh)
{
	const struct vas_region *region = &vas_view_of(vas)->set->regions[e->region];
	int saved_errno = errno;
	bool found;

	fresh->offset = region->offset + (gpa - e->gpa);
	fresh->fd = file_get(vas, region);
	found = fresh->fd >= 0 && has_fixed_size(fresh->fd);
	if (!found)
		file_put(vas, fresh->fd);
	errno = saved_errno;
	return found;
}

void vas_resident_put(const struct vas *vas, const struct fresh *fresh)
{
	file_put(vas, fresh->fd);
}
