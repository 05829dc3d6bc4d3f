// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/vhost_user/session.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vas/consumer.h>

#define RING_FEATURES                                                             \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_RING_PACKED |              \
	 1ull << VIRTIO_F_ACCESS_PLATFORM | 1ull << VIRTIO_RING_F_INDIRECT_DESC | \
	 1ull << VIRTIO_RING_F_EVENT_IDX)
#define PROTOCOL_FEATURES                                                                  \
	(1ull << VHOST_USER_PROTOCOL_MQ | 1ull << VHOST_USER_PROTOCOL_LOG_SHMFD |          \
	 1ull << VHOST_USER_PROTOCOL_REPLY_ACK | 1ull << VHOST_USER_PROTOCOL_CONFIG |      \
	 1ull << VHOST_USER_PROTOCOL_INFLIGHT | 1ull << VHOST_USER_PROTOCOL_RESET_DEVICE | \
	 1ull << VHOST_USER_PROTOCOL_BACKEND_REQ | 1ull << VHOST_USER_PROTOCOL_MEM_SLOTS | \
	 1ull << VHOST_USER_PROTOCOL_STATUS)

struct answer {
	uint32_t size;
	int fd;
};

static int answer_number(struct vhost_user_message *message, struct answer *answer, uint64_t number)
{
	message->u64 = number;
	answer->size = sizeof(number);
	return 0;
}

/* ---- features ----------------------------------------------------------------------------- */

static uint64_t offered(const struct session *session)
{
	return session->device->features | RING_FEATURES | TRANSPORT_FEATURES;
}

static int get_features(struct session *session, struct vhost_user_message *message,
			struct answer *answer)
{
	return answer_number(message, answer, offered(session));
}

static void update_logging(struct session *session)
{
	session->memory.is_logging =
		session->memory.log.bytes && session->features & 1ull << VHOST_F_LOG_ALL;
}

static int set_features(struct session *session, struct vhost_user_message *message,
			struct answer *answer)
{
	uint64_t unknown = message->u64 & ~offered(session);

	(void)answer;
	if (unknown)
		return vas_error_set(-EINVAL,
				     "the front end accepts features that were not offered: "
				     "%#llx",
				     (unsigned long long)unknown);
	vrings_pause(session);
	iommu_forget(session);
	session->features = message->u64;
	update_logging(session);
	vrings_resume(session);
	return 0;
}

static uint64_t offered_protocol(const struct session *session)
{
	const struct vas_device_ops *ops = session->device->ops;

	return PROTOCOL_FEATURES | (ops->announce ? 1ull << VHOST_USER_PROTOCOL_RARP : 0);
}

static int get_protocol_features(struct session *session, struct vhost_user_message *message,
				 struct answer *answer)
{
	return answer_number(message, answer, offered_protocol(session));
}

static int set_protocol_features(struct session *session, struct vhost_user_message *message,
				 struct answer *answer)
{
	uint64_t unknown = message->u64 & ~offered_protocol(session);

	(void)answer;
	if (unknown)
		return vas_error_set(-EINVAL,
				     "the front end accepts protocol features that were not "
				     "offered: %#llx",
				     (unsigned long long)unknown);
	session->protocol_features = message->u64;
	return 0;
}

static int get_queue_num(struct session *session, struct vhost_user_message *message,
			 struct answer *answer)
{
	const struct vas_device *device = session->device;

	return answer_number(message, answer,
			     device->queue_num ? device->queue_num : device->max_queues);
}

/* The number's first six bytes are a MAC address. */
static int send_rarp(struct session *session, struct vhost_user_message *message,
		     struct answer *answer)
{
	const struct vas_device *device = session->device;

	(void)answer;
	if (!device->ops->announce)
		return vas_error_set(-EOPNOTSUPP, "this device has no network to be told");
	device->ops->announce(session->device, (const uint8_t *)&message->u64);
	return 0;
}

static int do_nothing(struct session *session, struct vhost_user_message *message,
		      struct answer *answer)
{
	(void)session;
	(void)message;
	(void)answer;
	return 0;
}

static int reset_device(struct session *session, struct vhost_user_message *message,
			struct answer *answer)
{
	(void)message;
	(void)answer;
	vrings_reset(session);
	iommu_forget(session);
	session->status = 0;
	session->device->ops->reset(session->device);
	return 0;
}

/* ---- memory ------------------------------------------------------------------------------- */

static struct memory_region region_of(const struct vhost_user_region *region)
{
	return (struct memory_region){
		.gpa = region->gpa,
		.size = region->size,
		.user = region->user,
	};
}

static int add_region(struct session *session, const struct vhost_user_region *region, int fd)
{
	const struct memory_region wanted = region_of(region);
	int err = memory_add(&session->memory, &wanted, fd, region->offset);

	if (err == -EMEDIUMTYPE)
		return vas_error_set(
			err,
			"the front end's memory at gpa %#llx is no memfd and in no tmpfs or "
			"hugetlbfs, so its file system may never answer",
			(unsigned long long)region->gpa);
	return err ? vas_error_set(err, "the front end's memory at gpa %#llx cannot be used: %s",
				   (unsigned long long)region->gpa, strerror(-err)) :
		     0;
}

static int fill_table(struct session *session, const struct vhost_user_message *message)
{
	uint32_t i;
	int err = 0;

	for (i = 0; i < message->table.nr && !err; i++)
		err = add_region(session, &message->table.regions[i], message->fds[i]);
	if (err)
		memory_clear(&session->memory);
	return err;
}

static int set_mem_table(struct session *session, struct vhost_user_message *message,
			 struct answer *answer)
{
	uint32_t nr = message->table.nr;
	int err;

	(void)answer;
	if (nr > VHOST_USER_MAX_REGIONS || nr != message->nr_fds ||
	    message->size < offsetof(struct vhost_user_mem_table, regions) +
				    nr * sizeof(struct vhost_user_region))
		return vas_error_set(-EINVAL,
				     "the front end says %u regions, with %u fds, in %u bytes", nr,
				     message->nr_fds, message->size);
	vrings_pause(session);
	iommu_forget(session);
	memory_clear(&session->memory);
	err = fill_table(session, message);
	binding_update(session, nr ? message->fds[0] : -1);
	vrings_resume(session);
	return err;
}

static int get_max_mem_slots(struct session *session, struct vhost_user_message *message,
			     struct answer *answer)
{
	(void)session;
	return answer_number(message, answer, MEMORY_MAX_REGIONS);
}

/*
 * QEMU 7.2 and others speak for each pair of a network device's queues as if it were a device
 * alone: they add each region once for each, and later remove it as often.
 */
static int add_mem_reg(struct session *session, struct vhost_user_message *message,
		       struct answer *answer)
{
	const struct memory_region wanted = region_of(&message->one.region);
	int err;

	(void)answer;
	if (!message->nr_fds)
		return vas_error_set(-EINVAL, "the front end adds memory without an fd");
	if (memory_has(&session->memory, &wanted)) {
		session->repeats_regions = true;
		return 0;
	}
	vrings_pause(session);
	err = add_region(session, &message->one.region, message->fds[0]);
	binding_update(session, message->fds[0]);
	vrings_resume(session);
	return err;
}

static int rem_mem_reg(struct session *session, struct vhost_user_message *message,
		       struct answer *answer)
{
	const struct memory_region wanted = region_of(&message->one.region);

	(void)answer;
	if (!memory_has(&session->memory, &wanted)) {
		if (session->repeats_regions)
			return 0;
		return vas_error_set(-ENOENT,
				     "the front end takes memory at gpa %#llx away that it has not "
				     "sent",
				     (unsigned long long)wanted.gpa);
	}
	vrings_pause(session);
	iommu_forget(session);
	memory_remove(&session->memory, &wanted);
	binding_update(session, -1);
	vrings_resume(session);
	return 0;
}

static int set_log_base(struct session *session, struct vhost_user_message *message,
			struct answer *answer)
{
	struct shared_map *log = &session->memory.log;
	int err;

	(void)answer;
	if (!message->nr_fds)
		return vas_error_set(-EINVAL, "the front end's dirty log comes without an fd");
	vrings_pause(session);
	shared_map_close(log);
	err = shared_map_open(log, message->fds[0], message->log.offset, message->log.size);
	update_logging(session);
	vrings_resume(session);
	return err ? vas_error_set(err, "the front end's dirty log cannot be mapped: %s",
				   strerror(-err)) :
		     0;
}

/* ---- rings -------------------------------------------------------------------------------- */

/* Each of these changes a queue that stands still: see change_vring(). */
static int set_vring_num(const struct session *session, struct session_ring *vring,
			 const struct vhost_user_message *message)
{
	if (!message->state.num || message->state.num > session->device->queue_size)
		return vas_error_set(-EINVAL, "the front end's queue has %u entries, not 1 to %u",
				     message->state.num, session->device->queue_size);
	vring->queue.size = message->state.num;
	return 0;
}

static int set_vring_addr(const struct session *session, struct session_ring *vring,
			  const struct vhost_user_message *message)
{
	(void)session;
	vring->addr = message->addr;
	vring->has_addr = true;
	return 0;
}

static int set_vring_base(const struct session *session, struct session_ring *vring,
			  const struct vhost_user_message *message)
{
	(void)session;
	vring->queue.base = message->state.num;
	vring->queue.is_broken = false;
	return 0;
}

static int set_vring_enable(const struct session *session, struct session_ring *vring,
			    const struct vhost_user_message *message)
{
	(void)session;
	vring->is_enabled = message->state.num;
	return 0;
}

static int get_vring_base(struct session *session, struct vhost_user_message *message,
			  struct answer *answer)
{
	struct session_ring *vring = vring_get(session, message->state.index);

	if (!vring)
		return -EINVAL;
	vring_pause(session, vring);
	iommu_forget(session);
	vring->is_started = false;
	message->state.num = vring->queue.base;
	answer->size = sizeof(message->state);
	return 0;
}

static int set_vring_kick(struct session *session, struct vhost_user_message *message,
			  struct answer *answer)
{
	(void)answer;
	return vring_set_event(session, message, VRING_KICK);
}

static int set_vring_call(struct session *session, struct vhost_user_message *message,
			  struct answer *answer)
{
	(void)answer;
	return vring_set_event(session, message, VRING_CALL);
}

static int set_vring_err(struct session *session, struct vhost_user_message *message,
			 struct answer *answer)
{
	(void)answer;
	return vring_set_event(session, message, VRING_ERR);
}

static int get_inflight_fd(struct session *session, struct vhost_user_message *message,
			   struct answer *answer)
{
	answer->size = message->size;
	return inflight_make(session, &message->inflight, &answer->fd);
}

static int set_inflight_fd(struct session *session, struct vhost_user_message *message,
			   struct answer *answer)
{
	(void)answer;
	return inflight_set(session, message);
}

/* ---- config and status -------------------------------------------------------------------- */

static int get_config(struct session *session, struct vhost_user_message *message,
		      struct answer *answer)
{
	struct vhost_user_config *config = &message->config;

	/* No payload is how this request says that it failed. */
	if (config->size > VHOST_USER_MAX_CONFIG || config->offset > VHOST_USER_MAX_CONFIG)
		return 0;
	session->device->ops->config(session->device, config->offset, config->bytes, config->size);
	answer->size = VHOST_USER_CONFIG_HEADER + config->size;
	return 0;
}

static int set_config(struct session *session, struct vhost_user_message *message,
		      struct answer *answer)
{
	(void)session;
	(void)message;
	(void)answer;
	return vas_error_set(-EOPNOTSUPP, "nothing in this device's config space can be written");
}

static int set_backend_req_fd(struct session *session, struct vhost_user_message *message,
			      struct answer *answer)
{
	(void)answer;
	return request_set(session, message);
}

static int iotlb_msg(struct session *session, struct vhost_user_message *message,
		     struct answer *answer)
{
	(void)answer;
	return iommu_message(session, message);
}

static int set_status(struct session *session, struct vhost_user_message *message,
		      struct answer *answer)
{
	session->status = (uint8_t)message->u64;
	return session->status ? 0 : reset_device(session, message, answer);
}

static int get_status(struct session *session, struct vhost_user_message *message,
		      struct answer *answer)
{
	uint8_t status = session->status;
	uint32_t i;

	for (i = 0; i < session->device->max_queues; i++)
		if (__atomic_load_n(&session->vrings[i].queue.is_broken, __ATOMIC_RELAXED))
			status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	return answer_number(message, answer, status);
}

/* ---- all requests ------------------------------------------------------------------------- */

struct handler {
	int (*run)(struct session *session, struct vhost_user_message *message,
		   struct answer *answer);
	bool has_answer; /* of its own; others are acknowledged if the front end asks for it */
	/* Or, in the place of run: */
	int (*change)(const struct session *session, struct session_ring *vring,
		      const struct vhost_user_message *message);
};

static const struct handler handlers[] = {
	[VHOST_USER_GET_FEATURES] = { .run = get_features, .has_answer = true },
	[VHOST_USER_SET_FEATURES] = { .run = set_features },
	[VHOST_USER_SET_OWNER] = { .run = do_nothing },
	[VHOST_USER_RESET_OWNER] = { .run = reset_device },
	[VHOST_USER_SET_MEM_TABLE] = { .run = set_mem_table },
	[VHOST_USER_SET_LOG_BASE] = { .run = set_log_base, .has_answer = true },
	[VHOST_USER_SET_LOG_FD] = { .run = do_nothing },
	[VHOST_USER_SET_VRING_NUM] = { .change = set_vring_num },
	[VHOST_USER_SET_VRING_ADDR] = { .change = set_vring_addr },
	[VHOST_USER_SET_VRING_BASE] = { .change = set_vring_base },
	[VHOST_USER_GET_VRING_BASE] = { .run = get_vring_base, .has_answer = true },
	[VHOST_USER_SET_VRING_KICK] = { .run = set_vring_kick },
	[VHOST_USER_SET_VRING_CALL] = { .run = set_vring_call },
	[VHOST_USER_SET_VRING_ERR] = { .run = set_vring_err },
	[VHOST_USER_GET_PROTOCOL_FEATURES] = { .run = get_protocol_features, .has_answer = true },
	[VHOST_USER_SET_PROTOCOL_FEATURES] = { .run = set_protocol_features },
	[VHOST_USER_GET_QUEUE_NUM] = { .run = get_queue_num, .has_answer = true },
	[VHOST_USER_SET_VRING_ENABLE] = { .change = set_vring_enable },
	[VHOST_USER_SEND_RARP] = { .run = send_rarp },
	[VHOST_USER_SET_BACKEND_REQ_FD] = { .run = set_backend_req_fd },
	[VHOST_USER_IOTLB_MSG] = { .run = iotlb_msg },
	[VHOST_USER_GET_CONFIG] = { .run = get_config, .has_answer = true },
	[VHOST_USER_SET_CONFIG] = { .run = set_config },
	[VHOST_USER_GET_INFLIGHT_FD] = { .run = get_inflight_fd, .has_answer = true },
	[VHOST_USER_SET_INFLIGHT_FD] = { .run = set_inflight_fd },
	[VHOST_USER_RESET_DEVICE] = { .run = reset_device },
	[VHOST_USER_GET_MAX_MEM_SLOTS] = { .run = get_max_mem_slots, .has_answer = true },
	[VHOST_USER_ADD_MEM_REG] = { .run = add_mem_reg },
	[VHOST_USER_REM_MEM_REG] = { .run = rem_mem_reg },
	[VHOST_USER_SET_STATUS] = { .run = set_status },
	[VHOST_USER_GET_STATUS] = { .run = get_status, .has_answer = true },
};

/* A front end that asks is told, and may go on; another one would not know. */
static int acknowledge(struct session *session, struct vhost_user_message *message, int err)
{
	bool is_asked = message->flags & VHOST_USER_NEED_REPLY &&
			session->protocol_features & 1ull << VHOST_USER_PROTOCOL_REPLY_ACK;

	if (!is_asked)
		return err;
	message->u64 = err ? 1 : 0;
	return vhost_user_reply(session->sock, message, sizeof(message->u64), -1);
}

/* A queue stands still while it is changed; then it goes on, if it can. */
static int change_vring(struct session *session, const struct handler *handler,
			const struct vhost_user_message *message)
{
	struct session_ring *vring = vring_get(session, message->state.index);
	int err, resume_err;

	_Static_assert(!offsetof(struct vhost_user_vring_state, index) &&
			       !offsetof(struct vhost_user_vring_addr, index),
		       "all begin with the queue's number");
	if (!vring)
		return -EINVAL;
	vring_pause(session, vring);
	err = handler->change(session, vring, message);
	resume_err = vring_resume(session, vring);
	return err ? err : resume_err;
}

static int handle(struct session *session, struct vhost_user_message *message)
{
	const struct handler *handler = &handlers[message->request];
	struct answer answer = { 0, -1 };
	int err = handler->change ? change_vring(session, handler, message) :
				    handler->run(session, message, &answer);

	if (!handler->has_answer)
		return acknowledge(session, message, err);
	if (!err)
		err = vhost_user_reply(session->sock, message, answer.size, answer.fd);
	if (answer.fd >= 0)
		close(answer.fd);
	return err;
}

/* There is a message. -ECANCELED: stop_fd is readable. Meanwhile, look when that is asked for. */
static int wait_for_message(struct session *session, int stop_fd, int look_fd)
{
	struct pollfd fds[] = {
		{ .fd = session->sock, .events = POLLIN },
		{ .fd = stop_fd, .events = POLLIN },
		{ .fd = look_fd, .events = POLLIN },
		{ .fd = session->view ? session->requests.sock : -1, .events = POLLIN },
	};
	int err;

	do {
		if (poll(fds, 4, -1) < 0)
			return errno == EINTR ? 0 : -errno;
		if (fds[1].revents)
			return -ECANCELED;
		if (fds[2].revents) {
			vas_device_drain(look_fd);
			request_look(session);
		}
		err = fds[3].revents ? request_receive(session) : 0;
		if (err)
			return err;
		fds[3].fd = session->requests.sock;
	} while (!fds[0].revents);
	return 0;
}

/* With one poll: most messages are answered, and the next one comes after that. */
static int receive(struct session *session, int stop_fd, int look_fd,
		   struct vhost_user_message *message)
{
	int err;

	do {
		err = wait_for_message(session, stop_fd, look_fd);
		if (!err)
			err = vhost_user_receive(session->sock, message);
	} while (err == -EAGAIN);
	return err;
}

static int serve(struct session *session, int stop_fd, int look_fd)
{
	struct vhost_user_message message;
	int err;

	request_look(session);
	do {
		err = receive(session, stop_fd, look_fd, &message);
		if (err)
			return err == -ECONNRESET ? 0 : err;
		err = handle(session, &message);
		vhost_user_close_fds(&message);
	} while (!err);
	return err;
}

static void clean(struct session *session)
{
	vrings_clean(session);
	iommu_end(session);
	binding_end(session);
	requests_end(session);
	memory_clear(&session->memory);
	shared_map_close(&session->memory.log);
	shared_map_close(&session->inflight);
}

int vhost_user_serve(int sock, int stop_fd, struct vas_device *device,
		     const struct vhost_user_options *options)
{
	struct session *session = calloc(1, sizeof(*session));
	int err = session ? 0 : -ENOMEM;

	if (err)
		return vas_error_set(err, "no memory for a front end");
	session->sock = sock;
	session->device = device;
	session->poll_ns = options->poll_ns;
	session->miss_ns = options->miss_ns;
	err = requests_init(session);
	if (!err)
		err = vrings_init(session);
	if (!err) {
		err = serve(session, stop_fd, options->look_fd);
		clean(session);
	} else {
		vas_error_set(err, "no memory for %u queues", device->max_queues);
	}
	free(session);
	return err;
}
