// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Rings and back ends: a device is served, stands still for a freeze, and goes on. */
#include "consumer/vhost/device.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/eventfd.h"

/* ---- rings --------------------------------------------------------------------------------- */

uint64_t vas_vhost_ring_gpa(const struct vas_vhost_queue *queue, enum ring_part part)
{
	return part == RING_DESC ? queue->desc : part == RING_DRIVER ? queue->avail : queue->used;
}

static int part_find(const struct vas_vhost *vhost, unsigned int index, enum ring_part part,
		     __u64 *hva)
{
	static const char *const names[] = { "descriptors", "available ring", "used ring" };
	const struct vas_vhost_queue *queue = &vhost->queues[index];
	uint64_t gpa = vas_vhost_ring_gpa(queue, part), size = ring_part_size(part, 0, queue->size);

	*hva = (uintptr_t)vas_vhost_table_find(vhost, gpa, size);
	if (*hva)
		return 0;
	return vas_error_set(-EFAULT,
			     "%s: queue %u has its %s at [%#llx, +%#llx), which is not within one "
			     "region that may be written",
			     vhost->name, index, names[part], (unsigned long long)gpa,
			     (unsigned long long)size);
}

static int ring_set(const struct vas_vhost *vhost, unsigned int index)
{
	struct vhost_vring_addr addr = { .index = index };
	int err = part_find(vhost, index, RING_DESC, &addr.desc_user_addr);

	if (!err)
		err = part_find(vhost, index, RING_DRIVER, &addr.avail_user_addr);
	if (!err)
		err = part_find(vhost, index, RING_DEVICE, &addr.used_user_addr);
	if (err)
		return err;
	addr.log_guest_addr = vhost->queues[index].used;
	addr.flags = vhost->log ? 1u << VHOST_VRING_F_LOG : 0;
	err = vas_vhost_call(vhost, VHOST_SET_VRING_ADDR, &addr);
	return err ? vas_error_set(err, "%s: the kernel does not take queue %u's ring: %s",
				   vhost->name, index, strerror(-err)) :
		     0;
}

int vas_vhost_rings_set(const struct vas_vhost *vhost)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < VAS_VHOST_QUEUES; i++)
		err = ring_set(vhost, i);
	return err;
}

int vas_vhost_features_set(const struct vas_vhost *vhost)
{
	uint64_t features = vhost->features | (vhost->log ? 1ull << VHOST_F_LOG_ALL : 0);
	int err = vas_vhost_call(vhost, VHOST_SET_FEATURES, &features);

	return err ? vas_error_set(err, "%s: the kernel does not take features %#llx: %s",
				   vhost->name, (unsigned long long)features, strerror(-err)) :
		     0;
}

/* ---- back ends ----------------------------------------------------------------------------- */

static int backend_set(const struct vas_vhost *vhost, unsigned int index, int is_on)
{
	const struct vhost_vring_file file = { index,
					       is_on ? vhost->queues[index].backend_fd : -1 };

	return vas_vhost_call(vhost, VHOST_NET_SET_BACKEND, &file);
}

/* When it says that they are off, nothing of the guest's is in use. */
static int backends_set(const struct vas_vhost *vhost, int is_on)
{
	unsigned int i;
	int err = 0;

	if (vhost->kind == VAS_VHOST_VSOCK)
		return vas_vhost_call(vhost, VHOST_VSOCK_SET_RUNNING, &is_on);
	for (i = 0; !err && i < VAS_VHOST_QUEUES; i++)
		err = backend_set(vhost, i, is_on);
	return err;
}

/* What the guest has said while nobody was there is not to be lost. */
static void kick_all(const struct vas_vhost *vhost)
{
	unsigned int i;

	for (i = 0; i < VAS_VHOST_QUEUES; i++)
		if (vhost->queues[i].kick_fd >= 0)
			vas_eventfd_raise(vhost->queues[i].kick_fd);
}

int vas_vhost_run_or_halt(struct vas_vhost *vhost)
{
	int wanted = vhost->is_started && !vhost->is_frozen, err;

	if (wanted == vhost->is_running)
		return 0;
	err = backends_set(vhost, wanted);
	if (err) {
		backends_set(vhost, !wanted); /* both as they were */
		return vas_error_set(err, "%s: the kernel does not %s its queues: %s", vhost->name,
				     wanted ? "serve" : "stop", strerror(-err));
	}
	vhost->is_running = wanted;
	if (wanted)
		kick_all(vhost);
	return 0;
}

/* ---- start, stop --------------------------------------------------------------------------- */

static int state_set(const struct vas_vhost *vhost, unsigned long request, unsigned int index,
		     uint32_t num)
{
	const struct vhost_vring_state state = { index, num };

	return vas_vhost_call(vhost, request, &state);
}

static int file_set(const struct vas_vhost *vhost, unsigned long request, unsigned int index,
		    int fd)
{
	const struct vhost_vring_file file = { index, fd };

	return vas_vhost_call(vhost, request, &file);
}

static int queue_set(const struct vas_vhost *vhost, unsigned int index)
{
	const struct vas_vhost_queue *queue = &vhost->queues[index];
	int err = state_set(vhost, VHOST_SET_VRING_NUM, index, queue->size);

	if (!err)
		err = state_set(vhost, VHOST_SET_VRING_BASE, index, queue->base);
	if (!err)
		err = file_set(vhost, VHOST_SET_VRING_KICK, index, queue->kick_fd);
	if (!err)
		err = file_set(vhost, VHOST_SET_VRING_CALL, index, queue->call_fd);
	return err ? vas_error_set(err, "%s: the kernel does not take queue %u: %s", vhost->name,
				   index, strerror(-err)) :
		     ring_set(vhost, index);
}

/* -1, for none, stays -1; and so there is nothing to close if it cannot be duplicated. */
static int fd_copy(int *fd)
{
	if (*fd < 0)
		return 0;
	*fd = fcntl(*fd, F_DUPFD_CLOEXEC, 0);
	return *fd < 0 ? -errno : 0;
}

static int queues_copy(struct vas_vhost *vhost, const struct vas_vhost_queue *queues)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < VAS_VHOST_QUEUES; i++) {
		struct vas_vhost_queue *copy = &vhost->queues[i];
		int kick, call, backend;

		*copy = queues[i];
		kick = fd_copy(&copy->kick_fd);
		call = fd_copy(&copy->call_fd);
		backend = fd_copy(&copy->backend_fd);
		err = err ? err : kick ? kick : call ? call : backend;
	}
	return err ? vas_error_set(err, "%s: an fd cannot be duplicated: %s", vhost->name,
				   strerror(-err)) :
		     0;
}

static void fd_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* The kernel lets go of the eventfds, too. */
static void queues_clean(struct vas_vhost *vhost)
{
	unsigned int i;

	for (i = 0; i < VAS_VHOST_QUEUES; i++) {
		file_set(vhost, VHOST_SET_VRING_KICK, i, -1);
		file_set(vhost, VHOST_SET_VRING_CALL, i, -1);
		fd_close(vhost->queues[i].kick_fd);
		fd_close(vhost->queues[i].call_fd);
		fd_close(vhost->queues[i].backend_fd);
	}
	vhost->is_started = 0;
}

static int start(struct vas_vhost *vhost, uint64_t features, const struct vas_vhost_queue *queues)
{
	unsigned int i;
	int err;

	if (vhost->is_started)
		return vas_error_set(-EBUSY, "%s: its queues run already", vhost->name);
	vhost->features = features;
	err = queues_copy(vhost, queues);
	if (!err)
		err = vas_vhost_features_set(vhost);
	for (i = 0; !err && i < VAS_VHOST_QUEUES; i++)
		err = queue_set(vhost, i);
	vhost->is_started = !err;
	if (!err)
		err = vas_vhost_run_or_halt(vhost);
	if (err)
		queues_clean(vhost);
	return err;
}

int vas_vhost_start(struct vas_vhost *vhost, uint64_t features,
		    const struct vas_vhost_queue queues[VAS_VHOST_QUEUES])
{
	int err;

	pthread_mutex_lock(&vhost->lock);
	err = start(vhost, features, queues);
	pthread_mutex_unlock(&vhost->lock);
	return err;
}

static void stop(struct vas_vhost *vhost, uint32_t *bases)
{
	unsigned int i;

	if (!vhost->is_started)
		return;
	vhost->is_started = 0;
	vas_vhost_run_or_halt(vhost);
	for (i = 0; bases && i < VAS_VHOST_QUEUES; i++) {
		struct vhost_vring_state state = { .index = i };

		vas_vhost_call(vhost, VHOST_GET_VRING_BASE, &state);
		bases[i] = state.num;
	}
	queues_clean(vhost);
}

void vas_vhost_stop(struct vas_vhost *vhost, uint32_t bases[VAS_VHOST_QUEUES])
{
	pthread_mutex_lock(&vhost->lock);
	stop(vhost, bases);
	pthread_mutex_unlock(&vhost->lock);
}
