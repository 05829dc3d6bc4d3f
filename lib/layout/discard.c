// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Giving guest memory back to the system, in the middle of regions: what a balloon does. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>

#include "core/range.h"
#include "lib/layout/consumer.h"
#include "lib/base/error.h"
#include "lib/handle/lock.h"

/* The owner's region that holds gpa, or NULL. */
static const struct vas_region *region_at(const struct vas *vas, uint64_t gpa)
{
	uint32_t low = 0, high = vas->own.nr;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct vas_region *r = &vas->own.regions[middle];

		if (gpa < r->gpa)
			high = middle;
		else if (gpa - r->gpa >= r->size)
			low = middle + 1;
		else
			return r;
	}
	return NULL;
}

static int check_part(struct vas *vas, const struct vas_region *r, uint64_t gpa, uint64_t len)
{
	if (!r)
		return vas_error_set(-EFAULT, "no region holds gpa %#llx", (unsigned long long)gpa);
	if (r->flags & VAS_REGION_LOCAL)
		return vas_error_set(-EOPNOTSUPP,
				     "region %s is not memory of a file: it cannot be discarded",
				     r->name);
	if (!vas_is_aligned((gpa - r->gpa) | len, vas->backings[r->backing].entry.page_size))
		return vas_error_set(-EINVAL, "[%#llx, +%#llx) is not whole pages of region %s",
				     (unsigned long long)gpa, (unsigned long long)len, r->name);
	return 0;
}

static int punch_part(struct vas *vas, const struct vas_region *r, uint64_t gpa, uint64_t len)
{
	if (fallocate(vas->backings[r->backing].fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)(r->offset + (gpa - r->gpa)), (off_t)len))
		return vas_error_set(-errno, "region %s: its file gives no memory back: %s",
				     r->name, strerror(errno));
	/* After it has happened, as after a write. */
	if (vas->own.flags & VAS_STATE_TRACKING)
		vas_log_mark_again(&vas->log, gpa, len);
	return 0;
}

/* What is wrong anywhere is found before anything is done. */
static int for_each_part(struct vas *vas, uint64_t gpa, uint64_t len,
			 int (*act)(struct vas *vas, const struct vas_region *r, uint64_t gpa,
				    uint64_t len))
{
	uint64_t end = gpa + len, part;
	int err = 0;

	for (; !err && gpa < end; gpa += part) {
		const struct vas_region *r = region_at(vas, gpa);
		uint64_t region_end = r ? r->gpa + r->size : end;

		part = (region_end < end ? region_end : end) - gpa;
		err = act(vas, r, gpa, part);
	}
	return err;
}

static int discard(struct vas *vas, uint64_t gpa, uint64_t len, struct vas_blocker *blocker)
{
	const struct vas_consumer *pins = vas_consumers_with(vas, VAS_CONSUMER_PINS);
	int err;

	if (pins) {
		vas_consumer_report(pins, blocker);
		return vas_error_set(-EBUSY, "consumer %s pins memory: none can be given back",
				     pins->ops->name);
	}
	if (vas->own.flags & (VAS_STATE_FROZEN | VAS_STATE_LAZY))
		return vas_error_set(-EAGAIN,
				     "the vas is frozen, or lazy pages are not all filled");
	err = for_each_part(vas, gpa, len, check_part);
	return err ? err : for_each_part(vas, gpa, len, punch_part);
}

int vas_discard(struct vas *vas, uint64_t gpa, uint64_t len, struct vas_blocker *blocker)
{
	struct vas_blocker nobody;
	int err;

	blocker = blocker ? blocker : &nobody;
	memset(blocker, 0, sizeof(*blocker));
	err = vas_owner_check(vas, "gives memory back");
	if (err)
		return err;
	if (!vas_range_fits(gpa, len, vas->sb.limit))
		return vas_error_set(-EFAULT, "[%#llx, +%#llx) is beyond the limit",
				     (unsigned long long)gpa, (unsigned long long)len);
	pthread_mutex_lock(&vas->change);
	err = discard(vas, gpa, len, blocker);
	pthread_mutex_unlock(&vas->change);
	return err;
}
