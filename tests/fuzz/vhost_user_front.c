// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Fuzz the front end of vhost-user: a back end that answers anything, with any fds, while the owner
 * attaches it, starts a queue, changes the layout, freezes and tracks, and has a successor.
 *
 * The input is a tape. For each request that comes, its next byte says how it is answered: as it
 * must be, with numbers of the tape, or with bytes of it. At its end the connection is closed.
 */
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/dirty.h>
#include <vas/vhost_user.h>

#include "core/vhost_user/protocol.h"
#include "harness.h"
#include "pieces.h"

#define PAGE	 4096ull
#define SHORT_NS 20000000ull

static const uint8_t *tape, *tape_end;
static int kinds[3];
static int kick_fd;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the back end ---------------------------------------------------------------------------- */

static int next(uint8_t *byte)
{
	if (tape == tape_end)
		return 0;
	*byte = *tape++;
	return 1;
}

static void take(void *to, size_t len)
{
	size_t left = (size_t)(tape_end - tape);

	memset(to, 0, len);
	memcpy(to, tape, len < left ? len : left);
	tape += len < left ? len : left;
}

static int receive(int sock, uint32_t head[3], uint8_t *payload)
{
	if (recv(sock, head, 12, MSG_WAITALL) != 12 || head[2] > 512)
		return 0;
	return !head[2] || recv(sock, payload, head[2], MSG_WAITALL) == (ssize_t)head[2];
}

static uint32_t size_of_answer(const uint32_t head[3])
{
	switch (head[0]) {
	case VHOST_USER_GET_CONFIG:
		return head[2];
	case VHOST_USER_GET_INFLIGHT_FD:
		return sizeof(struct vhost_user_inflight);
	}
	return 8;
}

static int has_answer(const uint32_t head[3])
{
	switch (head[0]) {
	case VHOST_USER_GET_FEATURES:
	case VHOST_USER_GET_PROTOCOL_FEATURES:
	case VHOST_USER_GET_QUEUE_NUM:
	case VHOST_USER_GET_MAX_MEM_SLOTS:
	case VHOST_USER_GET_CONFIG:
	case VHOST_USER_GET_INFLIGHT_FD:
	case VHOST_USER_GET_VRING_BASE:
	case VHOST_USER_SET_LOG_BASE:
		return 1;
	}
	return head[1] & VHOST_USER_NEED_REPLY;
}

/* What a good back end says, so that there is a way to the end of it all. */
static void usual(const uint32_t head[3], const uint8_t *payload, uint8_t *answer)
{
	uint64_t number = 0;

	switch (head[0]) {
	case VHOST_USER_GET_FEATURES:
		number = 1ull << VIRTIO_F_VERSION_1 | 1ull << VHOST_USER_F_PROTOCOL_FEATURES |
			 1ull << VHOST_F_LOG_ALL;
		break;
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		number = UINT64_MAX;
		break;
	case VHOST_USER_GET_QUEUE_NUM:
	case VHOST_USER_GET_MAX_MEM_SLOTS:
		number = 4;
		break;
	case VHOST_USER_GET_CONFIG:
		memcpy(answer, payload, head[2]);
		return;
	}
	memcpy(answer, &number, sizeof(number));
}

static int answer(int sock, uint32_t head[3], const uint8_t *payload)
{
	uint8_t message[12 + 1024] = { 0 }, how, nr_fds = head[0] == VHOST_USER_GET_INFLIGHT_FD;
	uint32_t size = size_of_answer(head);

	if (!next(&how))
		return 0;
	if (how < 16) {
		/* Bytes of the tape, then the end: a silence would cost five seconds. */
		take(message, how * 4u);
		pieces_post(sock, message, how * 4u, kinds, 0);
		return 0;
	}
	if (!has_answer(head))
		return 1;
	if (how >= 64)
		usual(head, payload, message + 12);
	else
		take(message + 12, size);
	if (how == 65)
		next(&nr_fds);
	head[1] = VHOST_USER_VERSION | VHOST_USER_IS_REPLY;
	head[2] = size;
	memcpy(message, head, 12);
	pieces_post(sock, message, 12 + size, kinds, nr_fds % 4);
	return 1;
}

static void *back_end(void *arg)
{
	int sock = (int)(intptr_t)arg;
	uint8_t payload[512];
	uint32_t head[3];

	while (receive(sock, head, payload) && answer(sock, head, payload))
		;
	close(sock);
	return NULL;
}

static int connect_back_end(pthread_t *thread)
{
	int pair[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	CHECK_OK(pthread_create(thread, NULL, back_end, (void *)(intptr_t)pair[0]));
	return pair[1];
}

/* ---- the owner ------------------------------------------------------------------------------- */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	for (int i = 0; i < 3; i++)
		kinds[i] = i == 1 ? eventfd(0, EFD_CLOEXEC) : memfd_create("fuzz", MFD_CLOEXEC);
	kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return 0;
}

static void start(struct vas_vhost_user *front)
{
	struct vas_virtio_server *server = vas_vhost_user_server(front);
	const struct vas_virtio_queue queue = {
		.size = 16, .driver = PAGE, .device = 2 * PAGE, .kick_fd = kick_fd, .call_fd = -1
	};
	uint8_t byte;

	server->ops->config_read(server, 3, &byte, 1);
	server->ops->start(server, server->features);
	server->ops->queue_start(server, 0, &queue);
}

static void change(struct vas *vas)
{
	struct vas_region more = { .gpa = 64 * PAGE, .size = 4 * PAGE, .offset = 64 * PAGE };
	struct vas_layout *layout;
	uint64_t id;

	if (vas_layout_begin(vas, &layout))
		return;
	vas_layout_add(layout, &more, &id);
	if (!vas_layout_commit(layout, SHORT_NS, NULL) && !vas_layout_begin(vas, &layout)) {
		vas_layout_remove(layout, id);
		vas_layout_commit(layout, SHORT_NS, NULL);
	}
}

static void work(struct vas *vas, struct vas_vhost_user *front)
{
	struct vas_tracker *tracker;

	start(front);
	change(vas);
	if (!vas_freeze(vas, SHORT_NS, NULL))
		vas_thaw(vas);
	if (!vas_tracker_attach(vas, "fuzz", 0, &tracker)) {
		if (!vas_tracker_begin(tracker))
			vas_tracker_abort(tracker);
		vas_tracker_detach(tracker);
	}
	vas_vhost_user_serve(front);
}

/* One at a time is at the tape. */
static void end_back_end(int sock, pthread_t thread)
{
	shutdown(sock, SHUT_RDWR);
	close(sock);
	pthread_join(thread, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct vas_options options = { .limit = 256 * PAGE, .max_regions = 16 };
	const struct vas_vhost_user_options device = {
		.device_id = VIRTIO_ID_BLOCK,
		.nr_queues = 1,
		.config_size = 8,
		.timeout_ns = SHORT_NS,
	};
	const struct vas_region ram = { .size = 32 * PAGE };
	struct vas_vhost_user *front;
	struct vas *vas;
	pthread_t thread;
	int sock, err;

	tape = data;
	tape_end = data + size;
	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_region_add(vas, &ram, NULL));
	sock = connect_back_end(&thread);
	err = vas_vhost_user_attach(vas, sock, &device, &front);
	if (!err)
		work(vas, front);
	end_back_end(sock, thread);
	if (!err) {
		sock = connect_back_end(&thread);
		vas_vhost_user_connect(front, sock);
		change(vas);
		vas_vhost_user_detach(front);
		end_back_end(sock, thread);
	}
	vas_destroy(vas);
	return 0;
}
