/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A queue behind an IOMMU has iovas where another one has gpas. A chain of those becomes one of
 * gpas here, between the ring and the device, whoever knows what an iova stands for.
 */
#ifndef VAS_CORE_VIRTQUEUE_IOVA_H
#define VAS_CORE_VIRTQUEUE_IOVA_H

#include "core/virtqueue/chain.h"

/* The smallest page that an IOMMU has. */
#define VAS_IOVA_PAGE 4096ull

struct vas_virtq_iommu {
	/*
	 * The gpa of an iova that is to be read, or written. *len says how much is wanted, at least
	 * 1, and then how much of that is contiguous from there on. 0, or why it cannot be had.
	 */
	int (*find)(void *user, uint64_t iova, uint32_t write, uint64_t *len, uint64_t *gpa);
	void *user;

	uint32_t nr_left; /* searches that are still to be made; with none left nothing is found */
};

/*
 * The gpa of all of a range. -EPROTO: it wraps, is in several pieces, or there are no searches
 * left; or an error of ->find().
 */
int vas_virtq_translate_range(struct vas_virtq_iommu *iommu, uint64_t iova, uint64_t len,
			      uint32_t write, uint64_t *gpa);

/*
 * The chain's segments, which are iovas, in gpas, in pieces where they are not contiguous: the
 * first of `max` in `room`, which is where the chain's are then. -EPROTO: there is no room for so
 * many, or no search left; or an error of ->find(). Of the room more may have been written.
 */
int vas_virtq_translate_chain(struct vas_virtq_iommu *iommu, struct vas_virtq_chain *chain,
			      struct vas_virtq_segment *room, uint32_t max);

/*
 * Tell of each page of the range that is not found, as long as there are searches. True: all of it
 * is there.
 */
bool vas_virtq_find_missing(struct vas_virtq_iommu *iommu, uint64_t iova, uint64_t len,
			    uint32_t write,
			    void (*tell)(void *user, uint64_t iova, uint32_t write));

/* The same for all of a chain, of iovas. */
void vas_virtq_find_missing_of(struct vas_virtq_iommu *iommu, const struct vas_virtq_chain *chain,
			       void (*tell)(void *user, uint64_t iova, uint32_t write));

#endif
