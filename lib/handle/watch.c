// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Maps of a vas's memory that others than libvas have made: <vas/consumer.h>. */
#include <vas/consumer.h>

#include "lib/handle/sigbus.h"

int vas_watch(struct vas *vas, void *hva, size_t size)
{
	return vas_fault_watch(vas, hva, size);
}

void vas_unwatch(int watch)
{
	if (watch >= 0)
		vas_fault_unwatch(watch);
}
