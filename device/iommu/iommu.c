// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/iommu/iommu.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <sys/eventfd.h>
#include <vas/consumer.h>

#include "device/iommu/domain.h"
#include "device/iommu/request.h"
#include "device/queue.h"
#include "device/stream.h"

#define SEGMENTS 64u

enum { QUEUE_REQUESTS, QUEUE_EVENTS, NR_QUEUES };

struct iommu_server {
	struct iommu *iommu;
	struct device_queue *queue;
	struct vas_virtq_chain chain;
	struct vas_virtq_segment segments[SEGMENTS];
};

static void answer(struct iommu_server *server, int len)
{
	struct vas_virtq_answer answer = { server->chain.head, server->chain.nr_descs, 0 };

	if (len < 0) {
		device_queue_abandon(server->queue);
		return;
	}
	answer.len = (uint32_t)len;
	device_queue_answer(server->queue, &answer, 1);
}

/* As many as may be there at once; when to look again, as device_queue_rest() says. */
static int serve_some(struct iommu_server *server)
{
	struct device_queue *queue = server->queue;
	uint32_t i;

	for (i = 0; i < queue->size && device_queue_next(queue, &server->chain); i++)
		answer(server, iommu_request(server->iommu, queue->memory, &server->chain));
	return device_queue_rest(queue);
}

static void set_requests(struct iommu *iommu, struct iommu_server *server)
{
	pthread_mutex_lock(&iommu->serving);
	iommu->requests = server;
	pthread_mutex_unlock(&iommu->serving);
}

/* Here is done what was there before the start, and what a vCPU had no time for. */
static void serve_requests(struct iommu_server *server)
{
	struct iommu *iommu = server->iommu;
	int timeout_ms;

	set_requests(iommu, server);
	while (!device_queue_is_stopping(server->queue)) {
		pthread_mutex_lock(&iommu->serving);
		timeout_ms = serve_some(server);
		pthread_mutex_unlock(&iommu->serving);
		device_queue_sleep(server->queue, timeout_ms);
	}
	set_requests(iommu, NULL);
}

/* A driver looks for the answer as soon as it has rung, under a spinlock. */
static bool kick(struct vas_device *device, uint32_t queue)
{
	struct iommu *iommu = (struct iommu *)device;
	bool is_done;

	if (queue != QUEUE_REQUESTS)
		return false;
	pthread_mutex_lock(&iommu->serving);
	is_done = iommu->requests && serve_some(iommu->requests) < 0;
	pthread_mutex_unlock(&iommu->serving);
	return is_done;
}

/* A buffer that has no room for it is given back with nothing in it, and the fault is lost. */
static int put_fault(const struct iommu_server *server)
{
	struct stream in = stream_in(&server->chain);
	struct virtio_iommu_fault fault;

	if (!iommu_take_fault(server->iommu, &fault) || server->chain.len_in < sizeof(fault))
		return 0;
	return stream_write(&in, server->queue->memory, &fault, sizeof(fault)) ? -EPROTO :
										 (int)sizeof(fault);
}

/* A buffer is taken when there is something for it. */
static void serve_events(struct iommu_server *server)
{
	struct device_queue *queue = server->queue;

	device_queue_give_back(queue, &server->chain);
	while (!device_queue_is_stopping(queue)) {
		vas_device_drain(server->iommu->fault_fd);
		if (!iommu_has_fault(server->iommu))
			device_queue_wait(queue, server->iommu->fault_fd);
		else if (device_queue_next(queue, &server->chain))
			answer(server, put_fault(server));
		else
			device_queue_idle(queue, -1);
	}
}

static int serve(struct vas_device *device, struct device_queue *queue)
{
	struct iommu_server server = { .iommu = (struct iommu *)device, .queue = queue };

	server.chain.segments = server.segments;
	server.chain.max_segments = SEGMENTS;
	if (queue->index == QUEUE_REQUESTS)
		serve_requests(&server);
	else
		serve_events(&server);
	return 0;
}

/* ---- the device --------------------------------------------------------------------------- */

static int start(struct vas_device *device, uint64_t features)
{
	(void)device;
	(void)features;
	return 0;
}

/* Queues stand still whenever the guest's memory changes: the tables hold. */
static void stop(struct vas_device *device)
{
	(void)device;
}

/* Whether those in no domain are let through outlives a reset, as virtio has it. */
static void reset(struct vas_device *device)
{
	iommu_detach_all((struct iommu *)device);
}

static void config(struct vas_device *device, uint32_t offset, void *to, uint32_t len)
{
	struct iommu *iommu = (struct iommu *)device;
	struct virtio_iommu_config config = {
		.page_size_mask = ~(uint64_t)(IOMMU_PAGE - 1),
		.input_range = { 0, IOMMU_LAST },
		.domain_range = { 0, UINT32_MAX },
		.probe_size = IOMMU_PROBE_SIZE,
	};

	pthread_mutex_lock(&iommu->lock);
	config.bypass = iommu->is_bypass;
	pthread_mutex_unlock(&iommu->lock);
	vas_device_copy_config(&config, sizeof(config), offset, to, len);
}

/* One byte is the driver's to write, by itself. */
static void configure(struct vas_device *device, uint32_t offset, const void *from, uint32_t len)
{
	const uint8_t *byte = from;

	if (offset == offsetof(struct virtio_iommu_config, bypass) && len == 1 && *byte <= 1)
		iommu_set_bypass((struct iommu *)device, *byte);
}

static const struct vas_device_ops ops = {
	.start = start,
	.stop = stop,
	.reset = reset,
	.config = config,
	.configure = configure,
	.queue = serve,
	.kick = kick,
};

int iommu_open(struct iommu *iommu, const struct iommu_options *options)
{
	*iommu = (struct iommu){
		.device = { .ops = &ops,
			    .kind = VIRTIO_ID_IOMMU,
			    .features = 1ull << VIRTIO_IOMMU_F_INPUT_RANGE |
					1ull << VIRTIO_IOMMU_F_DOMAIN_RANGE |
					1ull << VIRTIO_IOMMU_F_MAP_UNMAP |
					1ull << VIRTIO_IOMMU_F_PROBE |
					1ull << VIRTIO_IOMMU_F_BYPASS_CONFIG,
			    .max_queues = NR_QUEUES,
			    .queue_size = options->queue_size },
		.is_bypass = options->is_bypass,
		.fault_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	if (iommu->fault_fd < 0)
		return vas_error_set(-errno, "no eventfd for an IOMMU's faults");
	pthread_mutex_init(&iommu->serving, NULL);
	pthread_mutex_init(&iommu->changing, NULL);
	pthread_mutex_init(&iommu->lock, NULL);
	return 0;
}

/* Those who use its endpoints are gone, or going. */
void iommu_close(struct iommu *iommu)
{
	iommu_free_domains(iommu);
	close(iommu->fault_fd);
	pthread_mutex_destroy(&iommu->lock);
	pthread_mutex_destroy(&iommu->changing);
	pthread_mutex_destroy(&iommu->serving);
}
