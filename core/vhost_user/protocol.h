/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * vhost-user, as both of its sides see it: numbers, and payloads. A message is a header, a payload
 * whose size the request knows, and fds beside the first bytes.
 *
 *	request 4 | flags 4: version 2 bits, reply, need_reply | size 4 | payload
 *
 * The front end has the guest's memory and asks; the back end has the device and answers.
 */
#ifndef VAS_CORE_VHOST_USER_PROTOCOL_H
#define VAS_CORE_VHOST_USER_PROTOCOL_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
#endif

#define VHOST_USER_MAX_FDS     8u
#define VHOST_USER_MAX_REGIONS 8u
#define VHOST_USER_MAX_CONFIG  256u
#define VHOST_USER_HEADER      12u

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
	VHOST_USER_SET_BACKEND_REQ_FD = 21,
	VHOST_USER_IOTLB_MSG = 22,
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

/* On the socket of SET_BACKEND_REQ_FD the back end asks. */
#define VHOST_USER_BACKEND_IOTLB_MSG	 1u
#define VHOST_USER_BACKEND_CONFIG_CHANGE 2u

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
#define VHOST_USER_PROTOCOL_BACKEND_REQ	 5
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

/* What a vhost_user_iotlb is, and its permissions: those of <vas/iommu.h>. */
#define VHOST_USER_IOTLB_MISS	     1u
#define VHOST_USER_IOTLB_UPDATE	     2u
#define VHOST_USER_IOTLB_INVALIDATE  3u
#define VHOST_USER_IOTLB_ACCESS_FAIL 4u

struct vhost_user_iotlb {
	uint64_t iova, size, user;
	uint8_t prot, type;
	uint8_t pad[6];
};

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
		struct vhost_user_iotlb iotlb;
	};
	int fds[VHOST_USER_MAX_FDS];
	uint32_t nr_fds;
};

#endif
