// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A request is a header to read, data either way, and a status byte to write; how it is cut into
 * segments is the driver's choice. So it is two streams of bytes, each taken from its front.
 */
#include "disk.h"

#include <linux/blkdev.h>
#include <linux/fs.h>
#include <linux/minmax.h>
#include <linux/string.h>
#include <linux/virtio_blk.h>

#include <linux/vas.h>

#include "ring.h"

/* What is left of one direction of a chain. */
struct stream {
	struct vas *vas;
	const struct segment *segment;
	u32 nr;
	u32 at; /* in the first segment */
	u64 left;
};

static struct stream stream_of(struct vas *vas, const struct segment *segments, u32 nr)
{
	struct stream stream = { .vas = vas, .segment = segments, .nr = nr };
	u32 i;

	for (i = 0; i < nr; i++)
		stream.left += segments[i].len;
	return stream;
}

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

/* Errors of the disk become a status; those of guest memory are the caller's. */
#define DISK_FAILED 1

static int check_sectors(const struct disk *disk, u64 sector, u64 len)
{
	u64 nr = disk->capacity >> SECTOR_SHIFT;

	if (len % SECTOR_SIZE || sector > nr || len >> SECTOR_SHIFT > nr - sector)
		return DISK_FAILED;
	return 0;
}

static int read_sectors(struct disk *disk, u64 sector, struct stream *in, void *buffer)
{
	u64 len = in->left - 1, pos = sector << SECTOR_SHIFT;
	int err = check_sectors(disk, sector, len);

	while (!err && len) {
		u32 nr = min_t(u64, len, DISK_BUFFER);

		if (file_read(disk, buffer, nr, pos))
			return DISK_FAILED;
		err = stream_write(in, buffer, nr);
		pos += nr;
		len -= nr;
	}
	return err;
}

static int write_sectors(struct disk *disk, u64 sector, struct stream *out, void *buffer)
{
	u64 pos = sector << SECTOR_SHIFT;
	int err = disk->readonly ? DISK_FAILED : check_sectors(disk, sector, out->left);

	while (!err && out->left) {
		u32 nr = min_t(u64, out->left, DISK_BUFFER);

		err = stream_read(out, buffer, nr);
		if (!err && file_write(disk, buffer, nr, pos))
			return DISK_FAILED;
		pos += nr;
	}
	return err;
}

static int tell_id(struct disk *disk, struct stream *in)
{
	return stream_write(in, disk->id, min_t(u64, in->left - 1, sizeof(disk->id)));
}

/*
 * 0, DISK_FAILED, or an error of guest memory; *status is what the guest is told of the first two.
 */
static int carry_out(struct disk *disk, struct stream *out, struct stream *in, void *buffer,
		     u8 *status)
{
	struct virtio_blk_outhdr header;
	int err = stream_read(out, &header, sizeof(header));

	if (err)
		return err;
	*status = VIRTIO_BLK_S_OK;
	switch (le32_to_cpu((__force __le32)header.type)) {
	case VIRTIO_BLK_T_IN:
		err = read_sectors(disk, le64_to_cpu((__force __le64)header.sector), in, buffer);
		break;
	case VIRTIO_BLK_T_OUT:
		err = write_sectors(disk, le64_to_cpu((__force __le64)header.sector), out, buffer);
		break;
	case VIRTIO_BLK_T_FLUSH:
		err = vfs_fsync(disk->file, 1) ? DISK_FAILED : 0;
		break;
	case VIRTIO_BLK_T_GET_ID:
		err = tell_id(disk, in);
		break;
	default:
		*status = VIRTIO_BLK_S_UNSUPP;
	}
	if (err == DISK_FAILED)
		*status = VIRTIO_BLK_S_IOERR;
	return err;
}

/* The status is the last byte of all that can be written: go there. */
static int write_status(struct stream *in, u8 status, u64 *skipped)
{
	u64 gpa;

	*skipped = in->left - 1;
	while (in->left > 1)
		next_segment(in, min_t(u64, in->left - 1, U32_MAX), &gpa);
	return stream_write(in, &status, 1);
}

/*
 * Serve one request. *written: how much of its in segments was. -EPROTO: it makes no sense;
 * -EAGAIN: the guest's memory is frozen: the same request again, later; or another error of
 * vas_copy_to().
 */
int disk_serve(struct disk *disk, const struct chain *chain, void *buffer, u32 *written)
{
	struct stream out = stream_of(disk->vas, chain->segments, chain->nr_out);
	struct stream in = stream_of(disk->vas, chain->segments + chain->nr_out, chain->nr_in);
	u64 in_len = in.left, skipped;
	u8 status;
	int err;

	if (!in.left || out.left < sizeof(struct virtio_blk_outhdr))
		return -EPROTO;
	err = carry_out(disk, &out, &in, buffer, &status);
	if (err < 0)
		return err;
	err = write_status(&in, status, &skipped);
	if (err)
		return err;
	*written = min_t(u64, in_len - skipped, U32_MAX);
	return 0;
}
