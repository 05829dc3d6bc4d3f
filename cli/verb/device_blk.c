// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <string.h>
#include <vas/vas.h>

#include "cli/target/parse.h"
#include "cli/verb/device.h"
#include "device/blk/blk.h"

static struct blk blk;
static struct blk_options options = {
	.nr_queues = BLK_MAX_QUEUES,
	.queue_size = DEVICE_QUEUE_SIZE,
};
static int nr_disks; /* --path, --memory and --null given */

static int take_disk(enum disk_kind kind)
{
	options.disk.kind = kind;
	options.disk.path = optarg;
	nr_disks++;
	if (kind == DISK_FILE)
		return EXIT_OK;
	if (!optarg || parse_size(optarg, &options.disk.size) || !options.disk.size)
		return fail_usage("'%s' is no size: write 4G", optarg ? optarg : "");
	return EXIT_OK;
}

static int take_serial(void)
{
	options.serial = optarg;
	if (strlen(optarg) <= BLK_ID_LEN)
		return EXIT_OK;
	return fail_usage("--serial: '%s' is longer than %u bytes", optarg, BLK_ID_LEN);
}

static int take_engine(void)
{
	options.disk.engine = optarg;
	if (!strcmp(optarg, "auto") || !strcmp(optarg, "sync") || !strcmp(optarg, "io_uring"))
		return EXIT_OK;
	return fail_usage("--engine: '%s' is none of auto, sync and io_uring", optarg);
}

/* Of a network it names the interface. */
static int take_module(void)
{
	if (optarg)
		return fail_usage("a disk in the kernel has no name: what is '%s'?", optarg);
	options.by_module = true;
	return EXIT_OK;
}

static int take(int c)
{
	switch (c) {
	case DEVICE_PATH:
		return take_disk(DISK_FILE);
	case DEVICE_MEMORY:
		return take_disk(DISK_MEMORY);
	case DEVICE_NULL:
		return take_disk(DISK_NULL);
	case DEVICE_SERIAL:
		return take_serial();
	case DEVICE_ENGINE:
		return take_engine();
	case DEVICE_MODULE:
		return take_module();
	case DEVICE_QUEUES:
		return device_take_number("--num-queues", 1, BLK_MAX_QUEUES, &options.nr_queues);
	case 'r':
		options.disk.read_only = true;
		return EXIT_OK;
	default:
		return DEVICE_OPTION_UNKNOWN;
	}
}

static int open_blk(struct vas_device **device)
{
	if (nr_disks != 1)
		return fail_usage("where are its bytes? Give one of --path, --memory and --null");
	if (options.by_module && options.disk.engine)
		return fail_usage("with --module the kernel moves the bytes, and no --engine");
	if (blk_open(&blk, &options))
		return fail(EXIT_REFUSED, "%s", vas_error());
	*device = &blk.device;
	return EXIT_OK;
}

static void close_blk(void)
{
	blk_close(&blk);
}

const struct device_kind device_blk = {
	.name = "blk",
	.capabilities = "{ \"type\": \"block\", \"features\": [\"read-only\", \"blk-file\"] }",
	.take = take,
	.open = open_blk,
	.close = close_blk,
};
