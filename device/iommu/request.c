// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/iommu/request.h"

#include <errno.h>
#include <string.h>

#include "device/iommu/domain.h"
#include "device/stream.h"

/* What the driver has written of it, read once. */
union request {
	struct virtio_iommu_req_head head;
	struct virtio_iommu_req_attach attach;
	struct virtio_iommu_req_detach detach;
	struct virtio_iommu_req_map map;
	struct virtio_iommu_req_unmap unmap;
	struct virtio_iommu_req_probe probe;
};

struct answer {
	uint8_t properties[IOMMU_PROBE_SIZE];
	struct virtio_iommu_req_tail tail;
};

/* All but the tail, which is the device's; 0: there is no such request. */
static uint32_t size_of(uint8_t type)
{
	switch (type) {
	case VIRTIO_IOMMU_T_ATTACH:
		return offsetof(struct virtio_iommu_req_attach, tail);
	case VIRTIO_IOMMU_T_DETACH:
		return offsetof(struct virtio_iommu_req_detach, tail);
	case VIRTIO_IOMMU_T_MAP:
		return offsetof(struct virtio_iommu_req_map, tail);
	case VIRTIO_IOMMU_T_UNMAP:
		return offsetof(struct virtio_iommu_req_unmap, tail);
	case VIRTIO_IOMMU_T_PROBE:
		return offsetof(struct virtio_iommu_req_probe, properties);
	default:
		return 0;
	}
}

static uint8_t attach(struct iommu *iommu, const struct virtio_iommu_req_attach *request)
{
	const uint8_t zeros[sizeof(request->reserved)] = { 0 };

	if (memcmp(request->reserved, zeros, sizeof(zeros)))
		return VIRTIO_IOMMU_S_INVAL;
	return iommu_attach(iommu, request->domain, request->endpoint, request->flags);
}

static uint8_t map(struct iommu *iommu, const struct virtio_iommu_req_map *request)
{
	const struct iommu_mapping mapping = {
		.first = request->virt_start,
		.last = request->virt_end,
		.gpa = request->phys_start,
		.flags = request->flags,
	};

	return iommu_map(iommu, request->domain, &mapping);
}

static uint8_t unmap(struct iommu *iommu, const struct virtio_iommu_req_unmap *request)
{
	const uint8_t zeros[sizeof(request->reserved)] = { 0 };

	if (memcmp(request->reserved, zeros, sizeof(zeros)))
		return VIRTIO_IOMMU_S_INVAL;
	return iommu_unmap(iommu, request->domain, request->virt_start, request->virt_end);
}

/* Interrupts' messages are the only thing that is the same at all endpoints. */
static uint8_t probe(struct iommu *iommu, const struct virtio_iommu_req_probe *request,
		     uint32_t room, void *properties)
{
	const struct virtio_iommu_probe_resv_mem msi = {
		.head = { VIRTIO_IOMMU_PROBE_T_RESV_MEM, sizeof(msi) - sizeof(msi.head) },
		.subtype = VIRTIO_IOMMU_RESV_MEM_T_MSI,
		.start = IOMMU_MSI_FIRST,
		.end = IOMMU_MSI_LAST,
	};

	if (!iommu_has_endpoint(iommu, request->endpoint))
		return VIRTIO_IOMMU_S_NOENT;
	if (room < IOMMU_PROBE_SIZE)
		return VIRTIO_IOMMU_S_INVAL;
	memcpy(properties, &msi, sizeof(msi));
	return VIRTIO_IOMMU_S_OK;
}

static uint8_t carry_out(struct iommu *iommu, const union request *request, uint32_t room,
			 struct answer *answer)
{
	switch (request->head.type) {
	case VIRTIO_IOMMU_T_ATTACH:
		return attach(iommu, &request->attach);
	case VIRTIO_IOMMU_T_DETACH:
		return iommu_detach(iommu, request->detach.domain, request->detach.endpoint);
	case VIRTIO_IOMMU_T_MAP:
		return map(iommu, &request->map);
	case VIRTIO_IOMMU_T_UNMAP:
		return unmap(iommu, &request->unmap);
	default:
		return probe(iommu, &request->probe, room, answer->properties);
	}
}

/* For properties: what is there before the tail, as far as a probe has any. */
static uint32_t room_of(const struct vas_virtq_chain *chain, uint8_t type)
{
	uint64_t room = chain->len_in - sizeof(struct virtio_iommu_req_tail);

	if (type != VIRTIO_IOMMU_T_PROBE)
		return 0;
	return room < IOMMU_PROBE_SIZE ? (uint32_t)room : IOMMU_PROBE_SIZE;
}

int iommu_request(struct iommu *iommu, const struct memory *memory,
		  const struct vas_virtq_chain *chain)
{
	struct stream out = stream_out(chain), in = stream_in(chain);
	const uint32_t head_size = sizeof(struct virtio_iommu_req_head);
	union request request = { 0 };
	struct answer answer = { 0 };
	uint32_t size, room;

	if (chain->len_out < head_size || chain->len_in < sizeof(answer.tail))
		return 0;
	if (stream_read(&out, memory, &request.head, head_size))
		return -EPROTO;
	size = size_of(request.head.type);
	if (!size || chain->len_out < size)
		return 0;
	if (stream_read(&out, memory, (char *)&request + head_size, size - head_size))
		return -EPROTO;
	room = room_of(chain, request.head.type);
	answer.tail.status = carry_out(iommu, &request, room, &answer);
	if (stream_write(&in, memory, answer.properties, room) ||
	    stream_write(&in, memory, &answer.tail, sizeof(answer.tail)))
		return -EPROTO;
	return (int)(room + sizeof(answer.tail));
}
