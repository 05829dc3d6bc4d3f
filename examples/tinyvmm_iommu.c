// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* With HAVE_DEVICE, as tinyvmm_devices.c. */
#include "tinyvmm_iommu.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_iommu.h>
#include <stdlib.h>

#include <vas/consumer.h>

#ifdef HAVE_DEVICE
#include "device/iommu/iommu.h"
#include "device/thread/server.h"

#define VIEW_ENTRIES  8192u
#define MISS_NS	      10000000000ull
#define INVALIDATE_NS 10000000000ull

struct guest_iommu {
	struct iommu device;
	struct thread_server *thread;
};

int guest_iommu_create(struct vas *vas, struct guest_iommu **out)
{
	static const struct iommu_options options = { .is_bypass = 1, .queue_size = 256 };
	static const struct thread_server_options thread = {
		.name = "iommu",
		.device_id = VIRTIO_ID_IOMMU,
		.config_size = sizeof(struct virtio_iommu_config),
	};
	struct guest_iommu *iommu = calloc(1, sizeof(*iommu));
	int err;

	if (!iommu)
		return -ENOMEM;
	err = iommu_open(&iommu->device, &options);
	if (err)
		goto err_free;
	err = thread_server_create(vas, &iommu->device.device, &thread, &iommu->thread);
	if (err)
		goto err_close;
	*out = iommu;
	return 0;

err_close:
	iommu_close(&iommu->device);
err_free:
	free(iommu);
	return err;
}

void guest_iommu_destroy(struct guest_iommu *iommu)
{
	if (!iommu)
		return;
	thread_server_destroy(iommu->thread);
	iommu_close(&iommu->device);
	free(iommu);
}

struct vas_virtio_server *guest_iommu_server(struct guest_iommu *iommu)
{
	return thread_server_virtio(iommu->thread);
}

int guest_iommu_save(struct guest_iommu *iommu, void **bytes, size_t *size)
{
	return iommu_save(&iommu->device, bytes, size);
}

int guest_iommu_load(struct guest_iommu *iommu, const void *bytes, size_t size)
{
	return iommu_load(&iommu->device, bytes, size);
}

/* ---- served by threads --------------------------------------------------------------------- */

static int view_miss(void *user, uint64_t iova, uint32_t prot)
{
	const struct endpoint *endpoint = user;

	iommu_miss(&endpoint->iommu->device, endpoint->id, iova, prot);
	return 0;
}

/* What is there is of the same tables, where it was not told to go: it is a part of this. */
static void view_map(void *user, uint64_t iova, uint64_t size, uint64_t gpa, uint32_t prot)
{
	const struct endpoint *endpoint = user;

	if (vas_iommu_map(endpoint->view, iova, size, gpa, prot) != -ENOSPC)
		return;
	vas_iommu_unmap(endpoint->view, 0, 0);
	vas_iommu_map(endpoint->view, iova, size, gpa, prot);
}

static void view_refuse(void *user, uint64_t iova)
{
	const struct endpoint *endpoint = user;

	vas_iommu_refuse(endpoint->view, iova);
}

static void view_unmap(void *user, uint64_t iova, uint64_t size)
{
	const struct endpoint *endpoint = user;

	vas_iommu_unmap(endpoint->view, iova, size);
}

static int view_wait(void *user)
{
	const struct endpoint *endpoint = user;

	return vas_iommu_invalidate(endpoint->view, INVALIDATE_NS);
}

static const struct iommu_endpoint_ops view_ops = {
	.map = view_map,
	.refuse = view_refuse,
	.unmap = view_unmap,
	.wait = view_wait,
};

int endpoint_open_view(struct endpoint *endpoint, struct guest_iommu *iommu, uint32_t nr_slots)
{
	const struct vas_iommu_options options = {
		.max_entries = VIEW_ENTRIES,
		.nr_slots = nr_slots,
		.miss_ns = MISS_NS,
		.miss = view_miss,
		.owner = endpoint,
	};
	int err = vas_iommu_view_create(&options, &endpoint->view);

	if (!err)
		endpoint->iommu = iommu;
	return err;
}

/* ---- on the bus ---------------------------------------------------------------------------- */

/* No queue of it runs before the guest knows it. */
static int bus_miss(struct vas_bus_device *device, void *user, uint64_t iova, uint32_t prot)
{
	const struct endpoint *endpoint = user;

	(void)device;
	if (!__atomic_load_n(&endpoint->has_joined, __ATOMIC_ACQUIRE))
		return -EFAULT;
	iommu_miss(&endpoint->iommu->device, endpoint->id, iova, prot);
	return 0;
}

static void bus_map(void *user, uint64_t iova, uint64_t size, uint64_t gpa, uint32_t prot)
{
	const struct endpoint *endpoint = user;

	vas_device_map(endpoint->bus, iova, size, gpa, prot);
}

static void bus_refuse(void *user, uint64_t iova)
{
	const struct endpoint *endpoint = user;

	vas_device_refuse(endpoint->bus, iova);
}

static void bus_unmap(void *user, uint64_t iova, uint64_t size)
{
	const struct endpoint *endpoint = user;

	vas_device_unmap(endpoint->bus, iova, size);
}

static int bus_wait(void *user)
{
	const struct endpoint *endpoint = user;

	return vas_device_invalidate(endpoint->bus);
}

static const struct iommu_endpoint_ops bus_ops = {
	.map = bus_map,
	.refuse = bus_refuse,
	.unmap = bus_unmap,
	.wait = bus_wait,
};

int endpoint_open_bus(struct endpoint *endpoint, struct guest_iommu *iommu, struct vas *vas,
		      struct vas_device_options *options)
{
	int err;

	options->miss = bus_miss;
	options->miss_user = endpoint;
	err = vas_device_add(vas, options, &endpoint->bus);
	if (!err)
		endpoint->iommu = iommu;
	return err;
}

/* ---- all of them --------------------------------------------------------------------------- */

int endpoint_join(struct endpoint *endpoint, uint32_t id)
{
	int err;

	if (!endpoint->iommu)
		return 0;
	endpoint->id = id;
	err = iommu_add_endpoint(&endpoint->iommu->device, id, endpoint->bus ? &bus_ops : &view_ops,
				 endpoint);
	__atomic_store_n(&endpoint->has_joined, !err, __ATOMIC_RELEASE);
	return err;
}

void endpoint_leave(struct endpoint *endpoint)
{
	if (endpoint->has_joined)
		iommu_remove_endpoint(&endpoint->iommu->device, endpoint->id);
	__atomic_store_n(&endpoint->has_joined, 0, __ATOMIC_RELEASE);
}

void endpoint_close(struct endpoint *endpoint)
{
	vas_iommu_view_destroy(endpoint->view);
	endpoint->view = NULL;
}
#else
/* There is never one, and no device is behind it. */
int guest_iommu_create(struct vas *vas, struct guest_iommu **iommu)
{
	(void)vas, (void)iommu;
	return vas_error_set(-ENOTSUP, "this tinyvmm was built without an IOMMU");
}

void guest_iommu_destroy(struct guest_iommu *iommu)
{
	(void)iommu;
}

struct vas_virtio_server *guest_iommu_server(struct guest_iommu *iommu)
{
	(void)iommu;
	return NULL;
}

int guest_iommu_save(struct guest_iommu *iommu, void **bytes, size_t *size)
{
	(void)iommu, (void)bytes, (void)size;
	return -ENOTSUP;
}

int guest_iommu_load(struct guest_iommu *iommu, const void *bytes, size_t size)
{
	(void)iommu, (void)bytes, (void)size;
	return -ENOTSUP;
}

int endpoint_open_bus(struct endpoint *endpoint, struct guest_iommu *iommu, struct vas *vas,
		      struct vas_device_options *options)
{
	(void)endpoint, (void)iommu, (void)vas, (void)options;
	return -ENOTSUP;
}

int endpoint_join(struct endpoint *endpoint, uint32_t id)
{
	(void)endpoint, (void)id;
	return 0;
}

void endpoint_leave(struct endpoint *endpoint)
{
	(void)endpoint;
}
#endif
