// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What vhost-net writes: it sets a bit a page, in a log of its own; a harvest moves it to the
 * vas's. The rings' used parts are logged by their own addresses.
 */
#include "consumer/vhost/device.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "consumer/page_log.h"

/* The kernel is told of a log before it logs, and has stopped before the log goes. */
static int log_begin(struct vas_vhost *vhost)
{
	size_t size = vhost->log_words * sizeof(*vhost->log);
	uint64_t base;
	int err;

	/* Only what is written takes memory. */
	vhost->log = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (vhost->log == MAP_FAILED) {
		vhost->log = NULL;
		return vas_error_set(-ENOMEM, "%s: no address space for its log", vhost->name);
	}
	/* A child has no use for it, and would have it copied on write. */
	madvise(vhost->log, size, MADV_DONTFORK);
	base = (uintptr_t)vhost->log;
	err = vas_vhost_call(vhost, VHOST_SET_LOG_BASE, &base);
	return err ? vas_error_set(err, "%s: the kernel does not take a log: %s", vhost->name,
				   strerror(-err)) :
		     0;
}

/* With a log or without. */
static int log_switch(struct vas_vhost *vhost)
{
	int err = vas_vhost_features_set(vhost);

	return !err && vhost->is_started ? vas_vhost_rings_set(vhost) : err;
}

static void log_end(struct vas_vhost *vhost)
{
	uint64_t *log = vhost->log;

	if (!log)
		return;
	vhost->log = NULL;
	log_switch(vhost);
	munmap(log, vhost->log_words * sizeof(*log));
}

int vas_vhost_log_track(struct vas_consumer *consumer, uint64_t deadline_ns)
{
	struct vas_vhost *vhost = vhost_of(consumer);
	int err;

	(void)deadline_ns;
	pthread_mutex_lock(&vhost->lock);
	err = log_begin(vhost);
	if (!err)
		err = log_switch(vhost);
	if (err)
		log_end(vhost);
	pthread_mutex_unlock(&vhost->lock);
	return err;
}

void vas_vhost_log_untrack(struct vas_consumer *consumer)
{
	struct vas_vhost *vhost = vhost_of(consumer);

	pthread_mutex_lock(&vhost->lock);
	log_end(vhost);
	pthread_mutex_unlock(&vhost->lock);
}

/* Bits of regions that have gone stay, and count for what comes there: rather too often. */
int vas_vhost_log_harvest(struct vas_consumer *consumer)
{
	struct vas_vhost *vhost = vhost_of(consumer);
	size_t i;

	pthread_mutex_lock(&vhost->lock);
	for (i = 0; vhost->log && i < vhost->present.nr; i++)
		page_log_move(vhost->log, vhost->vas, &vhost->present.at[i].region);
	pthread_mutex_unlock(&vhost->lock);
	return 0;
}
