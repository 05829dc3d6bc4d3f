// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A request is a header to read, data either way, and a status byte to write; how it is cut into
 * segments is the driver's choice. So it is two streams of bytes, each taken from its front.
 *
 * How large it is is the driver's choice, too. So it is served in steps, each of which is bounded
 * and, if it fails, leaves the request as it was; what a step does can be done again.
 */
#include "disk.h"

#include <linux/blkdev.h>
#include <linux/fs.h>
#include <linux/minmax.h>
#include <linux/string.h>
#include <linux/virtio_blk.h>

#include <linux/vas.h>

/* The next range of at most len bytes in one segment. */
static u32 next_segment(struct stream *stream, u32 len, u64 *gpa)
{
	while (stream->nr && stream->at == stream->segment->len) {
		stream->segment++;
		stream->nr--;
		stream->at = 0;
	}
	if (!stream->nr)
		return 0;
	len = min(len, stream->segment->len - stream->at);
	*gpa = stream->segment->gpa + stream->at;
	stream->at += len;
	stream->left -= len;
	return len;
}

static int stream_read(struct stream *stream, void *buf, u32 len)
{
	u64 gpa;

	while (len) {
		u32 nr = next_segment(stream, len, &gpa);
		int err = nr ? vas_copy_from(stream->vas, gpa, buf, nr, NULL) : -EPROTO;

		if (err)
			return err;
		buf += nr;
		len -= nr;
	}
	return 0;
}

static int stream_write(struct stream *stream, const void *buf, u32 len)
{
	u64 gpa;

	while (len) {
		u32 nr = next_segment(stream, len, &gpa);
		int err = nr ? vas_copy_to(stream->vas, gpa, buf, nr, NULL) : -EPROTO;

		if (err)
			return err;
		buf += nr;
		len -= nr;
	}
	return 0;
}

static int file_read(struct disk *disk, void *buf, u32 len, loff_t pos)
{
	ssize_t nr;

	for (; len; buf += nr, len -= nr) {
		nr = kernel_read(disk->file, buf, len, &pos);
		if (nr <= 0)
			return -EIO;
	}
	return 0;
}

static int file_write(struct disk *disk, const void *buf, u32 len, loff_t pos)
{
	ssize_t nr;

	for (; len; buf += nr, len -= nr) {
		nr = kernel_write(disk->file, buf, len, &pos);
		if (nr <= 0)
			return -EIO;
	}
	return 0;
}

static u64 sectors_len(const struct request *request)
{
	switch (request->type) {
	case VIRTIO_BLK_T_IN:
		return request->in.left - 1; /* the status comes last */
	case VIRTIO_BLK_T_OUT:
		return request->out.left;
	default:
		return 0;
	}
}

static bool is_allowed(const struct request *request, u64 sector)
{
	u64 nr = request->disk->capacity >> SECTOR_SHIFT, len = request->left;

	if (request->type != VIRTIO_BLK_T_IN && request->type != VIRTIO_BLK_T_OUT)
		return true;
	if (request->type == VIRTIO_BLK_T_OUT && request->disk->readonly)
		return false;
	return !(len % SECTOR_SIZE) && sector <= nr && len >> SECTOR_SHIFT <= nr - sector;
}

/* Errors of the disk become a status and end the request; those of guest memory are for others. */
static int disk_failed(struct request *request)
{
	request->status = VIRTIO_BLK_S_IOERR;
	request->left = 0;
	return 0;
}

/*
 * A request of which nothing was done yet. The chain must stay as it is until it is done. -EPROTO:
 * it makes no sense; or another error of vas_copy_from().
 */
int disk_begin(struct disk *disk, const struct vas_virtq_chain *chain, struct request *request)
{
	struct virtio_blk_outhdr header;
	u64 sector;
	int err;

	*request = (struct request){
		.disk = disk,
		.out = { disk->vas, chain->segments, chain->nr_out, 0, chain->len_out },
		.in = { disk->vas, chain->segments + chain->nr_out, chain->nr_in, 0,
			chain->len_in },
		.status = VIRTIO_BLK_S_OK,
	};
	request->in_len = request->in.left;
	if (!request->in.left || request->out.left < sizeof(header))
		return -EPROTO;
	err = stream_read(&request->out, &header, sizeof(header));
	if (err)
		return err;
	request->type = le32_to_cpu((__force __le32)header.type);
	sector = le64_to_cpu((__force __le64)header.sector);
	request->left = sectors_len(request);
	request->pos = sector << SECTOR_SHIFT;
	return is_allowed(request, sector) ? 0 : disk_failed(request);
}

static int read_sectors(struct request *request, void *buffer, u32 len)
{
	if (file_read(request->disk, buffer, len, request->pos))
		return disk_failed(request);
	request->pos += len;
	request->left -= len;
	return stream_write(&request->in, buffer, len);
}

static int write_sectors(struct request *request, void *buffer, u32 len)
{
	int err = stream_read(&request->out, buffer, len);

	if (err)
		return err;
	if (file_write(request->disk, buffer, len, request->pos))
		return disk_failed(request);
	request->pos += len;
	request->left -= len;
	return 0;
}

static int tell_id(struct request *request)
{
	const struct disk *disk = request->disk;

	return stream_write(&request->in, disk->id,
			    min_t(u64, request->in.left - 1, sizeof(disk->id)));
}

static int work(struct request *request, void *buffer)
{
	u32 len = min_t(u64, request->left, DISK_BUFFER);

	if (request->status != VIRTIO_BLK_S_OK)
		return 0;
	switch (request->type) {
	case VIRTIO_BLK_T_IN:
		return read_sectors(request, buffer, len);
	case VIRTIO_BLK_T_OUT:
		return write_sectors(request, buffer, len);
	case VIRTIO_BLK_T_FLUSH:
		return vfs_fsync(request->disk->file, 1) ? disk_failed(request) : 0;
	case VIRTIO_BLK_T_GET_ID:
		return tell_id(request);
	default:
		request->status = VIRTIO_BLK_S_UNSUPP;
		return 0;
	}
}

/* The status is the last byte of all that can be written: go there. */
static int write_status(struct stream *in, u8 status)
{
	u64 gpa;

	while (in->left > 1)
		next_segment(in, min_t(u64, in->left - 1, U32_MAX), &gpa);
	return stream_write(in, &status, 1);
}

static int finish(struct request *request, u32 *written)
{
	u64 skipped = request->in.left - 1;

	*written = min_t(u64, request->in_len - skipped, U32_MAX);
	return write_status(&request->in, request->status);
}

/*
 * Do some of a request. 1: more is left; 0: done, and the guest was told; *written: how much of its
 * in segments was. -EPROTO: it makes no sense; -EAGAIN: the guest's memory is frozen: the same step
 * again, later; or another error of vas_copy_to().
 */
int disk_step(struct request *request, void *buffer, u32 *written)
{
	struct request before = *request;
	int err = work(request, buffer);

	if (!err && request->left)
		return 1;
	if (!err)
		err = finish(request, written);
	if (err)
		*request = before;
	return err;
}
