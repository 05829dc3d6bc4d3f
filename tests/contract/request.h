/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a rule asks of an implementation, as one flat struct and a buffer, so that the asking can
 * be a call, a message to another process, or an ioctl to a kernel module. Fixed-width, no pointers
 * but `data`.
 */
#ifndef TESTS_CONTRACT_REQUEST_H
#define TESTS_CONTRACT_REQUEST_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
#endif

/* op; what each takes and gives beside gpa and len. All set `result` to 0, a count or -errno. */
enum request_op {
	REQ_READ,    /* gives data[len], done */
	REQ_WRITE,   /* takes data[len]; gives done */
	REQ_FILL,    /* takes value (the byte); gives done */
	REQ_COMPARE, /* takes data[len]; gives value (< 0, 0, > 0) and done */
	REQ_SEARCH,  /* takes data: pattern[size], mask[size]; gives value, the gpa found */
	REQ_LOAD,    /* len 1, 2, 4, 8; gives value */
	REQ_STORE,   /* takes value */
	REQ_ADD,     /* read-modify-write, order SEQ_CST: takes value, gives the old one */
	REQ_OR,
	REQ_AND,
	REQ_EXCHANGE,
	REQ_CMPXCHG, /* takes value (desired) and other (expected); gives other (what was there) */
	REQ_VECTORS, /* takes flags (VAS_PROT_*), size: most vectors; gives count, data: uint64_t len
			* of each, then for reading the bytes gathered through them */
	REQ_MAP,     /* takes flags (VAS_MAP_*); gives value, the map's number */
	REQ_MAP_READ,  /* takes value (the map), other (offset in it); gives data[len] */
	REQ_MAP_WRITE, /* takes value, other, data[len] */
	REQ_UNMAP,     /* takes value */
	REQ_REQUEST,   /* takes value; gives result: VAS_ASK_* */
	REQ_REGIONS,   /* takes size: room in entries; gives data: struct vas_region_entry[],
			* result: how many there are */
	REQ_REGION_AT, /* takes gpa; gives data: struct vas_region_entry */
	REQ_OFFER,     /* takes fd (passed along with it) */
	REQ_NOTIFIED,  /* waits up to value ms for a notification; gives result: VAS_NOTIFY_* */
	REQ_EVENT,     /* takes data: name; gives result: its id, value: the eventfd's count */
	REQ_BIND,      /* takes fd, flags: VAS_BIND_* */
	REQ_RECEIVE,   /* takes fd: a socket to vas_recv_fds() from, flags: VAS_BIND_* */
	REQ_PEEK,      /* gives data[len], done */
	REQ_POKE,      /* takes data[len]; gives done */
	REQ_NR
};

#define REQUEST_DATA_MAX (1u << 20)
#define REQUEST_NO_FD	 (-1)

struct request {
	uint32_t op;
	uint32_t flags;
	uint64_t gpa;
	uint64_t len;
	uint64_t value;
	uint64_t other;
	uint64_t done;
	int64_t result;
	uint32_t size;
	int32_t fd;
	uint32_t in_size;  /* bytes of data that go with the request */
	uint32_t out_size; /* bytes of data that come back */
	uint8_t *data;	   /* REQUEST_DATA_MAX bytes, the subject's */
};

#endif
