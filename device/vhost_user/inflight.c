// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <fcntl.h>
#include <unistd.h>
#include <linux/virtio_config.h>
#include <vas/consumer.h>

#include "device/vhost_user/session.h"

static bool is_packed(const struct session *session)
{
	return session->features & 1ull << VIRTIO_F_RING_PACKED;
}

/* Of one queue's part. */
static uint64_t part_size(const struct session *session, uint32_t nr_descs)
{
	return is_packed(session) ? inflight_packed_size(nr_descs) : inflight_queue_size(nr_descs);
}

static int make_file(const struct session *session, uint64_t size, uint32_t nr_queues,
		     uint16_t nr_descs)
{
	int fd = memfd_create("vhost-user-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct shared_map map;
	int err;

	if (fd < 0)
		return -errno;
	err = ftruncate(fd, (off_t)size) ||
			      fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ?
		      -errno :
		      shared_map_open(&map, fd, 0, size);
	if (err) {
		close(fd);
		return err;
	}
	if (is_packed(session))
		inflight_packed_init(map.bytes, nr_queues, nr_descs);
	else
		inflight_init(map.bytes, nr_queues, nr_descs);
	shared_map_close(&map);
	return fd;
}

static int check_sizes(const struct session *session, const struct vhost_user_inflight *inflight)
{
	if (!inflight->nr_queues || inflight->nr_queues > session->device->max_queues ||
	    !inflight->queue_size || inflight->queue_size > DEVICE_QUEUE_MAX_SIZE)
		return vas_error_set(
			-EINVAL,
			"the front end wants %u queues of %u requests in flight; there "
			"are %u, of %u at most",
			inflight->nr_queues, inflight->queue_size, session->device->max_queues,
			DEVICE_QUEUE_MAX_SIZE);
	return 0;
}

/*
 * For the largest queue that the device has, whatever the front end takes for the size of one: the
 * queues of QEMU 10.0.13's disk are of 1,024 entries, and it speaks of its queue-size, 128.
 */
int inflight_make(const struct session *session, struct vhost_user_inflight *inflight, int *fd)
{
	int err = check_sizes(session, inflight);
	uint32_t nr_descs = session->device->queue_size;

	*fd = -1;
	if (err)
		return err;
	if (nr_descs < inflight->queue_size)
		nr_descs = inflight->queue_size;
	inflight->offset = 0;
	inflight->size = inflight->nr_queues * part_size(session, nr_descs);
	*fd = make_file(session, inflight->size, inflight->nr_queues, (uint16_t)nr_descs);
	return *fd < 0 ?
		       vas_error_set(*fd, "no memory for requests in flight: %s", strerror(-*fd)) :
		       0;
}

/*
 * What the first part says that it has room for, which is at the same place of both kinds; at least
 * what the front end says, which is all if the parts would not fit. The file is its: read once.
 */
static uint32_t nr_descs_of(const struct session *session, uint32_t at_least)
{
	const struct inflight_queue *part = (const void *)session->inflight.bytes;
	uint32_t nr = __atomic_load_n(&part->desc_num, __ATOMIC_RELAXED);

	_Static_assert(offsetof(struct inflight_queue, desc_num) ==
			       offsetof(struct inflight_packed_part, desc_num),
		       "known before the features are");
	if (nr < at_least || nr > DEVICE_QUEUE_MAX_SIZE ||
	    session->inflight_queues * part_size(session, nr) > session->inflight.size)
		return at_least;
	return nr;
}

int inflight_set(struct session *session, struct vhost_user_message *message)
{
	const struct vhost_user_inflight *inflight = &message->inflight;
	int err = check_sizes(session, inflight);

	if (err)
		return err;
	if (!message->nr_fds ||
	    inflight->size < inflight->nr_queues * part_size(session, inflight->queue_size))
		return vas_error_set(-EINVAL, "the front end's file of requests in flight is none");
	vrings_pause(session);
	shared_map_close(&session->inflight);
	session->inflight_queues = inflight->nr_queues;
	err = shared_map_open(&session->inflight, message->fds[0], inflight->offset,
			      inflight->size);
	if (!err && (uintptr_t)session->inflight.bytes % _Alignof(struct inflight_queue)) {
		shared_map_close(&session->inflight);
		err = -EINVAL;
	}
	if (!err)
		session->inflight_descs = nr_descs_of(session, inflight->queue_size);
	vrings_resume(session);
	return err ? vas_error_set(err, "the front end's file of requests in flight: %s",
				   strerror(-err)) :
		     0;
}

void *inflight_of(const struct session *session, uint32_t index)
{
	uint64_t size = session->inflight_queues * part_size(session, session->inflight_descs);

	/* The features may be others than when it came. */
	if (!session->inflight.bytes || index >= session->inflight_queues ||
	    size > session->inflight.size)
		return NULL;
	return (void *)(session->inflight.bytes +
			index * part_size(session, session->inflight_descs));
}
