// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/blk/module.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/ioctl.h>
#include <uapi/linux/vas_blk.h>
#include <vas/consumer.h>

#include "device/blk/request.h"

_Static_assert(REQUEST_MAX_ZEROES == VAS_BLK_MAX_ZEROES, "the guest is told of one limit");
_Static_assert(BLK_MAX_QUEUES == VAS_BLK_MAX_QUEUES, "either may serve what the other has begun");
_Static_assert(BLK_ID_LEN == VAS_BLK_ID_LEN, "they have the same serial");

static const struct device_module_kind vas_blk = {
	.name = "vas_blk.ko",
	.device = "/dev/vas_blk",
	.get_features = VAS_BLK_GET_FEATURES,
	.set_features = VAS_BLK_SET_FEATURES,
	.start = VAS_BLK_START,
	.stop = VAS_BLK_STOP,
	.offer = VAS_BLK_OFFER,
	.keep = VAS_BLK_KEEP,
	.no_iommu = "vas_blk.ko knows none",
};

int blk_module_check(struct blk *blk, const struct blk_options *options)
{
	if (options->disk.kind != DISK_FILE)
		return vas_error_set(-EINVAL,
				     "vas_blk.ko serves a file, or a block device, and no memory");
	if (options->queue_size > VAS_BLK_MAX_SIZE)
		return vas_error_set(-EINVAL, "a queue of vas_blk.ko has %u entries at most",
				     VAS_BLK_MAX_SIZE);
	return device_module_check(&vas_blk, &blk->device);
}

static int open_disk(const struct blk *blk)
{
	struct vas_blk_open arg = {
		.vas_fd = device_module_vas_fd(&blk->module),
		.file_fd = blk->disk.fd,
		.features = 1ull << VIRTIO_F_VERSION_1,
		.capacity = disk_size(&blk->disk),
	};

	if (blk->disk.read_only)
		arg.features |= 1ull << VIRTIO_BLK_F_RO;
	memcpy(arg.id, blk->id, sizeof(arg.id));
	if (!ioctl(blk->module.fd, VAS_BLK_OPEN, &arg))
		return 0;
	return vas_error_set(-errno, "vas_blk.ko does not take %s: %s", blk->disk.path,
			     strerror(errno));
}

int blk_module_bind(struct blk *blk, struct vas *vas)
{
	int err = device_module_begin(&blk->module, &vas_blk, vas);

	if (err)
		return err;
	err = open_disk(blk);
	if (err)
		device_module_end(&blk->module);
	return err;
}

void blk_module_unbind(struct blk *blk)
{
	device_module_end(&blk->module);
}

void blk_module_resize(const struct blk *blk)
{
	__u64 capacity = disk_size(&blk->disk);

	if (blk->module.fd >= 0)
		ioctl(blk->module.fd, VAS_BLK_SET_CAPACITY, &capacity);
}
