// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/bus/bus.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <vas/device.h>
#include <vas/serve.h>
#include <vas/vas.h>
#include <vas/consumer.h>

#include "device/queue.h"

#define RING_FEATURES                                                \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_RING_PACKED | \
	 1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_RING_F_EVENT_IDX)
#define IOMMU	  (1ull << VIRTIO_F_ACCESS_PLATFORM)
#define ENTRIES	  8192u	     /* of a view */
#define SETTLE_NS 2000000ull /* then what was unmapped meanwhile: other queues may wait for that */
#define RETRY_MS \
	50 /* of what could not be done: a ring that is not in memory now, an owner that is gone */

struct bus_queue {
	struct device_queue queue;
	uint32_t life;	/* of the ring that it is set up for */
	bool has_run;	/* in this life */
	bool is_broken; /* and told */
	bool waits;	/* it is to run, and could not yet */
};

/* What is kept of the device belongs to a count of resets. */
struct kept {
	uint64_t resets;
	uint64_t words[DEVICE_KEPT];
};
_Static_assert(sizeof(struct kept) == VAS_DEVICE_KEPT_SIZE, "the entry has room for no more");

struct bus_session {
	struct vas_device *device;
	const struct bus_options *options;
	struct vas *vas;
	struct vas_provider *provider;
	struct vas_demand demand;
	struct memory memory;
	struct bus_queue *queues; /* device->max_queues */
	uint32_t nr_running;
	struct kept *kept;	     /* in the vas; NULL: nothing is granted yet */
	bool is_bound;		     /* the device is */
	bool is_unsettled;	     /* the owner waits for what a queue still uses */
	struct vas_iommu_view *view; /* NULL: no driver has wanted it yet */
	int broken_fd;		     /* an eventfd: a queue's thread has found its driver's fault */
};

/* ---- a queue ------------------------------------------------------------------------------ */

static uint32_t index_of(const struct bus_session *session, const struct bus_queue *queue)
{
	return (uint32_t)(queue - session->queues);
}

static void pause_queue(struct bus_session *session, struct bus_queue *queue)
{
	if (!queue->queue.is_running)
		return;
	device_queue_stop(&queue->queue);
	vas_provider_tell(session->provider, index_of(session, queue), VAS_DEVICE_QUEUE_STOPPED,
			  queue->queue.base);
	if (!--session->nr_running)
		session->device->ops->stop(session->device);
}

static void pause_all(struct bus_session *session)
{
	uint32_t i;

	for (i = 0; i < session->device->max_queues; i++)
		pause_queue(session, &session->queues[i]);
}

/*
 * With another life, nothing is in flight: what an earlier one has left goes. The life is stored
 * last, in the word that vhost-user has for features, so that a death on the way leaves no half.
 */
static void begin_life(struct bus_session *session, struct bus_queue *queue,
		       const struct vas_provider_queue *told)
{
	struct device_queue *q = &queue->queue;
	struct inflight_queue *part =
		vas_provider_inflight(session->provider, index_of(session, queue));

	queue->has_run = queue->is_broken = false;
	q->is_broken = false;
	q->base = told->base;
	queue->life = told->life;
	q->inflight = part;
	q->is_inherited = __atomic_load_n(&part->features, __ATOMIC_ACQUIRE) == told->life;
	if (q->is_inherited)
		return;
	memset(part, 0, VAS_DEVICE_INFLIGHT_SIZE);
	if (q->format == VAS_VIRTQ_PACKED) {
		inflight_packed_init(part, 1, (uint16_t)told->size);
	} else {
		inflight_init(part, 1, (uint16_t)told->size);
		part->used_idx = (uint16_t)told->base;
	}
	__atomic_store_n(&part->features, told->life, __ATOMIC_RELEASE);
}

static void set_up(struct bus_session *session, struct bus_queue *queue,
		   const struct vas_provider_queue *told)
{
	uint64_t features = session->demand.features;
	struct device_queue *q = &queue->queue;

	q->format = features & 1ull << VIRTIO_F_RING_PACKED ? VAS_VIRTQ_PACKED : VAS_VIRTQ_SPLIT;
	q->flags = (features & 1ull << VIRTIO_RING_F_EVENT_IDX ? VAS_VIRTQ_EVENT_IDX : 0) |
		   (features & 1ull << VIRTIO_RING_F_INDIRECT_DESC ? VAS_VIRTQ_INDIRECT : 0);
	q->view = features & IOMMU ? session->view : NULL;
	q->size = told->size;
	q->place = (struct device_ring_place){ told->desc, told->driver, told->device };
	q->kick_fd = told->kick_fd;
	q->call_fd = told->call_fd;
	q->err_fd = session->broken_fd;
	q->counters = vas_provider_counters(session->provider, index_of(session, queue));
	if (queue->life != told->life || !q->inflight)
		begin_life(session, queue, told);
}

static void tell_broken(struct bus_session *session, struct bus_queue *queue)
{
	queue->is_broken = true;
	vas_provider_tell(session->provider, index_of(session, queue), VAS_DEVICE_QUEUE_BROKEN,
			  queue->queue.base);
	vas_provider_broken(session->provider);
}

/* A ring that was there comes back, or is taken away by the driver; one that never was is wrong. */
static bool may_come(const struct bus_queue *queue, int err)
{
	return err == -EAGAIN || err == -ENOMEM || err == -ENOSPC ||
	       (queue->has_run && (err == -EFAULT || err == -ENXIO));
}

static int run(struct bus_session *session, struct bus_queue *queue)
{
	struct vas_device *device = session->device;
	int err = 0;

	if (!session->nr_running)
		err = device->ops->start(device, session->demand.features);
	if (err)
		return err;
	err = device_queue_start(&queue->queue);
	session->nr_running += !err;
	if (!session->nr_running)
		device->ops->stop(device);
	return err;
}

static void resume_queue(struct bus_session *session, struct bus_queue *queue,
			 const struct vas_provider_queue *told)
{
	int err;

	if (queue->queue.is_running)
		return;
	set_up(session, queue, told);
	queue->waits = false;
	if (queue->is_broken)
		return;
	err = run(session, queue);
	if (!err) {
		queue->has_run = true;
		vas_provider_tell(session->provider, index_of(session, queue),
				  VAS_DEVICE_QUEUE_RUNNING, 0);
	} else if (may_come(queue, err) || err == -EBUSY) {
		queue->waits = true;
	} else {
		tell_broken(session, queue);
	}
}

/* ---- what the owner demands --------------------------------------------------------------- */

static void follow_queue(struct bus_session *session, struct bus_queue *queue,
			 const struct vas_provider_queue *told)
{
	if (queue->queue.is_running && (!told->enabled || told->life != queue->life ||
					device_queue_is_requested(&queue->queue)))
		pause_queue(session, queue);
	queue->waits = false;
	if (told->enabled)
		resume_queue(session, queue, told);
}

/* Stored last, so that a death on the way leaves what is reset again. */
static void reset(struct bus_session *session)
{
	uint32_t i;

	pause_all(session);
	session->device->ops->reset(session->device);
	for (i = 0; i < DEVICE_KEPT; i++)
		__atomic_store_n(&session->kept->words[i], 0, __ATOMIC_RELAXED);
	__atomic_store_n(&session->kept->resets, session->demand.resets, __ATOMIC_RELEASE);
}

static int bind_device(struct bus_session *session)
{
	const struct vas_device_ops *ops = session->device->ops;
	int err = !session->is_bound && ops->bind ? ops->bind(session->device, session->vas) : 0;

	session->is_bound = !err;
	return err;
}

static void unbind_device(struct bus_session *session)
{
	const struct vas_device_ops *ops = session->device->ops;

	if (session->is_bound && ops->unbind)
		ops->unbind(session->device);
	session->is_bound = false;
}

/* Others may serve the queues. */
static int make_iotlb(const struct bus_session *session)
{
	struct vas_device *device = session->device;
	struct vas_iotlb iotlb = { 0 };
	int err = device->ops->iotlb ? device->ops->iotlb(device, ENTRIES, &iotlb) : 0;

	if (err || !iotlb.map)
		return err;
	return vas_provider_set_iotlb(session->provider, &iotlb);
}

/* Of a driver whose addresses are iovas. It stays until the provider goes. */
static int make_view(struct bus_session *session)
{
	int err;

	if (session->view || !(session->demand.features & IOMMU))
		return 0;
	err = make_iotlb(session);
	if (err)
		return err;
	return vas_provider_view(session->provider, ENTRIES, session->device->max_queues,
				 &session->view);
}

static void follow(struct bus_session *session)
{
	const struct vas_demand *demand = &session->demand;
	struct kept *kept = vas_provider_kept(session->provider);
	uint32_t i;

	if (session->kept != kept) { /* a new owner may have another place for it */
		pause_all(session);
		session->kept = kept;
		session->device->kept = kept->words;
	}
	if (__atomic_load_n(&session->kept->resets, __ATOMIC_ACQUIRE) != demand->resets)
		reset(session);
	for (i = 0; i < session->device->max_queues; i++)
		follow_queue(session, &session->queues[i], &demand->queues[i]);
	vas_provider_answer(session->provider, demand->change);
}

static void look_for_broken(struct bus_session *session)
{
	uint32_t i;

	vas_device_drain(session->broken_fd);
	for (i = 0; i < session->device->max_queues; i++) {
		struct bus_queue *queue = &session->queues[i];

		if (!queue->is_broken && __atomic_load_n(&queue->queue.is_broken, __ATOMIC_RELAXED))
			tell_broken(session, queue);
	}
}

/* Without a connection, whoever connects next is told. */
static void look(struct bus_session *session)
{
	struct vas_device *device = session->device;
	uint8_t config[VAS_DEVICE_CONFIG_SIZE];

	vas_device_drain(session->options->look_fd);
	if (!device->ops->look || !device->ops->look(device))
		return;
	device->ops->config(device, 0, config, sizeof(config));
	vas_provider_config(session->provider, config);
}

/* Whoever owns the vas now, at the same place. */
static void connect_again(struct bus_session *session)
{
	int sock;

	if (!vas_reconnect(session->vas, session->options->path, &sock))
		vas_provider_resume(session->provider, sock);
}

static int retry_ms(const struct bus_session *session)
{
	bool waits = session->demand.is_disconnected;
	uint32_t i;

	if (session->is_unsettled)
		return 0;
	for (i = 0; i < session->device->max_queues; i++)
		waits |= session->queues[i].waits;
	return waits ? RETRY_MS : -1;
}

/* Who is refused because of an IOMMU knows best why. */
static int why_not(const struct bus_session *session, int err)
{
	const char *why = session->device->no_iommu;

	if (err != -EOPNOTSUPP || !why)
		return err;
	return vas_error_set(err, "device %s is behind an IOMMU: %s", session->options->name, why);
}

static int serve(struct bus_session *session, int stop_fd)
{
	struct pollfd fds[] = {
		{ .fd = vas_provider_fd(session->provider), .events = POLLIN },
		{ .fd = session->broken_fd, .events = POLLIN },
		{ .fd = stop_fd, .events = POLLIN },
		{ .fd = session->options->look_fd, .events = POLLIN },
	};
	int nr, err;

	for (;;) {
		nr = poll(fds, 4, retry_ms(session));
		if (nr > 0 && fds[2].revents)
			return -ECANCELED;
		if (nr > 0 && fds[3].revents)
			look(session);
		vas_notifications(session->vas);
		err = vas_provider_look(session->provider, &session->demand);
		if (err && err != -EAGAIN)
			return why_not(session, err);
		session->is_unsettled = vas_provider_settle(session->provider, SETTLE_NS) != 0;
		if (session->demand.is_disconnected && session->options->waits && !session->kept)
			return -ENOENT; /* the next guest there may be another one */
		if (session->demand.is_disconnected)
			connect_again(session);
		if (!err && session->demand.is_granted) {
			err = bind_device(session) ?: make_view(session);
			if (err)
				return err;
			follow(session);
		}
		look_for_broken(session);
	}
}

/* ---- the beginning and the end ------------------------------------------------------------ */

static int init_queues(struct bus_session *session)
{
	uint32_t i, nr = session->device->max_queues;
	int err;

	session->queues = calloc(nr, sizeof(*session->queues));
	if (!session->queues)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		struct device_queue *queue = &session->queues[i].queue;

		err = device_queue_init(queue);
		if (err)
			goto err_clean;
		queue->device = session->device;
		queue->index = i;
		queue->memory = &session->memory;
		queue->poll_ns = session->options->poll_ns;
	}
	return 0;
err_clean:
	while (i--)
		device_queue_clean(&session->queues[i].queue);
	free(session->queues);
	return err;
}

static void clean_queues(struct bus_session *session)
{
	uint32_t i;

	for (i = 0; i < session->device->max_queues; i++)
		device_queue_clean(&session->queues[i].queue);
	free(session->queues);
}

static int make_offer(struct bus_session *session, int sock)
{
	const struct bus_options *options = session->options;
	struct vas_device *device = session->device;
	struct vas_offer offer = {
		.name = options->name,
		.kind = device->kind,
		.nr_queues = device->max_queues,
		.queue_size = device->queue_size,
		.config_size = VAS_DEVICE_CONFIG_SIZE,
		.flags = options->takes_over ? VAS_OFFER_TAKE_OVER : 0,
		.features = device->features | RING_FEATURES | (device->no_iommu ? 0 : IOMMU),
	};

	device->ops->config(device, 0, offer.config, VAS_DEVICE_CONFIG_SIZE);
	return vas_device_offer(session->vas, sock, &offer, &session->provider);
}

static int may_bind(const struct bus_session *session)
{
	struct vas_device *device = session->device;

	return device->ops->may_bind ? device->ops->may_bind(device, session->vas) : 0;
}

static int connect_first(struct bus_session *session)
{
	int sock, err = vas_connect(session->options->path, 0, &session->vas, &sock);

	if (err)
		return err;
	session->memory.vas = session->vas;
	err = may_bind(session);
	if (err)
		close(sock);
	else
		err = make_offer(session, sock);
	if (!err)
		return 0;
	vas_unbind(session->vas);
	session->memory.vas = session->vas = NULL;
	return err;
}

/*
 * Where a guest is to come, or was before, there may be no socket yet, or one that was left, or one
 * at which too many wait, or whose owner goes just now; and where a device is to be plugged there
 * may be none of the name.
 */
static bool may_be_too_early(const struct bus_session *session, int err)
{
	if (!session->options->waits)
		return false;
	return err == -ENOENT || (!session->provider &&
				  (err == -ECONNREFUSED || err == -EAGAIN || err == -ECONNRESET));
}

static void disconnect(struct bus_session *session)
{
	uint32_t i;

	pause_all(session);
	if (session->view)
		vas_provider_set_iotlb(session->provider, NULL);
	unbind_device(session);
	vas_provider_close(session->provider);
	vas_unbind(session->vas);
	session->provider = NULL;
	session->view = NULL;
	session->is_unsettled = false;
	session->memory.vas = session->vas = NULL;
	session->kept = NULL;
	session->device->kept = NULL;
	for (i = 0; i < session->device->max_queues; i++)
		session->queues[i].queue.inflight = NULL;
}

static int connect_and_serve(struct bus_session *session, int stop_fd)
{
	struct pollfd stop = { .fd = stop_fd, .events = POLLIN };
	int err;

	for (;;) {
		err = connect_first(session);
		if (!err)
			err = serve(session, stop_fd);
		if (!may_be_too_early(session, err))
			return err;
		disconnect(session);
		if (poll(&stop, 1, RETRY_MS) > 0)
			return -ECANCELED;
	}
}

static int begin(struct bus_session *session)
{
	int err = init_queues(session);

	if (err)
		return vas_error_set(err, "no memory for %u queues", session->device->max_queues);
	session->broken_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return session->broken_fd < 0 ? -errno : 0;
}

int bus_serve(struct vas_device *device, int stop_fd, const struct bus_options *options)
{
	struct bus_session *session = calloc(1, sizeof(*session));
	int err;

	if (!session)
		return vas_error_set(-ENOMEM, "no memory for a device");
	session->device = device;
	session->options = options;
	session->broken_fd = -1;
	err = begin(session);
	if (!err)
		err = connect_and_serve(session, stop_fd);
	if (session->queues) {
		disconnect(session);
		clean_queues(session);
	}
	if (session->broken_fd >= 0)
		close(session->broken_fd);
	free(session);
	return err;
}
