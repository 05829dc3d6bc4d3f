/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A virtio-iommu device: the IOMMU of a guest, for devices that the VMM knows. Its driver puts
 * *endpoints*, which are such devices, into *domains*, and says what each domain's iovas stand for.
 *
 *	driver's request	a domain's table		an endpoint's user
 *	MAP ------------------> a mapping more	--------------> map(), unasked
 *	UNMAP, DETACH, ... ---> some less --------------------> unmap(), then wait()
 *	its answer <------------------------------------------- which has returned
 *				looked up <-------------------- iommu_miss()
 *				found, or not ----------------> map(), or refuse(); a fault
 *
 *	domain.c	the tables, and whom a change of them is told
 *	request.c	requests, as they come from the driver
 *	iommu.c		the device, and its two queues
 *	state.c		the tables as bytes
 *
 * The tables are the truth, and bounded: a domain exists as long as an endpoint is in it, and has
 * IOMMU_MAX_MAPPINGS at most, for which the driver is told that there is no memory.
 */
#ifndef DEVICE_IOMMU_IOMMU_H
#define DEVICE_IOMMU_IOMMU_H

#include <linux/virtio_iommu.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/iova_map.h"
#include "device/device.h"

#define IOMMU_MAX_ENDPOINTS 32u
#define IOMMU_MAX_MAPPINGS  65536u /* of a domain; 130 bytes each, with its share of a tree */
#define IOMMU_PAGE	    4096u
#define IOMMU_LAST	    0xffffffffffffull /* the last iova that may be mapped */
#define IOMMU_MSI_FIRST	    0xfee00000ull     /* interrupts' messages, which are not translated */
#define IOMMU_MSI_LAST	    0xfeefffffull
#define IOMMU_MAX_FAULTS    64u /* that the driver has no buffer for yet; others are forgotten */

/*
 * Who uses an endpoint's mappings. None of these but wait() waits, for they are called under the
 * lock of the tables: what is told comes in the order of the changes.
 */
struct iommu_endpoint_ops {
	/* These iovas may be used. What there is no room for is asked for when it is used. */
	void (*map)(void *user, uint64_t iova, uint64_t size, uint64_t gpa, uint32_t prot);
	/* Questions for this iova are answered: it may not be used. */
	void (*refuse)(void *user, uint64_t iova);
	/* From now on no new use of it finds these; size 0: up to the end. */
	void (*unmap)(void *user, uint64_t iova, uint64_t size);
	/* Nothing that was unmapped is used any more. -errno: it may be. */
	int (*wait)(void *user);
};

struct iommu_domain;

struct iommu_endpoint {
	uint32_t id;
	const struct iommu_endpoint_ops *ops;
	void *user;
	struct iommu_domain *domain; /* NULL: in none */
};

struct iommu_domain {
	uint32_t id;
	uint32_t nr_endpoints; /* 0: it does not exist */
	bool is_bypass;	       /* all iovas are gpas, and there is no map */
	struct vas_iova_map map;
};

struct iommu_server;

struct iommu {
	struct vas_device device;

	pthread_mutex_t serving;       /* taken before all others: whoever serves the requests */
	struct iommu_server *requests; /* NULL: they are not served */
	int fault_fd;		       /* an eventfd: there are faults to tell of */

	/* Taken first: one change at a time, with what it waits for. Endpoints stay meanwhile. */
	pthread_mutex_t changing;
	pthread_mutex_t lock; /* all of what follows; never while anybody is waited for */
	bool is_bypass;	      /* of endpoints in no domain */
	uint32_t nr_endpoints;
	struct iommu_endpoint endpoints[IOMMU_MAX_ENDPOINTS];
	struct iommu_domain domains[IOMMU_MAX_ENDPOINTS + 1]; /* one is made before one goes */
	uint32_t first_fault, nr_faults;
	struct virtio_iommu_fault faults[IOMMU_MAX_FAULTS];
};

struct iommu_options {
	bool is_bypass; /* until the driver says otherwise, endpoints in no domain use gpas */
	uint32_t queue_size;
};

/* -errno, and vas_error() says why. */
int iommu_open(struct iommu *iommu, const struct iommu_options *options);
void iommu_close(struct iommu *iommu);

/*
 * An endpoint more, whose number the guest knows it by, and one less: none of its ops is called any
 * more then. -EEXIST: there is one; -ENOSPC: there are IOMMU_MAX_ENDPOINTS.
 */
int iommu_add_endpoint(struct iommu *iommu, uint32_t id, const struct iommu_endpoint_ops *ops,
		       void *user);
void iommu_remove_endpoint(struct iommu *iommu, uint32_t id);

/*
 * The endpoint wants to use iova, for prot of VAS_IOMMU_*: it is told by map() or by refuse()
 * before this returns. Of what is refused the driver is told by a fault, but not if prot has
 * VAS_IOMMU_MORE. By any thread.
 */
void iommu_miss(struct iommu *iommu, uint32_t id, uint64_t iova, uint32_t prot);

/*
 * The tables, malloced, while the device's queues stand still; and into one with the same endpoints
 * that has had no guest. -EPROTO: they make no sense; -ENOMEM.
 */
int iommu_save(struct iommu *iommu, void **bytes, size_t *size);
int iommu_load(struct iommu *iommu, const void *bytes, size_t size);

#endif
