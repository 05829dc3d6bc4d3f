// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Stopping devices: those that have a migration state (version 2 of VFIO's) can be in the state
 * STOP, in which they write no memory and answer no interrupt, and go on from there.
 */
#include "consumer/vfio/container.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* A feature's head and what is behind it, as the ioctl takes them. */
struct migration_feature {
	struct vfio_device_feature head;
	struct vfio_device_feature_migration migration;
};

struct state_feature {
	struct vfio_device_feature head;
	struct vfio_device_feature_mig_state state;
};

int vas_vfio_devices_add(struct vas_vfio *vfio, int device_fd, uint32_t device_id)
{
	const size_t room = vfio->nr_devices + 1;
	int *fds = realloc(vfio->device_fds, room * sizeof(*fds)), fd;
	uint32_t *ids;

	vfio->device_fds = fds ? fds : vfio->device_fds;
	ids = realloc(vfio->device_ids, room * sizeof(*ids));
	vfio->device_ids = ids ? ids : vfio->device_ids;
	if (!fds || !ids)
		return vas_error_set(-ENOMEM, "no memory");
	fd = fcntl(device_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return vas_error_set(-errno, "a device's fd cannot be duplicated: %s",
				     strerror(errno));
	ids[vfio->nr_devices] = device_id;
	fds[vfio->nr_devices++] = fd;
	return 0;
}

int vas_vfio_devices_init(struct vas_vfio *vfio, const struct vas_vfio_options *options)
{
	uint32_t i;
	int err = 0;

	for (i = 0; !err && i < options->nr_device_fds; i++)
		err = vas_vfio_devices_add(vfio, options->device_fds[i],
					   options->device_ids ? options->device_ids[i] : 0);
	return err;
}

void vas_vfio_devices_drop(struct vas_vfio *vfio)
{
	close(vfio->device_fds[--vfio->nr_devices]);
}

void vas_vfio_devices_clean(struct vas_vfio *vfio)
{
	while (vfio->nr_devices)
		vas_vfio_devices_drop(vfio);
	free(vfio->device_fds);
	free(vfio->device_ids);
}

static int can_stop(int device_fd)
{
	struct migration_feature feature = {
		.head = { .argsz = sizeof(feature),
			  .flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIGRATION },
	};

	return !ioctl(device_fd, VFIO_DEVICE_FEATURE, &feature) &&
	       feature.migration.flags & VFIO_MIGRATION_STOP_COPY;
}

void vas_vfio_devices_look(struct vas_vfio *vfio)
{
	uint32_t i = 0;

	while (i < vfio->nr_devices && can_stop(vfio->device_fds[i]))
		i++;
	vfio->consumer.flags &= ~VAS_CONSUMER_UNSTOPPABLE;
	if (!vfio->nr_devices || i < vfio->nr_devices)
		vfio->consumer.flags |= VAS_CONSUMER_UNSTOPPABLE;
}

/* Between STOP and RUNNING there is no data to read, and so no fd that comes back. */
static int set_state(const struct vas_vfio *vfio, uint32_t device, uint32_t state)
{
	struct state_feature feature = {
		.head = { .argsz = sizeof(feature),
			  .flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE },
		.state = { .device_state = state, .data_fd = -1 },
	};

	if (!ioctl(vfio->device_fds[device], VFIO_DEVICE_FEATURE, &feature))
		return 0;
	return vas_error_set(-errno, "%s: device %u of its container does not %s: %s", vfio->name,
			     device, state == VFIO_DEVICE_STATE_STOP ? "stop" : "go on",
			     strerror(errno));
}

/* A device takes its time, so they stop one at a time, with a look at the deadline between. */
int vas_vfio_devices_stop(struct vas_vfio *vfio)
{
	int err;

	vfio->is_frozen = 1;
	/* Those that did not go on after the last freeze stand already. */
	if (vfio->nr_stopped == vfio->nr_devices)
		return 0;
	err = set_state(vfio, vfio->nr_stopped, VFIO_DEVICE_STATE_STOP);
	if (err) {
		vas_vfio_devices_resume(vfio);
		return err;
	}
	return ++vfio->nr_stopped < vfio->nr_devices ? vas_vfio_under_way(vfio, VFIO_WORK_FREEZE) :
						       0;
}

int vas_vfio_devices_resume(struct vas_vfio *vfio)
{
	int err;

	vfio->is_frozen = 0;
	while (vfio->nr_stopped) {
		err = set_state(vfio, vfio->nr_stopped - 1, VFIO_DEVICE_STATE_RUNNING);
		if (err)
			return err;
		vfio->nr_stopped--;
	}
	return 0;
}
