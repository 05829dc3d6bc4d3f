// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/vhost_user/message.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "lib/base/deadline.h"
#include "lib/base/fd_stream.h"
#include "lib/base/foreign.h"

#define MAX_PAYLOAD sizeof(struct vhost_user_config)

_Static_assert(MAX_PAYLOAD >= sizeof(struct vhost_user_mem_table), "the largest one");

/* ---- which requests there are ------------------------------------------------------------- */

struct shape {
	uint32_t least, most; /* bytes of payload */
	uint32_t max_fds;
	bool is_known;
};

#define SHAPE(least, most, fds)              \
	{                                    \
		(least), (most), (fds), true \
	}
#define NOTHING	     SHAPE(0, 0, 0)
#define FIXED(field) SHAPE(sizeof(field), sizeof(field), 0)
#define NUMBER	     FIXED(uint64_t)
#define EVENT	     SHAPE(sizeof(uint64_t), sizeof(uint64_t), 1)

/* GET ones have the payload of their answer in the messages of some front ends, or none. */
static const struct shape shapes[] = {
	[VHOST_USER_GET_FEATURES] = SHAPE(0, 8, 0),
	[VHOST_USER_SET_FEATURES] = NUMBER,
	[VHOST_USER_SET_OWNER] = NOTHING,
	[VHOST_USER_RESET_OWNER] = NOTHING,
	[VHOST_USER_SET_MEM_TABLE] =
		SHAPE(offsetof(struct vhost_user_mem_table, regions),
		      sizeof(struct vhost_user_mem_table), VHOST_USER_MAX_REGIONS),
	[VHOST_USER_SET_LOG_BASE] =
		SHAPE(sizeof(struct vhost_user_log), sizeof(struct vhost_user_log), 1),
	[VHOST_USER_SET_LOG_FD] = SHAPE(0, 8, 1),
	[VHOST_USER_SET_VRING_NUM] = FIXED(struct vhost_user_vring_state),
	[VHOST_USER_SET_VRING_ADDR] = FIXED(struct vhost_user_vring_addr),
	[VHOST_USER_SET_VRING_BASE] = FIXED(struct vhost_user_vring_state),
	[VHOST_USER_GET_VRING_BASE] = FIXED(struct vhost_user_vring_state),
	[VHOST_USER_SET_VRING_KICK] = EVENT,
	[VHOST_USER_SET_VRING_CALL] = EVENT,
	[VHOST_USER_SET_VRING_ERR] = EVENT,
	[VHOST_USER_GET_PROTOCOL_FEATURES] = SHAPE(0, 8, 0),
	[VHOST_USER_SET_PROTOCOL_FEATURES] = NUMBER,
	[VHOST_USER_GET_QUEUE_NUM] = SHAPE(0, 8, 0),
	[VHOST_USER_SET_VRING_ENABLE] = FIXED(struct vhost_user_vring_state),
	[VHOST_USER_SEND_RARP] = NUMBER,
	[VHOST_USER_SET_BACKEND_REQ_FD] = SHAPE(0, 0, 1),
	[VHOST_USER_IOTLB_MSG] = FIXED(struct vhost_user_iotlb),
	[VHOST_USER_GET_CONFIG] =
		SHAPE(VHOST_USER_CONFIG_HEADER, sizeof(struct vhost_user_config), 0),
	[VHOST_USER_SET_CONFIG] =
		SHAPE(VHOST_USER_CONFIG_HEADER, sizeof(struct vhost_user_config), 0),
	[VHOST_USER_GET_INFLIGHT_FD] =
		SHAPE(VHOST_USER_INFLIGHT_SIZE, sizeof(struct vhost_user_inflight), 0),
	[VHOST_USER_SET_INFLIGHT_FD] =
		SHAPE(VHOST_USER_INFLIGHT_SIZE, sizeof(struct vhost_user_inflight), 1),
	[VHOST_USER_RESET_DEVICE] = NOTHING,
	[VHOST_USER_GET_MAX_MEM_SLOTS] = SHAPE(0, 8, 0),
	[VHOST_USER_ADD_MEM_REG] = SHAPE(sizeof(struct vhost_user_one_region),
					 sizeof(struct vhost_user_one_region), 1),
	[VHOST_USER_REM_MEM_REG] = SHAPE(sizeof(struct vhost_user_one_region),
					 sizeof(struct vhost_user_one_region), 1),
	[VHOST_USER_SET_STATUS] = NUMBER,
	[VHOST_USER_GET_STATUS] = SHAPE(0, 8, 0),
};

#define NR_SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static int check(const struct vhost_user_message *message)
{
	const struct shape *shape = &shapes[message->request < NR_SHAPES ? message->request : 0];

	if ((message->flags & 3) != VHOST_USER_VERSION || message->flags & VHOST_USER_IS_REPLY)
		return vas_error_set(-EPROTO, "the front end's flags %#x are no request's",
				     message->flags);
	if (!shape->is_known)
		return vas_error_set(-EPROTO, "the front end asks for %u, which was not offered",
				     message->request);
	if (message->size < shape->least || message->size > shape->most)
		return vas_error_set(-EPROTO,
				     "the front end's request %u has %u bytes, not %u to %u",
				     message->request, message->size, shape->least, shape->most);
	if (message->nr_fds > shape->max_fds)
		return vas_error_set(-EPROTO,
				     "the front end's request %u has %u fds, not %u at most",
				     message->request, message->nr_fds, shape->max_fds);
	return 0;
}

/* ---- receiving ---------------------------------------------------------------------------- */

int vhost_user_take_fd(struct vhost_user_message *message, uint32_t index)
{
	int fd = index < message->nr_fds ? message->fds[index] : -1;

	if (fd >= 0)
		message->fds[index] = -1;
	return fd;
}

void vhost_user_close_fds(struct vhost_user_message *message)
{
	vas_foreign_discard(message->fds, message->nr_fds);
	message->nr_fds = 0;
}

/* Some of len bytes; 0: the peer has closed the socket. */
static ssize_t receive_some(int sock, struct vhost_user_message *message, void *to, size_t len)
{
	ssize_t nr = vas_fd_stream_receive(sock, to, len, message->fds, &message->nr_fds,
					   VHOST_USER_MAX_FDS);

	if (nr == -EMFILE)
		return vas_error_set(-EPROTO, "the front end sends more than %u fds at once",
				     VHOST_USER_MAX_FDS);
	return nr;
}

/* All of len bytes, of a message that has begun. */
static int receive_all(int sock, struct vhost_user_message *message, void *to, size_t len,
		       struct deadline deadline)
{
	while (len) {
		ssize_t nr = receive_some(sock, message, to, len);
		int err = 0;

		if (nr == -EAGAIN || nr == -EINTR)
			err = deadline_wait(sock, POLLIN, deadline);
		else if (!nr)
			return vas_error_set(-EPROTO, "the front end has gone within a message");
		else if (nr < 0)
			err = (int)nr;
		if (err == -ETIMEDOUT)
			return vas_error_set(err, "the front end does not finish a message");
		if (err)
			return err;
		if (nr > 0) {
			to = (char *)to + nr;
			len -= (size_t)nr;
		}
	}
	return 0;
}

static int receive_rest(int sock, struct vhost_user_message *message, size_t nr)
{
	struct deadline deadline = deadline_in(VHOST_USER_MESSAGE_NS);
	int err = receive_all(sock, message, (char *)&message->request + nr, VHOST_USER_HEADER - nr,
			      deadline);

	if (err)
		return err;
	if (message->size > MAX_PAYLOAD)
		return vas_error_set(-EPROTO, "the front end says that a message has %u bytes",
				     message->size);
	err = receive_all(sock, message, &message->u64, message->size, deadline);
	return err ? err : check(message);
}

int vhost_user_receive(int sock, struct vhost_user_message *message)
{
	ssize_t nr;
	int err;

	memset(message, 0, sizeof(*message));
	nr = receive_some(sock, message, &message->request, VHOST_USER_HEADER);
	if (!nr)
		nr = -ECONNRESET;
	else if (nr == -EINTR)
		nr = -EAGAIN;
	err = nr < 0 ? (int)nr : receive_rest(sock, message, (size_t)nr);
	if (err)
		vhost_user_close_fds(message);
	return err;
}

/* ---- answering ---------------------------------------------------------------------------- */

static int send_all(int sock, const char *bytes, size_t len, int fd)
{
	struct deadline deadline = deadline_in(VHOST_USER_MESSAGE_NS);
	uint32_t nr_fds = fd >= 0;

	while (len) {
		ssize_t nr = vas_fd_stream_send(sock, bytes, len, &fd, nr_fds);
		int err = nr < 0 ? (int)nr : 0;

		if (err == -EAGAIN || err == -EINTR)
			err = deadline_wait(sock, POLLOUT, deadline);
		if (err)
			return err;
		if (nr > 0) {
			nr_fds = 0; /* once is enough */
			bytes += nr;
			len -= (size_t)nr;
		}
	}
	return 0;
}

int vhost_user_reply(int sock, struct vhost_user_message *message, uint32_t size, int fd)
{
	const uint32_t head[] = { message->request, VHOST_USER_VERSION | VHOST_USER_IS_REPLY,
				  size };
	char bytes[VHOST_USER_HEADER + MAX_PAYLOAD];

	memcpy(bytes, head, sizeof(head));
	memcpy(bytes + sizeof(head), &message->u64, size);
	return send_all(sock, bytes, sizeof(head) + size, fd);
}
