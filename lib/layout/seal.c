// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A template: RAM that nobody will ever write again, which clones can share and trust. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/access/view.h"
#include "lib/base/cancel.h"
#include "lib/base/error.h"
#include "lib/handle/file.h"
#include "lib/handle/pins.h"
#include "lib/layout/consumer.h"

/* Whoever is bound may have the window mapped; a pin is a map of which more is known. */
static int report(struct vas *vas, struct vas_blocker *blocker)
{
	struct pin_set all = vas_pins_all(vas);
	struct vas_binder_about about;
	struct vas_scan scan;
	uint32_t i;

	vas_pins_ask(vas, &all, VAS_PINS_KEEP, blocker);
	if (blocker->kind == VAS_BLOCKER_PIN)
		return vas_error_set(-EBUSY, "process %u (%s) keeps [%#llx, +%#llx) mapped",
				     blocker->pid, blocker->name, (unsigned long long)blocker->gpa,
				     (unsigned long long)blocker->size);
	vas_scan_begin(&scan, &vas->proto, 0);
	for (i = 0; vas_binder_next(&scan, &i, &about); i++) {
		if (i == vas->proto.index)
			continue;
		blocker->kind = VAS_BLOCKER_BINDER;
		blocker->pid = about.pid;
		memcpy(blocker->name, about.comm, sizeof(about.comm));
		return vas_error_set(-EBUSY, "process %u (%s) is bound: it may have RAM mapped",
				     blocker->pid, blocker->name);
	}
	return vas_error_set(-EBUSY, "somebody who is not bound has RAM mapped for writing");
}

/* With nothing of ours mapped. vas->lock is held. */
static int add_seals(struct vas *vas, int fd, struct vas_blocker *blocker)
{
	if (vas->retired)
		return vas_error_set(-EBUSY, "a thread of this process is in a section");
	if (!fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL))
		return 0;
	return errno == EBUSY ? report(vas, blocker) :
				vas_error_set(-errno, "cannot seal the RAM: %s", strerror(errno));
}

/* A view without RAM takes the old one's maps away; then one with it is built, as it now is. */
static int seal(struct vas *vas, struct vas_blocker *blocker)
{
	struct backing *ram = &vas->backings[0];
	int fd = ram->fd, err, ret;

	ram->fd = -1;
	err = vas_view_rebuild(vas);
	if (!err)
		err = add_seals(vas, fd, blocker);
	ram->fd = fd;
	if (!err && !vas_backing_take(vas, ram, fd))
		close(fd);
	ret = vas_view_rebuild(vas);
	return err ? err : ret;
}

static int check(struct vas *vas, struct vas_blocker *blocker)
{
	if (!vas_has_ram_apart(vas))
		return vas_error_set(-EOPNOTSUPP, "RAM can be sealed only where it is apart: "
						  "VAS_CREATE_RAM_APART");
	if (vas->backings[0].fd < 0)
		return vas_error_set(-ENXIO, "the fd of the RAM is not at hand");
	if (vas->own.flags & VAS_STATE_LAZY)
		return vas_error_set(-EAGAIN, "pages are still to come: vas_lazy_wait() first");
	if (!vas->consumers)
		return 0;
	vas_consumer_report(vas->consumers, blocker);
	return vas_error_set(-EBUSY, "detach the consumer %s first", vas->consumers->ops->name);
}

int vas_ram_seal(struct vas *vas, struct vas_blocker *blocker)
{
	NO_CANCEL;
	struct vas_blocker nobody;
	int err;

	blocker = blocker ? blocker : &nobody;
	memset(blocker, 0, sizeof(*blocker));
	if (vas->role != VAS_ROLE_OWNER)
		return vas_error_set(-EPERM, "only the owner of a vas seals its RAM");
	pthread_mutex_lock(&vas->change);
	err = check(vas, blocker);
	pthread_mutex_lock(&vas->lock);
	if (!err)
		err = seal(vas, blocker);
	pthread_mutex_unlock(&vas->lock);
	pthread_mutex_unlock(&vas->change);
	return err;
}
