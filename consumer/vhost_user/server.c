// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The device, as a transport sees it: what it asks for is wanted, and waited for. */
#include <errno.h>
#include <string.h>

#include "consumer/vhost_user/front.h"

static struct vas_vhost_user *front_of_server(struct vas_virtio_server *server)
{
	return (struct vas_vhost_user *)((char *)server - offsetof(struct vas_vhost_user, server));
}

/* ---- config space ---------------------------------------------------------------------------- */

static int config_ask(struct vas_vhost_user *front, struct vhost_user_config *config)
{
	const uint32_t size = VHOST_USER_CONFIG_HEADER + front->server.config_size;
	int err;

	memset(config, 0, sizeof(*config));
	config->size = front->server.config_size;
	err = vas_front_call(
		front, &(struct channel_request){ VHOST_USER_GET_CONFIG, size, config, NULL, 0 },
		(struct front_answer){ 0, size });
	if (!err && front->call.answer_size != size)
		err = vas_error_set(-EREMOTEIO, "%s: the back end does not tell its config space",
				    front->name);
	if (!err)
		*config = front->call.answer;
	return err;
}

int vas_front_config_fetch(struct vas_vhost_user *front)
{
	struct vhost_user_config config;
	int err;

	if (front->has_own_config || !front->server.config_size)
		return 0;
	err = config_ask(front, &config);
	if (err)
		return err;
	if (memcmp(front->config, config.bytes, front->server.config_size))
		front->config_generation++;
	memcpy(front->config, config.bytes, front->server.config_size);
	return 0;
}

/* Of a back end that is gone, or does not tell any more, it is what it was. */
static void config_read(struct vas_virtio_server *server, uint32_t offset, void *to, uint32_t len)
{
	struct vas_vhost_user *front = front_of_server(server);
	uint32_t have = offset < server->config_size ? server->config_size - offset : 0;

	memset(to, 0, len);
	pthread_mutex_lock(&front->calls);
	vas_front_config_fetch(front);
	if (have)
		memcpy(to, front->config + offset, len < have ? len : have);
	pthread_mutex_unlock(&front->calls);
}

static void config_write(struct vas_virtio_server *server, uint32_t offset, const void *from,
			 uint32_t len)
{
	struct vas_vhost_user *front = front_of_server(server);
	struct vhost_user_config config = { .offset = offset, .size = len };

	if (front->has_own_config || offset >= server->config_size ||
	    len > server->config_size - offset)
		return;
	memcpy(config.bytes, from, len);
	pthread_mutex_lock(&front->calls);
	vas_front_call(front,
		       &(struct channel_request){ VHOST_USER_SET_CONFIG,
						  VHOST_USER_CONFIG_HEADER + len, &config, NULL,
						  0 },
		       FRONT_ACKNOWLEDGED);
	pthread_mutex_unlock(&front->calls);
}

static uint32_t config_generation(struct vas_virtio_server *server)
{
	struct vas_vhost_user *front = front_of_server(server);
	uint32_t generation;

	pthread_mutex_lock(&front->calls);
	generation = front->config_generation;
	pthread_mutex_unlock(&front->calls);
	return generation;
}

/* ---- queues ---------------------------------------------------------------------------------- */

static int start(struct vas_virtio_server *server, uint64_t features)
{
	struct vas_vhost_user *front = front_of_server(server);

	pthread_mutex_lock(&front->calls);
	pthread_mutex_lock(&front->lock);
	front->features = features;
	front->is_started = 1;
	pthread_mutex_unlock(&front->lock);
	pthread_mutex_unlock(&front->calls);
	return 0;
}

static int all_stand(const struct vas_vhost_user *front)
{
	uint32_t i;

	for (i = 0; i < front->server.nr_queues; i++)
		if (!front->queues[i].is_wanted &&
		    (front->queues[i].is_running || front->queues[i].is_draining))
			return 0;
	return front->action != FRONT_QUEUE_START;
}

/* A back end that does not let go of queues is let go of. */
static void wait_until_they_stand(struct vas_vhost_user *front)
{
	int err = vas_front_wait(front, all_stand, front_queue_deadline(front));

	if (err && front->channel.sock >= 0)
		vas_front_lose(front, err);
}

static int queue_start(struct vas_virtio_server *server, uint32_t index,
		       const struct vas_virtio_queue *queue)
{
	struct vas_vhost_user *front = front_of_server(server);
	char why[FRONT_WHY_LEN];
	int err;

	pthread_mutex_lock(&front->calls);
	pthread_mutex_lock(&front->lock);
	err = vas_front_queue_set(front, index, queue);
	if (!err) {
		front->call_waits = 1;
		err = vas_front_wait(front, vas_front_queues_run, front_queue_deadline(front));
		front->call_waits = 0;
		if (err && front->is_ready) {
			/* It is not wanted after all. */
			strncpy(why, vas_error(), sizeof(why) - 1);
			why[sizeof(why) - 1] = '\0';
			front->queues[index].is_wanted = 0;
			wait_until_they_stand(front);
			vas_front_queue_clean(front, index);
			vas_error_set(err, "%s", why);
		} else {
			err = 0; /* a successor will serve it */
		}
	}
	pthread_mutex_unlock(&front->lock);
	pthread_mutex_unlock(&front->calls);
	return err;
}

static void stop(struct vas_vhost_user *front, uint32_t index, uint32_t *base)
{
	struct front_queue *queue = &front->queues[index];

	if (!queue->is_wanted)
		return;
	queue->is_wanted = 0;
	wait_until_they_stand(front);
	*base = vas_front_queue_base(front, index);
	vas_front_queue_clean(front, index);
}

static void queue_stop(struct vas_virtio_server *server, uint32_t index, uint32_t *base)
{
	struct vas_vhost_user *front = front_of_server(server);

	if (index >= server->nr_queues)
		return;
	pthread_mutex_lock(&front->calls);
	pthread_mutex_lock(&front->lock);
	stop(front, index, base);
	pthread_mutex_unlock(&front->lock);
	pthread_mutex_unlock(&front->calls);
}

static void stop_all(struct vas_vhost_user *front)
{
	uint32_t i;

	for (i = 0; i < front->server.nr_queues; i++)
		front->queues[i].is_wanted = 0;
	wait_until_they_stand(front);
	for (i = 0; i < front->server.nr_queues; i++)
		vas_front_queue_clean(front, i);
	vas_front_inflight_forget(front);
	front->is_started = 0;
	front->features = 0;
}

/* Its device is as it was at first: it has no features either. */
static void reset_device(struct vas_vhost_user *front)
{
	if (!front_has(front, VHOST_USER_PROTOCOL_RESET_DEVICE))
		return;
	vas_front_call(front, &(struct channel_request){ .request = VHOST_USER_RESET_DEVICE },
		       FRONT_ACKNOWLEDGED);
	pthread_mutex_lock(&front->lock);
	front->sent_features = 0;
	pthread_mutex_unlock(&front->lock);
}

static void reset(struct vas_virtio_server *server)
{
	struct vas_vhost_user *front = front_of_server(server);

	pthread_mutex_lock(&front->calls);
	pthread_mutex_lock(&front->lock);
	stop_all(front);
	pthread_mutex_unlock(&front->lock);
	reset_device(front);
	pthread_mutex_unlock(&front->calls);
}

const struct vas_virtio_ops vas_front_server_ops = {
	.config_read = config_read,
	.config_write = config_write,
	.config_generation = config_generation,
	.start = start,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.reset = reset,
};
