// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/verb/device.h"
#include "device/rng/rng.h"

static struct rng rng;

static int take(int c)
{
	(void)c;
	return DEVICE_OPTION_UNKNOWN;
}

static int open_rng(struct vas_device **device)
{
	rng_open(&rng, DEVICE_QUEUE_SIZE);
	*device = &rng.device;
	return EXIT_OK;
}

static void close_rng(void)
{
}

const struct device_kind device_rng = {
	.name = "rng",
	.capabilities = "{ \"type\": \"rng\" }",
	.take = take,
	.open = open_rng,
	.close = close_rng,
};
