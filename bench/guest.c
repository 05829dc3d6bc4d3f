// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"

int guest_create(struct guest *guest, unsigned int nr_regions, uint64_t region_size)
{
	int ret;

	*guest = (struct guest){ .nr_regions = nr_regions, .region_size = region_size };
	guest->limit = 2 * region_size * nr_regions;
	guest->regions = calloc(nr_regions, sizeof(*guest->regions));
	if (!guest->regions)
		return -ENOMEM;
	for (unsigned int i = 0; i < nr_regions; i++)
		guest->regions[i] = (struct guest_region){ 2 * i * region_size, region_size };
	guest->fd = memfd_create("bench", MFD_CLOEXEC);
	if (guest->fd < 0) {
		ret = -errno;
		goto err_free;
	}
	if (ftruncate(guest->fd, (off_t)guest->limit)) {
		ret = -errno;
		goto err_close;
	}
	guest->flat = mmap(NULL, guest->limit, PROT_READ | PROT_WRITE, MAP_SHARED, guest->fd, 0);
	if (guest->flat == MAP_FAILED) {
		ret = -errno;
		goto err_close;
	}
	return 0;

err_close:
	close(guest->fd);
err_free:
	free(guest->regions);
	return ret;
}

void guest_destroy(struct guest *guest)
{
	munmap(guest->flat, guest->limit);
	close(guest->fd);
	free(guest->regions);
}

uint64_t guest_random(uint64_t *state)
{
	/* SplitMix64: a counter, and a hash of it. */
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}
