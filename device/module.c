// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/module.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <uapi/linux/vas_queue.h>
#include <vas/consumer.h>
#include <vas/device.h>
#include <vas/handle.h>
#include <vas/layout.h>

#include "device/queue.h"

/* What a connection of a bus offers for any device. */
#define RINGS                                                        \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_RING_PACKED | \
	 1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_RING_F_EVENT_IDX)

#define MAX_MISSES 64u /* fetched at once */

/* Between two looks at what a lent queue has done, or whether there is memory. */
#define LOOK_MS 1000

/* ---- the session -------------------------------------------------------------------------- */

static int open_device(const struct device_module_kind *kind)
{
	int fd = open(kind->device, O_RDWR | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return vas_error_set(-ENXIO, "there is no %s: %s is not loaded", kind->device,
				     kind->name);
	return fd >= 0 ? fd : vas_error_set(-errno, "%s: %s", kind->device, strerror(errno));
}

int device_module_check(const struct device_module_kind *kind, struct vas_device *device)
{
	int fd = open_device(kind), err = 0;
	__u64 known = 0;

	if (fd < 0)
		return fd;
	if (ioctl(fd, kind->get_features, &known))
		err = vas_error_set(-errno, "%s says nothing of its features: %s", kind->device,
				    strerror(errno));
	close(fd);
	if (!err && RINGS & ~known)
		err = vas_error_set(-EOPNOTSUPP, "%s does not know all kinds of rings", kind->name);
	device->features &= known;
	device->no_iommu = known & 1ull << VIRTIO_F_ACCESS_PLATFORM ? NULL : kind->no_iommu;
	return err;
}

int device_module_begin(struct device_module *module, const struct device_module_kind *kind,
			struct vas *vas)
{
	int fd = open_device(kind);

	if (fd < 0)
		return fd;
	*module = (struct device_module){ .kind = kind, .vas = vas, .fd = fd };
	return 0;
}

int device_module_vas_fd(const struct device_module *module)
{
	return vas_lock_fd(module->vas);
}

void device_module_end(struct device_module *module)
{
	close(module->fd);
	module->fd = -1;
	module->vas = NULL;
}

int device_module_set_features(const struct device_module *module, uint64_t features)
{
	__u64 arg = features;

	if (!ioctl(module->fd, module->kind->set_features, &arg))
		return 0;
	return vas_error_set(-errno, "%s takes no features %#llx: %s", module->kind->name,
			     (unsigned long long)features, strerror(errno));
}

/* Memory in further files, of which each fd is brought; those that it has it refuses. */
static void offer_files(const struct device_module *module)
{
	uint32_t i;

	for (i = 1; i < VAS_MAX_BACKINGS; i++) {
		__s32 fd = vas_backing_fd(module->vas, i);

		if (fd >= 0)
			ioctl(module->fd, module->kind->offer, &fd);
	}
}

/* ---- behind an IOMMU ---------------------------------------------------------------------- */

_Static_assert(VAS_QUEUE_READ == VAS_IOMMU_READ && VAS_QUEUE_WRITE == VAS_IOMMU_WRITE,
	       "they are handed on");

static int iotlb_map(void *user, uint64_t iova, uint64_t size, uint64_t gpa, uint32_t prot)
{
	const struct device_module *module = user;
	struct vas_queue_map map = { .iova = iova, .size = size, .gpa = gpa, .prot = prot };
	struct vas_queue_maps arg = { .maps = (uintptr_t)&map, .nr = 1 };

	return ioctl(module->fd, VAS_QUEUE_MAP, &arg) ? -errno : 0;
}

static void iotlb_refuse(void *user, uint64_t iova)
{
	const struct device_module *module = user;
	__u64 arg = iova;

	ioctl(module->fd, VAS_QUEUE_REFUSE, &arg);
}

/* Entries go also if it is in use still. */
static int unmap(struct device_module *module, uint32_t timeout_ms)
{
	const struct vas_queue_unmap arg = {
		.iova = module->iova,
		.size = module->size,
		.timeout_ms = timeout_ms,
	};
	int err = ioctl(module->fd, VAS_QUEUE_UNMAP, &arg) ? -errno : 0;

	module->is_unsettled = err != 0;
	return err;
}

static void iotlb_unmap(void *user, uint64_t iova, uint64_t size)
{
	struct device_module *module = user;

	module->iova = iova;
	module->size = size;
	unmap(module, 0);
}

/* The last unmap once more waits for all of them. */
static int iotlb_invalidate(void *user, uint64_t timeout_ns)
{
	struct device_module *module = user;
	uint64_t ms = timeout_ns / 1000000 + 1;

	if (!module->is_unsettled)
		return 0;
	return unmap(module, ms < VAS_QUEUE_MAX_WAIT_MS ? (uint32_t)ms : VAS_QUEUE_MAX_WAIT_MS);
}

static uint32_t iotlb_misses(void *user, struct vas_iommu_want *wants, uint32_t nr)
{
	const struct device_module *module = user;
	struct vas_queue_miss misses[MAX_MISSES];
	struct vas_queue_misses arg = { .misses = (uintptr_t)misses };
	uint32_t i;

	arg.nr = nr < MAX_MISSES ? nr : MAX_MISSES;
	if (ioctl(module->fd, VAS_QUEUE_MISSES, &arg))
		return 0;
	for (i = 0; i < arg.nr; i++)
		wants[i] = (struct vas_iommu_want){ misses[i].iova, misses[i].prot };
	return arg.nr;
}

int device_module_iotlb(struct device_module *module, uint32_t max_entries, struct vas_iotlb *iotlb)
{
	struct vas_queue_view arg = { .max_entries = max_entries, .flags = VAS_QUEUE_NO_DEADLINE };

	if (ioctl(module->fd, VAS_QUEUE_VIEW, &arg))
		return vas_error_set(-errno, "%s has no view of what is behind an IOMMU: %s",
				     module->kind->name, strerror(errno));
	*iotlb = (struct vas_iotlb){
		.user = module,
		.fd = module->fd,
		.map = iotlb_map,
		.refuse = iotlb_refuse,
		.unmap = iotlb_unmap,
		.invalidate = iotlb_invalidate,
		.misses = iotlb_misses,
	};
	return 0;
}

/* ---- queues ------------------------------------------------------------------------------- */

/* For who comes after this process, if it dies. A split ring says itself where it stands. */
static int keep_place(const struct device_module *module, const struct device_queue *queue)
{
	struct inflight_packed_part *part = queue->inflight;
	struct vas_queue_keep keep = { .index = queue->index };

	if (queue->format == VAS_VIRTQ_SPLIT || !part)
		return 0;
	keep.place = (uintptr_t)&part->used_idx;
	return ioctl(module->fd, module->kind->keep, &keep) ? -errno : 0;
}

/* Of a queue that is lent. */
struct events {
	int err;    /* the ring makes no sense */
	int unread; /* in the place of an interrupt, if nobody wants one */
};

static void close_events(const struct events *events)
{
	if (events->err >= 0)
		close(events->err);
	if (events->unread >= 0)
		close(events->unread);
}

static int open_events(struct events *events)
{
	int err;

	events->err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	events->unread = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (events->err >= 0 && events->unread >= 0)
		return 0;
	err = -errno;
	close_events(events);
	return err;
}

static int start_queue(const struct device_module *module, const struct device_queue *queue,
		       uint32_t base, const struct events *events)
{
	struct vas_queue_start arg = {
		.index = queue->index,
		.size = queue->size,
		.parts = { queue->place.desc, queue->place.driver, queue->place.device },
		.kick_fd = queue->kick_fd,
		.call_fd = queue->call_fd >= 0 ? queue->call_fd : events->unread,
		.err_fd = events->err,
		.base = base,
	};
	int err = keep_place(module, queue);

	if (err)
		return err;
	offer_files(module);
	return ioctl(module->fd, module->kind->start, &arg) ? -errno : 0;
}

static void count(const struct device_queue *queue, uint64_t nr)
{
	struct vas_device_counters *counters = queue->counters;

	device_queue_count(&counters->taken, nr);
	device_queue_count(&counters->answered, nr);
}

/* For who looks at the device meanwhile. How many there were in all. */
static uint64_t count_requests(const struct device_module *module, const struct device_queue *queue,
			       uint64_t counted)
{
	struct vas_queue_count arg = { .index = queue->index };

	if (ioctl(module->fd, VAS_QUEUE_COUNT, &arg))
		return counted;
	count(queue, arg.nr_requests - counted);
	return arg.nr_requests;
}

static void wait_for_wake(const struct device_queue *queue, int err_fd)
{
	struct pollfd fds[] = {
		{ .fd = queue->wake_fd, .events = POLLIN },
		{ .fd = err_fd, .events = POLLIN },
	};

	poll(fds, 2, LOOK_MS);
}

/* How many requests were counted. */
static uint64_t wait_for_end(const struct device_module *module, struct device_queue *queue,
			     int err_fd)
{
	uint64_t counted = 0;
	eventfd_t nr;

	while (!device_queue_is_stopping(queue)) {
		wait_for_wake(queue, err_fd);
		if (!eventfd_read(err_fd, &nr))
			device_queue_break(queue);
		counted = count_requests(module, queue, counted);
	}
	return counted;
}

static int stop_queue(const struct device_module *module, struct device_queue *queue,
		      uint64_t counted)
{
	struct vas_queue_stopped stopped = { .index = queue->index };

	if (ioctl(module->fd, module->kind->stop, &stopped))
		return -errno;
	count(queue, stopped.nr_requests - counted);
	return device_queue_take_back(queue, stopped.base);
}

/* Where there is no memory for it now, there will be: the guest waits, and need not reset. */
static int start_when_it_can(const struct device_module *module, const struct device_queue *queue,
			     uint32_t base, const struct events *events)
{
	int err;

	for (;;) {
		err = start_queue(module, queue, base, events);
		if (err != -ENOMEM || device_queue_is_stopping(queue))
			return err;
		wait_for_wake(queue, -1);
	}
}

int device_module_serve(const struct device_module *module, struct device_queue *queue)
{
	struct events events;
	uint32_t base;
	int err;

	if (!device_queue_lend(queue, &base))
		return 0;
	err = open_events(&events);
	if (err)
		return err;
	err = start_when_it_can(module, queue, base, &events);
	if (!err)
		err = stop_queue(module, queue, wait_for_end(module, queue, events.err));
	close_events(&events);
	return err == -ENOMEM ? 0 : err;
}
