// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What goes when the handle does. */
#include "lib/handle/cleanup.h"

#include "lib/base/cancel.h"

#include <vas/consumer.h>

#include "lib/handle/handle.h"

void vas_cleanup_add(struct vas *vas, struct vas_cleanup *cleanup)
{
	NO_CANCEL;
	pthread_mutex_lock(&vas->lock);
	cleanup->next = vas->cleanups;
	vas->cleanups = cleanup;
	pthread_mutex_unlock(&vas->lock);
}

void vas_cleanups_run(struct vas *vas)
{
	struct vas_cleanup *cleanup;

	while ((cleanup = vas->cleanups)) {
		vas->cleanups = cleanup->next;
		cleanup->end(cleanup);
	}
}
