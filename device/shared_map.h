/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A guarded, writable map of a part of a file that a peer has sent, which may lie about it. */
#ifndef DEVICE_SHARED_MAP_H
#define DEVICE_SHARED_MAP_H

#include <stdint.h>

#include "device/guard.h"

struct shared_map {
	uint8_t *bytes; /* of the part asked for; NULL: nothing is mapped */
	uint64_t size;
	void *map;
	struct guard guard;
};

/*
 * Map [offset, offset + size) of the file, which must have them. The fd stays the caller's. Not to
 * be moved in memory while it is mapped. -EINVAL: there is no such part; or another -errno.
 */
int shared_map_open(struct shared_map *map, int fd, uint64_t offset, uint64_t size);
void shared_map_close(struct shared_map *map);

#endif
