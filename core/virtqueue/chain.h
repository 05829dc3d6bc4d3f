/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a virtqueue yields, whatever its format: one request, as ranges of guest-physical memory.
 * It is a private copy; translating the ranges, which may be holes, is its user's.
 */
#ifndef VAS_CORE_VIRTQUEUE_CHAIN_H
#define VAS_CORE_VIRTQUEUE_CHAIN_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stdint.h>
#endif

/* gpa + len does not wrap. len may be 0. */
struct vas_virtq_segment {
	uint64_t gpa;
	uint32_t len;
	uint32_t write; /* 1: the device writes it; 0: it reads it */
};

/*
 * Those that the device reads come first. All of them together are at most 4 GiB, which is what
 * virtio allows.
 */
struct vas_virtq_chain {
	/* Room, which its user provides; a chain that needs more makes no sense. */
	struct vas_virtq_segment *segments;
	uint32_t max_segments;

	uint16_t head; /* what to give back */
	uint32_t nr_out;
	uint32_t nr_in; /* they follow those nr_out */
	uint64_t len_out;
	uint64_t len_in;
};

#endif
