/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * One request of a driver's: a header and data to read, data and a status byte to write. How these
 * are cut into segments is the driver's choice.
 */
#ifndef DEVICE_BLK_REQUEST_H
#define DEVICE_BLK_REQUEST_H

#include "device/blk/blk.h"
#include "device/memory.h"

#define REQUEST_SEGMENTS   128u /* of data, at most: seg_max, and two for header and status */
#define REQUEST_MAX_PARTS  (REQUEST_SEGMENTS + 2)
#define REQUEST_MAX_IOV	   (2 * REQUEST_MAX_PARTS) /* a segment may lie in two regions */
#define REQUEST_MAX_ZEROES (4u << 20)		   /* bytes of a discard or write-zeroes */

struct request {
	struct disk_io io;
	struct vas_virtq_chain chain; /* its room is `segments` */
	uint64_t status_gpa;
	uint64_t data_len; /* of a read: bytes of the in segments before the status */
	uint32_t written;  /* after request_finish() */
	struct vas_virtq_segment segments[REQUEST_MAX_PARTS];
	struct iovec iov[REQUEST_MAX_IOV];
};

/* Before its chain is taken. */
void request_init(struct request *request);

/*
 * The chain is there. 1: ->io is to be done; 0: it is done already, with ->io.err; -EPROTO: it
 * makes no sense, or lies outside of memory.
 */
int request_begin(struct request *request, const struct blk *blk, const struct memory *memory);

/* ->io is done: mark what was written, and write the status. -EPROTO: its memory is not there. */
int request_finish(struct request *request, const struct memory *memory);

#endif
