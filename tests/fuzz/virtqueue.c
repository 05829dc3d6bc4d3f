// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Fuzz the split virtqueue: any bytes in its parts and in the guest's memory, which change while a
 * table is read. Each buffer is as large as it is said to be, so that the address sanitizer sees
 * what leaves it.
 *
 * The input: features, log2 of the size, first index (2 bytes), how many rounds; then descriptors,
 * the available ring, and the rest is guest memory from gpa 0 on.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/virtqueue/split.h"
#include "tests/core/virtqueue.h"

#define HEAD	     5u
#define MAX_SEGMENTS 20u

#define CHANGES 4u /* with the features: memory changes after it was read */

struct guest {
	uint8_t *ram;
	size_t size;
	struct vas_virtq_desc *desc;
	uint64_t desc_size;
	int changes;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fail(const char *what)
{
	fprintf(stderr, "virtqueue: %s\n", what);
	abort();
}

static int read_guest(void *user, uint64_t gpa, void *to, uint32_t len)
{
	struct guest *guest = user;

	if (!vas_range_fits(gpa, len, guest->size))
		return -EFAULT;
	memcpy(to, guest->ram + gpa, len);
	if (guest->changes) {
		memset(guest->ram + gpa, 0xff, len);
		memset(guest->desc, 0xff, guest->desc_size);
	}
	return 0;
}

static void *zalloc(size_t size)
{
	void *memory = calloc(1, size);

	if (!memory)
		abort();
	return memory;
}

/* `size` bytes of the input, and zeros where it has no more. */
static void *part_of(const uint8_t **data, size_t *left, size_t size)
{
	size_t nr = size < *left ? size : *left;
	void *part = zalloc(size);

	memcpy(part, *data, nr);
	*data += nr;
	*left -= nr;
	return part;
}

static void same_again(struct vas_split_queue *queue, const struct vas_virtq_chain *chain)
{
	struct vas_virtq_segment segments[MAX_SEGMENTS];
	struct vas_virtq_chain again = { .segments = segments, .max_segments = MAX_SEGMENTS };

	if (vas_split_queue_peek(queue, &again) != 1 || again.head != chain->head ||
	    again.nr_out != chain->nr_out || again.nr_in != chain->nr_in ||
	    memcmp(segments, chain->segments, (chain->nr_out + chain->nr_in) * sizeof(*segments)))
		fail("a second look sees another chain");
}

static void serve(struct vas_split_queue *queue, struct vas_virtq_chain *chain, int changes)
{
	const char *error;

	if (vas_split_queue_peek(queue, chain) != 1)
		return;
	error = chain_error(chain, queue->size);
	if (error)
		fail(error);
	if (!changes)
		same_again(queue, chain);
	vas_split_queue_take(queue);
	if ((uint16_t)(queue->next_avail - queue->next_used) > queue->size)
		fail("more chains are under way than there are entries");
	/* Some are answered later, or never. */
	if (chain->segments[0].len & 1)
		vas_split_queue_give(queue, chain->head, chain->segments[0].len);
}

static void run(struct vas_split_queue *queue, struct guest *guest, uint8_t rounds)
{
	struct vas_virtq_chain chain = { .max_segments = MAX_SEGMENTS };

	chain.segments = zalloc(MAX_SEGMENTS * sizeof(*chain.segments));
	for (unsigned int i = 0; i <= rounds; i++) {
		serve(queue, &chain, guest->changes);
		vas_split_queue_wants_interrupt(queue);
		vas_split_queue_enable_kick(queue);
	}
	free(chain.segments);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vas_split_queue queue = { .read = read_guest, .max_table = MAX_SEGMENTS };
	struct guest guest = { 0 };
	size_t left;
	const uint8_t *at;

	if (size < HEAD)
		return 0;
	at = data + HEAD;
	left = size - HEAD;
	queue.flags = data[0] & (VAS_SPLIT_EVENT_IDX | VAS_SPLIT_INDIRECT);
	queue.size = 1u << data[1] % 8;
	queue.next_avail = (uint16_t)(data[2] | data[3] << 8);
	queue.next_used = queue.next_avail;
	queue.user = &guest;
	guest.changes = !!(data[0] & CHANGES);
	guest.desc_size = vas_split_part_size(VAS_SPLIT_DESC, queue.size);
	guest.desc = part_of(&at, &left, guest.desc_size);
	queue.desc = guest.desc;
	queue.avail = part_of(&at, &left, vas_split_part_size(VAS_SPLIT_AVAIL, queue.size));
	guest.size = left;
	guest.ram = part_of(&at, &left, left);
	queue.used = zalloc(vas_split_part_size(VAS_SPLIT_USED, queue.size));
	queue.table = zalloc(MAX_SEGMENTS * sizeof(*queue.table));
	run(&queue, &guest, data[4]);
	free(guest.desc);
	free((void *)(uintptr_t)queue.avail);
	free(queue.used);
	free(queue.table);
	free(guest.ram);
	return 0;
}
