// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The front end's second socket, on which it is told without having asked: that the config space
 * has changed, and it reads it anew then, on the first one; and what a queue misses of its IOMMU's
 * tables, whose answer comes there, too. A reply on this socket only says whether there will be an
 * answer. Nothing here waits. Queues' threads send; the session's thread receives.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "device/vhost_user/session.h"
#include "lib/base/fd_stream.h"
#include "lib/base/foreign.h"

static bool is_unix_stream(int fd)
{
	int domain = 0, type = 0;
	socklen_t size = sizeof(int);

	return !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) && domain == AF_UNIX &&
	       !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) && type == SOCK_STREAM;
}

int requests_init(struct session *session)
{
	session->requests.sock = -1;
	return -pthread_mutex_init(&session->requests.lock, NULL);
}

static void replace(struct requests *requests, int sock)
{
	pthread_mutex_lock(&requests->lock);
	if (requests->sock >= 0)
		close(requests->sock);
	requests->sock = sock;
	requests->nr = requests->first = 0;
	requests->reply_len = 0;
	pthread_mutex_unlock(&requests->lock);
}

int request_set(struct session *session, struct vhost_user_message *message)
{
	if (!message->nr_fds || !is_unix_stream(message->fds[0]))
		return vas_error_set(-EINVAL,
				     "what the front end sends for requests is no Unix stream "
				     "socket");
	replace(&session->requests, vhost_user_take_fd(message, 0));
	return 0;
}

void requests_end(struct session *session)
{
	replace(&session->requests, -1);
	pthread_mutex_destroy(&session->requests.lock);
}

/* Under the lock. All of it, or nothing: a socket that has taken a part is of no use any more. */
static int send_whole(struct requests *requests, const void *bytes, size_t len)
{
	ssize_t nr;

	if (requests->sock < 0)
		return -ENOTCONN;
	nr = vas_fd_stream_send(requests->sock, bytes, len, NULL, 0);
	if (nr == (ssize_t)len)
		return 0;
	if (nr == -EAGAIN || nr == -EINTR)
		return -EAGAIN;
	shutdown(requests->sock, SHUT_RDWR);
	return nr < 0 ? (int)nr : -EPIPE;
}

/* ---- the config space --------------------------------------------------------------------- */

/* Where it has no room, it is full of messages that say the same. */
static void tell(struct requests *requests)
{
	const uint32_t head[] = { VHOST_USER_BACKEND_CONFIG_CHANGE, VHOST_USER_VERSION, 0 };

	pthread_mutex_lock(&requests->lock);
	send_whole(requests, head, sizeof(head));
	pthread_mutex_unlock(&requests->lock);
}

void request_look(struct session *session)
{
	struct vas_device *device = session->device;

	if (device->ops->look && device->ops->look(device))
		tell(&session->requests);
}

/* ---- misses ------------------------------------------------------------------------------- */

struct iotlb_message {
	uint32_t request, flags, size;
	struct vhost_user_iotlb iotlb;
} __attribute__((packed));

static bool wants_replies(const struct session *session)
{
	return session->protocol_features & 1ull << VHOST_USER_PROTOCOL_REPLY_ACK;
}

/* Under the lock. */
static int send_iotlb(struct requests *requests, const struct vhost_user_iotlb *iotlb,
		      uint32_t flags)
{
	const struct iotlb_message message = {
		.request = VHOST_USER_BACKEND_IOTLB_MSG,
		.flags = VHOST_USER_VERSION | flags,
		.size = sizeof(*iotlb),
		.iotlb = *iotlb,
	};

	return send_whole(requests, &message, sizeof(message));
}

/* Those that are not answered are kept, in their order: replies do not say what they are for. */
int request_miss(void *user, uint64_t iova, uint32_t prot)
{
	struct session *session = user;
	struct requests *requests = &session->requests;
	const struct vhost_user_iotlb iotlb = {
		.iova = iova,
		.size = 1,
		.prot = (uint8_t)prot,
		.type = VHOST_USER_IOTLB_MISS,
	};
	int err = -EAGAIN;

	pthread_mutex_lock(&requests->lock);
	if (!wants_replies(session))
		err = send_iotlb(requests, &iotlb, 0);
	else if (requests->nr < REQUESTS_MAX)
		err = send_iotlb(requests, &iotlb, VHOST_USER_NEED_REPLY);
	if (!err && wants_replies(session))
		requests->iovas[(requests->first + requests->nr++) % REQUESTS_MAX] = iova;
	pthread_mutex_unlock(&requests->lock);
	return err;
}

void request_fault(void *user, uint64_t iova, uint32_t prot)
{
	struct session *session = user;
	const struct vhost_user_iotlb iotlb = {
		.iova = iova,
		.size = 1,
		.prot = (uint8_t)prot,
		.type = VHOST_USER_IOTLB_ACCESS_FAIL,
	};

	pthread_mutex_lock(&session->requests.lock);
	send_iotlb(&session->requests, &iotlb, 0);
	pthread_mutex_unlock(&session->requests.lock);
}

/* ---- replies ------------------------------------------------------------------------------ */

/* Some of one. 0: nothing; no fds belong to it. */
static ssize_t receive(struct requests *requests)
{
	uint32_t nr_fds = 0;
	int fds[VHOST_USER_MAX_FDS];
	ssize_t nr = vas_fd_stream_receive(
		requests->sock, (char *)&requests->reply + requests->reply_len,
		sizeof(requests->reply) - requests->reply_len, fds, &nr_fds, VHOST_USER_MAX_FDS);

	vas_foreign_discard(fds, nr_fds);
	if (nr == -EAGAIN || nr == -EINTR)
		return 0;
	return nr && !nr_fds ? nr : -EPIPE;
}

/* The oldest that is not answered. */
static int check_reply(struct requests *requests, uint64_t *iova)
{
	const struct request_reply *reply = &requests->reply;

	if (reply->request != VHOST_USER_BACKEND_IOTLB_MSG ||
	    reply->flags != (VHOST_USER_VERSION | VHOST_USER_IS_REPLY) ||
	    reply->size != sizeof(reply->u64) || !requests->nr)
		return vas_error_set(-EPROTO,
				     "the front end replies to request %u, with %u bytes: that is "
				     "no reply to a miss",
				     reply->request, reply->size);
	*iova = requests->iovas[requests->first];
	requests->first = (requests->first + 1) % REQUESTS_MAX;
	requests->nr--;
	return 0;
}

int request_receive(struct session *session)
{
	struct requests *requests = &session->requests;
	bool is_whole = false;
	uint64_t iova = 0;
	ssize_t nr;
	int err = 0;

	pthread_mutex_lock(&requests->lock);
	nr = receive(requests);
	if (nr > 0) {
		requests->reply_len += (uint32_t)nr;
		is_whole = requests->reply_len == sizeof(requests->reply);
	}
	if (is_whole) {
		requests->reply_len = 0;
		err = check_reply(requests, &iova);
	}
	pthread_mutex_unlock(&requests->lock);
	/* Nobody is there any more: what is asked now finds that out. */
	if (nr < 0)
		replace(requests, -1);
	if (is_whole && !err && requests->reply.u64)
		vas_iommu_refuse(session->view, iova);
	return err;
}
