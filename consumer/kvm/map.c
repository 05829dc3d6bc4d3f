// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * KVM's own mapping of the files behind the regions. One of each whole file, where the address
 * space has room for it: then adding or removing a region costs no mmap, and 32,000 regions are one
 * VMA. Else one a region.
 */
#include "consumer/kvm/machine.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <vas/lazy.h>

#define HUGE_PAGE (2ull << 20)

/* hva and file offset are to be congruent modulo this: a large page of the file, or of the CPU. */
static uint64_t alignment_of(int fd)
{
	struct stat st;

	/* hugetlbfs tells its page size here. */
	if (fstat(fd, &st) || (uint64_t)st.st_blksize < HUGE_PAGE)
		return HUGE_PAGE;
	return st.st_blksize;
}

static int file_map(int fd, uint64_t offset, uint64_t size, char **hva)
{
	uint64_t align = alignment_of(fd), reserved;
	char *start, *at;

	/* KVM takes hvas page by page, but a mapping of huge pages has whole ones. */
	if (__builtin_add_overflow(size, 2 * align, &reserved))
		return -ENOMEM;
	start = mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (start == MAP_FAILED)
		return -errno;
	at = start + ((offset - (uintptr_t)start) & (align - 1));
	if (mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd,
		 offset) == MAP_FAILED) {
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

/* The mapping of the whole file, made by whoever needs it first. */
static void file_get(struct vas_kvm *kvm, struct kvm_file *file, uint32_t backing, int fd)
{
	struct stat st;

	if (file->users || file->too_large)
		return;
	if (backing && !fstat(fd, &st))
		file->size = st.st_size;
	if (!file->size || file_map(fd, 0, file->size, &file->base)) {
		file->too_large = 1;
	} else if (!backing && vas_lazy_register(kvm->vas, file->base, file->size, 0)) {
		munmap(file->base, file->size);
		file->too_large = 1;
	}
}

static int backing_fd(struct vas_kvm *kvm, uint32_t backing)
{
	return backing ? vas_backing_fd(kvm->vas, backing) : vas_fd(kvm->vas);
}

int vas_kvm_map_get(struct vas_kvm *kvm, const struct vas_region *region, struct kvm_map *map)
{
	struct kvm_file *file = &kvm->files[region->backing];
	int fd, err;

	*map = (struct kvm_map){ .hva = region->hva, .kind = KVM_MAP_LOCAL };
	if (region->flags & VAS_REGION_LOCAL)
		return 0;
	fd = backing_fd(kvm, region->backing);
	if (fd < 0)
		return vas_error_set(-ENXIO, "the fd of backing %u is not at hand",
				     region->backing);
	file_get(kvm, file, region->backing, fd);
	map->backing = region->backing;
	if (!file->too_large && region->offset + region->size <= file->size) {
		map->kind = KVM_MAP_FILE;
		map->hva = file->base + region->offset;
		file->users++;
		return 0;
	}
	map->kind = KVM_MAP_ALONE;
	err = file_map(fd, region->offset, region->size, &map->hva);
	if (err)
		return vas_error_set(err, "cannot map %#llx bytes for KVM: %s",
				     (unsigned long long)region->size, strerror(-err));
	if (!region->backing)
		err = vas_lazy_register(kvm->vas, map->hva, region->size, region->offset);
	if (err)
		munmap(map->hva, region->size);
	return err;
}

void vas_kvm_map_put(struct vas_kvm *kvm, const struct kvm_map *map, uint64_t size)
{
	struct kvm_file *file = &kvm->files[map->backing];

	if (map->kind == KVM_MAP_ALONE) {
		vas_lazy_unregister(kvm->vas, map->hva);
		munmap(map->hva, size);
	} else if (map->kind == KVM_MAP_FILE && !--file->users) {
		vas_lazy_unregister(kvm->vas, file->base);
		munmap(file->base, file->size);
	}
}
