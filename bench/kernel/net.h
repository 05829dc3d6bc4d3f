/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Frames between a guest and the host, by a device that the kernel serves. */
#ifndef VAS_BENCH_KERNEL_NET_H
#define VAS_BENCH_KERNEL_NET_H

#include <stdbool.h>
#include <stdint.h>

enum net_kind {
	NET_VAS,   /* vas_net.ko: an interface of its own */
	NET_VHOST, /* vhost-net, and a tap */
	NET_SINK   /* vas_bench.ko's: what the host sends is thrown away */
};

/*
 * What a frame of len bytes takes from the guest's driver to the host's stack, or the other way:
 * ticks of the processor's clock, or ns. Bursts of 64, or of 8 if a frame does not fit a page; the
 * driver, the host's sender and all changes of thread are in it. Frames that do not fit a page are
 * TCP, to be segmented by who has them next. Returns 0 or -errno; -ENODEV: this kernel has no such
 * device.
 */
int net_measure(enum net_kind kind, bool to_guest, uint32_t len, bool ticks, double *rounds,
		unsigned int nr_rounds);

#endif
