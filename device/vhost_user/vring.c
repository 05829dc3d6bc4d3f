// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "lib/base/foreign.h"

#include "device/vhost_user/session.h"

struct session_ring *vring_get(struct session *session, uint64_t index)
{
	if (index < session->device->max_queues)
		return &session->vrings[index];
	vas_error_set(-EINVAL, "the front end speaks of queue %llu; there are %u",
		      (unsigned long long)index, session->device->max_queues);
	return NULL;
}

/* ---- running ------------------------------------------------------------------------------ */

void vring_pause(struct session *session, struct session_ring *vring)
{
	if (!vring->queue.is_running)
		return;
	device_queue_stop(&vring->queue);
	if (!--session->nr_running)
		session->device->ops->stop(session->device);
}

static bool should_run(const struct session *session, const struct session_ring *vring)
{
	bool is_enabled =
		vring->is_enabled || !(session->features & 1ull << VHOST_USER_F_PROTOCOL_FEATURES);

	return vring->is_started && is_enabled && vring->has_addr && vring->queue.size;
}

/* The table of regions may have changed since the front end has told the addresses. */
static int find_ring(const struct session *session, struct session_ring *vring)
{
	const struct vhost_user_vring_addr *addr = &vring->addr;
	struct device_ring_place *place = &vring->queue.place;

	if (iommu_is_used(session)) {
		*place = (struct device_ring_place){ addr->desc, addr->avail, addr->used };
		return 0;
	}
	if (memory_gpa_of_user(&session->memory, addr->desc, 1, &place->desc) ||
	    memory_gpa_of_user(&session->memory, addr->avail, 1, &place->driver) ||
	    memory_gpa_of_user(&session->memory, addr->used, 1, &place->device))
		return -EFAULT;
	return 0;
}

/*
 * Some front ends (DPDK's) tell one of a packed ring's two positions, which at its beginning would
 * mean that all of it is in flight.
 */
static void complete_base(struct device_queue *queue)
{
	if (queue->format == VAS_VIRTQ_PACKED && queue->base == (VAS_PACKED_BASE & UINT16_MAX))
		queue->base = VAS_PACKED_BASE;
}

static int run(struct session *session, struct session_ring *vring)
{
	uint32_t index = (uint32_t)(vring - session->vrings);
	struct device_queue *queue = &vring->queue;
	int err = find_ring(session, vring);

	if (!err && iommu_is_used(session))
		err = iommu_begin(session);
	if (err)
		return err;
	queue->view = iommu_is_used(session) ? session->view : NULL;
	queue->format = session->features & 1ull << VIRTIO_F_RING_PACKED ? VAS_VIRTQ_PACKED :
									   VAS_VIRTQ_SPLIT;
	queue->flags =
		(session->features & 1ull << VIRTIO_RING_F_EVENT_IDX ? VAS_VIRTQ_EVENT_IDX : 0) |
		(session->features & 1ull << VIRTIO_RING_F_INDIRECT_DESC ? VAS_VIRTQ_INDIRECT : 0);
	queue->inflight = inflight_of(session, index);
	if (queue->inflight && queue->size > session->inflight_descs)
		return -EINVAL;
	complete_base(queue);
	return device_queue_start(queue);
}

static int start_device(struct session *session)
{
	struct vas_device *device = session->device;

	if (session->nr_running)
		return 0;
	/* What was answered since it stopped was told by a front end that tells of no changes. */
	iommu_forget(session);
	return device->ops->start(device, session->features & ~TRANSPORT_FEATURES);
}

int vring_resume(struct session *session, struct session_ring *vring)
{
	int err;

	if (!should_run(session, vring) || vring->queue.is_running)
		return 0;
	err = start_device(session);
	if (err)
		return err;
	err = run(session, vring);
	session->nr_running += !err;
	if (!session->nr_running)
		session->device->ops->stop(session->device);
	if (!err)
		return 0;
	return vas_error_set(err, "queue %ld of %u entries cannot run: %s",
			     (long)(vring - session->vrings), vring->queue.size,
			     err == -EFAULT ? "its ring is not in the front end's memory" :
					      strerror(-err));
}

void vrings_pause(struct session *session)
{
	uint32_t i;

	for (i = 0; i < session->device->max_queues; i++)
		vring_pause(session, &session->vrings[i]);
}

/* One that cannot run now, because its memory is not there yet, is tried with the next change. */
void vrings_resume(struct session *session)
{
	uint32_t i;

	for (i = 0; i < session->device->max_queues; i++)
		vring_resume(session, &session->vrings[i]);
}

/* ---- eventfds ----------------------------------------------------------------------------- */

static void replace_fd(int *fd, int by)
{
	if (*fd >= 0)
		close(*fd);
	*fd = by;
}

static int *event_of(struct session_ring *vring, enum vring_event event)
{
	switch (event) {
	case VRING_KICK:
		return &vring->queue.kick_fd;
	case VRING_CALL:
		return &vring->queue.call_fd;
	default:
		return &vring->queue.err_fd;
	}
}

/* What is no eventfd may block whoever reads or writes it. */
static int check_event(const struct vhost_user_message *message, enum vring_event event)
{
	bool has_none = message->u64 & VHOST_USER_VRING_NO_FD;

	if (has_none != !message->nr_fds)
		return vas_error_set(-EINVAL, "the front end's eventfd is missing, or too many");
	if (has_none && event == VRING_KICK)
		return vas_error_set(
			-EOPNOTSUPP,
			"the front end sends no kicks, and wants to be polled: that is "
			"not supported");
	if (!has_none && !vas_fd_is_eventfd(message->fds[0]))
		return vas_error_set(-EINVAL, "what the front end sends is no eventfd");
	return 0;
}

int vring_set_event(struct session *session, struct vhost_user_message *message,
		    enum vring_event event)
{
	struct session_ring *vring = vring_get(session, message->u64 & VHOST_USER_VRING_INDEX);
	int err = vring ? check_event(message, event) : -EINVAL;

	if (err)
		return err;
	vring_pause(session, vring);
	replace_fd(event_of(vring, event), vhost_user_take_fd(message, 0));
	if (event == VRING_KICK)
		vring->is_started = true;
	return vring_resume(session, vring);
}

/* ---- all of them -------------------------------------------------------------------------- */

/* Where it stands is not forgotten: QEMU 7.2 resets the status first, and asks for it then. */
static void forget(struct session *session, struct session_ring *vring)
{
	vring_pause(session, vring);
	replace_fd(&vring->queue.kick_fd, -1);
	replace_fd(&vring->queue.call_fd, -1);
	replace_fd(&vring->queue.err_fd, -1);
	vring->queue.is_broken = false;
	vring->has_addr = vring->is_started = vring->is_enabled = false;
}

void vrings_reset(struct session *session)
{
	uint32_t i;

	for (i = 0; i < session->device->max_queues; i++)
		forget(session, &session->vrings[i]);
}

int vrings_init(struct session *session)
{
	uint32_t i;
	int err;

	session->vrings = calloc(session->device->max_queues, sizeof(*session->vrings));
	if (!session->vrings)
		return -ENOMEM;
	for (i = 0; i < session->device->max_queues; i++) {
		struct device_queue *queue = &session->vrings[i].queue;

		err = device_queue_init(queue);
		if (err)
			goto err_clean;
		queue->device = session->device;
		queue->index = i;
		queue->memory = &session->memory;
		queue->poll_ns = session->poll_ns;
		queue->tell_fault = request_fault;
		queue->tell_user = session;
	}
	return 0;
err_clean:
	while (i--)
		device_queue_clean(&session->vrings[i].queue);
	free(session->vrings);
	return err;
}

void vrings_clean(struct session *session)
{
	uint32_t i;

	vrings_reset(session);
	for (i = 0; i < session->device->max_queues; i++)
		device_queue_clean(&session->vrings[i].queue);
	free(session->vrings);
}
