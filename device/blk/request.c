// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/blk/request.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <string.h>

#include "core/range.h"
#include "device/stream.h"

#define NOT_SUPPORTED (-EOPNOTSUPP)

static int map_data(struct request *request, struct stream *stream, const struct memory *memory,
		    uint64_t len)
{
	enum memory_access access = request->io.op == DISK_READ ? MEMORY_WRITE : MEMORY_READ;
	int nr = stream_map(stream, memory, access, len, request->iov, REQUEST_MAX_IOV);

	if (nr < 0)
		return nr;
	request->io.iov = request->iov;
	request->io.nr = (uint32_t)nr;
	request->io.len = len;
	return 0;
}

/* ---- what the driver wants ---------------------------------------------------------------- */

static int done(struct request *request, int err)
{
	request->io.err = err;
	return 0;
}

static int check_range(const struct blk *blk, uint64_t sector, uint64_t len)
{
	uint64_t nr = disk_size(&blk->disk) / BLK_SECTOR;

	return len % BLK_SECTOR || !vas_range_fits(sector, len / BLK_SECTOR, nr) ? -EIO : 0;
}

static int begin_transfer(struct request *request, const struct blk *blk,
			  const struct memory *memory, struct stream *stream, uint64_t sector,
			  uint64_t len)
{
	int err = check_range(blk, sector, len);

	if (!err && request->io.op == DISK_WRITE && blk->disk.read_only)
		err = -EROFS;
	if (err || !len)
		return done(request, err);
	request->io.offset = sector * BLK_SECTOR;
	return map_data(request, stream, memory, len) ? -EPROTO : 1;
}

/* One range of sectors; there is room for more in the request, and we say that we take none. */
static int begin_zeroes(struct request *request, const struct blk *blk, const struct memory *memory,
			struct stream *stream, uint64_t left)
{
	struct virtio_blk_discard_write_zeroes zeroes;
	uint32_t flags, known = request->io.op == DISK_WRITE_ZEROES ?
					VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP :
					0;
	uint64_t len;

	if (left != sizeof(zeroes))
		return done(request, left < sizeof(zeroes) ? -EIO : NOT_SUPPORTED);
	if (stream_read(stream, memory, &zeroes, sizeof(zeroes)))
		return -EPROTO;
	flags = zeroes.flags;
	len = (uint64_t)zeroes.num_sectors * BLK_SECTOR;
	if (flags & ~known)
		return done(request, NOT_SUPPORTED);
	if (blk->disk.read_only || len > REQUEST_MAX_ZEROES || check_range(blk, zeroes.sector, len))
		return done(request, -EIO);
	request->io.may_unmap = flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	request->io.offset = zeroes.sector * BLK_SECTOR;
	request->io.len = len;
	return len ? 1 : done(request, 0);
}

static int tell_id(struct request *request, const struct blk *blk, const struct memory *memory,
		   struct stream *in)
{
	uint64_t len = request->data_len < BLK_ID_LEN ? request->data_len : BLK_ID_LEN;

	request->data_len = len;
	return stream_write(in, memory, blk->id, len) ? -EPROTO : done(request, 0);
}

static int begin(struct request *request, const struct blk *blk, const struct memory *memory,
		 const struct virtio_blk_outhdr *header, struct stream *out, struct stream *in)
{
	uint64_t data_len = request->data_len, out_len = request->chain.len_out - sizeof(*header);

	request->data_len = 0;
	switch (header->type) {
	case VIRTIO_BLK_T_IN:
		request->io.op = DISK_READ;
		request->data_len = data_len;
		return begin_transfer(request, blk, memory, in, header->sector, data_len);
	case VIRTIO_BLK_T_OUT:
		request->io.op = DISK_WRITE;
		request->io.is_stable = blk->is_write_through;
		return begin_transfer(request, blk, memory, out, header->sector, out_len);
	case VIRTIO_BLK_T_FLUSH:
		request->io.op = DISK_FLUSH;
		return blk->disk.read_only ? done(request, 0) : 1;
	case VIRTIO_BLK_T_DISCARD:
		request->io.op = DISK_DISCARD;
		return begin_zeroes(request, blk, memory, out, out_len);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		request->io.op = DISK_WRITE_ZEROES;
		request->io.is_stable = blk->is_write_through;
		return begin_zeroes(request, blk, memory, out, out_len);
	case VIRTIO_BLK_T_GET_ID:
		request->data_len = data_len;
		return tell_id(request, blk, memory, in);
	default:
		return done(request, NOT_SUPPORTED);
	}
}

/* ---- the request -------------------------------------------------------------------------- */

void request_init(struct request *request)
{
	request->chain.segments = request->segments;
	request->chain.max_segments = REQUEST_MAX_PARTS;
}

/* It is the last byte that can be written. */
static uint64_t find_status(const struct vas_virtq_chain *chain)
{
	const struct vas_virtq_segment *last = &chain->segments[chain->nr_out + chain->nr_in - 1];

	while (!last->len)
		last--;
	return last->gpa + last->len - 1;
}

int request_begin(struct request *request, const struct blk *blk, const struct memory *memory)
{
	const struct vas_virtq_chain *chain = &request->chain;
	struct stream out = stream_out(chain);
	struct stream in = stream_in(chain);
	struct virtio_blk_outhdr header;

	memset(&request->io, 0, sizeof(request->io));
	if (!chain->len_in || chain->len_out < sizeof(header))
		return -EPROTO;
	if (stream_read(&out, memory, &header, sizeof(header)))
		return -EPROTO;
	request->status_gpa = find_status(chain);
	request->data_len = chain->len_in - 1;
	return begin(request, blk, memory, &header, &out, &in);
}

static uint8_t status_of(int err)
{
	if (!err)
		return VIRTIO_BLK_S_OK;
	return err == NOT_SUPPORTED ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
}

/* Also of a read that failed: a part of it may have been written. */
static void mark_data(const struct request *request, const struct memory *memory)
{
	const struct vas_virtq_chain *chain = &request->chain;
	struct stream in = stream_in(chain);
	uint64_t left, nr, gpa;

	for (left = request->data_len; left; left -= nr) {
		nr = left;
		gpa = stream_next(&in, &nr);
		memory_mark(memory, gpa, nr);
	}
}

int request_finish(struct request *request, const struct memory *memory)
{
	int err = request->io.err;
	uint8_t status = status_of(err);

	if (memory_is_logging(memory) && request->io.op == DISK_READ)
		mark_data(request, memory);
	if (memory_write(memory, request->status_gpa, &status, sizeof(status)))
		return -EPROTO;
	/* Of those before it in memory, what is sure: all of the data, or none. */
	request->written = err ? 0 : (uint32_t)(request->data_len + sizeof(status));
	return 0;
}
