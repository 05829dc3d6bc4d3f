// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dirty.h"

void dirty_close(struct dirty *d)
{
	vas_tracker_detach(d->tracker);
	vas_destroy(d->vas);
	if (d->close_rust)
		d->close_rust(d->rust);
	munmap(d->flat, d->size / VAS_PAGE_SIZE / 8);
	munmap(d->words, d->log_size);
	free(d->copy);
	free(d->gpas);
}

/* As vas-format(5) has it: from the superblock's extents. */
static int map_log(struct dirty *d)
{
	struct vas_superblock sb;
	struct stat st;
	int fd = vas_fd(d->vas);

	if (fstat(fd, &st) ||
	    pread(fd, &sb, sizeof(sb), st.st_size - (off_t)sizeof(sb)) != sizeof(sb))
		return -EIO;
	/* A page at least of words, of summary words, and of the summary's. */
	for (uint64_t size = d->size / VAS_PAGE_SIZE / 8, level = 0; level < 3; level++, size /= 64)
		d->log_size += (size + VAS_PAGE_SIZE - 1) / VAS_PAGE_SIZE * VAS_PAGE_SIZE;
	d->words = mmap(NULL, d->log_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			(off_t)sb.extents[VAS_EXT_LOG].offset);
	return d->words == MAP_FAILED ? -ENOMEM : 0;
}

int dirty_open(struct dirty *d, uint64_t size, uint64_t nr_gpas)
{
	struct vas_options options = { .limit = size };
	struct vas_region region = { .size = size };
	int ret;

	*d = (struct dirty){ .size = size, .nr_gpas = nr_gpas };
	d->copy = malloc(2 * HALF_WORDS * sizeof(uint64_t));
	d->gpas = calloc(nr_gpas, sizeof(*d->gpas));
	d->flat = mmap(NULL, size / VAS_PAGE_SIZE / 8, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (!d->copy || !d->gpas || d->flat == MAP_FAILED)
		return -ENOMEM;
	ret = vas_create(&options, &d->vas);
	if (!ret)
		ret = vas_region_add(d->vas, &region, NULL);
	if (!ret)
		ret = map_log(d);
	return ret ? ret : vas_tracker_attach(d->vas, "bench", 0, &d->tracker);
}

uint64_t dirty_mix(uint64_t i)
{
	i = (i ^ i >> 30) * 0xbf58476d1ce4e5b9ULL;
	i = (i ^ i >> 27) * 0x94d049bb133111ebULL;
	return i ^ i >> 31;
}
