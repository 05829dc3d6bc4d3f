// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/blk/blk.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <vas/consumer.h>

#include "device/blk/module.h"
#include "device/blk/request.h"
#include "device/queue.h"

#define BATCH 8u /* requests taken, or answered, at once: the driver works on them meanwhile */

/* ---- a queue ------------------------------------------------------------------------------ */

struct server {
	struct blk *blk;
	struct device_queue *queue;
	struct disk_queue *disk;
	struct request *requests;
	struct request **free; /* the first nr_free; the last one given back is taken first */
	uint32_t nr_free;
	struct vas_virtq_answer answers[BATCH];
	uint32_t nr_answers;
};

static void flush_answers(struct server *server)
{
	if (server->nr_answers)
		device_queue_answer(server->queue, server->answers, server->nr_answers);
	server->nr_answers = 0;
}

static void finish(struct server *server, struct request *request)
{
	server->free[server->nr_free++] = request;
	if (request_finish(request, server->queue->memory)) {
		device_queue_abandon(server->queue);
		return;
	}
	if (request->io.err)
		device_queue_count(&server->queue->counters->errors, 1);
	server->answers[server->nr_answers++] = (struct vas_virtq_answer){
		.head = request->chain.head,
		.nr_descs = request->chain.nr_descs,
		.len = request->written,
	};
	if (server->nr_answers == BATCH)
		flush_answers(server);
}

static void begin(struct server *server, struct request *request)
{
	const struct disk_engine *engine = server->blk->disk.engine;
	int result = request_begin(request, server->blk, server->queue->memory);

	if (result < 0) {
		server->free[server->nr_free++] = request;
		device_queue_abandon(server->queue);
		return;
	}
	if (!result || engine->submit(server->disk, &request->io))
		finish(server, request);
}

/* For a module that serves the rest: what a process before this one had taken. */
static bool may_take(const struct server *server)
{
	return server->nr_free &&
	       (!server->blk->is_by_module || device_queue_has_again(server->queue));
}

static uint32_t take(struct server *server)
{
	uint32_t nr;

	for (nr = 0; nr < BATCH && may_take(server); nr++) {
		struct request *request = server->free[server->nr_free - 1];

		if (!device_queue_next(server->queue, &request->chain))
			break;
		server->nr_free--;
		begin(server, request);
	}
	return nr;
}

static uint32_t reap(struct server *server)
{
	struct disk_io *done[BATCH];
	uint32_t i, nr = server->blk->disk.engine->reap(server->disk, done, BATCH);

	for (i = 0; i < nr; i++)
		finish(server, (struct request *)((char *)done[i] - offsetof(struct request, io)));
	return nr;
}

static bool is_done(const struct server *server)
{
	const struct device_queue *queue = server->queue;

	if (server->nr_free < queue->size)
		return false;
	return device_queue_is_stopping(queue) ||
	       (server->blk->is_by_module && !device_queue_has_again(queue));
}

static void serve(struct server *server)
{
	const struct disk_engine *engine = server->blk->disk.engine;
	uint32_t nr;

	for (;;) {
		nr = take(server);
		nr += reap(server);
		flush_answers(server);
		if (nr)
			continue;
		if (is_done(server))
			return;
		if (engine->fd(server->disk) != -EAGAIN)
			device_queue_idle(server->queue, engine->fd(server->disk));
	}
}

static int init_requests(struct server *server)
{
	uint32_t i, nr = server->queue->size;

	server->requests = malloc(nr * sizeof(*server->requests));
	server->free = malloc(nr * sizeof(struct request *));
	if (!server->requests || !server->free)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		request_init(&server->requests[i]);
		server->free[i] = &server->requests[nr - 1 - i];
	}
	server->nr_free = nr;
	return 0;
}

static int serve_here(struct blk *blk, struct device_queue *queue)
{
	struct server server = { .blk = blk, .queue = queue };
	int err = init_requests(&server);

	if (!err)
		err = blk->disk.engine->open(&blk->disk, queue->size, &server.disk);
	if (!err) {
		serve(&server);
		blk->disk.engine->close(server.disk);
	}
	free(server.free);
	free(server.requests);
	return err;
}

static int blk_queue(struct vas_device *device, struct device_queue *queue)
{
	struct blk *blk = (struct blk *)device;
	int err = 0;

	if (!blk->is_by_module || device_queue_has_again(queue))
		err = serve_here(blk, queue);
	return blk->is_by_module && !err ? device_module_serve(&blk->module, queue) : err;
}

/* ---- the device --------------------------------------------------------------------------- */

static int blk_bind(struct vas_device *device, struct vas *vas)
{
	struct blk *blk = (struct blk *)device;

	return blk->is_by_module ? blk_module_bind(blk, vas) : 0;
}

static void blk_unbind(struct vas_device *device)
{
	struct blk *blk = (struct blk *)device;

	if (blk->is_by_module)
		blk_module_unbind(blk);
}

static int blk_iotlb(struct vas_device *device, uint32_t max_entries, struct vas_iotlb *iotlb)
{
	struct blk *blk = (struct blk *)device;

	return blk->is_by_module ? device_module_iotlb(&blk->module, max_entries, iotlb) : 0;
}

static int blk_start(struct vas_device *device, uint64_t features)
{
	struct blk *blk = (struct blk *)device;
	int err = disk_lock(&blk->disk);

	blk->is_write_through = !(features & 1ull << VIRTIO_BLK_F_FLUSH);
	if (err || !blk->is_by_module)
		return err;
	err = device_module_set_features(&blk->module, features);
	if (err)
		disk_unlock(&blk->disk);
	return err;
}

static void blk_stop(struct vas_device *device)
{
	disk_unlock(&((struct blk *)device)->disk);
}

/* Nothing that a driver may set is kept. */
static void blk_reset(struct vas_device *device)
{
	(void)device;
}

static void blk_config(struct vas_device *device, uint32_t offset, void *to, uint32_t len)
{
	const struct blk *blk = (const struct blk *)device;
	const uint32_t max_zeroes = REQUEST_MAX_ZEROES / BLK_SECTOR;
	const struct virtio_blk_config config = {
		.capacity = disk_size(&blk->disk) / BLK_SECTOR,
		.seg_max = REQUEST_SEGMENTS - 2,
		.blk_size = BLK_SECTOR,
		.num_queues = (uint16_t)device->max_queues,
		.max_discard_sectors = max_zeroes,
		.max_discard_seg = 1,
		.discard_sector_alignment = 4096 / BLK_SECTOR,
		.max_write_zeroes_sectors = max_zeroes,
		.max_write_zeroes_seg = 1,
		.write_zeroes_may_unmap = 1,
	};

	vas_device_copy_config(&config, sizeof(config), offset, to, len);
}

static bool blk_look(struct vas_device *device)
{
	struct blk *blk = (struct blk *)device;

	if (!disk_look(&blk->disk))
		return false;
	if (blk->is_by_module)
		blk_module_resize(blk);
	return true;
}

static const struct vas_device_ops blk_ops = {
	.bind = blk_bind,
	.unbind = blk_unbind,
	.iotlb = blk_iotlb,
	.start = blk_start,
	.stop = blk_stop,
	.reset = blk_reset,
	.config = blk_config,
	.look = blk_look,
	.queue = blk_queue,
};

static uint64_t features_of(const struct blk_options *options)
{
	uint64_t features = 1ull << VIRTIO_BLK_F_SEG_MAX | 1ull << VIRTIO_BLK_F_BLK_SIZE |
			    1ull << VIRTIO_BLK_F_FLUSH | 1ull << VIRTIO_BLK_F_MQ;

	if (options->disk.read_only)
		return features | 1ull << VIRTIO_BLK_F_RO;
	return features | 1ull << VIRTIO_BLK_F_DISCARD | 1ull << VIRTIO_BLK_F_WRITE_ZEROES;
}

static int set_id(struct blk *blk, const char *serial)
{
	size_t len = strlen(serial);

	if (len > BLK_ID_LEN)
		return vas_error_set(-EINVAL, "the serial '%s' is longer than %u bytes", serial,
				     BLK_ID_LEN);
	memcpy(blk->id, serial, len);
	return 0;
}

int blk_open(struct blk *blk, const struct blk_options *options)
{
	struct disk_options disk = options->disk;
	int err;

	*blk = (struct blk){
		.device = {
			.ops = &blk_ops,
			.kind = VIRTIO_ID_BLOCK,
			.features = features_of(options),
			.max_queues = options->nr_queues,
			.queue_size = options->queue_size,
		},
		.is_by_module = options->by_module,
		.module.fd = -1,
	};
	err = set_id(blk, options->serial ? options->serial : "");
	if (!err && options->by_module) {
		disk.engine = "sync"; /* for what is to be done again, which is little */
		err = blk_module_check(blk, options);
	}
	return err ? err : disk_open(&blk->disk, &disk);
}

void blk_close(struct blk *blk)
{
	disk_close(&blk->disk);
}
