// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Fuzz a virtqueue of either format, as a device sees it: any bytes in its parts and in the guest's
 * memory, which change while a table is read, and while any other thing is, if the input says so.
 * Each buffer is as large as it is said to be, so that the address sanitizer sees what leaves it.
 *
 * The input: features, size (log2 of it if split), where it stands (4 bytes), how many rounds (and
 * in the highest two bits whether there is a race, which takes as long as a hundred inputs without);
 * then
 * descriptors, the available ring or the driver's event, and the rest is guest memory from gpa 0 on.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/virtqueue/virtq.h"
#include "tests/core/virtqueue.h"

#define HEAD	     7u
#define MAX_SEGMENTS 20u
#define MAX_TAKEN    256u
#define MAX_BURST    5u
#define MAX_ROUNDS   64u
#define MAX_RACE     1024u /* bytes that change meanwhile: on one processor it is in the way */

/* With the features: */
#define CHANGES	 4u /* memory changes once it was read */
#define PACKED	 8u
#define RACES	 16u /* another thread writes the ring meanwhile */
#define IN_ORDER 32u
#define BURSTS	 64u /* chains are looked at several at once */

struct guest {
	uint8_t *ram;
	size_t size;
	uint8_t *desc, *driver;
	uint64_t desc_size, driver_size;
	void *device;
	int changes, races, stop;
};

struct device {
	struct vas_virtq queue;
	uint32_t size;
	int in_order, bursts;
	struct vas_virtq_chain chain;
	struct vas_virtq_answer taken[MAX_TAKEN]; /* and not answered */
	uint32_t nr_taken;
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
		if (!guest->races)
			memset(guest->desc, 0xff, guest->desc_size);
	}
	return 0;
}

/* The driver, on another processor: it turns its own bytes over, one after the other. */
static void race(struct guest *guest)
{
	for (uint64_t i = 0; i < MAX_RACE && !__atomic_load_n(&guest->stop, __ATOMIC_RELAXED);
	     i++) {
		uint8_t *desc = &guest->desc[i % guest->desc_size];
		uint8_t *driver = &guest->driver[i % guest->driver_size];

		__atomic_store_n(desc, (uint8_t)(*desc + (i >> 4)), __ATOMIC_RELAXED);
		if (i % 16 == 0)
			__atomic_store_n(driver, (uint8_t)(*driver + 1), __ATOMIC_RELAXED);
	}
}

/* One thread races for all inputs: to make one for each takes longer than all that is tested. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct guest *guest; /* to race for; NULL: for nobody */
	int is_there;
} racer = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void *race_for_all(void *user)
{
	pthread_mutex_lock(&racer.lock);
	for (;;) {
		while (!racer.guest)
			pthread_cond_wait(&racer.changed, &racer.lock);
		pthread_mutex_unlock(&racer.lock);
		race(racer.guest);
		pthread_mutex_lock(&racer.lock);
		racer.guest = NULL;
		pthread_cond_broadcast(&racer.changed);
	}
	return user;
}

static void begin_race(struct guest *guest)
{
	pthread_t thread;

	pthread_mutex_lock(&racer.lock);
	if (!racer.is_there && pthread_create(&thread, NULL, race_for_all, NULL))
		abort();
	racer.is_there = 1;
	racer.guest = guest;
	pthread_cond_broadcast(&racer.changed);
	pthread_mutex_unlock(&racer.lock);
}

static void end_race(struct guest *guest)
{
	__atomic_store_n(&guest->stop, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&racer.lock);
	while (racer.guest)
		pthread_cond_wait(&racer.changed, &racer.lock);
	pthread_mutex_unlock(&racer.lock);
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

static void same_again(struct device *device)
{
	const struct vas_virtq_chain *chain = &device->chain;
	struct vas_virtq_segment segments[MAX_SEGMENTS];
	struct vas_virtq_chain again = { .segments = segments, .max_segments = MAX_SEGMENTS };

	if (vas_virtq_peek(&device->queue, device->queue.format, &again) != 1 ||
	    again.head != chain->head || again.nr_descs != chain->nr_descs ||
	    again.nr_out != chain->nr_out || again.nr_in != chain->nr_in ||
	    memcmp(segments, chain->segments, (chain->nr_out + chain->nr_in) * sizeof(*segments)))
		fail("a second look sees another chain");
}

static uint32_t nr_under_way(const struct vas_virtq *queue)
{
	return queue->format == VAS_VIRTQ_PACKED ?
		       queue->packed.nr_taken :
		       (uint16_t)(queue->split.next_avail - queue->split.next_used);
}

/* All that were taken. */
static void give(struct device *device)
{
	if (!device->nr_taken)
		return;
	if (device->in_order)
		vas_virtq_give_in_order(&device->queue, device->queue.format, device->taken,
					device->nr_taken);
	else
		vas_virtq_give(&device->queue, device->queue.format, device->taken,
			       device->nr_taken);
	device->nr_taken = 0;
}

static void take(struct device *device, const struct vas_virtq_chain *chain)
{
	if (nr_under_way(&device->queue) > device->size)
		fail("more is under way than there are descriptors");
	device->taken[device->nr_taken++] = (struct vas_virtq_answer){
		.head = chain->head,
		.nr_descs = chain->nr_descs,
		.len = chain->segments[0].len,
	};
	/* Some are answered later, with others, or never. */
	if (chain->segments[0].len & 1 || device->nr_taken == MAX_TAKEN)
		give(device);
}

static void serve_burst(struct device *device)
{
	struct vas_virtq_segment segments[MAX_SEGMENTS];
	struct vas_virtq_chain chains[MAX_BURST];
	struct vas_virtq_burst burst = { chains, segments, MAX_BURST, MAX_SEGMENTS, 0 };
	int result = vas_virtq_peek_burst(&device->queue, device->queue.format, &burst);

	if (burst.nr != (result > 0 ? (uint32_t)result : 0))
		fail("a burst says two numbers");
	for (uint32_t i = 0; i < burst.nr; i++) {
		const char *error = chain_error(&chains[i], device->size);

		if (error)
			fail(error);
		if (chains[i].segments + chains[i].nr_out + chains[i].nr_in >
		    segments + MAX_SEGMENTS)
			fail("a burst leaves its room");
		vas_virtq_take_burst(&device->queue, device->queue.format, &chains[i], 1);
		take(device, &chains[i]);
	}
}

static void serve(struct device *device, const struct guest *guest)
{
	const struct vas_virtq_chain *chain = &device->chain;
	const char *error;

	if (vas_virtq_peek(&device->queue, device->queue.format, &device->chain) != 1)
		return;
	error = chain_error(chain, device->size);
	if (error)
		fail(error);
	if (!guest->changes && !guest->races)
		same_again(device);
	vas_virtq_take(&device->queue, device->queue.format, chain);
	take(device, chain);
}

static void run(struct device *device, struct guest *guest, uint8_t rounds)
{
	if (guest->races)
		begin_race(guest);
	for (unsigned int i = 0; i <= rounds; i++) {
		if (device->bursts)
			serve_burst(device);
		else
			serve(device, guest);
		vas_virtq_wants_interrupt(&device->queue, device->queue.format);
		vas_virtq_enable_kick(&device->queue, device->queue.format);
		vas_virtq_disable_kick(&device->queue, device->queue.format);
	}
	if (guest->races)
		end_race(guest);
}

static void make_split(struct device *device, struct guest *guest, const uint8_t *head)
{
	struct vas_split_queue *queue = &device->queue.split;

	device->size = 1u << head[1] % 8;
	queue->next_avail = (uint16_t)(head[2] | head[3] << 8);
	queue->next_used = queue->next_avail;
	guest->desc_size = vas_split_part_size(VAS_SPLIT_DESC, device->size);
	guest->driver_size = vas_split_part_size(VAS_SPLIT_AVAIL, device->size);
	guest->device = zalloc(vas_split_part_size(VAS_SPLIT_USED, device->size));
}

static void make_packed(struct device *device, struct guest *guest, const uint8_t *head)
{
	device->queue.format = VAS_VIRTQ_PACKED;
	device->size = 1u + head[1];
	guest->desc_size = vas_packed_part_size(VAS_PACKED_DESC, device->size);
	guest->driver_size = vas_packed_part_size(VAS_PACKED_DRIVER, device->size);
	guest->device = zalloc(vas_packed_part_size(VAS_PACKED_DEVICE, device->size));
}

/* What was under way in a base of the input's is never answered. */
static void start(struct device *device, struct guest *guest, const uint8_t *head)
{
	const struct vas_virtq_tables tables = {
		.read = read_guest,
		.user = guest,
		.room = zalloc(MAX_SEGMENTS * sizeof(struct vas_virtq_desc)),
		.max = MAX_SEGMENTS,
	};
	uint32_t flags = head[0] & (VAS_VIRTQ_EVENT_IDX | VAS_VIRTQ_INDIRECT), base;

	if (device->queue.format == VAS_VIRTQ_SPLIT) {
		struct vas_split_queue *queue = &device->queue.split;

		queue->desc = (void *)guest->desc;
		queue->avail = (void *)guest->driver;
		queue->used = guest->device;
		queue->size = device->size;
		queue->flags = flags;
		queue->tables = tables;
		return;
	}
	device->queue.packed = (struct vas_packed_queue){
		.desc = (void *)guest->desc,
		.driver = (void *)guest->driver,
		.device = guest->device,
		.size = device->size,
		.flags = flags,
		.tables = tables,
	};
	memcpy(&base, head + 2, sizeof(base));
	if (vas_packed_queue_start(&device->queue.packed, base) &&
	    vas_packed_queue_start(&device->queue.packed, VAS_PACKED_BASE))
		fail("a new queue does not start");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct device *device;
	struct guest guest = { 0 };
	const uint8_t *at = data + HEAD;
	size_t left = size - HEAD;

	if (size < HEAD)
		return 0;
	device = zalloc(sizeof(*device));
	device->in_order = !!(data[0] & IN_ORDER);
	device->bursts = !!(data[0] & BURSTS);
	device->chain.max_segments = MAX_SEGMENTS;
	device->chain.segments = zalloc(MAX_SEGMENTS * sizeof(*device->chain.segments));
	guest.changes = !!(data[0] & CHANGES);
	guest.races = data[0] & RACES && !(data[6] >> 6);
	(data[0] & PACKED ? make_packed : make_split)(device, &guest, data);
	guest.desc = part_of(&at, &left, guest.desc_size);
	guest.driver = part_of(&at, &left, guest.driver_size);
	guest.size = left;
	guest.ram = part_of(&at, &left, left);
	start(device, &guest, data);
	run(device, &guest, data[6] % MAX_ROUNDS);
	free(device->queue.format == VAS_VIRTQ_PACKED ? device->queue.packed.tables.room :
							device->queue.split.tables.room);
	free(device->chain.segments);
	free(device);
	free(guest.desc);
	free(guest.driver);
	free(guest.device);
	free(guest.ram);
	return 0;
}
