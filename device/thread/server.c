// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/thread/server.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "device/queue.h"
#include "device/thread/memory.h"

#define RING_FEATURES                                                \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_RING_PACKED | \
	 1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_RING_F_EVENT_IDX)
#define IOMMU_FEATURE (1ull << VIRTIO_F_ACCESS_PLATFORM)

struct served_queue {
	struct device_queue queue;
	bool is_wanted; /* the driver wants it to run */
};

struct thread_server {
	struct vas_virtio_server server; /* first: the ops cast */
	struct vas_virtio_ops ops;
	struct vas_device *device;
	struct vas *vas; /* a handle of its own */
	struct pinned_memory memory;
	struct served_queue *queues;
	int error_fd, stop_fd; /* a queue is broken; the watcher is to end */
	pthread_t watcher;
	pthread_mutex_t lock; /* all above, while the watcher lives */
	uint64_t features;
	bool is_started; /* by the driver */
	bool is_serving; /* the device is: queues may run */
	bool is_stale;	 /* the layout has changed since the memory was mapped */
};

static struct thread_server *of(struct vas_virtio_server *server)
{
	return (struct thread_server *)server;
}

/* ---- running, with the lock held ---------------------------------------------------------- */

static void setup_queue(struct thread_server *server, struct device_queue *queue,
			const struct vas_virtio_queue *setup)
{
	queue->place = (struct device_ring_place){ setup->desc, setup->driver, setup->device };
	queue->size = setup->size;
	queue->base = setup->base;
	queue->kick_fd = setup->kick_fd;
	queue->call_fd = setup->call_fd;
	queue->is_broken = false;
	queue->format = server->features & 1ull << VIRTIO_F_RING_PACKED ? VAS_VIRTQ_PACKED :
									  VAS_VIRTQ_SPLIT;
	queue->flags =
		(server->features & 1ull << VIRTIO_RING_F_EVENT_IDX ? VAS_VIRTQ_EVENT_IDX : 0) |
		(server->features & 1ull << VIRTIO_RING_F_INDIRECT_DESC ? VAS_VIRTQ_INDIRECT : 0);
}

/* The driver is told by the watcher: nobody else may. */
static void tell_broken(struct thread_server *server)
{
	eventfd_write(server->error_fd, 1);
}

static void pause_all(struct thread_server *server)
{
	uint32_t i;

	if (!server->is_serving)
		return;
	for (i = 0; i < server->server.nr_queues; i++)
		device_queue_stop(&server->queues[i].queue);
	server->device->ops->stop(server->device);
	server->is_serving = false;
}

static int resume_all(struct thread_server *server)
{
	uint32_t i;
	int err;

	if (!server->is_started || server->is_serving)
		return 0;
	err = server->device->ops->start(server->device,
					 server->features & ~(RING_FEATURES | IOMMU_FEATURE));
	if (err)
		return err;
	server->is_serving = true;
	for (i = 0; i < server->server.nr_queues && !err; i++)
		if (server->queues[i].is_wanted)
			err = device_queue_start(&server->queues[i].queue);
	return err;
}

/* Into a frozen vas nothing can be mapped: again when it is thawed. */
static int map_anew(struct thread_server *server)
{
	int err;

	pinned_memory_unmap(&server->memory);
	err = pinned_memory_map(&server->memory, server->vas);
	server->is_stale = err;
	return err;
}

/*
 * What the owner asks for, and what it has changed. Memory that it wants back is let go with all
 * other, and what there is then is mapped. While it wants nobody to write, nothing runs.
 */
static void follow(struct thread_server *server, uint32_t notified)
{
	enum vas_request request = pinned_memory_request(&server->memory);
	int err = 0;

	if (notified & VAS_NOTIFY_LAYOUT || request == VAS_REQUEST_UNMAP)
		server->is_stale = true;
	if (request == VAS_REQUEST_QUIESCE || server->is_stale)
		pause_all(server);
	if (request == VAS_REQUEST_QUIESCE) {
		pinned_memory_quiesce(&server->memory);
		return;
	}
	if (server->is_stale)
		err = map_anew(server);
	if (err == -EAGAIN)
		return;
	if (!err)
		err = resume_all(server);
	if (err)
		tell_broken(server);
}

/* ---- the watcher -------------------------------------------------------------------------- */

static void take(int fd)
{
	eventfd_t count;

	eventfd_read(fd, &count);
}

static void *watch(void *arg)
{
	struct thread_server *server = arg;
	struct pollfd fds[] = {
		{ .fd = server->stop_fd, .events = POLLIN },
		{ .fd = server->error_fd, .events = POLLIN },
		{ .fd = vas_notify_fd(server->vas), .events = POLLIN },
	};

	for (;;) {
		if (poll(fds, 3, -1) < 0)
			continue;
		if (fds[0].revents)
			return NULL;
		pthread_mutex_lock(&server->lock);
		if (fds[2].revents)
			follow(server, vas_notifications(server->vas));
		if (fds[1].revents) {
			take(server->error_fd);
			if (server->is_started)
				vas_virtio_broken(&server->server);
		}
		pthread_mutex_unlock(&server->lock);
	}
}

/* ---- ops ---------------------------------------------------------------------------------- */

static void thread_config_read(struct vas_virtio_server *server, uint32_t offset, void *to,
			       uint32_t len)
{
	of(server)->device->ops->config(of(server)->device, offset, to, len);
}

static void thread_config_write(struct vas_virtio_server *server, uint32_t offset, const void *from,
				uint32_t len)
{
	struct vas_device *device = of(server)->device;

	if (device->ops->configure)
		device->ops->configure(device, offset, from, len);
}

/* Without it a driver would take an IOMMU's guest for one that has none. */
static int thread_accept(struct vas_virtio_server *server, uint64_t features)
{
	return server->features & ~features & IOMMU_FEATURE ? -EINVAL : 0;
}

static int thread_start(struct vas_virtio_server *virtio, uint64_t features)
{
	struct thread_server *server = of(virtio);
	int err = 0;

	pthread_mutex_lock(&server->lock);
	server->features = features;
	server->is_started = true;
	if (!server->is_stale && pinned_memory_request(&server->memory) == VAS_REQUEST_NONE)
		err = resume_all(server);
	if (err)
		server->is_started = false;
	pthread_mutex_unlock(&server->lock);
	return err;
}

static int thread_queue_start(struct vas_virtio_server *virtio, uint32_t index,
			      const struct vas_virtio_queue *setup)
{
	struct thread_server *server = of(virtio);
	struct served_queue *queue = &server->queues[index];
	int err = 0;

	pthread_mutex_lock(&server->lock);
	setup_queue(server, &queue->queue, setup);
	queue->is_wanted = true;
	if (server->is_serving)
		err = device_queue_start(&queue->queue);
	if (err)
		queue->is_wanted = false;
	pthread_mutex_unlock(&server->lock);
	return err;
}

static void thread_queue_stop(struct vas_virtio_server *virtio, uint32_t index, uint32_t *base)
{
	struct thread_server *server = of(virtio);
	struct served_queue *queue = &server->queues[index];

	pthread_mutex_lock(&server->lock);
	device_queue_stop(&queue->queue);
	queue->is_wanted = false;
	*base = queue->queue.base;
	pthread_mutex_unlock(&server->lock);
}

/* Its queues are not stopped meanwhile but by the watcher, which waits for it in the device. */
static bool thread_queue_kick(struct vas_virtio_server *virtio, uint32_t index)
{
	struct vas_device *device = of(virtio)->device;

	return device->ops->kick(device, index);
}

static void thread_reset(struct vas_virtio_server *virtio)
{
	struct thread_server *server = of(virtio);
	uint32_t i;

	pthread_mutex_lock(&server->lock);
	pause_all(server);
	server->is_started = false;
	for (i = 0; i < virtio->nr_queues; i++)
		server->queues[i].is_wanted = false;
	server->device->ops->reset(server->device);
	pthread_mutex_unlock(&server->lock);
}

static const struct vas_virtio_ops thread_ops = {
	.config_read = thread_config_read,
	.config_write = thread_config_write,
	.accept = thread_accept,
	.start = thread_start,
	.queue_start = thread_queue_start,
	.queue_stop = thread_queue_stop,
	.reset = thread_reset,
};

/* ---- beginning and end -------------------------------------------------------------------- */

static int init_queues(struct thread_server *server, const struct thread_server_options *options)
{
	uint32_t i, nr = server->device->max_queues;
	int err = 0;

	server->queues = calloc(nr, sizeof(*server->queues));
	if (!server->queues)
		return vas_error_set(-ENOMEM, "no memory for %u queues", nr);
	for (i = 0; i < nr && !err; i++) {
		struct device_queue *queue = &server->queues[i].queue;

		err = device_queue_init(queue);
		queue->device = server->device;
		queue->index = i;
		queue->memory = &server->memory.memory;
		queue->err_fd = server->error_fd;
		queue->poll_ns = options->poll_ns;
		queue->view = options->view;
		server->server.nr_queues += !err;
	}
	return err;
}

static void clean(struct thread_server *server)
{
	uint32_t i;

	for (i = 0; i < server->server.nr_queues; i++)
		device_queue_clean(&server->queues[i].queue);
	free(server->queues);
	pinned_memory_unmap(&server->memory);
	vas_unbind(server->vas);
	if (server->error_fd >= 0)
		close(server->error_fd);
	if (server->stop_fd >= 0)
		close(server->stop_fd);
	pthread_mutex_destroy(&server->lock);
	free(server);
}

static int init(struct thread_server *server, struct vas *vas,
		const struct thread_server_options *options)
{
	int err;

	if (server->error_fd < 0 || server->stop_fd < 0)
		return vas_error_set(-EMFILE, "no eventfds for a device");
	err = vas_bind(vas_fd(vas), 0, &server->vas);
	if (!err)
		err = pinned_memory_map(&server->memory, server->vas);
	if (!err)
		err = init_queues(server, options);
	if (!err && vas_notify_fd(server->vas) < 0)
		err = vas_notify_fd(server->vas);
	return err ? err : -pthread_create(&server->watcher, NULL, watch, server);
}

int thread_server_create(struct vas *vas, struct vas_device *device,
			 const struct thread_server_options *options, struct thread_server **out)
{
	struct thread_server *server = calloc(1, sizeof(*server));
	int err;

	if (!server)
		return vas_error_set(-ENOMEM, "no memory for a device");
	pthread_mutex_init(&server->lock, NULL);
	server->device = device;
	server->error_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	server->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = init(server, vas, options);
	if (err) {
		clean(server);
		return err;
	}
	server->ops = thread_ops;
	if (device->ops->kick)
		server->ops.queue_kick = thread_queue_kick;
	server->server.ops = &server->ops;
	server->server.name = options->name;
	server->server.device_id = options->device_id;
	server->server.queue_size = device->queue_size;
	server->server.config_size = options->config_size;
	server->server.features =
		device->features | RING_FEATURES | (options->view ? IOMMU_FEATURE : 0);
	*out = server;
	return 0;
}

void thread_server_destroy(struct thread_server *server)
{
	if (!server)
		return;
	eventfd_write(server->stop_fd, 1);
	pthread_join(server->watcher, NULL);
	clean(server);
}

struct vas_virtio_server *thread_server_virtio(struct thread_server *server)
{
	return &server->server;
}
