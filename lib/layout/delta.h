/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The difference between two layouts. */
#ifndef VAS_LIB_DELTA_H
#define VAS_LIB_DELTA_H

#include <vas/consumer.h>

struct delta {
	struct vas_delta head;
	struct vas_delta ram;	   /* without regions that are a device's */
	struct vas_region *memory; /* all arrays */
};

/* An old or a new layout of no regions may be NULL. -ENOMEM; then clean does nothing. */
int vas_delta_init(struct delta *delta, const struct vas_region *old, size_t nr_old,
		   const struct vas_region *new, size_t nr_new);
/* The one that the consumer is told of, as it takes regions that are a device's or not. */
static inline const struct vas_delta *vas_delta_for(const struct delta *delta,
						    const struct vas_consumer *consumer)
{
	return consumer->flags & VAS_CONSUMER_DEVICE_REGIONS ? &delta->head : &delta->ram;
}

void vas_delta_clean(struct delta *delta);

#endif
