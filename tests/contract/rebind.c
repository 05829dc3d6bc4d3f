// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <sys/mman.h>
#include <sys/stat.h>

#include "rebind.h"

/* A map of hugetlb starts and ends at whole pages: map the last unit, point at its end. */
struct vas_superblock *superblock_map(struct subject *s)
{
	struct stat st;
	char *p;

	CHECK_OK(fstat(vas_fd(s->owner), &st));
	p = mmap(NULL, s->unit, PROT_READ | PROT_WRITE, MAP_SHARED, vas_fd(s->owner),
		 st.st_size - (off_t)s->unit);
	CHECK(p != MAP_FAILED);
	return (struct vas_superblock *)(p + s->unit - sizeof(struct vas_superblock));
}

void superblock_unmap(struct subject *s, struct vas_superblock *sb)
{
	munmap((char *)(sb + 1) - s->unit, s->unit);
}
