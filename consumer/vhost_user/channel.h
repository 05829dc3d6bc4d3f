/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The connection to a back end, without waiting: one request at a time is on its way, and its
 * answer is collected as it comes. What comes is a stranger's.
 *
 *	idle -- channel_ask() --> sent -- channel_run() == 1 --> idle
 *
 * idle	nothing may come: what does is an error
 * sent	the request may be in the socket in part; the answer has a deadline, set when it was sent
 */
#ifndef CONSUMER_VHOST_USER_CHANNEL_H
#define CONSUMER_VHOST_USER_CHANNEL_H

#include <stdint.h>

#include "core/vhost_user/protocol.h"
#include "lib/base/deadline.h"

/* What the answer to a request is to be. */
struct channel_answer {
	uint32_t request;
	uint32_t least, most; /* bytes of payload */
	uint32_t max_fds;
};

struct channel {
	const char *name;   /* the device, for sentences */
	uint64_t answer_ns; /* that each answer may take */
	int sock;	    /* -1: there is none */

	/* What is to be sent: a request, and perhaps one more that has an answer. */
	char out[2 * VHOST_USER_HEADER + sizeof(struct vhost_user_mem_table)];
	uint32_t out_len, out_sent;
	int out_fds[VHOST_USER_MAX_FDS]; /* duplicates, until they are sent */
	uint32_t nr_out_fds;

	int is_sent;
	struct channel_answer expected;
	struct deadline deadline;
	uint32_t nr_received; /* bytes of the answer */
	struct vhost_user_message answer;
};

void channel_open(struct channel *channel, int sock);
void channel_close(struct channel *channel);

/* A request's payload, and its fds. */
struct channel_request {
	uint32_t request;
	uint32_t size;
	const void *payload;
	const int *fds;
	uint32_t nr_fds;
};

/* Compose a request that has an answer of its own; or one that has none, and how it gets one. */
void channel_ask(struct channel *channel, const struct channel_request *request, uint32_t least,
		 uint32_t most, uint32_t max_fds);
void channel_tell(struct channel *channel, const struct channel_request *request, int has_ack);

/*
 * Send and receive what can be. 1: the answer is there, and its fds are the caller's; 0: not yet,
 * or nothing was sent; -errno: the connection is of no use any more, and vas_error() says why.
 */
int channel_run(struct channel *channel);

/* Something of the request is still to be sent: to be looked at again soon. */
static inline int channel_is_full(const struct channel *channel)
{
	return channel->out_sent < channel->out_len;
}

#endif
