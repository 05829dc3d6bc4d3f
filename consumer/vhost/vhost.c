// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Attach a vas to a device of the kernel's: the ops, the beginning and the end. */
#include "consumer/vhost/device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "consumer/page_log.h"

#define PARAMETER	    "/sys/module/vhost/parameters/max_mem_regions"
#define MAX_ENTRIES_DEFAULT 64u

int vas_vhost_call(const struct vas_vhost *vhost, unsigned long request, const void *arg)
{
	return ioctl(vhost->fd, request, arg) < 0 ? -errno : 0;
}

/* ---- ops ----------------------------------------------------------------------------------- */

/* A table is exchanged between two requests: nothing has to stand still for it. */
static int freeze(struct vas_consumer *consumer, enum vas_freeze_reason reason,
		  uint64_t deadline_ns)
{
	struct vas_vhost *vhost = vhost_of(consumer);
	int err;

	(void)deadline_ns;
	if (reason == VAS_FREEZE_LAYOUT)
		return 0;
	pthread_mutex_lock(&vhost->lock);
	vhost->is_frozen = 1;
	err = vas_vhost_run_or_halt(vhost);
	if (err)
		vhost->is_frozen = 0;
	pthread_mutex_unlock(&vhost->lock);
	return err;
}

/* What does not go on now is tried again before the next change, which fails if that does. */
static void thaw(struct vas_consumer *consumer, enum vas_freeze_reason reason)
{
	struct vas_vhost *vhost = vhost_of(consumer);

	if (reason == VAS_FREEZE_LAYOUT)
		return;
	pthread_mutex_lock(&vhost->lock);
	vhost->is_frozen = 0;
	vas_vhost_run_or_halt(vhost);
	pthread_mutex_unlock(&vhost->lock);
}

static const struct vas_consumer_ops net_ops = {
	.prepare = vas_vhost_table_prepare,
	.commit = vas_vhost_table_commit,
	.abort = vas_vhost_table_abort,
	.retry = vas_vhost_table_retry,
	.freeze = freeze,
	.thaw = thaw,
	.track = vas_vhost_log_track,
	.untrack = vas_vhost_log_untrack,
	.harvest = vas_vhost_log_harvest,
};

/* The kernel accepts LOG_ALL, and does not log what it writes into the guest's buffers. */
static const struct vas_consumer_ops vsock_ops = {
	.prepare = vas_vhost_table_prepare,
	.commit = vas_vhost_table_commit,
	.abort = vas_vhost_table_abort,
	.retry = vas_vhost_table_retry,
	.freeze = freeze,
	.thaw = thaw,
};

/* ---- attach, detach ------------------------------------------------------------------------ */

static uint32_t max_entries(void)
{
	FILE *file = fopen(PARAMETER, "re");
	unsigned int val = 0;

	if (file && fscanf(file, "%u", &val) != 1)
		val = 0;
	if (file)
		fclose(file);
	return val && val <= 65536 ? val : MAX_ENTRIES_DEFAULT;
}

static int set_owner(const struct vas_vhost *vhost)
{
	uint64_t features;
	int err = vas_vhost_call(vhost, VHOST_GET_FEATURES, &features);

	if (err)
		return vas_error_set(err == -EINVAL ? -ENOTTY : err, "fd %d is no device of vhost",
				     vhost->fd);
	err = vas_vhost_call(vhost, VHOST_SET_OWNER, NULL);
	/* The caller has done so, or another process: the next call tells. */
	return err && err != -EBUSY ? vas_error_set(err, "%s: this process cannot own it: %s",
						    vhost->name, strerror(-err)) :
				      0;
}

/*
 * It is what the caller says, by a call that only that kind knows: what is taken for vhost-net is
 * trusted to log. One that has no rings yet says EFAULT to this.
 */
static int check_kind(const struct vas_vhost *vhost)
{
	const struct vhost_vring_file none = { 0, -1 };
	const int off = 0;
	int err;

	if (vhost->kind == VAS_VHOST_NET)
		err = vas_vhost_call(vhost, VHOST_NET_SET_BACKEND, &none);
	else
		err = vas_vhost_call(vhost, VHOST_VSOCK_SET_RUNNING, &off);
	if (!err || err == -EFAULT)
		return 0;
	if (err == -EPERM)
		return vas_error_set(err, "%s: another process owns it", vhost->name);
	return vas_error_set(-ENOTTY, "%s: it is another device of vhost", vhost->name);
}

static int name_set(struct vas_vhost *vhost, const char *name)
{
	const char *usual = vhost->kind == VAS_VHOST_NET ? "vhost-net" : "vhost-vsock";

	if (name && (!*name || strlen(name) >= sizeof(vhost->name)))
		return vas_error_set(-EINVAL, "a name has 1 to %d characters",
				     VAS_REGION_NAME_LEN - 1);
	snprintf(vhost->name, sizeof(vhost->name), "%s", name ? name : usual);
	vhost->ops = vhost->kind == VAS_VHOST_NET ? net_ops : vsock_ops;
	vhost->ops.name = vhost->name;
	vhost->consumer.ops = &vhost->ops;
	vhost->consumer.flags = vhost->kind == VAS_VHOST_NET ? 0 : VAS_CONSUMER_UNLOGGED;
	return 0;
}

static int device_init(struct vas_vhost *vhost, int fd)
{
	struct vas_info info;
	int err;

	vhost->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (vhost->fd < 0)
		return vas_error_set(-errno, "fd %d cannot be duplicated: %s", fd, strerror(errno));
	vhost->max_entries = max_entries();
	/* One more, for a table that has turned out too long. */
	vhost->table = calloc(1, sizeof(*vhost->table) + (vhost->max_entries + 1ull) *
								 sizeof(vhost->table->regions[0]));
	if (!vhost->table)
		return vas_error_set(-ENOMEM, "no memory");
	err = vas_info(vhost->vas, &info);
	if (err)
		return err;
	vhost->log_words = page_log_words(&info);
	err = set_owner(vhost);
	if (!err)
		err = check_kind(vhost);
	return err ? err : vas_file_maps_get(vhost->vas, &vhost->file_maps);
}

static void device_free(struct vas_vhost *vhost)
{
	vas_vhost_table_clean(vhost);
	if (vhost->file_maps)
		vas_file_maps_put(vhost->file_maps);
	if (vhost->fd >= 0)
		close(vhost->fd);
	pthread_mutex_destroy(&vhost->lock);
	free(vhost);
}

int vas_vhost_attach(struct vas *vas, int vhost_fd, enum vas_vhost_kind kind, const char *name,
		     struct vas_vhost **out)
{
	struct vas_vhost *vhost = calloc(1, sizeof(*vhost));
	int err;

	if (!vhost)
		return vas_error_set(-ENOMEM, "no memory");
	pthread_mutex_init(&vhost->lock, NULL);
	vhost->vas = vas;
	vhost->kind = kind;
	vhost->fd = -1;
	err = name_set(vhost, name);
	if (!err)
		err = device_init(vhost, vhost_fd);
	if (!err)
		err = vas_consumer_attach(vas, &vhost->consumer, UINT64_MAX, NULL);
	if (err) {
		device_free(vhost);
		return err;
	}
	*out = vhost;
	return 0;
}

void vas_vhost_detach(struct vas_vhost *vhost)
{
	if (!vhost)
		return;
	vas_vhost_stop(vhost, NULL);
	vas_consumer_detach(&vhost->consumer);
	device_free(vhost);
}

struct vas_consumer *vas_vhost_consumer(struct vas_vhost *vhost)
{
	return &vhost->consumer;
}
