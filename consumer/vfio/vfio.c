// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Attach a vas to a VFIO container or an iommufd: the ops, the beginning and the end. */
#include "consumer/vfio/container.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int fd_of(struct vas_consumer *consumer)
{
	return vfio_of(consumer)->wake_fd;
}

int vas_vfio_under_way(struct vas_vfio *vfio, enum vfio_work work)
{
	vfio->work = work;
	eventfd_write(vfio->wake_fd, 1);
	return VAS_CONSUMER_UNDER_WAY;
}

static int finish(struct vas_consumer *consumer)
{
	struct vas_vfio *vfio = vfio_of(consumer);
	eventfd_t count;

	eventfd_read(vfio->wake_fd, &count);
	return vfio->work == VFIO_WORK_PREPARE ? vas_vfio_layout_go_on(vfio) :
						 vas_vfio_devices_stop(vfio);
}

/* A change of the layout takes nothing that a device may use, unless all are stopped already. */
static int freeze(struct vas_consumer *consumer, enum vas_freeze_reason reason,
		  uint64_t deadline_ns)
{
	(void)deadline_ns;
	return reason == VAS_FREEZE_LAYOUT ? 0 : vas_vfio_devices_stop(vfio_of(consumer));
}

/* One that does not go on now is tried again before the next change, which fails if that does. */
static void thaw(struct vas_consumer *consumer, enum vas_freeze_reason reason)
{
	if (reason == VAS_FREEZE_WRITERS)
		vas_vfio_devices_resume(vfio_of(consumer));
}

static const struct vas_consumer_ops vfio_ops = {
	.prepare = vas_vfio_layout_prepare,
	.commit = vas_vfio_layout_commit,
	.abort = vas_vfio_layout_abort,
	.retry = vas_vfio_layout_retry,
	.freeze = freeze,
	.thaw = thaw,
	.fd = fd_of,
	.finish = finish,
};

/* ---- attach, detach ------------------------------------------------------------------------ */

static int options_check(const struct vas_vfio_options *o)
{
	uint64_t reserved = o->reserved0;
	size_t i;

	for (i = 0; i < sizeof(o->reserved) / sizeof(*o->reserved); i++)
		reserved |= o->reserved[i];
	if (reserved || o->granule & (o->granule - 1) || o->granule % VAS_PAGE_SIZE)
		return vas_error_set(-EINVAL,
				     "bad options: the granule is a power of two of whole pages, "
				     "reserved fields are 0");
	if (o->name && (!*o->name || strlen(o->name) >= VAS_REGION_NAME_LEN))
		return vas_error_set(-EINVAL, "bad options: a name has 1 to %d characters",
				     VAS_REGION_NAME_LEN - 1);
	return 0;
}

/* By what it is. Where the IOMMU notes what is written, that is in the dirty log. */
static int iommu_open(struct vas_vfio *v)
{
	int err;

	v->iommu = &vas_type1_ops;
	v->consumer.flags = VAS_CONSUMER_PINS | VAS_CONSUMER_ALWAYS_DIRTY;
	if (!vas_fd_is_iommufd(v->container_fd))
		return vas_type1_check(v->container_fd);
	v->iommu = &vas_iommufd_ops;
	err = vas_iommufd_open(v);
	if (err || !v->has_dirty)
		return err;
	v->consumer.flags = VAS_CONSUMER_PINS;
	v->ops.track = vas_vfio_dirty_track;
	v->ops.untrack = vas_vfio_dirty_untrack;
	v->ops.harvest = vas_vfio_dirty_harvest;
	return 0;
}

static void iommu_close(struct vas_vfio *v)
{
	if (v->present.space)
		vas_iommufd_close(v);
}

static int container_new(struct vas *vas, int container_fd, const struct vas_vfio_options *options,
			 struct vas_vfio **vfio)
{
	struct vas_vfio *v = calloc(1, sizeof(*v));
	int err;

	if (!v)
		return vas_error_set(-ENOMEM, "no memory");
	v->granule = options->granule ? options->granule : VAS_VFIO_GRANULE_DEFAULT;
	snprintf(v->name, sizeof(v->name), "%s", options->name ? options->name : "vfio");
	v->change = 1; /* maps are kept by 0: none */
	v->ops = vfio_ops;
	v->ops.name = v->name;
	v->consumer.ops = &v->ops;
	v->container_fd = fcntl(container_fd, F_DUPFD_CLOEXEC, 0);
	err = v->container_fd < 0 ? vas_error_set(-errno, "cannot duplicate an fd") : 0;
	if (err)
		goto err_free;
	v->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = v->wake_fd < 0 ? vas_error_set(-errno, "cannot make an eventfd") : 0;
	if (err)
		goto err_close;
	err = vas_vfio_devices_init(v, options);
	if (!err)
		err = iommu_open(v);
	if (!err)
		err = vas_file_maps_get(vas, &v->file_maps);
	if (err)
		goto err_clean;
	vas_vfio_devices_look(v);
	*vfio = v;
	return 0;

err_clean:
	iommu_close(v);
	vas_vfio_devices_clean(v);
	close(v->wake_fd);
err_close:
	close(v->container_fd);
err_free:
	free(v);
	return err;
}

static void container_free(struct vas_vfio *vfio)
{
	vas_file_maps_put(vfio->file_maps);
	iommu_close(vfio);
	vas_vfio_devices_clean(vfio);
	close(vfio->wake_fd);
	close(vfio->container_fd);
	free(vfio->maps);
	free(vfio);
}

int vas_vfio_attach(struct vas *vas, int container_fd, const struct vas_vfio_options *options,
		    struct vas_vfio **vfio)
{
	static const struct vas_vfio_options defaults;
	uint64_t timeout_ns;
	struct vas_vfio *v = NULL;
	int err;

	options = options ? options : &defaults;
	timeout_ns = options->timeout_ns ? options->timeout_ns : UINT64_MAX;
	err = options_check(options);
	if (!err)
		err = container_new(vas, container_fd, options, &v);
	if (err)
		return err;
	err = vas_consumer_attach(vas, &v->consumer, timeout_ns, NULL);
	if (err) {
		container_free(v);
		return err;
	}
	*vfio = v;
	return 0;
}

/* The layout stays as it is meanwhile, and so does what is frozen. */
static int device_add(struct vas_vfio *vfio, const struct vas_vfio_device *device)
{
	int err;

	if (vfio->is_frozen)
		return vas_error_set(-EAGAIN, "%s: a device cannot come while it is frozen",
				     vfio->name);
	err = vas_vfio_devices_add(vfio, device->device_fd, device->device_id);
	if (!err && vfio->present.space) {
		err = vas_iommufd_enter(vfio, device->device_fd);
		if (err)
			vas_vfio_devices_drop(vfio);
	}
	vas_vfio_devices_look(vfio);
	return err;
}

int vas_vfio_device_add(struct vas_vfio *vfio, const struct vas_vfio_device *device)
{
	struct vas_layout *unchanged;
	int err = vas_layout_begin(vfio->consumer.vas, &unchanged);

	if (err)
		return err;
	err = device_add(vfio, device);
	vas_layout_abort(unchanged);
	return err;
}

void vas_vfio_detach(struct vas_vfio *vfio)
{
	if (!vfio)
		return;
	vas_consumer_detach(&vfio->consumer);
	container_free(vfio);
}

struct vas_consumer *vas_vfio_consumer(struct vas_vfio *vfio)
{
	return &vfio->consumer;
}
