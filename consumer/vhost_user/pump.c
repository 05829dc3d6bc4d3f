// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What is wanted, against what the back end has: see front.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "consumer/vhost_user/front.h"

#define LOOK_NS	  1000000ull   /* for what nobody tells of: a queue that is drained */
#define SETTLE_NS 100000000ull /* for what is undone */
#define SLICE_MS  20	       /* another thread may have taken the news */

/* Whoever waits is another thread, perhaps: the sentence is kept for it. */
static void call_fail(struct front_call *call, int err)
{
	call->err = err;
	snprintf(call->why, sizeof(call->why), "%s", vas_error());
}

/* ---- the end of a connection ----------------------------------------------------------------- */

void vas_front_lose(struct vas_vhost_user *front, int err)
{
	size_t i;

	if (!front->gone)
		snprintf(front->why, sizeof(front->why), "%s", vas_error());
	front->gone = err;
	/* The caller may have the socket, too: closing does not take it out. */
	if (front->channel.sock >= 0)
		epoll_ctl(front->epoll_fd, EPOLL_CTL_DEL, front->channel.sock, NULL);
	channel_close(&front->channel);
	front->action = FRONT_NONE;
	front->is_ready = 0;
	front->refused = 0;
	if (front->call.state == CALL_WAITING || front->call.state == CALL_SENT) {
		call_fail(&front->call, err);
		front->call.state = CALL_DONE;
	}
	for (i = 0; i < front->entries.nr; i++)
		front->entries.at[i].is_sent = 0;
	front->sent_features = 0;
	front->is_log_sent = 0;
	front->is_inflight_sent = 0;
	vas_front_queues_lose(front);
}

/* ---- requests and answers -------------------------------------------------------------------- */

void vas_front_ask(struct vas_vhost_user *front, enum front_action action, size_t index,
		   const struct channel_request *request, struct front_answer answer)
{
	front->action = action;
	front->action_index = index;
	channel_ask(&front->channel, request, answer.least, answer.most,
		    action == FRONT_INFLIGHT_GET);
}

void vas_front_tell(struct vas_vhost_user *front, enum front_action action, size_t index,
		    const struct channel_request *request)
{
	front->action = action;
	front->action_index = index;
	channel_tell(&front->channel, request, front_has(front, VHOST_USER_PROTOCOL_REPLY_ACK));
}

static int call_send(struct vas_vhost_user *front)
{
	struct front_call *call = &front->call;

	if (call->state != CALL_WAITING)
		return 0;
	call->state = CALL_SENT;
	if (call->expected.most)
		vas_front_ask(front, FRONT_CALL, 0, &call->request, call->expected);
	else
		vas_front_tell(front, FRONT_CALL, 0, &call->request);
	return 1;
}

static int is_refusal(const struct vas_vhost_user *front)
{
	const struct vhost_user_message *answer = &front->channel.answer;

	return answer->request == front->channel.expected.request &&
	       answer->request != VHOST_USER_GET_FEATURES && answer->size == sizeof(uint64_t) &&
	       answer->u64;
}

static const char *action_name(enum front_action action)
{
	static const char *const names[] = {
		[FRONT_NONE] = "nothing",
		[FRONT_CALL] = "a request",
		[FRONT_QUEUE_BASE] = "the end of a queue",
		[FRONT_LOG] = "a dirty log",
		[FRONT_FEATURES] = "features",
		[FRONT_MEMORY_REMOVE] = "the end of a region",
		[FRONT_MEMORY_ADD] = "a region",
		[FRONT_MEMORY_TABLE] = "a table of regions",
		[FRONT_INFLIGHT_GET] = "a question for a file of requests in flight",
		[FRONT_INFLIGHT_SET] = "a file of requests in flight",
		[FRONT_QUEUE_START] = "a queue",
	};

	return names[action];
}

static void call_take(struct vas_vhost_user *front)
{
	struct front_call *call = &front->call;
	const struct vhost_user_message *answer = &front->channel.answer;

	call->err = 0;
	if (!call->expected.most && is_refusal(front))
		call_fail(call, vas_error_set(-EREMOTEIO, "%s: the back end refuses request %u",
					      front->name, call->request.request));
	call->answer_size = answer->size;
	call->answer = answer->config;
	call->number = answer->u64;
	call->state = CALL_DONE;
}

static int has_acknowledgement(enum front_action action)
{
	return action != FRONT_NONE && action != FRONT_CALL && action != FRONT_QUEUE_BASE &&
	       action != FRONT_LOG && action != FRONT_INFLIGHT_GET;
}

void vas_front_forget(struct vas_vhost_user *front, enum front_action action)
{
	if (front->action == action)
		front->action = FRONT_NONE;
}

/* Who waits hears of it, and wants something else then. If nobody does, the back end must go. */
static int refuse(struct vas_vhost_user *front, enum front_action action)
{
	int err = vas_error_set(-EREMOTEIO, "%s: the back end does not take %s", front->name,
				action_name(action));

	if (!front->step_undo && !front->call_waits)
		return err;
	front->refused = err;
	snprintf(front->refusal, sizeof(front->refusal), "%s", vas_error());
	return 0;
}

static int answer_take(struct vas_vhost_user *front)
{
	enum front_action action = front->action;
	size_t index = front->action_index;

	front->action = FRONT_NONE;
	if (has_acknowledgement(action) && is_refusal(front))
		return refuse(front, action);
	switch (action) {
	case FRONT_NONE:
		break;
	case FRONT_CALL:
		call_take(front);
		break;
	case FRONT_QUEUE_BASE:
		return vas_front_queue_base_take(front, index);
	case FRONT_LOG:
		front->is_log_sent = 1;
		break;
	case FRONT_FEATURES:
		front->sent_features = front->told_features;
		break;
	case FRONT_MEMORY_REMOVE:
	case FRONT_MEMORY_ADD:
	case FRONT_MEMORY_TABLE:
		vas_front_memory_done(front, action, index);
		break;
	case FRONT_INFLIGHT_GET:
		return vas_front_inflight_take(front);
	case FRONT_INFLIGHT_SET:
		front->is_inflight_sent = 1;
		break;
	case FRONT_QUEUE_START:
		vas_front_queue_started(front, index);
		break;
	}
	return 0;
}

/* ---- the next request ------------------------------------------------------------------------ */

static int features_send(struct vas_vhost_user *front)
{
	const uint64_t features = vas_front_features(front);

	if (!front->is_started || front->sent_features == features)
		return 0;
	front->told_features = features;
	vas_front_tell(front, FRONT_FEATURES, 0,
		       &(struct channel_request){ VHOST_USER_SET_FEATURES, sizeof(features),
						  &features, NULL, 0 });
	return 1;
}

/* What queues must not see while it is changed. */
static int must_stand(const struct vas_vhost_user *front)
{
	return front->is_frozen || !front->is_started || vas_front_memory_is_late(front) ||
	       front->sent_features != vas_front_features(front) ||
	       (front->is_log_wanted && !front->is_log_sent);
}

static int may_run(const struct vas_vhost_user *front)
{
	return front->is_started && !front->is_frozen && !front->is_layout_frozen;
}

/* 1: a request is on its way; 0: there is nothing to do; FRONT_LOOK_AGAIN. */
static int send_next(struct vas_vhost_user *front)
{
	int result = call_send(front);

	if (result || !front->is_ready || front->refused)
		return result;
	result = vas_front_queues_stop(front, must_stand(front));
	if (!result)
		result = vas_front_log_send(front);
	if (!result)
		result = features_send(front);
	if (!result)
		result = vas_front_memory_send(front);
	if (!result && may_run(front))
		result = vas_front_inflight_send(front);
	return result || !may_run(front) ? result : vas_front_queues_start(front);
}

/* ---- the pump -------------------------------------------------------------------------------- */

/* Where nobody may have anything to tell before it is time to look. */
static void timer_set(struct vas_vhost_user *front, int result)
{
	struct itimerspec when = { 0 };
	uint64_t in_ns = 0;

	if (front->channel.is_sent)
		in_ns = deadline_left_ns(front->channel.deadline) + 1;
	if (result == FRONT_LOOK_AGAIN || channel_is_full(&front->channel))
		in_ns = LOOK_NS;
	when.it_value.tv_sec = (time_t)(in_ns / NSEC_PER_SEC);
	when.it_value.tv_nsec = (long)(in_ns % NSEC_PER_SEC);
	timerfd_settime(front->timer_fd, 0, &when, NULL);
}

/* Bounded by what there is to do: each round ends a difference, or the loop. */
static int pump(struct vas_vhost_user *front)
{
	int result;

	for (;;) {
		int was_sent = front->channel.is_sent;

		result = channel_run(&front->channel);
		if (result < 0)
			return result;
		if (was_sent && !result)
			return VAS_CONSUMER_UNDER_WAY;
		if (result) {
			result = answer_take(front);
			if (result < 0)
				return result;
		}
		if (front->channel.sock < 0)
			return 0;
		result = send_next(front);
		if (result != 1)
			return result;
	}
}

int vas_front_pump(struct vas_vhost_user *front)
{
	int result = pump(front);

	if (result < 0)
		vas_front_lose(front, result);
	timer_set(front, result);
	return result > 0 ? VAS_CONSUMER_UNDER_WAY : result;
}

int vas_front_result(struct vas_vhost_user *front)
{
	int result = vas_front_pump(front);

	if (result < 0 || !front->refused)
		return result;
	result = vas_error_set(front->refused, "%s", front->refusal);
	front->refused = 0;
	return result;
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* The lock is given up while there is nothing to do. */
static void wait_for_news(struct vas_vhost_user *front, struct deadline deadline)
{
	struct pollfd news = { .fd = front->epoll_fd, .events = POLLIN };

	pthread_mutex_unlock(&front->lock);
	poll(&news, 1, deadline_poll_ms(deadline, SLICE_MS));
	pthread_mutex_lock(&front->lock);
}

int vas_front_wait(struct vas_vhost_user *front, int (*done)(const struct vas_vhost_user *front),
		   struct deadline deadline)
{
	int result;

	for (;;) {
		result = vas_front_result(front);
		if (result < 0 || done(front))
			return result < 0 ? result : 0;
		if (!deadline_left_ns(deadline))
			return vas_error_set(-ETIMEDOUT, "%s: the back end is not done in time",
					     front->name);
		wait_for_news(front, deadline);
	}
}

void vas_front_settle(struct vas_vhost_user *front)
{
	struct deadline deadline = deadline_in(SETTLE_NS);

	while (vas_front_pump(front) > 0 && deadline_left_ns(deadline))
		wait_for_news(front, deadline);
}

int vas_front_call(struct vas_vhost_user *front, const struct channel_request *request,
		   struct front_answer expected)
{
	struct front_call *call = &front->call;
	int err = 0;

	pthread_mutex_lock(&front->lock);
	if (front->channel.sock < 0)
		err = vas_error_set(-ENOTCONN, "%s: there is no back end", front->name);
	else
		*call = (struct front_call){
			.state = CALL_WAITING,
			.request = *request,
			.expected = expected,
		};
	/* Each request on its way has a deadline, and this one comes next. */
	while (!err && call->state != CALL_DONE) {
		vas_front_pump(front);
		if (call->state != CALL_DONE)
			wait_for_news(front, deadline_in(front->channel.answer_ns));
	}
	if (!err && call->err)
		err = vas_error_set(call->err, "%s", call->why);
	call->state = CALL_NONE;
	pthread_mutex_unlock(&front->lock);
	return err;
}

/* ---- steps ----------------------------------------------------------------------------------- */

int vas_front_step(struct vas_vhost_user *front, void (*undo)(struct vas_vhost_user *front))
{
	char why[FRONT_WHY_LEN];
	int result;

	front->step_undo = undo;
	result = vas_front_result(front);
	if (result <= 0)
		vas_front_step_end(front);
	/* One that has closed the connection keeps nobody: there is nobody to wait for. */
	if (result == -ECONNRESET)
		return 0;
	if (result >= 0)
		return result;
	/* Undoing it may have something to say, too. */
	snprintf(why, sizeof(why), "%s", vas_error());
	undo(front);
	return vas_error_set(result, "%s", why);
}

void vas_front_step_end(struct vas_vhost_user *front)
{
	front->step_undo = NULL;
	front->refused = 0;
}
