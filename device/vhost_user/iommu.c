// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A front end whose guest has an IOMMU: addresses of rings and in descriptors are iovas then, and
 * it says page by page what they stand for, when it is asked or without.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <vas/consumer.h>

#include "device/vhost_user/session.h"

#define ENTRIES	      8192u
#define MISS_NS	      (10 * 1000000000ull)
#define INVALIDATE_NS (10 * 1000000000ull)

/* One that has accepted the feature and has no socket for misses cannot mean it. */
bool iommu_is_used(const struct session *session)
{
	return session->features & 1ull << VIRTIO_F_ACCESS_PLATFORM &&
	       session->protocol_features & 1ull << VHOST_USER_PROTOCOL_BACKEND_REQ;
}

int iommu_begin(struct session *session)
{
	const struct vas_iommu_options options = {
		.max_entries = ENTRIES,
		.nr_slots = session->device->max_queues,
		.miss_ns = session->miss_ns ? session->miss_ns : MISS_NS,
		.miss = request_miss,
		.owner = session,
	};

	return session->view ? 0 : vas_iommu_view_create(&options, &session->view);
}

void iommu_end(struct session *session)
{
	vas_iommu_view_destroy(session->view);
	session->view = NULL;
}

/* What it knows is no longer told to us when it goes, or is of another guest. */
void iommu_forget(struct session *session)
{
	if (session->view)
		vas_iommu_unmap(session->view, 0, 0);
}

/* What was there is of the same guest, and may go on being used until it is invalidated. */
static int map(struct session *session, const struct vhost_user_iotlb *iotlb, uint64_t gpa)
{
	int err = vas_iommu_map(session->view, iotlb->iova, iotlb->size, gpa, iotlb->prot);

	if (err == -EEXIST) {
		vas_iommu_unmap(session->view, iotlb->iova, iotlb->size);
		err = vas_iommu_invalidate(session->view, INVALIDATE_NS);
	} else if (err == -ENOSPC) {
		vas_iommu_unmap(session->view, 0, 0);
		err = 0;
	} else {
		return err;
	}
	return err ? err : vas_iommu_map(session->view, iotlb->iova, iotlb->size, gpa, iotlb->prot);
}

static int update(struct session *session, const struct vhost_user_iotlb *iotlb)
{
	uint64_t gpa;

	if (memory_gpa_of_user(&session->memory, iotlb->user, iotlb->size, &gpa))
		return vas_error_set(-EFAULT,
				     "the front end maps iova %#llx, +%#llx to what is not all in "
				     "its memory",
				     (unsigned long long)iotlb->iova,
				     (unsigned long long)iotlb->size);
	/* Before anybody can find it, and miss it again. */
	request_answer(session, iotlb->iova, iotlb->size);
	return map(session, iotlb, gpa);
}

static int invalidate(struct session *session, const struct vhost_user_iotlb *iotlb)
{
	vas_iommu_unmap(session->view, iotlb->iova, iotlb->size);
	return vas_iommu_invalidate(session->view, INVALIDATE_NS);
}

int iommu_message(struct session *session, const struct vhost_user_message *message)
{
	const struct vhost_user_iotlb *iotlb = &message->iotlb;
	int err;

	if (!iommu_is_used(session))
		return vas_error_set(-EINVAL,
				     "the front end speaks of an IOMMU, and has not accepted one");
	err = iommu_begin(session);
	if (err)
		return err;
	switch (iotlb->type) {
	case VHOST_USER_IOTLB_UPDATE:
		return update(session, iotlb);
	case VHOST_USER_IOTLB_INVALIDATE:
		return invalidate(session, iotlb);
	default:
		return vas_error_set(-EINVAL,
				     "the front end says %u of an IOMMU, which is neither an "
				     "update nor an invalidation",
				     iotlb->type);
	}
}
