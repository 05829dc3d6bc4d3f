// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Attach a vas to a back end of vhost-user: the ops, the beginning and the end. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "consumer/page_log.h"
#include "consumer/vhost_user/front.h"

#define QUEUE_SIZE_DEFAULT 256u
#define MAX_QUEUE_SIZE	   32768u

/* ---- ops ------------------------------------------------------------------------------------- */

static void thaw_writers(struct vas_vhost_user *front)
{
	front->is_frozen = 0;
	vas_front_settle(front);
}

/* If the change does not hold after all, what it takes away comes back. */
static void thaw_layout(struct vas_vhost_user *front)
{
	front->is_layout_frozen = 0;
	vas_front_memory_return(front);
	vas_front_settle(front);
}

static int freeze(struct vas_consumer *consumer, enum vas_freeze_reason reason,
		  uint64_t deadline_ns)
{
	struct vas_vhost_user *front = front_of(consumer);
	int result;

	(void)deadline_ns;
	pthread_mutex_lock(&front->lock);
	if (reason == VAS_FREEZE_WRITERS) {
		front->is_frozen = 1;
		result = vas_front_step(front, thaw_writers);
	} else {
		front->is_layout_frozen = 1;
		vas_front_memory_follow(front);
		result = vas_front_step(front, thaw_layout);
	}
	pthread_mutex_unlock(&front->lock);
	return result;
}

static void thaw(struct vas_consumer *consumer, enum vas_freeze_reason reason)
{
	struct vas_vhost_user *front = front_of(consumer);

	pthread_mutex_lock(&front->lock);
	vas_front_step_end(front);
	if (reason == VAS_FREEZE_WRITERS)
		thaw_writers(front);
	else
		thaw_layout(front);
	pthread_mutex_unlock(&front->lock);
}

static int fd(struct vas_consumer *consumer)
{
	return front_of(consumer)->epoll_fd;
}

static int finish(struct vas_consumer *consumer)
{
	struct vas_vhost_user *front = front_of(consumer);
	int result;

	pthread_mutex_lock(&front->lock);
	result = vas_front_step(front, front->step_undo);
	pthread_mutex_unlock(&front->lock);
	return result;
}

static const struct vas_consumer_ops consumer_ops = {
	.prepare = vas_front_prepare,
	.commit = vas_front_commit,
	.abort = vas_front_abort,
	.retry = vas_front_retry,
	.freeze = freeze,
	.thaw = thaw,
	.track = vas_front_track,
	.untrack = vas_front_untrack,
	.harvest = vas_front_harvest,
	.fd = fd,
	.finish = finish,
};

/* ---- attach ---------------------------------------------------------------------------------- */

static int check_options(const struct vas_vhost_user_options *options)
{
	if (!options || !options->device_id || options->nr_queues > VAS_VIRTIO_MAX_QUEUES ||
	    options->queue_size > MAX_QUEUE_SIZE || options->config_size > VHOST_USER_MAX_CONFIG ||
	    (options->config && !options->config_size) || options->reserved[0] ||
	    options->reserved[1])
		return vas_error_set(-EINVAL,
				     "options of a vhost-user device: an id of virtio's, "
				     "up to %u queues of up to %u entries, and a config "
				     "space of up to %u bytes",
				     VAS_VIRTIO_MAX_QUEUES, MAX_QUEUE_SIZE, VHOST_USER_MAX_CONFIG);
	if (options->name && (!*options->name || strlen(options->name) >= VAS_REGION_NAME_LEN))
		return vas_error_set(-EINVAL, "a name has 1 to %d characters",
				     VAS_REGION_NAME_LEN - 1);
	return 0;
}

static void describe(struct vas_vhost_user *front, const struct vas_vhost_user_options *options)
{
	snprintf(front->name, sizeof(front->name), "%s",
		 options->name ? options->name : "vhost-user");
	front->ops = consumer_ops;
	front->ops.name = front->name;
	front->consumer.ops = &front->ops;
	front->channel.name = front->name;
	front->channel.answer_ns = options->timeout_ns ? options->timeout_ns : FRONT_ANSWER_NS;
	front->server = (struct vas_virtio_server){
		.ops = &vas_front_server_ops,
		.name = front->name,
		.device_id = options->device_id,
		.nr_queues = options->nr_queues,
		.queue_size = options->queue_size ? options->queue_size : QUEUE_SIZE_DEFAULT,
		.config_size = options->config_size,
	};
	front->has_own_config = options->config != NULL;
	if (options->config)
		memcpy(front->config, options->config, options->config_size);
}

static int open_fds(struct vas_vhost_user *front)
{
	struct epoll_event event = { .events = EPOLLIN };

	front->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	front->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (front->epoll_fd < 0 || front->timer_fd < 0 ||
	    epoll_ctl(front->epoll_fd, EPOLL_CTL_ADD, front->timer_fd, &event))
		return vas_error_set(-errno, "%s: no fds: %s", front->name, strerror(errno));
	return 0;
}

static int check_socket(const struct vas_vhost_user *front, int sock)
{
	int type, domain;
	socklen_t len = sizeof(int);

	if (!getsockopt(sock, SOL_SOCKET, SO_TYPE, &type, &len) &&
	    !getsockopt(sock, SOL_SOCKET, SO_DOMAIN, &domain, &len) && type == SOCK_STREAM &&
	    domain == AF_UNIX)
		return 0;
	return vas_error_set(-ENOTSOCK, "%s: fd %d is no Unix stream socket", front->name, sock);
}

static int connect_copy(struct vas_vhost_user *front, int sock)
{
	int copy, err = check_socket(front, sock);

	if (err)
		return err;
	copy = fcntl(sock, F_DUPFD_CLOEXEC, 0);
	return copy < 0 ? vas_error_set(-errno, "%s: the socket cannot be duplicated: %s",
					front->name, strerror(errno)) :
			  vas_front_connect(front, copy);
}

/* There are as many as there can be, until it is known how many there are. */
static int make_queues(struct vas_vhost_user *front)
{
	uint32_t i;

	front->queues = calloc(VAS_VIRTIO_MAX_QUEUES, sizeof(*front->queues));
	if (!front->queues)
		return vas_error_set(-ENOMEM, "no memory");
	for (i = 0; i < VAS_VIRTIO_MAX_QUEUES; i++)
		front->queues[i].queue.kick_fd = front->queues[i].queue.call_fd = -1;
	return 0;
}

static int front_init(struct vas_vhost_user *front, int sock)
{
	struct vas_info info;
	int err = vas_info(front->vas, &info);

	if (err)
		return err;
	front->log_words = page_log_words(&info);
	err = make_queues(front);
	if (!err)
		err = open_fds(front);
	if (!err)
		err = connect_copy(front, sock);
	if (!err && !front->server.nr_queues)
		front->server.nr_queues = front->nr_queues;
	return err;
}

static void front_free(struct vas_vhost_user *front)
{
	channel_close(&front->channel);
	vas_front_inflight_forget(front);
	vas_front_memory_clean(front);
	if (front->epoll_fd >= 0)
		close(front->epoll_fd);
	if (front->timer_fd >= 0)
		close(front->timer_fd);
	free(front->queues);
	pthread_mutex_destroy(&front->lock);
	pthread_mutex_destroy(&front->calls);
	free(front);
}

int vas_vhost_user_attach(struct vas *vas, int sock, const struct vas_vhost_user_options *options,
			  struct vas_vhost_user **out)
{
	struct vas_vhost_user *front;
	int err = check_options(options);

	if (err)
		return err;
	front = calloc(1, sizeof(*front));
	if (!front)
		return vas_error_set(-ENOMEM, "no memory");
	pthread_mutex_init(&front->calls, NULL);
	pthread_mutex_init(&front->lock, NULL);
	front->vas = vas;
	front->channel.sock = front->epoll_fd = front->timer_fd = -1;
	front->log_fd = front->inflight_fd = -1;
	describe(front, options);
	err = front_init(front, sock);
	if (!err)
		err = vas_consumer_attach(vas, &front->consumer, front->channel.answer_ns, NULL);
	if (err) {
		front_free(front);
		return err;
	}
	*out = front;
	return 0;
}

/* ---- while it is attached -------------------------------------------------------------------- */

int vas_vhost_user_connect(struct vas_vhost_user *front, int sock)
{
	int err;

	pthread_mutex_lock(&front->calls);
	pthread_mutex_lock(&front->lock);
	vas_front_lose(front, vas_error_set(-ENOTCONN, "%s: a successor comes", front->name));
	pthread_mutex_unlock(&front->lock);
	err = connect_copy(front, sock);
	pthread_mutex_unlock(&front->calls);
	return err;
}

static int status(const struct vas_vhost_user *front)
{
	return front->gone ? vas_error_set(front->gone, "%s", front->why) : 0;
}

int vas_vhost_user_status(struct vas_vhost_user *front)
{
	int err;

	pthread_mutex_lock(&front->lock);
	err = status(front);
	pthread_mutex_unlock(&front->lock);
	return err;
}

int vas_vhost_user_serve(struct vas_vhost_user *front)
{
	int err;

	pthread_mutex_lock(&front->lock);
	vas_front_pump(front);
	err = status(front);
	pthread_mutex_unlock(&front->lock);
	return err;
}

int vas_vhost_user_fd(const struct vas_vhost_user *front)
{
	return front->epoll_fd;
}

struct vas_consumer *vas_vhost_user_consumer(struct vas_vhost_user *front)
{
	return &front->consumer;
}

struct vas_virtio_server *vas_vhost_user_server(struct vas_vhost_user *front)
{
	return &front->server;
}

void vas_vhost_user_detach(struct vas_vhost_user *front)
{
	if (!front)
		return;
	front->server.ops->reset(&front->server);
	pthread_mutex_lock(&front->lock);
	vas_front_lose(front, vas_error_set(-ENOTCONN, "%s: it is detached", front->name));
	pthread_mutex_unlock(&front->lock);
	vas_consumer_detach(&front->consumer);
	front_free(front);
}
