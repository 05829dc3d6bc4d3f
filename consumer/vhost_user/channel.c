// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "consumer/vhost_user/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vas/consumer.h>

#include "lib/base/fd_stream.h"
#include "lib/base/foreign.h"

void channel_open(struct channel *channel, int sock)
{
	*channel = (struct channel){
		.name = channel->name,
		.answer_ns = channel->answer_ns,
		.sock = sock,
	};
}

static void answer_discard(struct channel *channel)
{
	vas_foreign_discard(channel->answer.fds, channel->answer.nr_fds);
	channel->answer.nr_fds = 0;
}

static void out_fds_close(struct channel *channel)
{
	while (channel->nr_out_fds)
		close(channel->out_fds[--channel->nr_out_fds]);
}

void channel_close(struct channel *channel)
{
	answer_discard(channel);
	out_fds_close(channel);
	if (channel->sock >= 0) {
		/* Whoever else has it, too: for the back end this is the end. */
		shutdown(channel->sock, SHUT_RDWR);
		close(channel->sock);
	}
	channel_open(channel, -1);
}

/* ---- sending ------------------------------------------------------------------------------- */

static void append(struct channel *channel, uint32_t request, uint32_t flags, const void *payload,
		   uint32_t size)
{
	const uint32_t head[] = { request, VHOST_USER_VERSION | flags, size };

	memcpy(channel->out + channel->out_len, head, sizeof(head));
	channel->out_len += sizeof(head);
	if (size)
		memcpy(channel->out + channel->out_len, payload, size);
	channel->out_len += size;
}

static void compose(struct channel *channel, const struct channel_request *request, uint32_t flags,
		    struct channel_answer expected)
{
	uint32_t i;

	answer_discard(channel); /* nobody has taken these */
	channel->out_len = channel->out_sent = 0;
	append(channel, request->request, flags, request->payload, request->size);
	/* One that cannot be duplicated cannot be sent either, and sending says so. */
	for (i = 0; i < request->nr_fds; i++)
		channel->out_fds[i] = fcntl(request->fds[i], F_DUPFD_CLOEXEC, 0);
	channel->nr_out_fds = request->nr_fds;
	channel->expected = expected;
	channel->nr_received = 0;
	channel->is_sent = 1;
	channel->deadline = deadline_in(channel->answer_ns);
}

void channel_ask(struct channel *channel, const struct channel_request *request, uint32_t least,
		 uint32_t most, uint32_t max_fds)
{
	compose(channel, request, 0,
		(struct channel_answer){ request->request, least, most, max_fds });
}

/* Requests are done in order: without acknowledgements, the answer to a further one says it. */
void channel_tell(struct channel *channel, const struct channel_request *request, int has_ack)
{
	const struct channel_answer number = { has_ack ? request->request : VHOST_USER_GET_FEATURES,
					       sizeof(uint64_t), sizeof(uint64_t), 0 };

	compose(channel, request, has_ack ? VHOST_USER_NEED_REPLY : 0, number);
	if (!has_ack)
		append(channel, VHOST_USER_GET_FEATURES, 0, NULL, 0);
}

static int gone(const struct channel *channel, int err)
{
	if (err == -ECONNRESET || err == -EPIPE)
		return vas_error_set(-ECONNRESET, "%s: the back end has closed the connection",
				     channel->name);
	return vas_error_set(err, "%s: the connection to the back end: %s", channel->name,
			     strerror(-err));
}

static int flush(struct channel *channel)
{
	ssize_t nr;

	while (channel_is_full(channel)) {
		nr = vas_fd_stream_send(channel->sock, channel->out + channel->out_sent,
					channel->out_len - channel->out_sent, channel->out_fds,
					channel->nr_out_fds);
		if (nr == -EAGAIN)
			return 0;
		if (nr < 0 && nr != -EINTR)
			return gone(channel, (int)nr);
		if (nr > 0) {
			channel->out_sent += (uint32_t)nr;
			out_fds_close(channel); /* once is enough */
		}
	}
	return 0;
}

/* ---- receiving ----------------------------------------------------------------------------- */

/* Some of what is missing: 0 if nothing is there. */
static int receive_some(struct channel *channel, void *to, uint32_t len)
{
	struct vhost_user_message *answer = &channel->answer;
	ssize_t nr = vas_fd_stream_receive(channel->sock, to, len, answer->fds, &answer->nr_fds,
					   VHOST_USER_MAX_FDS);

	if (nr > 0)
		return (int)nr;
	if (nr == -EAGAIN || nr == -EINTR)
		return 0;
	if (nr == -EMFILE)
		return vas_error_set(-EPROTO, "%s: the back end sends fds that nobody asked for",
				     channel->name);
	return gone(channel, nr ? (int)nr : -ECONNRESET);
}

static int check_header(const struct channel *channel)
{
	const struct vhost_user_message *answer = &channel->answer;
	const struct channel_answer *expected = &channel->expected;

	if (answer->request != expected->request ||
	    (answer->flags & 7) != (VHOST_USER_VERSION | VHOST_USER_IS_REPLY))
		return vas_error_set(
			-EPROTO, "%s: the back end answers request %u with %u, flags %#x",
			channel->name, expected->request, answer->request, answer->flags);
	if (answer->size < expected->least || answer->size > expected->most)
		return vas_error_set(-EPROTO,
				     "%s: the back end answers request %u with %u bytes, not %u to "
				     "%u",
				     channel->name, expected->request, answer->size,
				     expected->least, expected->most);
	return 0;
}

/* Header, then payload, as they come. 1: all of it is there. */
static int receive(struct channel *channel)
{
	struct vhost_user_message *answer = &channel->answer;
	uint32_t have = channel->nr_received;
	int nr, err;

	for (;;) {
		if (have == VHOST_USER_HEADER) {
			err = check_header(channel);
			if (err)
				return err;
		}
		if (have >= VHOST_USER_HEADER && have == VHOST_USER_HEADER + answer->size)
			break;
		if (have < VHOST_USER_HEADER)
			nr = receive_some(channel, (char *)&answer->request + have,
					  VHOST_USER_HEADER - have);
		else
			nr = receive_some(channel, (char *)&answer->u64 + have - VHOST_USER_HEADER,
					  VHOST_USER_HEADER + answer->size - have);
		if (nr <= 0)
			return nr;
		have = channel->nr_received += (uint32_t)nr;
	}
	if (answer->nr_fds > channel->expected.max_fds)
		return vas_error_set(-EPROTO, "%s: the back end sends fds that nobody asked for",
				     channel->name);
	return 1;
}

/* Nothing is to come now: whatever does, or the end, is the end. */
static int check_silence(struct channel *channel)
{
	char byte;
	int nr = receive_some(channel, &byte, 1);

	return nr > 0 ? vas_error_set(-EPROTO, "%s: the back end sends what nobody asked for",
				      channel->name) :
			nr;
}

int channel_run(struct channel *channel)
{
	int result;

	if (channel->sock < 0)
		return 0;
	if (!channel->is_sent)
		return check_silence(channel);
	result = flush(channel);
	if (!result)
		result = receive(channel);
	if (result > 0)
		channel->is_sent = 0;
	else if (!result && !deadline_left_ns(channel->deadline))
		return vas_error_set(-ETIMEDOUT, "%s: the back end does not answer request %u",
				     channel->name, channel->expected.request);
	return result;
}
