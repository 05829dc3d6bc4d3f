/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the tests of both kinds of ring stand on: guest memory as a device reads it, and its chains. */
#ifndef TESTS_CORE_VIRTQUEUE_RIG_H
#define TESTS_CORE_VIRTQUEUE_RIG_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/range.h"
#include "tests/core/virtqueue.h"
#include "tests/harness.h"
#include "tests/kernel/virtqueue.h"

#define MAX_SEGMENTS 16u
#define TABLE	     0x1000ull
#define DATA	     0x8000ull

#define BOTH (VAS_VIRTQ_EVENT_IDX | VAS_VIRTQ_INDIRECT)

struct rig_memory {
	char *bytes;
	uint64_t size;
	int err;	   /* of the next read */
	uint32_t nr_reads; /* calls */
	void (*after_read)(struct rig_memory *memory);
};

static inline int rig_memory_read(void *user, uint64_t gpa, void *to, uint32_t len)
{
	struct rig_memory *memory = user;

	memory->nr_reads++;
	if (memory->err)
		return memory->err;
	if (!vas_range_fits(gpa, len, memory->size))
		return -EFAULT;
	memcpy(to, memory->bytes + gpa, len);
	if (memory->after_read)
		memory->after_read(memory);
	return 0;
}

static inline void *zalloc(size_t size)
{
	void *memory = calloc(1, size);

	CHECK(memory);
	return memory;
}

static inline void has_parts(const struct vas_virtq_chain *chain, uint32_t ring_size,
			     const struct part *parts, uint32_t nr)
{
	CHECK_STR(chain_error(chain, ring_size) ?: "", "");
	CHECK_EQ(chain->nr_out + chain->nr_in, nr);
	for (uint32_t i = 0; i < nr; i++) {
		CHECK_EQ(chain->segments[i].gpa, parts[i].gpa);
		CHECK_EQ(chain->segments[i].len, parts[i].len);
		CHECK_EQ(chain->segments[i].write, parts[i].in);
	}
}

#endif
