// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What is agreed on with a back end that has just connected, be it the first or a successor. */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <string.h>
#include <sys/epoll.h>

#include "consumer/vhost_user/front.h"

#define DEVICE_FEATURES(features) \
	((features) & ~(1ull << VHOST_USER_F_PROTOCOL_FEATURES | 1ull << VHOST_F_LOG_ALL))
#define PROTOCOL_WANTED                                                                    \
	(1ull << VHOST_USER_PROTOCOL_MQ | 1ull << VHOST_USER_PROTOCOL_LOG_SHMFD |          \
	 1ull << VHOST_USER_PROTOCOL_REPLY_ACK | 1ull << VHOST_USER_PROTOCOL_CONFIG |      \
	 1ull << VHOST_USER_PROTOCOL_INFLIGHT | 1ull << VHOST_USER_PROTOCOL_RESET_DEVICE | \
	 1ull << VHOST_USER_PROTOCOL_MEM_SLOTS)
#define MOST_SLOTS 4096u

static int get(struct vas_vhost_user *front, uint32_t request, uint64_t *number)
{
	int err = vas_front_call(front, &(struct channel_request){ .request = request },
				 FRONT_NUMBER);

	*number = err ? 0 : front->call.number;
	return err;
}

/* Nothing is acknowledged before this says that it is. */
static int set_protocol(struct vas_vhost_user *front, uint64_t protocol)
{
	const uint64_t wanted = protocol & PROTOCOL_WANTED;

	return vas_front_call(front,
			      &(struct channel_request){ VHOST_USER_SET_PROTOCOL_FEATURES,
							 sizeof(wanted), &wanted, NULL, 0 },
			      FRONT_ACKNOWLEDGED);
}

static int agree_on_protocol(struct vas_vhost_user *front, uint64_t features)
{
	uint64_t protocol;
	int err;

	front->transport_features = features & 1ull << VHOST_USER_F_PROTOCOL_FEATURES;
	if (!front->transport_features)
		return 0;
	err = get(front, VHOST_USER_GET_PROTOCOL_FEATURES, &protocol);
	if (!err)
		err = set_protocol(front, protocol);
	if (!err)
		front->protocol = protocol & PROTOCOL_WANTED;
	return err;
}

static int set_owner(struct vas_vhost_user *front)
{
	return vas_front_call(front, &(struct channel_request){ .request = VHOST_USER_SET_OWNER },
			      FRONT_ACKNOWLEDGED);
}

/* Of a network device it is how many pairs, and it may have a control queue beside them. */
static int check_queues(struct vas_vhost_user *front)
{
	uint64_t nr = 1;
	int err = 0;

	if (front_has(front, VHOST_USER_PROTOCOL_MQ))
		err = get(front, VHOST_USER_GET_QUEUE_NUM, &nr);
	if (err)
		return err;
	if (front->server.device_id == VIRTIO_ID_NET)
		nr = nr > VAS_VIRTIO_MAX_QUEUES ? nr : 2 * nr + 1;
	front->nr_queues = nr > VAS_VIRTIO_MAX_QUEUES ? VAS_VIRTIO_MAX_QUEUES : (uint32_t)nr;
	if (!front->nr_queues || front->server.nr_queues > front->nr_queues)
		return vas_error_set(-EOPNOTSUPP, "%s: the back end has %u queues, not %u",
				     front->name, front->nr_queues, front->server.nr_queues);
	return 0;
}

static int check_slots(struct vas_vhost_user *front)
{
	uint64_t nr = VHOST_USER_MAX_REGIONS;
	int err = 0;

	if (front_has(front, VHOST_USER_PROTOCOL_MEM_SLOTS))
		err = get(front, VHOST_USER_GET_MAX_MEM_SLOTS, &nr);
	if (!err && !nr)
		err = vas_error_set(-EOPNOTSUPP, "%s: the back end takes no memory", front->name);
	front->max_entries = nr > MOST_SLOTS ? MOST_SLOTS : (uint32_t)nr;
	return err;
}

static int logs(const struct vas_vhost_user *front, uint64_t features)
{
	return features >> VHOST_F_LOG_ALL & 1 && front_has(front, VHOST_USER_PROTOCOL_LOG_SHMFD);
}

/* The first says what the device is; its successors must have what is in use. */
static int agree_on_device(struct vas_vhost_user *front, uint64_t features)
{
	const uint64_t missing = front->server.features & ~features;

	if (!front->has_been_connected) {
		front->server.features = DEVICE_FEATURES(features);
		front->consumer.flags =
			VAS_CONSUMER_PINS | (logs(front, features) ? 0 : VAS_CONSUMER_UNLOGGED);
	} else if (missing) {
		return vas_error_set(-EOPNOTSUPP,
				     "%s: the successor lacks features that the driver was "
				     "offered: %#llx",
				     front->name, (unsigned long long)missing);
	} else if (!logs(front, features) && !(front->consumer.flags & VAS_CONSUMER_UNLOGGED)) {
		return vas_error_set(-EOPNOTSUPP, "%s: the successor does not log what it writes",
				     front->name);
	}
	if (front->server.config_size && !front->has_own_config &&
	    !front_has(front, VHOST_USER_PROTOCOL_CONFIG))
		return vas_error_set(-EOPNOTSUPP,
				     "%s: the back end has no config space, and none was given",
				     front->name);
	if (front->inflight_fd >= 0 && !front_has(front, VHOST_USER_PROTOCOL_INFLIGHT))
		return vas_error_set(-EOPNOTSUPP,
				     "%s: the successor knows nothing of requests in flight",
				     front->name);
	return vas_front_config_fetch(front);
}

static int agree(struct vas_vhost_user *front)
{
	uint64_t features;
	int err = get(front, VHOST_USER_GET_FEATURES, &features);

	if (!err)
		err = agree_on_protocol(front, features);
	if (!err)
		err = set_owner(front);
	if (!err)
		err = check_queues(front);
	if (!err)
		err = check_slots(front);
	return err ? err : agree_on_device(front, features);
}

static int has_all(const struct vas_vhost_user *front)
{
	return vas_front_memory_is_told(front) && vas_front_queues_run(front);
}

/* From here on it gets what is wanted. */
static int hand_over(struct vas_vhost_user *front)
{
	int err;

	pthread_mutex_lock(&front->lock);
	front->is_ready = 1;
	err = vas_front_memory_again(front);
	if (!err)
		err = vas_front_queues_check(front);
	front->call_waits = 1;
	if (!err)
		err = vas_front_wait(front, has_all, front_queue_deadline(front));
	front->call_waits = 0;
	if (!err && front->gone)
		err = vas_error_set(front->gone, "%s", front->why);
	pthread_mutex_unlock(&front->lock);
	return err;
}

/* No change of the layout is under way when a successor is told of it. */
static int hand_over_unchanged(struct vas_vhost_user *front)
{
	struct vas_layout *unchanged;
	int err;

	if (!front->has_been_connected)
		return hand_over(front); /* of nothing yet: it is not attached */
	err = vas_layout_begin(front->vas, &unchanged);
	if (err)
		return err;
	err = hand_over(front);
	vas_layout_abort(unchanged);
	return err;
}

int vas_front_connect(struct vas_vhost_user *front, int sock)
{
	struct epoll_event event = { .events = EPOLLIN };
	int err;

	pthread_mutex_lock(&front->lock);
	channel_open(&front->channel, sock);
	front->gone = 0;
	front->protocol = 0;
	err = epoll_ctl(front->epoll_fd, EPOLL_CTL_ADD, sock, &event) ? -errno : 0;
	pthread_mutex_unlock(&front->lock);
	if (err)
		vas_error_set(err, "%s: the socket: %s", front->name, strerror(-err));
	else
		err = agree(front);
	if (!err)
		err = hand_over_unchanged(front);
	if (err) {
		pthread_mutex_lock(&front->lock);
		vas_front_lose(front, err);
		pthread_mutex_unlock(&front->lock);
	}
	front->has_been_connected |= !err;
	return err;
}
