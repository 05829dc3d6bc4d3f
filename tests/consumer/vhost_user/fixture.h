/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A vas, a device of a back end's, and a driver that has set up its queues and does no more. */
#ifndef TESTS_CONSUMER_VHOST_USER_FIXTURE_H
#define TESTS_CONSUMER_VHOST_USER_FIXTURE_H

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vas/dirty.h>
#include <vas/vhost_user.h>

#include "tests/consumer/vhost_user/fake_back_end.h"
#include "tests/lib/simple_vas.h"

#define QUEUE_SIZE    64
#define RING(n)	      ((n)*4 * PAGE) /* gpas: descriptors, then a page each */
#define DRIVER_WANTED (1ull << VIRTIO_F_VERSION_1)

static struct vas *vas;
static struct fake_back_end fake;
static struct vas_vhost_user *front;
static int kick_fd[2], call_fd[2];

static uint64_t front_timeout_ns = TEST_HANG_NS; /* 0: as it is for who says nothing */

static inline struct vas_vhost_user_options front_options(void)
{
	return (struct vas_vhost_user_options){
		.name = "disk",
		.device_id = VIRTIO_ID_BLOCK,
		.nr_queues = 2,
		.queue_size = QUEUE_SIZE,
		.config_size = 32,
		.timeout_ns = front_timeout_ns,
	};
}

/* A vas with 32 pages, and a back end that is as fake says. */
static inline void begin(void)
{
	const struct vas_vhost_user_options options = front_options();

	vas = simple_vas();
	simple_add(vas, 0, 32);
	fake_begin(&fake);
	CHECK_OK(vas_vhost_user_attach(vas, fake.peer, &options, &front));
}

static inline struct vas_virtio_server *server(void)
{
	return vas_vhost_user_server(front);
}

static inline struct vas_virtio_queue queue_at(uint32_t index)
{
	return (struct vas_virtio_queue){
		.size = QUEUE_SIZE,
		.desc = RING(index),
		.driver = RING(index) + PAGE,
		.device = RING(index) + 2 * PAGE,
		.kick_fd = kick_fd[index],
		.call_fd = call_fd[index],
	};
}

static inline int start_queue(uint32_t index)
{
	const struct vas_virtio_queue queue = queue_at(index);

	return server()->ops->queue_start(server(), index, &queue);
}

static inline void make_events(void)
{
	for (int i = 0; i < 2; i++) {
		kick_fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		call_fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
}

static inline void start(void)
{
	make_events();
	CHECK_OK(server()->ops->start(server(), DRIVER_WANTED));
	CHECK_OK(start_queue(0));
	CHECK_OK(start_queue(1));
}

static inline void finish(void)
{
	vas_vhost_user_detach(front);
	fake_end(&fake);
	vas_destroy(vas);
}

/* A back end that is late has its answers taken by whoever serves it. */
#define SERVE_UNTIL(cond)                              \
	do {                                           \
		CHECK_OK(vas_vhost_user_serve(front)); \
		usleep(1000);                          \
	} while (!(cond))

#endif
