/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Mappings that live longer than a section: for DMA, for buffers that a thread blocks on, for code
 * that takes a pointer.
 */
#ifndef VAS_MAPPING_H
#define VAS_MAPPING_H

#include <vas/handle.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vas_mapping; /* a mapping of a range */

/* Flags of vas_mapping_create(). */
#define VAS_MAPPING_WRITE 1u /* the holder writes */
#define VAS_MAPPING_MARKS 2u /* and calls vas_mark() after each write */

/*
 * Map a range for longer than a section: contiguous in this process, across regions. The mapping is
 * a pin that every process sees, and needs no section. The owner may ask for the range back: poll
 * vas_notify_fd(), then look at vas_mapping_request(). The caller owns *mapping and ends it with
 * vas_mapping_destroy(), which allows NULL.
 *
 * With VAS_MAPPING_WRITE all of the range counts as dirty in each epoch while the mapping lives,
 * and once more when it ends, unless VAS_MAPPING_MARKS promises vas_mark() calls.
 *
 * -EINVAL: flags, or len 0. -EFAULT, -EACCES, -ENXIO, -EAGAIN: as vas_read() and vas_write();
 * nothing is mapped. -ENOSPC: no pin is free. An observer's mapping has no pin: a change of the
 * layout makes it stale without notice.
 */
VAS_API int vas_mapping_create(struct vas *vas, uint64_t gpa, uint64_t len, uint32_t flags,
			       struct vas_mapping **mapping);
VAS_API void vas_mapping_destroy(struct vas_mapping *mapping);

/* The mapping's first byte. Good until the mapping is destroyed. */
VAS_API void *vas_mapping_addr(const struct vas_mapping *mapping);

enum vas_request { VAS_REQUEST_NONE, VAS_REQUEST_UNMAP, VAS_REQUEST_QUIESCE };

/*
 * What the owner asks of the mapping's holder. VAS_REQUEST_NONE: nothing. VAS_REQUEST_UNMAP: the
 * range goes away, destroy the mapping. VAS_REQUEST_QUIESCE: stop writing, then call
 * vas_mapping_quiesce(); writing may go on when the request is VAS_REQUEST_NONE again.
 */
VAS_API enum vas_request vas_mapping_request(const struct vas_mapping *mapping);

/* Answer VAS_REQUEST_QUIESCE: nothing writes through the mapping any more. -EAGAIN: not asked. */
VAS_API int vas_mapping_quiesce(struct vas_mapping *mapping);

#ifdef __cplusplus
}
#endif

#endif
