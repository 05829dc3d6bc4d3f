// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tests/consumer/vhost_user/fake_back_end.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/vhost_user/message.h"
#include "tests/device/await_message.h"
#include "tests/harness.h"

#define BASE_LATE 5u

struct answer {
	uint32_t size; /* 0: none of its own */
	int fd;
};

void fake_init(struct fake_back_end *fake)
{
	pthread_mutexattr_t shared;

	*fake = (struct fake_back_end){
		.features = 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX |
			    1ull << VIRTIO_F_RING_PACKED | 1ull << VHOST_USER_F_PROTOCOL_FEATURES |
			    1ull << VHOST_F_LOG_ALL,
		.protocol =
			1ull << VHOST_USER_PROTOCOL_MQ | 1ull << VHOST_USER_PROTOCOL_LOG_SHMFD |
			1ull << VHOST_USER_PROTOCOL_REPLY_ACK | 1ull << VHOST_USER_PROTOCOL_CONFIG |
			1ull << VHOST_USER_PROTOCOL_INFLIGHT |
			1ull << VHOST_USER_PROTOCOL_RESET_DEVICE |
			1ull << VHOST_USER_PROTOCOL_MEM_SLOTS | 1ull << VHOST_USER_PROTOCOL_STATUS,
		.max_slots = 16,
		.max_queues = 2,
		.inflight_fd = -1,
	};
	pthread_mutexattr_init(&shared);
	pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&fake->lock, &shared);
	pthread_mutexattr_destroy(&shared);
	for (size_t i = 0; i < sizeof(fake->config); i++)
		fake->config[i] = (uint8_t)(i + 1);
}

/* ---- what requests do ----------------------------------------------------------------------- */

static int any_runs(const struct fake_back_end *fake)
{
	int runs = 0;

	for (int i = 0; i < FAKE_MAX_QUEUES; i++)
		runs |= fake->queues[i].is_running;
	return runs;
}

static void add(struct fake_back_end *fake, const struct vhost_user_region *region)
{
	CHECK(fake->nr_regions < FAKE_MAX_REGIONS);
	for (uint32_t i = 0; i < fake->nr_regions; i++)
		CHECK(region->gpa + region->size <= fake->regions[i].gpa ||
		      fake->regions[i].gpa + fake->regions[i].size <= region->gpa);
	fake->regions[fake->nr_regions++] = *region;
}

static void take_away(struct fake_back_end *fake, const struct vhost_user_region *region)
{
	uint32_t i = 0;

	while (i < fake->nr_regions && memcmp(&fake->regions[i].gpa, &region->gpa, 24))
		i++;
	CHECK(i < fake->nr_regions);
	fake->regions[i] = fake->regions[--fake->nr_regions];
	fake->nr_changed_while_running += any_runs(fake);
}

static void set_table(struct fake_back_end *fake, const struct vhost_user_message *message)
{
	fake->nr_regions = 0;
	CHECK_EQ(message->nr_fds, message->table.nr);
	for (uint32_t i = 0; i < message->table.nr; i++)
		add(fake, &message->table.regions[i]);
	fake->nr_changed_while_running += any_runs(fake);
}

static void set_log(struct fake_back_end *fake, const struct vhost_user_message *message)
{
	CHECK_EQ(message->nr_fds, 1);
	fake->log_size = message->log.size;
	fake->log = mmap(NULL, fake->log_size, PROT_READ | PROT_WRITE, MAP_SHARED, message->fds[0],
			 (off_t)message->log.offset);
	CHECK(fake->log != MAP_FAILED);
}

static void set_event(struct fake_back_end *fake, struct vhost_user_message *message)
{
	struct fake_queue *queue = &fake->queues[message->u64 & VHOST_USER_VRING_INDEX];
	int fd = vhost_user_take_fd(message, 0);

	int *event =
		message->request == VHOST_USER_SET_VRING_KICK ? &queue->kick_fd : &queue->call_fd;

	if (*event > 0)
		close(*event);
	*event = fd;
	queue->is_running |= message->request == VHOST_USER_SET_VRING_KICK;
}

static void make_inflight(struct vhost_user_message *message, struct answer *answer)
{
	answer->fd = memfd_create("inflight", MFD_CLOEXEC);
	message->inflight.size = 4096;
	CHECK_OK(ftruncate(answer->fd, 4096));
	answer->size = sizeof(message->inflight);
}

static void set_inflight(struct fake_back_end *fake, struct vhost_user_message *message)
{
	struct stat file;

	if (fake->inflight_fd >= 0)
		close(fake->inflight_fd);
	fake->inflight_fd = vhost_user_take_fd(message, 0);
	CHECK_OK(fstat(fake->inflight_fd, &file));
	fake->inflight_ino = file.st_ino;
}

static void get_base(struct fake_back_end *fake, struct vhost_user_message *message,
		     struct answer *answer)
{
	struct fake_queue *queue = &fake->queues[message->state.index];

	queue->is_running = queue->is_enabled = 0;
	message->state.num = queue->base;
	answer->size = sizeof(message->state);
}

static void number(struct vhost_user_message *message, struct answer *answer, uint64_t value)
{
	message->u64 = value;
	answer->size = sizeof(value);
}

static void get_config(struct fake_back_end *fake, struct vhost_user_message *message,
		       struct answer *answer)
{
	memcpy(message->config.bytes, fake->config + message->config.offset, message->config.size);
	answer->size = VHOST_USER_CONFIG_HEADER + message->config.size;
}

static void handle(struct fake_back_end *fake, struct vhost_user_message *message,
		   struct answer *answer)
{
	switch (message->request) {
	case VHOST_USER_GET_FEATURES:
		return number(message, answer, fake->features);
	case VHOST_USER_SET_FEATURES:
		fake->driver_features = message->u64;
		return;
	case VHOST_USER_RESET_DEVICE: /* as it was at first, but for the owner and the memory */
		fake->driver_features = 0;
		return;
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		return number(message, answer, fake->protocol);
	case VHOST_USER_GET_QUEUE_NUM:
		return number(message, answer, fake->max_queues);
	case VHOST_USER_GET_MAX_MEM_SLOTS:
		return number(message, answer, fake->max_slots);
	case VHOST_USER_GET_CONFIG:
		return get_config(fake, message, answer);
	case VHOST_USER_SET_CONFIG:
		memcpy(fake->config + message->config.offset, message->config.bytes,
		       message->config.size);
		return;
	case VHOST_USER_ADD_MEM_REG:
		return add(fake, &message->one.region);
	case VHOST_USER_REM_MEM_REG:
		return take_away(fake, &message->one.region);
	case VHOST_USER_SET_MEM_TABLE:
		return set_table(fake, message);
	case VHOST_USER_SET_LOG_BASE:
		set_log(fake, message);
		return number(message, answer, 0);
	case VHOST_USER_GET_INFLIGHT_FD:
		return make_inflight(message, answer);
	case VHOST_USER_SET_INFLIGHT_FD:
		return set_inflight(fake, message);
	case VHOST_USER_SET_VRING_NUM:
		fake->queues[message->state.index].size = message->state.num;
		return;
	case VHOST_USER_SET_VRING_BASE:
		fake->queues[message->state.index].base = message->state.num;
		return;
	case VHOST_USER_SET_VRING_ADDR:
		fake->queues[message->addr.index].addr = message->addr;
		return;
	case VHOST_USER_SET_VRING_ENABLE:
		fake->queues[message->state.index].is_enabled = message->state.num != 0;
		return;
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
		return set_event(fake, message);
	case VHOST_USER_GET_VRING_BASE:
		return get_base(fake, message, answer);
	}
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Bytes as they are. Whether the peer wants them is not asked. */
static void send_raw(int sock, const void *bytes, size_t len)
{
	while (len) {
		ssize_t nr = send(sock, bytes, len, MSG_NOSIGNAL);

		if (nr <= 0)
			return;
		bytes = (const char *)bytes + nr;
		len -= (size_t)nr;
	}
}

static void dribble(int sock, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (send(sock, bytes + i, 1, MSG_NOSIGNAL) != 1)
			return;
		usleep(500000);
	}
}

static void answer_wrongly(struct fake_back_end *fake, const struct vhost_user_message *message,
			   uint32_t size, enum fault fault)
{
	uint32_t head[] = { message->request, VHOST_USER_VERSION | VHOST_USER_IS_REPLY, size };
	char bytes[VHOST_USER_HEADER + sizeof(struct vhost_user_config)];
	size_t len = sizeof(head) + size;

	if (fault == FAULT_OTHER)
		head[0]++;
	if (fault == FAULT_NOT_REPLY)
		head[1] = VHOST_USER_VERSION;
	if (fault == FAULT_SHORT)
		head[2]--;
	if (fault == FAULT_LONG)
		head[2] = 1u << 30;
	memcpy(bytes, head, sizeof(head));
	memcpy(bytes + sizeof(head), &message->u64, size);
	if (fault == FAULT_SHORT)
		len--;
	if (fault == FAULT_HALF)
		len = sizeof(head) + size / 2;
	if (fault == FAULT_DRIBBLE)
		dribble(fake->sock, bytes, len);
	else
		send_raw(fake->sock, bytes, len);
	if (fault == FAULT_TWICE)
		send_raw(fake->sock, bytes, len);
	if (fault == FAULT_HALF)
		shutdown(fake->sock, SHUT_RDWR);
}

static void hold(struct fake_back_end *fake)
{
	int is_held = 1;

	while (is_held) {
		usleep(1000);
		pthread_mutex_lock(&fake->lock);
		is_held = fake->fault != FAULT_NONE;
		pthread_mutex_unlock(&fake->lock);
	}
}

static void answer(struct fake_back_end *fake, struct vhost_user_message *message, uint32_t size,
		   int fd, enum fault fault)
{
	switch (fault) {
	case FAULT_SILENT:
		break;
	case FAULT_CLOSE:
		shutdown(fake->sock, SHUT_RDWR);
		break;
	case FAULT_FDS:
		vhost_user_reply(fake->sock, message, size, STDOUT_FILENO);
		break;
	case FAULT_REFUSE:
		message->u64 = 1;
		vhost_user_reply(fake->sock, message, size, fd);
		break;
	case FAULT_WRONG_BASE:
		message->state.num = 0x10000;
		vhost_user_reply(fake->sock, message, size, fd);
		break;
	case FAULT_LATE_BASE:
		message->state.num += BASE_LATE;
		vhost_user_reply(fake->sock, message, size, fd);
		break;
	case FAULT_DEAF:
		vhost_user_reply(fake->sock, message, size, fd);
		hold(fake);
		break;
	case FAULT_HELD:
		hold(fake);
		/* fall through */
	case FAULT_NONE:
		vhost_user_reply(fake->sock, message, size, fd);
		break;
	default:
		answer_wrongly(fake, message, size, fault);
		break;
	}
}

static enum fault fault_of(struct fake_back_end *fake, uint32_t request)
{
	return fake->fault && fake->fault_at == request && fake->fault_after-- == 0 ? fake->fault :
										      FAULT_NONE;
}

static void serve_one(struct fake_back_end *fake, struct vhost_user_message *message)
{
	struct answer own = { 0, -1 };
	enum fault fault;

	pthread_mutex_lock(&fake->lock);
	fake->nr_seen[message->request]++;
	fake->last_nr_fds = message->nr_fds;
	fault = fault_of(fake, message->request);
	/* What it refuses it does not do. */
	if (fault != FAULT_REFUSE || message->request == VHOST_USER_GET_VRING_BASE)
		handle(fake, message, &own);
	pthread_mutex_unlock(&fake->lock);
	if (own.size) {
		answer(fake, message, own.size, own.fd, fault);
		if (own.fd >= 0)
			close(own.fd);
	} else if (message->flags & VHOST_USER_NEED_REPLY) {
		message->u64 = 0;
		answer(fake, message, sizeof(message->u64), -1, fault);
	}
	vhost_user_close_fds(message);
}

void fake_serve(struct fake_back_end *fake)
{
	struct vhost_user_message message;

	while (!await_message(fake->sock, &message))
		serve_one(fake, &message);
	close(fake->sock);
}

static void *serve(void *arg)
{
	fake_serve(arg);
	return NULL;
}

/* ---- for the test ---------------------------------------------------------------------------- */

void fake_begin(struct fake_back_end *fake)
{
	int pair[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	fake->sock = pair[0];
	fake->peer = pair[1];
	CHECK_OK(pthread_create(&fake->thread, NULL, serve, fake));
}

void fake_end(struct fake_back_end *fake)
{
	close(fake->peer);
	CHECK_OK(pthread_join(fake->thread, NULL));
}

void fake_fault(struct fake_back_end *fake, uint32_t request, enum fault fault)
{
	pthread_mutex_lock(&fake->lock);
	fake->fault = fault;
	fake->fault_at = request;
	fake->fault_after = 0;
	pthread_mutex_unlock(&fake->lock);
}

int fake_count(struct fake_back_end *fake, uint32_t request)
{
	int nr;

	pthread_mutex_lock(&fake->lock);
	nr = fake->nr_seen[request];
	pthread_mutex_unlock(&fake->lock);
	return nr;
}

int fake_has(struct fake_back_end *fake, uint64_t gpa)
{
	int has = 0;

	pthread_mutex_lock(&fake->lock);
	for (uint32_t i = 0; i < fake->nr_regions; i++)
		has |= gpa >= fake->regions[i].gpa &&
		       gpa - fake->regions[i].gpa < fake->regions[i].size;
	pthread_mutex_unlock(&fake->lock);
	return has;
}

int fake_runs(struct fake_back_end *fake, uint32_t queue)
{
	int runs;

	pthread_mutex_lock(&fake->lock);
	runs = fake->queues[queue].is_running && fake->queues[queue].is_enabled;
	pthread_mutex_unlock(&fake->lock);
	return runs;
}
