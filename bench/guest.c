// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <errno.h>
#include <stdlib.h>
#include <vas/access.h>

#include "guest.h"

static int add_regions(struct guest *guest)
{
	struct vas_layout *layout;
	int ret;

	ret = vas_layout_begin(guest->vas, &layout);
	if (ret)
		return ret;
	for (unsigned int i = 0; i < guest->nr_regions; i++) {
		uint64_t gpa = 2 * i * guest->region_size;
		struct vas_region region = {
			.gpa = gpa,
			.size = guest->region_size,
			.offset = gpa,
		};

		guest->regions[i] = (struct guest_region){ gpa, guest->region_size };
		ret = vas_layout_add(layout, &region, NULL);
		if (ret) {
			vas_layout_abort(layout);
			return ret;
		}
	}
	return vas_layout_commit(layout, VAS_TIMEOUT_DEFAULT_NS, NULL);
}

/*
 * The handle's window has all of the file at window + gpa, holes too; every subject works there, so
 * that none is lucky with where its page tables lie in the caches.
 */
static int find_flat(struct guest *guest)
{
	const struct guest_region *last = &guest->regions[guest->nr_regions - 1];
	uint8_t *end;

	if (vas_enter(guest->vas))
		return -EAGAIN;
	guest->flat = vas_translate(guest->vas, 0, guest->region_size, VAS_PROT_WRITE);
	end = vas_translate(guest->vas, last->gpa, last->size, VAS_PROT_WRITE);
	vas_leave(guest->vas);
	return guest->flat && end == guest->flat + last->gpa ? 0 : -EOPNOTSUPP;
}

int guest_create(struct guest *guest, unsigned int nr_regions, uint64_t region_size)
{
	struct vas_options options = { .limit = 2 * region_size * nr_regions, .name = "bench" };
	int ret;

	*guest = (struct guest){
		.limit = options.limit,
		.region_size = region_size,
		.nr_regions = nr_regions,
	};
	guest->regions = calloc(nr_regions, sizeof(*guest->regions));
	if (!guest->regions)
		return -ENOMEM;
	ret = vas_create(&options, &guest->vas);
	if (ret)
		goto err_free;
	ret = add_regions(guest);
	if (ret)
		goto err_destroy;
	ret = find_flat(guest);
	if (ret)
		goto err_destroy;
	return 0;

err_destroy:
	vas_destroy(guest->vas);
err_free:
	free(guest->regions);
	return ret;
}

void guest_destroy(struct guest *guest)
{
	vas_destroy(guest->vas);
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
