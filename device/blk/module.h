/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * vas_blk.ko serves the disk's queues. This process keeps it, as device/module.h has it; it has the
 * disk's file open and locked, and does itself what a process before it had taken.
 */
#ifndef DEVICE_BLK_MODULE_H
#define DEVICE_BLK_MODULE_H

#include "device/blk/blk.h"

/*
 * Can it? Asked before another process has made way for this one. What it cannot do the guest is
 * not offered. -errno, and vas_error() says why.
 */
int blk_module_check(struct blk *blk, const struct blk_options *options);

/* As vas_device_ops has them. */
int blk_module_bind(struct blk *blk, struct vas *vas);
void blk_module_unbind(struct blk *blk);

/* The disk has another size, which requests are to see before the guest does. */
void blk_module_resize(const struct blk *blk);

#endif
