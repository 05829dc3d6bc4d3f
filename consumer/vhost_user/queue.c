// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Queues of the back end: started by a sequence of requests, stopped by one, whose answer says
 * where the queue stands. That it has done what it had taken, as it must have, is not believed:
 * the used ring shows it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "consumer/vhost_user/front.h"
#include "lib/base/eventfd.h"
#include "lib/base/foreign.h"

#define USED_IDX 2u /* in a split ring's used part */

uint64_t vas_front_ring_gpa(const struct vas_virtio_queue *queue, enum ring_part part)
{
	return part == RING_DESC   ? queue->desc :
	       part == RING_DRIVER ? queue->driver :
				     queue->device;
}

/* ---- what the used ring says ----------------------------------------------------------------- */

/* By the file, for nobody here has the memory mapped. */
static int used_idx(const struct vas_vhost_user *front, const struct front_queue *queue,
		    uint16_t *idx)
{
	uint64_t gpa = queue->queue.device + USED_IDX;
	const struct vas_region *r = vas_front_memory_find(front, gpa, sizeof(*idx));
	int fd = r ? vas_backing_fd(front->vas, r->backing) : -EFAULT;

	if (fd < 0)
		return fd;
	return pread(fd, idx, sizeof(*idx), (off_t)(r->offset + (gpa - r->gpa))) == sizeof(*idx) ?
		       0 :
		       -EIO;
}

/* A packed ring's base has both positions. */
static int is_drained(const struct vas_vhost_user *front, const struct front_queue *queue)
{
	uint32_t base = queue->queue.base;
	uint16_t used;

	if (front_is_packed(front))
		return (base & 0xffff) == base >> 16;
	return used_idx(front, queue, &used) || used == (uint16_t)base;
}

/* ---- stopping -------------------------------------------------------------------------------- */

static void base_ask(struct vas_vhost_user *front, uint32_t index)
{
	const struct vhost_user_vring_state state = { index, 0 };

	vas_front_ask(front, FRONT_QUEUE_BASE, index,
		      &(struct channel_request){ VHOST_USER_GET_VRING_BASE, sizeof(state), &state,
						 NULL, 0 },
		      FRONT_NUMBER);
}

int vas_front_queues_stop(struct vas_vhost_user *front, int all)
{
	int result = 0;
	uint32_t i;

	for (i = 0; i < front->server.nr_queues; i++) {
		struct front_queue *queue = &front->queues[i];

		if (!all && queue->is_wanted)
			continue;
		if (queue->is_running) {
			base_ask(front, i);
			return 1;
		}
		queue->step = 0; /* it has begun to start, and no more */
	}
	for (i = 0; i < front->server.nr_queues; i++) {
		struct front_queue *queue = &front->queues[i];

		if (queue->is_draining && is_drained(front, queue))
			queue->is_draining = 0;
		if (queue->is_draining)
			result = FRONT_LOOK_AGAIN;
	}
	return result;
}

int vas_front_queue_base_take(struct vas_vhost_user *front, size_t index)
{
	const struct vhost_user_vring_state state = front->channel.answer.state;
	struct front_queue *queue = &front->queues[index];
	int is_packed = front_is_packed(front);
	uint32_t avail = state.num & (is_packed ? 0x7fff : 0xffff);

	if (state.index != index || (!is_packed && state.num > 0xffff) ||
	    (is_packed &&
	     (avail >= queue->queue.size || (state.num >> 16 & 0x7fff) >= queue->queue.size)))
		return vas_error_set(-EPROTO, "%s: the back end says that queue %zu stands at %#x",
				     front->name, index, state.num);
	queue->queue.base = state.num;
	queue->is_running = 0;
	queue->is_draining = 1;
	queue->step = 0;
	return 0;
}

void vas_front_queues_lose(struct vas_vhost_user *front)
{
	uint32_t i;

	for (i = 0; i < front->server.nr_queues; i++) {
		struct front_queue *queue = &front->queues[i];

		queue->is_base_unknown |= queue->is_running | queue->is_draining;
		queue->is_running = queue->is_draining = 0;
		queue->step = 0;
	}
}

int vas_front_queues_check(const struct vas_vhost_user *front)
{
	uint32_t i;

	for (i = 0; i < front->server.nr_queues; i++)
		if (front->queues[i].is_base_unknown && front_is_packed(front) &&
		    front->inflight_fd < 0)
			return vas_error_set(
				-EOPNOTSUPP,
				"%s: queue %u is packed, and its back end went without a word and "
				"left no file of requests in flight: the device needs a reset",
				front->name, i);
	return 0;
}

/* ---- requests in flight ---------------------------------------------------------------------- */

void vas_front_inflight_forget(struct vas_vhost_user *front)
{
	vas_foreign_discard(&front->inflight_fd, 1);
	front->inflight_fd = -1;
	front->has_asked_inflight = 0;
	front->is_inflight_sent = 0;
	vas_front_forget(front, FRONT_INFLIGHT_GET);
	vas_front_forget(front, FRONT_INFLIGHT_SET);
}

int vas_front_inflight_send(struct vas_vhost_user *front)
{
	struct vhost_user_inflight wanted = {
		.nr_queues = (uint16_t)front->server.nr_queues,
		.queue_size = (uint16_t)front->server.queue_size,
	};

	if (!front_has(front, VHOST_USER_PROTOCOL_INFLIGHT) || front->is_inflight_sent)
		return 0;
	if (!front->has_asked_inflight && front->inflight_fd < 0) {
		front->has_asked_inflight = 1;
		vas_front_ask(front, FRONT_INFLIGHT_GET, 0,
			      &(struct channel_request){ VHOST_USER_GET_INFLIGHT_FD, sizeof(wanted),
							 &wanted, NULL, 0 },
			      (struct front_answer){ VHOST_USER_INFLIGHT_SIZE, sizeof(wanted) });
		return 1;
	}
	if (front->inflight_fd < 0)
		return 0; /* it has none, after all */
	vas_front_tell(front, FRONT_INFLIGHT_SET, 0,
		       &(struct channel_request){ VHOST_USER_SET_INFLIGHT_FD,
						  sizeof(front->inflight), &front->inflight,
						  &front->inflight_fd, 1 });
	return 1;
}

/* What is in it, and whether that many bytes are, is the next back end's to check. */
int vas_front_inflight_take(struct vas_vhost_user *front)
{
	struct vhost_user_message *answer = &front->channel.answer;

	if (!answer->nr_fds || !answer->inflight.size)
		return 0;
	front->inflight_fd = answer->fds[0];
	answer->fds[0] = -1;
	front->inflight = answer->inflight;
	return 0;
}

/* ---- starting -------------------------------------------------------------------------------- */

static const uint32_t start_requests[] = {
	VHOST_USER_SET_VRING_NUM,  VHOST_USER_SET_VRING_BASE, VHOST_USER_SET_VRING_ADDR,
	VHOST_USER_SET_VRING_CALL, VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_ENABLE,
};

#define NR_START_REQUESTS (sizeof(start_requests) / sizeof(start_requests[0]))

static void state_tell(struct vas_vhost_user *front, uint32_t index, uint32_t request, uint32_t num)
{
	const struct vhost_user_vring_state state = { index, num };

	vas_front_tell(front, FRONT_QUEUE_START, index,
		       &(struct channel_request){ request, sizeof(state), &state, NULL, 0 });
}

static void addr_tell(struct vas_vhost_user *front, uint32_t index)
{
	const struct vas_virtio_queue *queue = &front->queues[index].queue;
	const struct vhost_user_vring_addr addr = {
		.index = index,
		.flags = (uint32_t)front->is_log_wanted, /* VHOST_VRING_F_LOG */
		.desc = vas_front_user_address(queue->desc),
		.used = vas_front_user_address(queue->device),
		.avail = vas_front_user_address(queue->driver),
		.log = queue->device,
	};

	vas_front_tell(front, FRONT_QUEUE_START, index,
		       &(struct channel_request){ VHOST_USER_SET_VRING_ADDR, sizeof(addr), &addr,
						  NULL, 0 });
}

static void event_tell(struct vas_vhost_user *front, uint32_t index, uint32_t request, int fd)
{
	const uint64_t number = index | (fd < 0 ? VHOST_USER_VRING_NO_FD : 0);

	vas_front_tell(front, FRONT_QUEUE_START, index,
		       &(struct channel_request){ request, sizeof(number), &number, &fd, fd >= 0 });
}

/* Who went without a word may have taken more than it answered: that is taken again. */
uint32_t vas_front_queue_base(struct vas_vhost_user *front, uint32_t index)
{
	struct front_queue *queue = &front->queues[index];
	uint16_t used;

	if (queue->is_base_unknown && !front_is_packed(front) && !used_idx(front, queue, &used))
		queue->queue.base = used;
	return queue->queue.base;
}

static void step_tell(struct vas_vhost_user *front, uint32_t index)
{
	struct front_queue *queue = &front->queues[index];
	uint32_t request = start_requests[queue->step];

	switch (request) {
	case VHOST_USER_SET_VRING_NUM:
		state_tell(front, index, request, queue->queue.size);
		break;
	case VHOST_USER_SET_VRING_BASE:
		state_tell(front, index, request, vas_front_queue_base(front, index));
		break;
	case VHOST_USER_SET_VRING_ADDR:
		addr_tell(front, index);
		break;
	case VHOST_USER_SET_VRING_CALL:
		event_tell(front, index, request, queue->queue.call_fd);
		break;
	case VHOST_USER_SET_VRING_KICK:
		/* From here on it may be served. */
		queue->is_running = 1;
		event_tell(front, index, request, queue->queue.kick_fd);
		break;
	default:
		state_tell(front, index, request, 1);
		break;
	}
}

int vas_front_queues_start(struct vas_vhost_user *front)
{
	uint32_t i;

	for (i = 0; i < front->server.nr_queues; i++) {
		if (!front->queues[i].is_wanted || front->queues[i].step == NR_START_REQUESTS)
			continue;
		step_tell(front, i);
		return 1;
	}
	return 0;
}

/* What the driver has said while nobody was there is not to be lost, nor what it was told. */
static void signal_both(const struct front_queue *queue)
{
	vas_eventfd_raise(queue->queue.kick_fd);
	if (queue->is_base_unknown && queue->queue.call_fd >= 0)
		vas_eventfd_raise(queue->queue.call_fd);
}

void vas_front_queue_started(struct vas_vhost_user *front, size_t index)
{
	struct front_queue *queue = &front->queues[index];

	queue->step++;
	if (queue->step + 1 == NR_START_REQUESTS &&
	    !(front->sent_features >> VHOST_USER_F_PROTOCOL_FEATURES & 1))
		queue->step++; /* it is enabled */
	if (queue->step < NR_START_REQUESTS)
		return;
	signal_both(queue);
	queue->is_base_unknown = 0;
}

int vas_front_queues_run(const struct vas_vhost_user *front)
{
	uint32_t i;

	if (!front->is_ready || front->is_frozen || front->is_layout_frozen)
		return 1;
	for (i = 0; i < front->server.nr_queues; i++)
		if (front->queues[i].is_wanted && front->queues[i].step != NR_START_REQUESTS)
			return 0;
	return 1;
}

/* ---- what the driver wants ------------------------------------------------------------------- */

static int part_check(const struct vas_vhost_user *front, uint32_t index,
		      const struct vas_virtio_queue *queue, enum ring_part part)
{
	static const char *const names[] = { "descriptors", "driver's part", "device's part" };
	uint64_t gpa = vas_front_ring_gpa(queue, part);
	uint64_t size = ring_part_size(part, front_is_packed(front), queue->size);

	if (vas_front_memory_find(front, gpa, size))
		return 0;
	return vas_error_set(-EFAULT,
			     "%s: queue %u has its %s at [%#llx, +%#llx), which is not within one "
			     "region that the back end may write",
			     front->name, index, names[part], (unsigned long long)gpa,
			     (unsigned long long)size);
}

static int queue_check(const struct vas_vhost_user *front, uint32_t index,
		       const struct vas_virtio_queue *queue)
{
	int part, err = 0;

	if (index >= front->server.nr_queues || !queue->size ||
	    queue->size > front->server.queue_size || queue->kick_fd < 0)
		return vas_error_set(-EINVAL, "%s: queue %u with %u entries", front->name, index,
				     queue->size);
	if (front->queues[index].is_wanted)
		return vas_error_set(-EBUSY, "%s: queue %u runs already", front->name, index);
	for (part = 0; !err && part < RING_NR_PARTS; part++)
		err = part_check(front, index, queue, part);
	return err;
}

int vas_front_queue_set(struct vas_vhost_user *front, uint32_t index,
			const struct vas_virtio_queue *queue)
{
	struct front_queue *ours;
	int err = queue_check(front, index, queue);

	if (err)
		return err;
	ours = &front->queues[index];
	*ours = (struct front_queue){ .queue = *queue, .is_wanted = 1 };
	ours->queue.kick_fd = fcntl(queue->kick_fd, F_DUPFD_CLOEXEC, 0);
	if (queue->call_fd >= 0)
		ours->queue.call_fd = fcntl(queue->call_fd, F_DUPFD_CLOEXEC, 0);
	if (ours->queue.kick_fd >= 0 && (queue->call_fd < 0 || ours->queue.call_fd >= 0))
		return 0;
	err = vas_error_set(-errno, "%s: an eventfd cannot be duplicated: %s", front->name,
			    strerror(errno));
	vas_front_queue_clean(front, index);
	return err;
}

void vas_front_queue_clean(struct vas_vhost_user *front, uint32_t index)
{
	struct front_queue *queue = &front->queues[index];

	if (queue->queue.kick_fd >= 0)
		close(queue->queue.kick_fd);
	if (queue->queue.call_fd >= 0)
		close(queue->queue.call_fd);
	*queue = (struct front_queue){ .queue = { .kick_fd = -1, .call_fd = -1 } };
}
