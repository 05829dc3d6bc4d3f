/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A virtio entropy device: buffers are filled with the host's random bytes. */
#ifndef DEVICE_RNG_RNG_H
#define DEVICE_RNG_RNG_H

#include "device/device.h"

#define RNG_MAX_BYTES (64u << 10) /* of one request; a driver asks again for more */

struct rng {
	struct vas_device device;
};

void rng_open(struct rng *rng, uint32_t queue_size);

#endif
