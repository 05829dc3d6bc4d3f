// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The tables as bytes: a struct head, and the requests that lead there. To load them is to carry
 * those out, so nothing is there then that a driver could not have made.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <vas/consumer.h>

#include "device/iommu/domain.h"

#define MAGIC 0x756d6d6f69736176ull /* "vasiommu" */

struct head {
	uint64_t magic;
	uint32_t is_bypass;
	uint32_t nr; /* entries that follow */
};

enum { ATTACH, MAP };

struct entry {
	uint32_t type;
	uint32_t domain;
	uint32_t endpoint;
	uint32_t flags;
	uint64_t first, last, gpa;
};

/* ---- saving, under the lock --------------------------------------------------------------- */

static uint32_t count(const struct iommu *iommu)
{
	uint32_t i, nr = 0;

	for (i = 0; i < iommu->nr_endpoints; i++)
		nr += iommu->endpoints[i].domain != NULL;
	for (i = 0; i <= IOMMU_MAX_ENDPOINTS; i++)
		nr += iommu->domains[i].map.nr;
	return nr;
}

static struct entry *put_endpoints(struct entry *to, const struct iommu *iommu)
{
	uint32_t i;

	for (i = 0; i < iommu->nr_endpoints; i++) {
		const struct iommu_domain *domain = iommu->endpoints[i].domain;

		if (domain)
			*to++ = (struct entry){
				.type = ATTACH,
				.domain = domain->id,
				.endpoint = iommu->endpoints[i].id,
				.flags = domain->is_bypass ? VIRTIO_IOMMU_ATTACH_F_BYPASS : 0,
			};
	}
	return to;
}

static struct entry *put_mappings(struct entry *to, const struct iommu_domain *domain)
{
	const struct vas_iova_map *map = &domain->map;
	uint32_t i, j;

	for (i = 0; i < map->nr_leaves; i++) {
		const struct vas_iova_leaf *leaf = &map->leaves[map->root[i].leaf];

		for (j = 0; j < leaf->nr; j++)
			*to++ = (struct entry){
				.type = MAP,
				.domain = domain->id,
				.flags = (uint32_t)leaf->ranges[j].prot,
				.first = leaf->ranges[j].iova,
				.last = leaf->ranges[j].last,
				.gpa = leaf->ranges[j].gpa,
			};
	}
	return to;
}

static int save(const struct iommu *iommu, void **bytes, size_t *size)
{
	const struct head head = {
		.magic = MAGIC,
		.is_bypass = iommu->is_bypass,
		.nr = count(iommu),
	};
	struct entry *to;
	uint32_t i;

	*size = sizeof(head) + head.nr * sizeof(*to);
	*bytes = malloc(*size);
	if (!*bytes)
		return vas_error_set(-ENOMEM, "no memory for %u entries of an IOMMU", head.nr);
	to = mempcpy(*bytes, &head, sizeof(head));
	to = put_endpoints(to, iommu);
	for (i = 0; i <= IOMMU_MAX_ENDPOINTS; i++)
		to = put_mappings(to, &iommu->domains[i]);
	return 0;
}

int iommu_save(struct iommu *iommu, void **bytes, size_t *size)
{
	int err;

	pthread_mutex_lock(&iommu->lock);
	err = save(iommu, bytes, size);
	pthread_mutex_unlock(&iommu->lock);
	return err;
}

/* ---- loading ------------------------------------------------------------------------------ */

/* A status. */
static uint8_t load_entry(struct iommu *iommu, const struct entry *entry)
{
	const struct iommu_mapping mapping = { entry->first, entry->last, entry->gpa,
					       entry->flags };

	switch (entry->type) {
	case ATTACH:
		return iommu_attach(iommu, entry->domain, entry->endpoint, entry->flags);
	case MAP:
		return iommu_map(iommu, entry->domain, &mapping);
	default:
		return VIRTIO_IOMMU_S_UNSUPP;
	}
}

int iommu_load(struct iommu *iommu, const void *bytes, size_t size)
{
	struct entry entry;
	struct head head;
	uint32_t i;

	if (size < sizeof(head))
		return vas_error_set(-EPROTO, "an IOMMU of %zu bytes", size);
	memcpy(&head, bytes, sizeof(head));
	if (head.magic != MAGIC || head.is_bypass > 1 ||
	    size - sizeof(head) != (uint64_t)head.nr * sizeof(entry))
		return vas_error_set(-EPROTO, "what is to be an IOMMU is none, or another one's");
	iommu_set_bypass(iommu, head.is_bypass);
	for (i = 0; i < head.nr; i++) {
		uint8_t status;

		memcpy(&entry, (const char *)bytes + sizeof(head) + i * sizeof(entry),
		       sizeof(entry));
		status = load_entry(iommu, &entry);
		if (status)
			return vas_error_set(status == VIRTIO_IOMMU_S_NOMEM ? -ENOMEM : -EPROTO,
					     "entry %u of an IOMMU makes no sense here: %u", i,
					     status);
	}
	return 0;
}
