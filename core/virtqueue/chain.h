/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What is the same for a virtqueue of any format. It yields chains: one request each, as ranges of
 * guest-physical memory, in a private copy. Translating the ranges, which may be holes, is its
 * user's. It takes answers.
 */
#ifndef VAS_CORE_VIRTQUEUE_CHAIN_H
#define VAS_CORE_VIRTQUEUE_CHAIN_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stdint.h>
#endif

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the ring's fields are little endian, and not converted"
#endif

#define VAS_VIRTQ_MAX_SIZE 32768u

/* A descriptor's flags. */
#define VAS_VIRTQ_DESC_NEXT	1u
#define VAS_VIRTQ_DESC_WRITE	2u
#define VAS_VIRTQ_DESC_INDIRECT 4u

/* What was negotiated: a queue's `flags`. */
#define VAS_VIRTQ_EVENT_IDX 1u
#define VAS_VIRTQ_INDIRECT  2u

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

	/* What to give back. The head, in a packed queue the buffer id, is less than its size. */
	uint16_t head;
	uint16_t nr_descs; /* places in a packed ring; in a split one always 1 */
	uint32_t nr_out;
	uint32_t nr_in; /* they follow those nr_out */
	uint64_t len_out;
	uint64_t len_in;
};

/*
 * Several chains at once, for a device that would not keep up otherwise. Their segments lie in one
 * room, one chain's behind the other's; the first chain may have all of it.
 */
struct vas_virtq_burst {
	struct vas_virtq_chain *chains; /* room for max_chains; their own room is set by a peek */
	struct vas_virtq_segment *segments;
	uint32_t max_chains, max_segments;

	uint32_t nr; /* chains that the last peek has yielded */
};

/* To a chain that was taken: its head and nr_descs, and how much of its in segments was written. */
struct vas_virtq_answer {
	uint16_t head;
	uint16_t nr_descs;
	uint32_t len; /* bytes, from the first on */
};

/* For indirect tables, if they were negotiated. */
struct vas_virtq_tables {
	/*
	 * Copy guest memory. -EFAULT: there is none, which is the driver's error; other errors are
	 * passed on by peek.
	 */
	int (*read)(void *user, uint64_t gpa, void *to, uint32_t len);
	void *user;
	void *room;   /* private, for one table; aligned to 8 */
	uint32_t max; /* descriptors, of 16 bytes each */
};

#endif
