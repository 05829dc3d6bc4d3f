// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/iommu/domain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <vas/consumer.h>
#include <vas/iommu.h>

#define PROT_ALL     (VAS_IOMMU_READ | VAS_IOMMU_WRITE)
#define BYPASS_CHUNK (1ull << 30) /* of what is told at once where all iovas are gpas */

_Static_assert(VAS_IOMMU_READ == VIRTIO_IOMMU_MAP_F_READ &&
		       VAS_IOMMU_WRITE == VIRTIO_IOMMU_MAP_F_WRITE &&
		       VAS_IOMMU_READ == VIRTIO_IOMMU_FAULT_F_READ &&
		       VAS_IOMMU_WRITE == VIRTIO_IOMMU_FAULT_F_WRITE,
	       "the same bits");

/* ---- domains, under the lock -------------------------------------------------------------- */

static struct iommu_endpoint *find_endpoint(struct iommu *iommu, uint32_t id)
{
	uint32_t i;

	for (i = 0; i < iommu->nr_endpoints; i++)
		if (iommu->endpoints[i].id == id)
			return &iommu->endpoints[i];
	return NULL;
}

static struct iommu_domain *find_domain(struct iommu *iommu, uint32_t id)
{
	uint32_t i;

	for (i = 0; i <= IOMMU_MAX_ENDPOINTS; i++)
		if (iommu->domains[i].nr_endpoints && iommu->domains[i].id == id)
			return &iommu->domains[i];
	return NULL;
}

static void free_map(struct vas_iova_map *map)
{
	free(map->leaves);
	free(map->root);
	free(map->free);
	*map = (struct vas_iova_map){ 0 };
}

/* Pages of it are had from the system as they are used. */
static bool make_map(struct vas_iova_map *map)
{
	const uint32_t nr = vas_iova_map_leaves(IOMMU_MAX_MAPPINGS);

	*map = (struct vas_iova_map){
		.max = IOMMU_MAX_MAPPINGS,
		.leaves = malloc(nr * sizeof(*map->leaves)),
		.root = malloc(nr * sizeof(*map->root)),
		.free = malloc(nr * sizeof(*map->free)),
	};
	if (!map->leaves || !map->root || !map->free) {
		free_map(map);
		return false;
	}
	vas_iova_map_init(map);
	return true;
}

/* With nobody in it yet. NULL: no memory. */
static struct iommu_domain *make_domain(struct iommu *iommu, uint32_t id, bool is_bypass)
{
	struct iommu_domain *domain = iommu->domains;

	while (domain->nr_endpoints)
		domain++; /* there are fewer than endpoints, or as many */
	if (!is_bypass && !make_map(&domain->map))
		return NULL;
	domain->id = id;
	domain->is_bypass = is_bypass;
	return domain;
}

/* Into another one or, NULL, into none: of what it could use before nothing is found any more. */
static void move(struct iommu_endpoint *endpoint, struct iommu_domain *to)
{
	struct iommu_domain *from = endpoint->domain;

	endpoint->ops->unmap(endpoint->user, 0, 0);
	endpoint->domain = to;
	if (to)
		to->nr_endpoints++;
	if (from && !--from->nr_endpoints)
		free_map(&from->map);
}

/* ---- who has to be waited for ------------------------------------------------------------- */

/* Collected under the lock, waited for without. */
struct users {
	uint32_t nr;
	const struct iommu_endpoint *endpoints[IOMMU_MAX_ENDPOINTS];
};

static void add_user(struct users *users, const struct iommu_endpoint *endpoint)
{
	users->endpoints[users->nr++] = endpoint;
}

static void begin_change(struct iommu *iommu)
{
	pthread_mutex_lock(&iommu->changing);
	pthread_mutex_lock(&iommu->lock);
}

/* Whom it concerns is waited for, all of them, also if one still uses what was unmapped. */
static uint8_t end_change(struct iommu *iommu, const struct users *users)
{
	uint8_t status = VIRTIO_IOMMU_S_OK;
	uint32_t i;

	pthread_mutex_unlock(&iommu->lock);
	for (i = 0; i < users->nr; i++)
		if (users->endpoints[i]->ops->wait(users->endpoints[i]->user))
			status = VIRTIO_IOMMU_S_DEVERR;
	pthread_mutex_unlock(&iommu->changing);
	return status;
}

/* ---- endpoints come and go ---------------------------------------------------------------- */

static uint8_t attach(struct iommu *iommu, uint32_t id, struct iommu_endpoint *endpoint,
		      bool is_bypass)
{
	struct iommu_domain *domain = find_domain(iommu, id);

	if (!endpoint)
		return VIRTIO_IOMMU_S_NOENT;
	if (domain && domain->is_bypass != is_bypass)
		return VIRTIO_IOMMU_S_INVAL;
	if (domain && endpoint->domain == domain)
		return VIRTIO_IOMMU_S_OK;
	if (!domain)
		domain = make_domain(iommu, id, is_bypass);
	if (!domain)
		return VIRTIO_IOMMU_S_NOMEM;
	move(endpoint, domain);
	return VIRTIO_IOMMU_S_OK;
}

uint8_t iommu_attach(struct iommu *iommu, uint32_t domain, uint32_t id, uint32_t flags)
{
	struct iommu_endpoint *endpoint;
	struct users users = { 0 };
	uint8_t status, waited;

	if (flags & ~(uint32_t)VIRTIO_IOMMU_ATTACH_F_BYPASS)
		return VIRTIO_IOMMU_S_INVAL;
	begin_change(iommu);
	endpoint = find_endpoint(iommu, id);
	status = attach(iommu, domain, endpoint, flags);
	if (!status)
		add_user(&users, endpoint);
	waited = end_change(iommu, &users);
	return status ? status : waited;
}

uint8_t iommu_detach(struct iommu *iommu, uint32_t domain, uint32_t id)
{
	uint8_t status = VIRTIO_IOMMU_S_OK, waited;
	struct iommu_endpoint *endpoint;
	struct users users = { 0 };

	begin_change(iommu);
	endpoint = find_endpoint(iommu, id);
	if (!endpoint)
		status = VIRTIO_IOMMU_S_NOENT;
	else if (!endpoint->domain || endpoint->domain->id != domain)
		status = VIRTIO_IOMMU_S_INVAL;
	else
		move(endpoint, NULL);
	if (!status)
		add_user(&users, endpoint);
	waited = end_change(iommu, &users);
	return status ? status : waited;
}

/* Those that are in no domain, too: of a reset nobody need remember what was unmapped before. */
void iommu_detach_all(struct iommu *iommu)
{
	struct users users = { 0 };
	uint32_t i;

	begin_change(iommu);
	for (i = 0; i < iommu->nr_endpoints; i++) {
		move(&iommu->endpoints[i], NULL);
		add_user(&users, &iommu->endpoints[i]);
	}
	iommu->nr_faults = 0;
	end_change(iommu, &users);
}

void iommu_set_bypass(struct iommu *iommu, bool is_bypass)
{
	struct users users = { 0 };
	uint32_t i;

	begin_change(iommu);
	for (i = 0; i < iommu->nr_endpoints; i++) {
		if (iommu->endpoints[i].domain || !iommu->is_bypass || is_bypass)
			continue;
		move(&iommu->endpoints[i], NULL);
		add_user(&users, &iommu->endpoints[i]);
	}
	iommu->is_bypass = is_bypass;
	end_change(iommu, &users);
}

void iommu_free_domains(struct iommu *iommu)
{
	uint32_t i;

	for (i = 0; i <= IOMMU_MAX_ENDPOINTS; i++)
		free_map(&iommu->domains[i].map);
}

int iommu_add_endpoint(struct iommu *iommu, uint32_t id, const struct iommu_endpoint_ops *ops,
		       void *user)
{
	const struct users nobody = { 0 };
	int err = 0;

	begin_change(iommu);
	if (find_endpoint(iommu, id))
		err = vas_error_set(-EEXIST, "an IOMMU has an endpoint %#x", id);
	else if (iommu->nr_endpoints == IOMMU_MAX_ENDPOINTS)
		err = vas_error_set(-ENOSPC, "an IOMMU has at most %u endpoints",
				    IOMMU_MAX_ENDPOINTS);
	else
		iommu->endpoints[iommu->nr_endpoints++] =
			(struct iommu_endpoint){ .id = id, .ops = ops, .user = user };
	end_change(iommu, &nobody);
	return err;
}

/* Its user is gone, and uses nothing. */
void iommu_remove_endpoint(struct iommu *iommu, uint32_t id)
{
	const struct users nobody = { 0 };
	struct iommu_endpoint *endpoint;

	begin_change(iommu);
	endpoint = find_endpoint(iommu, id);
	if (endpoint) {
		move(endpoint, NULL);
		*endpoint = iommu->endpoints[--iommu->nr_endpoints];
	}
	end_change(iommu, &nobody);
}

bool iommu_has_endpoint(struct iommu *iommu, uint32_t id)
{
	bool has;

	pthread_mutex_lock(&iommu->lock);
	has = find_endpoint(iommu, id);
	pthread_mutex_unlock(&iommu->lock);
	return has;
}

/* ---- mappings ----------------------------------------------------------------------------- */

static uint8_t check_mapping(const struct iommu_mapping *mapping)
{
	uint64_t size = mapping->last - mapping->first + 1;

	if (mapping->flags & ~PROT_ALL)
		return VIRTIO_IOMMU_S_INVAL;
	if (mapping->last < mapping->first || mapping->last > IOMMU_LAST ||
	    (mapping->first | size | mapping->gpa) % IOMMU_PAGE ||
	    mapping->gpa + (size - 1) < mapping->gpa)
		return VIRTIO_IOMMU_S_RANGE;
	if (mapping->first <= IOMMU_MSI_LAST && IOMMU_MSI_FIRST <= mapping->last)
		return VIRTIO_IOMMU_S_INVAL;
	return VIRTIO_IOMMU_S_OK;
}

/* NULL: *status says why. */
static struct iommu_domain *find_table(struct iommu *iommu, uint32_t id, uint8_t *status)
{
	struct iommu_domain *domain = find_domain(iommu, id);

	*status = !domain ? VIRTIO_IOMMU_S_NOENT : VIRTIO_IOMMU_S_INVAL;
	return domain && domain->is_bypass ? NULL : domain;
}

static uint8_t add(struct iommu_domain *domain, const struct iommu_mapping *mapping)
{
	const struct vas_iova_range range = { mapping->first, mapping->last, mapping->gpa,
					      mapping->flags };

	switch (vas_iova_map_add(&domain->map, &range)) {
	case 0:
		return VIRTIO_IOMMU_S_OK;
	case -EEXIST:
		return VIRTIO_IOMMU_S_INVAL;
	default:
		return VIRTIO_IOMMU_S_NOMEM;
	}
}

/* A driver maps what is used at once: whoever uses it need not ask. */
static void tell_map(struct iommu *iommu, const struct iommu_domain *domain,
		     const struct iommu_mapping *mapping)
{
	uint32_t i;

	for (i = 0; i < iommu->nr_endpoints && mapping->flags; i++) {
		const struct iommu_endpoint *endpoint = &iommu->endpoints[i];

		if (endpoint->domain == domain)
			endpoint->ops->map(endpoint->user, mapping->first,
					   mapping->last - mapping->first + 1, mapping->gpa,
					   mapping->flags);
	}
}

uint8_t iommu_map(struct iommu *iommu, uint32_t id, const struct iommu_mapping *mapping)
{
	uint8_t status = check_mapping(mapping), missing;
	struct iommu_domain *domain;

	if (status)
		return status;
	pthread_mutex_lock(&iommu->lock);
	domain = find_table(iommu, id, &missing);
	status = domain ? add(domain, mapping) : missing;
	if (!status)
		tell_map(iommu, domain, mapping);
	pthread_mutex_unlock(&iommu->lock);
	return status;
}

/* No mapping is only in part in there. */
static bool can_remove(const struct vas_iova_map *map, uint64_t first, uint64_t last)
{
	struct vas_iova_range range;

	if (vas_iova_map_find(map, first, &range) && range.iova < first)
		return false;
	return !vas_iova_map_find(map, last, &range) || range.last <= last;
}

/* A size of 0 is all, from 0 on. */
static void remove_range(struct iommu *iommu, struct iommu_domain *domain, uint64_t first,
			 uint64_t last, struct users *users)
{
	bool is_less = vas_iova_map_remove(&domain->map, first, last);
	uint32_t i;

	for (i = 0; i < iommu->nr_endpoints; i++) {
		const struct iommu_endpoint *endpoint = &iommu->endpoints[i];

		if (endpoint->domain != domain)
			continue;
		if (is_less)
			endpoint->ops->unmap(endpoint->user, first, last - first + 1);
		add_user(users, endpoint);
	}
}

uint8_t iommu_unmap(struct iommu *iommu, uint32_t id, uint64_t first, uint64_t last)
{
	uint8_t status = VIRTIO_IOMMU_S_RANGE, waited;
	struct iommu_domain *domain;
	struct users users = { 0 };

	if (last < first)
		return status;
	begin_change(iommu);
	domain = find_table(iommu, id, &status);
	if (domain && can_remove(&domain->map, first, last)) {
		remove_range(iommu, domain, first, last, &users);
		status = VIRTIO_IOMMU_S_OK;
	} else if (domain) {
		status = VIRTIO_IOMMU_S_RANGE;
	}
	waited = end_change(iommu, &users);
	return status ? status : waited;
}

/* ---- what endpoints ask ------------------------------------------------------------------- */

static void note_fault(struct iommu *iommu, const struct iommu_endpoint *endpoint, uint64_t iova,
		       uint32_t prot)
{
	struct virtio_iommu_fault *fault;

	if (iommu->nr_faults == IOMMU_MAX_FAULTS)
		return;
	fault = &iommu->faults[(iommu->first_fault + iommu->nr_faults++) % IOMMU_MAX_FAULTS];
	*fault = (struct virtio_iommu_fault){
		.reason = endpoint->domain ? VIRTIO_IOMMU_FAULT_R_MAPPING :
					     VIRTIO_IOMMU_FAULT_R_DOMAIN,
		.flags = (prot & PROT_ALL) | VIRTIO_IOMMU_FAULT_F_ADDRESS,
		.endpoint = endpoint->id,
		.address = iova,
	};
	eventfd_write(iommu->fault_fd, 1);
}

bool iommu_has_fault(struct iommu *iommu)
{
	bool has;

	pthread_mutex_lock(&iommu->lock);
	has = iommu->nr_faults;
	pthread_mutex_unlock(&iommu->lock);
	return has;
}

bool iommu_take_fault(struct iommu *iommu, struct virtio_iommu_fault *fault)
{
	bool has;

	pthread_mutex_lock(&iommu->lock);
	has = iommu->nr_faults;
	if (has) {
		*fault = iommu->faults[iommu->first_fault++ % IOMMU_MAX_FAULTS];
		iommu->nr_faults--;
	}
	pthread_mutex_unlock(&iommu->lock);
	return has;
}

static bool is_identity(const struct iommu *iommu, const struct iommu_endpoint *endpoint)
{
	return endpoint->domain ? endpoint->domain->is_bypass : iommu->is_bypass;
}

/* All of prot is allowed at iova: by which range. */
static bool look_up(const struct iommu *iommu, const struct iommu_endpoint *endpoint, uint64_t iova,
		    uint32_t prot, struct vas_iova_range *found)
{
	const struct iommu_domain *domain = endpoint->domain;

	if (is_identity(iommu, endpoint)) {
		found->iova = found->gpa = iova & ~(BYPASS_CHUNK - 1);
		found->last = found->iova + (BYPASS_CHUNK - 1);
		found->prot = PROT_ALL;
		return true;
	}
	return domain && vas_iova_map_find(&domain->map, iova, found) && found->prot &&
	       !(prot & ~found->prot);
}

void iommu_miss(struct iommu *iommu, uint32_t id, uint64_t iova, uint32_t prot)
{
	const struct iommu_endpoint *endpoint;
	struct vas_iova_range range;

	pthread_mutex_lock(&iommu->lock);
	endpoint = find_endpoint(iommu, id);
	if (!endpoint) {
		; /* nobody asks */
	} else if (look_up(iommu, endpoint, iova, prot & PROT_ALL, &range)) {
		endpoint->ops->map(endpoint->user, range.iova, range.last - range.iova + 1,
				   range.gpa, (uint32_t)range.prot);
	} else {
		endpoint->ops->refuse(endpoint->user, iova);
		if (!(prot & VAS_IOMMU_MORE))
			note_fault(iommu, endpoint, iova, prot);
	}
	pthread_mutex_unlock(&iommu->lock);
}
