// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <vas/vas.h>

#include "cli/verb/device.h"
#include "device/vsock/vsock.h"

static struct vsock vsock;
static struct vsock_options options = { .queue_size = DEVICE_QUEUE_SIZE };

static int take(int c)
{
	uint32_t cid = 0;
	int code;

	switch (c) {
	case DEVICE_CID:
		code = device_take_number("--guest-cid", VSOCK_MIN_CID, INT32_MAX, &cid);
		options.cid = cid;
		return code;
	case DEVICE_UDS:
		options.path = optarg;
		return EXIT_OK;
	default:
		return DEVICE_OPTION_UNKNOWN;
	}
}

static int open_vsock(struct vas_device **device)
{
	if (!options.cid || !options.path)
		return fail_usage("give both --guest-cid=N, the guest's address, and "
				  "--uds-path=PATH, the host's socket");
	if (vsock_open(&vsock, &options))
		return fail(EXIT_REFUSED, "%s", vas_error());
	*device = &vsock.device;
	return EXIT_OK;
}

static void close_vsock(void)
{
	vsock_close(&vsock);
}

const struct device_kind device_vsock = {
	.name = "vsock",
	.capabilities = "{ \"type\": \"vsock\" }",
	.take = take,
	.open = open_vsock,
	.close = close_vsock,
};
