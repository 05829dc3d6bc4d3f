/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Messages of vhost-user on a Unix socket: a header, a payload whose size the request knows, and
 * fds beside the first bytes.
 *
 *	request 4 | flags 4: version 2 bits, reply, need_reply | size 4 | payload
 *
 * What arrives is checked here: version, flags, sizes, and how many fds the request may have. What
 * the numbers in a payload mean is not.
 */
#ifndef DEVICE_VHOST_USER_MESSAGE_H
#define DEVICE_VHOST_USER_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#define VHOST_USER_MAX_FDS     8u
#define VHOST_USER_MAX_REGIONS 8u
#define VHOST_USER_MAX_CONFIG  256u
#define VHOST_USER_HEADER      12u
#define VHOST_USER_MESSAGE_NS  (5 * 1000000000ull) /* a message that has begun, and a reply */

enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_RESET_OWNER = 4,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_LOG_BASE = 6,
	VHOST_USER_SET_LOG_FD = 7,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_SEND_RARP = 19,
	VHOST_USER_GET_CONFIG = 24,
	VHOST_USER_SET_CONFIG = 25,
	VHOST_USER_GET_INFLIGHT_FD = 31,
	VHOST_USER_SET_INFLIGHT_FD = 32,
	VHOST_USER_RESET_DEVICE = 34,
	VHOST_USER_GET_MAX_MEM_SLOTS = 36,
	VHOST_USER_ADD_MEM_REG = 37,
	VHOST_USER_REM_MEM_REG = 38,
	VHOST_USER_SET_STATUS = 39,
	VHOST_USER_GET_STATUS = 40,
};

#define VHOST_USER_VERSION    1u
#define VHOST_USER_IS_REPLY   4u
#define VHOST_USER_NEED_REPLY 8u

/* Feature bits: of the device's features, and of the protocol's. */
#define VHOST_F_LOG_ALL			 26
#define VHOST_USER_F_PROTOCOL_FEATURES	 30
#define VHOST_USER_PROTOCOL_MQ		 0
#define VHOST_USER_PROTOCOL_LOG_SHMFD	 1
#define VHOST_USER_PROTOCOL_RARP	 2
#define VHOST_USER_PROTOCOL_REPLY_ACK	 3
#define VHOST_USER_PROTOCOL_CONFIG	 9
#define VHOST_USER_PROTOCOL_INFLIGHT	 12
#define VHOST_USER_PROTOCOL_RESET_DEVICE 13
#define VHOST_USER_PROTOCOL_MEM_SLOTS	 15
#define VHOST_USER_PROTOCOL_STATUS	 16

/* In the u64 of SET_VRING_KICK and its like. */
#define VHOST_USER_VRING_INDEX 0xffull
#define VHOST_USER_VRING_NO_FD 0x100ull

struct vhost_user_vring_state {
	uint32_t index, num;
};

struct vhost_user_vring_addr {
	uint32_t index, flags;
	uint64_t desc, used, avail, log; /* user addresses; log: gpa */
};

struct vhost_user_region {
	uint64_t gpa, size, user, offset;
};

struct vhost_user_mem_table {
	uint32_t nr, pad;
	struct vhost_user_region regions[VHOST_USER_MAX_REGIONS];
};

struct vhost_user_one_region {
	uint64_t pad;
	struct vhost_user_region region;
};

struct vhost_user_log {
	uint64_t size, offset;
};

struct vhost_user_config {
	uint32_t offset, size, flags;
	uint8_t bytes[VHOST_USER_MAX_CONFIG];
};

#define VHOST_USER_CONFIG_HEADER 12u

struct vhost_user_inflight {
	uint64_t size, offset;
	uint16_t nr_queues, queue_size;
};

/* Some front ends send it with what the compiler puts at its end, and want that back. */
#define VHOST_USER_INFLIGHT_SIZE 20u

struct vhost_user_message {
	uint32_t request, flags, size;
	union {
		uint64_t u64;
		struct vhost_user_vring_state state;
		struct vhost_user_vring_addr addr;
		struct vhost_user_mem_table table;
		struct vhost_user_one_region one;
		struct vhost_user_log log;
		struct vhost_user_config config;
		struct vhost_user_inflight inflight;
	};
	int fds[VHOST_USER_MAX_FDS];
	uint32_t nr_fds;
};

/*
 * The next message, whose fds are the caller's. Before its first byte it is waited for as long as
 * it takes, or until stop_fd (or -1) is readable: -ECANCELED. -ECONNRESET: the peer has gone,
 * between two messages; -EPROTO: what came is no message, and vas_error() says why; -ETIMEDOUT: the
 * rest did not come in time; or another -errno. After an error there is nothing more to be read.
 */
int vhost_user_receive(int sock, int stop_fd, struct vhost_user_message *message);

/* The answer to a message, with `size` bytes of its payload, and fd unless it is -1. -errno. */
int vhost_user_reply(int sock, struct vhost_user_message *message, uint32_t size, int fd);

/* Take one of its fds out. -1: there is none. */
int vhost_user_take_fd(struct vhost_user_message *message, uint32_t index);
void vhost_user_close_fds(struct vhost_user_message *message);

#endif
