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
#include <linux/falloc.h>
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

/* The request ends here. Errors of the disk become a status; the guest memory's are for others. */
static int end_with(struct request *request, u8 status)
{
	request->status = status;
	request->left = 0;
	return 0;
}

static int disk_failed(struct request *request)
{
	return end_with(request, VIRTIO_BLK_S_IOERR);
}

static bool has_feature(const struct request *request, int feature)
{
	return request->features & 1ull << feature;
}

static bool is_in_disk(const struct disk *disk, u64 sector, u64 len)
{
	u64 nr = READ_ONCE(disk->capacity) >> SECTOR_SHIFT;

	return !(len % SECTOR_SIZE) && sector <= nr && len >> SECTOR_SHIFT <= nr - sector;
}

static int begin_transfer(struct request *request, u64 sector, u64 len)
{
	bool is_write = request->type == VIRTIO_BLK_T_OUT;

	if (!is_in_disk(request->disk, sector, len) || (is_write && request->disk->readonly))
		return disk_failed(request);
	request->pos = sector << SECTOR_SHIFT;
	request->left = len;
	return 0;
}

/* One range of sectors; a request may have room for more, of which the device takes none. */
static int begin_zeroes(struct request *request, u32 known_flags)
{
	struct virtio_blk_discard_write_zeroes range;
	u64 sector, len;
	u32 flags;
	int err;

	if (request->out.left != sizeof(range))
		return end_with(request, request->out.left < sizeof(range) ? VIRTIO_BLK_S_IOERR :
									     VIRTIO_BLK_S_UNSUPP);
	err = stream_read(&request->out, &range, sizeof(range));
	if (err)
		return err;
	sector = le64_to_cpu(range.sector);
	len = (u64)le32_to_cpu(range.num_sectors) << SECTOR_SHIFT;
	flags = le32_to_cpu(range.flags);
	if (flags & ~known_flags)
		return end_with(request, VIRTIO_BLK_S_UNSUPP);
	if (request->disk->readonly || len > VAS_BLK_MAX_ZEROES ||
	    !is_in_disk(request->disk, sector, len))
		return disk_failed(request);
	request->may_unmap = flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	request->pos = sector << SECTOR_SHIFT;
	request->left = len;
	return 0;
}

static int begin(struct request *request, u64 sector)
{
	switch (request->type) {
	case VIRTIO_BLK_T_IN:
		return begin_transfer(request, sector, request->in.left - 1); /* then the status */
	case VIRTIO_BLK_T_OUT:
		return begin_transfer(request, sector, request->out.left);
	case VIRTIO_BLK_T_DISCARD:
		if (has_feature(request, VIRTIO_BLK_F_DISCARD))
			return begin_zeroes(request, 0);
		return end_with(request, VIRTIO_BLK_S_UNSUPP);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		if (has_feature(request, VIRTIO_BLK_F_WRITE_ZEROES))
			return begin_zeroes(request, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
		return end_with(request, VIRTIO_BLK_S_UNSUPP);
	case VIRTIO_BLK_T_FLUSH:
	case VIRTIO_BLK_T_GET_ID:
		return 0;
	default:
		return end_with(request, VIRTIO_BLK_S_UNSUPP);
	}
}

/*
 * A request of which nothing was done yet, of a driver that has accepted these features. The chain
 * must stay as it is until it is done. -EPROTO: it makes no sense; or another error of
 * vas_copy_from().
 */
int disk_begin(struct disk *disk, const struct vas_virtq_chain *chain, u64 features,
	       struct request *request)
{
	struct virtio_blk_outhdr header;
	int err;

	*request = (struct request){
		.disk = disk,
		.features = features,
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
	return begin(request, le64_to_cpu((__force __le64)header.sector));
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

static int flush(struct request *request)
{
	const struct disk *disk = request->disk;

	return !disk->readonly && vfs_fsync(disk->file, 1) ? disk_failed(request) : 0;
}

/*
 * All that is left at once, which is little: -EOPNOTSUPP: this file cannot, or not here: a device's
 * sectors may be larger than a guest's, and then it takes none in part.
 */
static int punch(const struct request *request, int mode)
{
	int err = vfs_fallocate(request->disk->file, mode | FALLOC_FL_KEEP_SIZE, request->pos,
				request->left);

	return err == -EINVAL ? -EOPNOTSUPP : err;
}

/* What is allowed to be no more than a hint: a file that has no holes is left as it is. */
static int discard(struct request *request)
{
	int err = punch(request, FALLOC_FL_PUNCH_HOLE);

	if (err && err != -EOPNOTSUPP)
		return disk_failed(request);
	request->left = 0;
	return 0;
}

static int write_zeroes_plainly(struct request *request, void *buffer, u32 len)
{
	memset(buffer, 0, len);
	if (file_write(request->disk, buffer, len, request->pos))
		return disk_failed(request);
	request->pos += len;
	request->left -= len;
	return 0;
}

static int write_zeroes(struct request *request, void *buffer, u32 len)
{
	int err;

	if (request->is_plain)
		return write_zeroes_plainly(request, buffer, len);
	err = punch(request, request->may_unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
	request->is_plain = err == -EOPNOTSUPP;
	if (request->is_plain)
		return 0; /* that are the next steps */
	request->left = 0;
	return err ? disk_failed(request) : 0;
}

static int tell_id(struct request *request)
{
	const struct disk *disk = request->disk;

	return stream_write(&request->in, disk->id,
			    min_t(u64, request->in.left - 1, sizeof(disk->id)));
}

static int work_on_sectors(struct request *request, void *buffer)
{
	u32 len = min_t(u64, request->left, DISK_BUFFER);

	if (!len)
		return 0;
	switch (request->type) {
	case VIRTIO_BLK_T_IN:
		return read_sectors(request, buffer, len);
	case VIRTIO_BLK_T_OUT:
		return write_sectors(request, buffer, len);
	case VIRTIO_BLK_T_DISCARD:
		return discard(request);
	default:
		return write_zeroes(request, buffer, len);
	}
}

static int work(struct request *request, void *buffer)
{
	if (request->status != VIRTIO_BLK_S_OK)
		return 0;
	switch (request->type) {
	case VIRTIO_BLK_T_FLUSH:
		return flush(request);
	case VIRTIO_BLK_T_GET_ID:
		return tell_id(request);
	default:
		return work_on_sectors(request, buffer);
	}
}

/* A driver that cannot flush takes what is written, and answered, for stable. */
static int make_stable(struct request *request)
{
	bool writes =
		request->type == VIRTIO_BLK_T_OUT || request->type == VIRTIO_BLK_T_WRITE_ZEROES;

	if (!writes || request->status != VIRTIO_BLK_S_OK ||
	    has_feature(request, VIRTIO_BLK_F_FLUSH))
		return 0;
	return flush(request);
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
		err = make_stable(request) ?: finish(request, written);
	if (err)
		*request = before;
	return err;
}
