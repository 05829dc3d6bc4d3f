// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "vhost_user.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost_types.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum request {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	SET_VRING_ERR = 14,
	GET_PROTOCOL_FEATURES = 15,
	GET_QUEUE_NUM = 17,
	SET_VRING_ENABLE = 18,
	GET_CONFIG = 24,
};

#define PROTOCOL_FEATURES_BIT 30
#define PROTOCOL_MQ	      (1ull << 0)
#define PROTOCOL_CONFIG	      (1ull << 9)

#define VERSION	    1u
#define FLAG_REPLY  4u
#define NO_FD_BIT   0x100u
#define CONFIG_SIZE 256

struct message {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
	union {
		uint64_t number;
		struct vhost_vring_state state;
		struct vhost_vring_addr addr;
		struct {
			uint32_t nr;
			uint32_t pad;
			struct vhost_user_region regions[VHOST_USER_REGIONS];
		} memory;
		struct {
			uint32_t offset;
			uint32_t size;
			uint32_t flags;
			uint8_t bytes[CONFIG_SIZE];
		} config;
	};
} __attribute__((packed));

#define HEADER_SIZE offsetof(struct message, number)

/* ---- queues ------------------------------------------------------------------------------- */

static int start(struct vhost_user *user, struct vhost_user_queue *queue)
{
	if (queue->is_running || !queue->is_enabled || queue->config.kick_fd < 0 ||
	    queue->config.call_fd < 0)
		return 0;
	if (ioctl(user->device, user->type->start, &queue->config))
		return -errno;
	queue->is_running = 1;
	return 0;
}

static int stop(struct vhost_user *user, struct vhost_user_queue *queue)
{
	struct vas_queue_stopped stopped = { .index = queue->config.index };

	if (!queue->is_running)
		return 0;
	if (ioctl(user->device, user->type->stop, &stopped))
		return -errno;
	queue->is_running = 0;
	queue->config.base = stopped.base;
	queue->nr_requests += stopped.nr_requests;
	return stopped.broken ? -EPROTO : 0;
}

/* Rings are told as addresses in QEMU. */
static uint64_t gpa_of(const struct vhost_user *user, uint64_t hva)
{
	for (uint32_t i = 0; i < user->nr_regions; i++)
		if (hva - user->regions[i].hva < user->regions[i].size)
			return user->regions[i].gpa + (hva - user->regions[i].hva);
	return UINT64_MAX;
}

static int take_fd(const struct message *m, int fd, int *place)
{
	if (*place >= 0)
		close(*place);
	*place = m->number & NO_FD_BIT ? -1 : fd;
	return 0;
}

/* A running queue's interrupt may be tied to another eventfd. */
static int set_call(struct vhost_user *user, struct vhost_user_queue *queue,
		    const struct message *m, int fd)
{
	int err = stop(user, queue);

	take_fd(m, fd, &queue->config.call_fd);
	return err ? err : start(user, queue);
}

static void set_addr(struct vhost_user *user, struct vhost_user_queue *queue,
		     const struct vhost_vring_addr *addr)
{
	queue->config.parts[0] = gpa_of(user, addr->desc_user_addr);
	queue->config.parts[1] = gpa_of(user, addr->avail_user_addr);
	queue->config.parts[2] = gpa_of(user, addr->used_user_addr);
}

/* ---- the device --------------------------------------------------------------------------- */

static int open_device(struct vhost_user *user)
{
	if (user->device >= 0)
		close(user->device);
	user->device = open(user->type->path, O_RDWR | O_CLOEXEC);
	return user->device < 0 ? -errno : user->type->open(user);
}

static void set_memory(struct vhost_user *user, const struct message *m)
{
	user->nr_regions = m->memory.nr <= VHOST_USER_REGIONS ? m->memory.nr : 0;
	memcpy(user->regions, m->memory.regions, user->nr_regions * sizeof(user->regions[0]));
}

/* ---- messages ----------------------------------------------------------------------------- */

static int reply(struct vhost_user *user, struct message *m, uint32_t size)
{
	m->flags = VERSION | FLAG_REPLY;
	m->size = size;
	return send(user->sock, m, HEADER_SIZE + size, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int reply_number(struct vhost_user *user, struct message *m, uint64_t number)
{
	m->number = number;
	return reply(user, m, sizeof(m->number));
}

static int handle_queue(struct vhost_user *user, struct message *m, int fd)
{
	struct vhost_user_queue *queue;
	struct vhost_vring_addr addr;
	int err;

	/* The index comes first in all of these. */
	if ((m->state.index & 0xff) >= VHOST_USER_QUEUES)
		return -EPROTO;
	queue = &user->queues[m->state.index & 0xff];
	switch (m->request) {
	case SET_VRING_NUM:
		queue->config.size = m->state.num;
		return 0;
	case SET_VRING_ADDR:
		addr = m->addr;
		set_addr(user, queue, &addr);
		return 0;
	case SET_VRING_BASE:
		queue->config.base = m->state.num;
		return 0;
	case SET_VRING_KICK:
		take_fd(m, fd, &queue->config.kick_fd);
		return start(user, queue);
	case SET_VRING_ERR:
		return take_fd(m, fd, &queue->config.err_fd);
	case SET_VRING_CALL:
		return set_call(user, queue, m, fd);
	case SET_VRING_ENABLE:
		queue->is_enabled = m->state.num != 0;
		return queue->is_enabled ? start(user, queue) : stop(user, queue);
	default: /* GET_VRING_BASE */
		err = stop(user, queue);
		close(queue->config.kick_fd);
		queue->config.kick_fd = -1;
		m->state.num = queue->config.base;
		return err ? err : reply(user, m, sizeof(m->state));
	}
}

static int handle(struct vhost_user *user, struct message *m, int fd)
{
	switch (m->request) {
	case GET_FEATURES:
		/* Misses would want a socket to QEMU. */
		return reply_number(user, m,
				    (user->type->features | 1ull << PROTOCOL_FEATURES_BIT) &
					    ~(1ull << VIRTIO_F_ACCESS_PLATFORM));
	case SET_FEATURES:
		user->features = m->number;
		return 0;
	case GET_PROTOCOL_FEATURES:
		return reply_number(user, m,
				    PROTOCOL_MQ | (user->type->config ? PROTOCOL_CONFIG : 0));
	case GET_QUEUE_NUM:
		return reply_number(user, m, VHOST_USER_QUEUES);
	case GET_CONFIG:
		memset(m->config.bytes, 0, sizeof(m->config.bytes));
		user->type->config(m->config.bytes);
		return reply(user, m, m->size);
	case SET_MEM_TABLE:
		set_memory(user, m);
		return open_device(user);
	case SET_VRING_NUM:
	case SET_VRING_ADDR:
	case SET_VRING_BASE:
	case GET_VRING_BASE:
	case SET_VRING_KICK:
	case SET_VRING_CALL:
	case SET_VRING_ERR:
	case SET_VRING_ENABLE:
		return handle_queue(user, m, fd);
	default:
		return 0; /* owner, protocol features and the like: nothing to do, nothing to say */
	}
}

/* The first fd of a message is kept; QEMU sends more only for memory, which we know by the vas. */
static ssize_t receive_header(int sock, struct message *m, int *fd)
{
	char room[CMSG_SPACE(VHOST_USER_REGIONS * sizeof(int))];
	struct iovec iov = { m, HEADER_SIZE };
	struct msghdr header = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof(room),
	};
	struct cmsghdr *cmsg;
	ssize_t nr = recvmsg(sock, &header, MSG_WAITALL | MSG_CMSG_CLOEXEC);

	*fd = -1;
	cmsg = nr > 0 ? CMSG_FIRSTHDR(&header) : NULL;
	if (!cmsg || cmsg->cmsg_type != SCM_RIGHTS)
		return nr;
	for (size_t i = 0; i < (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
		int got;

		memcpy(&got, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(got));
		if (i || m->request == SET_MEM_TABLE)
			close(got);
		else
			*fd = got;
	}
	return nr;
}

static int receive(struct vhost_user *user, struct message *m, int *fd)
{
	ssize_t nr = receive_header(user->sock, m, fd);

	if (nr <= 0)
		return nr ? -errno : -ENOTCONN;
	if (m->size > sizeof(*m) - HEADER_SIZE)
		return -EPROTO;
	if (m->size && recv(user->sock, &m->number, m->size, MSG_WAITALL) != (ssize_t)m->size)
		return -EPROTO;
	return 0;
}

int vhost_user_serve(struct vhost_user *user)
{
	struct message m;
	int err, fd;

	user->device = -1;
	for (uint32_t i = 0; i < VHOST_USER_QUEUES; i++)
		user->queues[i] = (struct vhost_user_queue){
			.config = { .index = i, .kick_fd = -1, .call_fd = -1, .err_fd = -1 },
		};
	do {
		memset(&m, 0, sizeof(m));
		err = receive(user, &m, &fd);
		if (!err)
			err = handle(user, &m, fd);
	} while (!err);
	for (uint32_t i = 0; i < VHOST_USER_QUEUES; i++)
		if (stop(user, &user->queues[i]))
			err = -EPROTO;
	if (user->device >= 0)
		close(user->device);
	return err == -ENOTCONN || err == -ECONNRESET ? 0 : err;
}
