// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/rng/rng.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <sys/random.h>

#include "device/queue.h"
#include "device/stream.h"

#define SEGMENTS 64u
#define PART	 256u /* that getrandom() gives whole, whatever signal comes */

/* How many bytes were written. -EPROTO: there is no such memory, or no room at all. */
static int fill(const struct memory *memory, const struct vas_virtq_chain *chain)
{
	uint32_t done, nr, len = RNG_MAX_BYTES;
	struct stream in = stream_in(chain);
	uint8_t bytes[PART];

	if (!chain->len_in)
		return -EPROTO;
	if (len > chain->len_in)
		len = (uint32_t)chain->len_in;
	for (done = 0; done < len; done += nr) {
		nr = len - done < PART ? len - done : PART;
		if (getrandom(bytes, nr, 0) != (ssize_t)nr)
			return -EIO;
		if (stream_write(&in, memory, bytes, nr))
			return -EPROTO;
	}
	return (int)len;
}

static int rng_queue(struct vas_device *device, struct device_queue *queue)
{
	struct vas_virtq_segment segments[SEGMENTS];
	struct vas_virtq_chain chain = { .segments = segments, .max_segments = SEGMENTS };
	struct vas_virtq_answer answer;
	int len;

	(void)device;
	for (;;) {
		if (!device_queue_next(queue, &chain)) {
			if (device_queue_is_stopping(queue))
				return 0;
			device_queue_idle(queue, -1);
			continue;
		}
		len = fill(queue->memory, &chain);
		if (len < 0) {
			device_queue_abandon(queue);
			continue;
		}
		answer = (struct vas_virtq_answer){ chain.head, chain.nr_descs, (uint32_t)len };
		device_queue_answer(queue, &answer, 1);
	}
}

static int rng_start(struct vas_device *device, uint64_t features)
{
	(void)device;
	(void)features;
	return 0;
}

static void do_nothing(struct vas_device *device)
{
	(void)device;
}

static void rng_config(struct vas_device *device, uint32_t offset, void *to, uint32_t len)
{
	(void)device;
	vas_device_copy_config(NULL, 0, offset, to, len);
}

static const struct vas_device_ops rng_ops = {
	.start = rng_start,
	.stop = do_nothing,
	.reset = do_nothing,
	.config = rng_config,
	.queue = rng_queue,
};

void rng_open(struct rng *rng, uint32_t queue_size)
{
	*rng = (struct rng){
		.device = { .ops = &rng_ops,
			    .kind = VIRTIO_ID_RNG,
			    .max_queues = 1,
			    .queue_size = queue_size },
	};
}
