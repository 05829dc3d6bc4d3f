// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The front end's second socket, on which it is told without having asked: that the config space
 * has changed, and it reads it anew then, on the first one; and what a queue misses of its IOMMU's
 * tables, whose answer comes there, too. Nothing here waits. Queues' threads send; the session's
 * thread receives.
 *
 * Misses are a list, in the order in which they are sent:
 *
 *	held		more follow, with which it is sent
 *	sent		the last one of those that are sent at once has a reply
 *	answered	an update has come for it, on the first socket
 *
 * A reply is of the oldest one that has any. Whatever is before that the front end has dealt with:
 * what has no answer then has none. So an iova is asked for once at a time: one that was asked for
 * twice could be used and unmapped by its first answer, and the guest told of an access by the
 * second question that nobody has tried.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "device/vhost_user/session.h"
#include "lib/base/fd_stream.h"
#include "lib/base/foreign.h"

#define PAGE 4096ull /* the smallest that an IOMMU has */

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
	requests->nr = requests->first = requests->nr_held = 0;
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

static bool wants_replies(const struct session *session)
{
	return session->protocol_features & 1ull << VHOST_USER_PROTOCOL_REPLY_ACK;
}

static struct request_iotlb message_of(uint64_t iova, uint32_t prot, uint8_t type)
{
	return (struct request_iotlb){
		.request = VHOST_USER_BACKEND_IOTLB_MSG,
		.flags = VHOST_USER_VERSION,
		.size = sizeof(struct vhost_user_iotlb),
		.iotlb = { .iova = iova, .size = 1, .prot = (uint8_t)prot, .type = type },
	};
}

static struct request_miss *miss_at(struct requests *requests, uint32_t index)
{
	return &requests->misses[(requests->first + index) % REQUESTS_MAX];
}

/* Under the lock: one with the same bits of its iova. */
static bool is_asked(struct requests *requests, uint64_t iova, uint64_t mask)
{
	uint32_t i;

	for (i = 0; i < requests->nr; i++) {
		const struct request_miss *miss = miss_at(requests, i);

		if (!miss->is_answered && !((miss->iova ^ iova) & mask))
			return true;
	}
	return false;
}

static void hold(struct requests *requests, uint64_t iova, uint32_t prot)
{
	requests->held[requests->nr_held++] = message_of(iova, prot, VHOST_USER_IOTLB_MISS);
	*miss_at(requests, requests->nr++) = (struct request_miss){ .iova = iova };
}

static void drop_first(struct requests *requests)
{
	requests->first = (requests->first + 1) % REQUESTS_MAX;
	requests->nr--;
}

static void drop_last(struct requests *requests)
{
	requests->nr_held--;
	requests->nr--;
}

/* Under the lock. */
static int send_held(struct requests *requests)
{
	uint32_t nr = requests->nr_held;
	int err;

	if (!nr)
		return 0;
	requests->held[nr - 1].flags |= VHOST_USER_NEED_REPLY;
	miss_at(requests, requests->nr - 1)->has_reply = true;
	err = send_whole(requests, requests->held, nr * sizeof(requests->held[0]));
	if (!err)
		requests->nr_held = 0;
	return err;
}

/* Under the lock. Others may have asked for the same, and it may be held still. */
static int ask(struct requests *requests, uint64_t iova, uint32_t prot)
{
	int err;

	if (is_asked(requests, iova, ~0ull)) {
		err = send_held(requests);
		return err ? err : -EALREADY;
	}
	err = requests->nr_held == REQUESTS_HELD ? send_held(requests) : 0;
	if (!err && requests->nr == REQUESTS_MAX)
		err = -EAGAIN;
	if (err)
		return err;
	hold(requests, iova, prot);
	err = send_held(requests);
	if (err)
		drop_last(requests);
	return err;
}

/* Under the lock. Nobody waits for it, so one of each page is enough. */
static int ask_ahead(struct requests *requests, uint64_t iova, uint32_t prot)
{
	int err = 0;

	if (is_asked(requests, iova, ~(PAGE - 1)))
		return -EALREADY;
	if (requests->nr_held == REQUESTS_HELD)
		err = send_held(requests);
	if (!err && requests->nr >= REQUESTS_AHEAD)
		err = -EAGAIN;
	if (!err)
		hold(requests, iova, prot);
	return err;
}

/* Under the lock. Without replies nothing is known of what was asked. */
static int ask_blindly(struct requests *requests, uint64_t iova, uint32_t prot)
{
	const struct request_iotlb message = message_of(iova, prot, VHOST_USER_IOTLB_MISS);

	return prot & VAS_IOMMU_MORE ? -EAGAIN : send_whole(requests, &message, sizeof(message));
}

int request_miss(void *user, uint64_t iova, uint32_t prot)
{
	struct session *session = user;
	struct requests *requests = &session->requests;
	int err;

	pthread_mutex_lock(&requests->lock);
	if (!wants_replies(session))
		err = ask_blindly(requests, iova, prot);
	else if (prot & VAS_IOMMU_MORE)
		err = ask_ahead(requests, iova, prot & ~VAS_IOMMU_MORE);
	else
		err = ask(requests, iova, prot);
	pthread_mutex_unlock(&requests->lock);
	return err;
}

/* Under the lock: what has its answer, and no reply to come, is dealt with. */
static void drop_answered(struct requests *requests)
{
	while (requests->nr > requests->nr_held) {
		const struct request_miss *miss = miss_at(requests, 0);

		if (!miss->is_answered || miss->has_reply)
			break;
		drop_first(requests);
	}
}

void request_answer(struct session *session, uint64_t iova, uint64_t size)
{
	struct requests *requests = &session->requests;
	uint32_t i;

	pthread_mutex_lock(&requests->lock);
	for (i = 0; i < requests->nr; i++) {
		struct request_miss *miss = miss_at(requests, i);

		miss->is_answered |= miss->iova - iova < size;
	}
	drop_answered(requests);
	pthread_mutex_unlock(&requests->lock);
}

void request_fault(void *user, uint64_t iova, uint32_t prot)
{
	const struct request_iotlb message = message_of(iova, prot, VHOST_USER_IOTLB_ACCESS_FAIL);
	struct session *session = user;

	pthread_mutex_lock(&session->requests.lock);
	send_whole(&session->requests, &message, sizeof(message));
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

/* The oldest that has a reply to come, or nr: none has. */
static uint32_t find_replied(struct requests *requests)
{
	uint32_t i;

	for (i = 0; i < requests->nr - requests->nr_held; i++)
		if (miss_at(requests, i)->has_reply)
			return i;
	return requests->nr;
}

/* Under the lock. */
static int check_reply(struct requests *requests)
{
	const struct request_reply *reply = &requests->reply;

	if (reply->request == VHOST_USER_BACKEND_IOTLB_MSG &&
	    reply->flags == (VHOST_USER_VERSION | VHOST_USER_IS_REPLY) &&
	    reply->size == sizeof(reply->u64) && find_replied(requests) < requests->nr)
		return 0;
	return vas_error_set(-EPROTO,
			     "the front end replies to request %u, with %u bytes: that is no reply "
			     "to a miss",
			     reply->request, reply->size);
}

/*
 * Under the lock, and the view's is not taken yet. What it says yes to, and has not sent, is on its
 * way.
 */
static void deal_with_reply(struct session *session)
{
	struct requests *requests = &session->requests;
	bool is_replied = false;

	while (!is_replied) {
		const struct request_miss miss = *miss_at(requests, 0);

		is_replied = miss.has_reply;
		drop_first(requests);
		if (!miss.is_answered && (!is_replied || requests->reply.u64))
			vas_iommu_refuse(session->view, miss.iova);
	}
}

int request_receive(struct session *session)
{
	struct requests *requests = &session->requests;
	ssize_t nr;
	int err = 0;

	pthread_mutex_lock(&requests->lock);
	nr = receive(requests);
	if (nr > 0)
		requests->reply_len += (uint32_t)nr;
	if (requests->reply_len == sizeof(requests->reply)) {
		requests->reply_len = 0;
		err = check_reply(requests);
		if (!err)
			deal_with_reply(session);
	}
	pthread_mutex_unlock(&requests->lock);
	/* Nobody is there any more: what is asked now finds that out. */
	if (nr < 0)
		replace(requests, -1);
	return err;
}
