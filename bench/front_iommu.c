// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "front_iommu.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAGE	   4096ull
#define MAY_BOTH   3 /* read and write */
#define DATA_IOVAS (FRONT_IOVA + FRONT_DATA)

struct request {
	uint32_t request, flags, size;
	struct vhost_user_iotlb iotlb;
} __attribute__((packed));

struct reply {
	uint32_t request, flags, size;
	uint64_t u64;
} __attribute__((packed));

uint64_t front_iommu_iova(const struct front_iommu *iommu, uint32_t buffer)
{
	return DATA_IOVAS + (uint64_t)buffer * FRONT_IOMMU_PAGES * PAGE +
	       iommu->gpas[buffer] % PAGE;
}

/* The guest's tables. Rings lie below the data, at addresses in their order. */
static bool find(const struct front_iommu *iommu, uint64_t iova, uint64_t *gpa)
{
	uint64_t page;

	if (iova < FRONT_IOVA)
		return false;
	*gpa = iova - FRONT_IOVA;
	if (iova < DATA_IOVAS)
		return true;
	page = (iova - DATA_IOVAS) / PAGE;
	if (page / FRONT_IOMMU_PAGES >= iommu->nr)
		return false;
	*gpa = (iommu->gpas[page / FRONT_IOMMU_PAGES] / PAGE + page % FRONT_IOMMU_PAGES) * PAGE;
	return true;
}

/* Returns when the device has done it. */
static int tell(struct front_iommu *iommu, const struct vhost_user_iotlb *iotlb)
{
	struct vhost_user_message message;
	int err = front_end_send(iommu->front, VHOST_USER_IOTLB_MSG, VHOST_USER_NEED_REPLY, iotlb,
				 sizeof(*iotlb), NULL, 0);

	if (!err)
		err = front_end_receive(iommu->front, &message);
	if (!err && (message.request != VHOST_USER_IOTLB_MSG || message.u64))
		err = -EPROTO;
	return err;
}

int front_iommu_unmap(struct front_iommu *iommu, uint32_t buffer)
{
	const struct vhost_user_iotlb iotlb = {
		.iova = DATA_IOVAS + (uint64_t)buffer * FRONT_IOMMU_PAGES * PAGE,
		.size = FRONT_IOMMU_PAGES * PAGE,
		.type = VHOST_USER_IOTLB_INVALIDATE,
	};

	return tell(iommu, &iotlb);
}

static int answer(struct front_iommu *iommu, const struct request *miss)
{
	struct reply reply = { miss->request, VHOST_USER_VERSION | VHOST_USER_IS_REPLY,
			       sizeof(reply.u64), 0 };
	struct vhost_user_iotlb iotlb = {
		.iova = miss->iotlb.iova / PAGE * PAGE,
		.size = PAGE,
		.prot = MAY_BOTH,
		.type = VHOST_USER_IOTLB_UPDATE,
	};
	int err;

	if (miss->request != VHOST_USER_BACKEND_IOTLB_MSG ||
	    miss->iotlb.type != VHOST_USER_IOTLB_MISS || !find(iommu, iotlb.iova, &iotlb.user))
		return -EPROTO;
	iotlb.user += FRONT_USER;
	err = tell(iommu, &iotlb);
	if (!err && miss->flags & VHOST_USER_NEED_REPLY &&
	    send(iommu->sock, &reply, sizeof(reply), MSG_NOSIGNAL) < 0)
		err = -errno;
	return err;
}

int front_iommu_answer(struct front_iommu *iommu)
{
	struct request miss;
	int err = 0;

	while (!err) {
		if (recv(iommu->sock, &miss, sizeof(miss), MSG_PEEK | MSG_DONTWAIT) !=
		    (ssize_t)sizeof(miss))
			break;
		recv(iommu->sock, &miss, sizeof(miss), 0);
		err = answer(iommu, &miss);
	}
	return err;
}

int front_iommu_begin(struct front_iommu *iommu, struct front_end *front, const uint64_t *gpas,
		      uint32_t nr)
{
	int err, pair[2];

	*iommu = (struct front_iommu){ .gpas = gpas, .nr = nr };
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	iommu->front = front;
	iommu->sock = pair[0];
	err = front_end_send(front, VHOST_USER_SET_BACKEND_REQ_FD, 0, NULL, 0, &pair[1], 1);
	close(pair[1]);
	return err;
}

void front_iommu_end(struct front_iommu *iommu)
{
	if (iommu->front)
		close(iommu->sock);
}
