// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * icount REGIONS NR: NR translations by libvas in a guest of so many regions, in a random order,
 * for icount.sh to count the instructions of.
 */
#include <stdio.h>
#include <stdlib.h>

#include "peer.h"
#include "trail.h"

static int follow(const struct guest *guest, const struct trail *trail, uint64_t nr)
{
	uint64_t end;
	void *ctx;
	int ret;

	ret = peer_vas.open(guest, &ctx);
	if (ret)
		return ret;
	end = peer_vas.chase(ctx, trail->gpas[0], nr);
	peer_vas.close(ctx);
	return end == trail->gpas[nr % trail->nr] ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct guest guest;
	struct trail trail;
	unsigned int nr_regions;
	int ret;

	if (argc != 3)
		return 2;
	nr_regions = (unsigned int)strtoul(argv[1], NULL, 10);
	ret = guest_create(&guest, nr_regions, 64 << 10);
	if (ret) {
		fprintf(stderr, "icount: %s\n", vas_error());
		return 1;
	}
	ret = trail_create(&trail, &guest, 0, nr_regions);
	if (!ret) {
		ret = follow(&guest, &trail, strtoull(argv[2], NULL, 10));
		trail_destroy(&trail);
	}
	guest_destroy(&guest);
	return ret ? 1 : 0;
}
