// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Copies: vas_read() and vas_write(), and what is made of them. */
#include "lib/access/heal.h"
#include "lib/access/access.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/range.h"
#include "lib/access/copy.h"
#include "lib/access/lazy.h"
#include "lib/handle/barrier.h"
#include "lib/base/cancel.h"
#include "lib/base/error.h"
#include "lib/handle/barrier.h"
#include "lib/handle/sigbus.h"
#include "lib/handle/thread.h"

#define MAX_TRIES  100
#define CHUNK	   4096
#define FILL_CHUNK (64u << 10)

/* ---- errors ------------------------------------------------------------------------------- */

static const char *why_unreachable(const struct view *view, const struct vas_region_map_entry *e)
{
	uint32_t flags = view->set->regions[e->region].flags;

	if (flags & VAS_REGION_DEVICE)
		return "it is a device's, and not RAM";
	return flags & VAS_REGION_LOCAL ? "it is local to the owner's process" :
					  "its backing's fd was not sent";
}

int vas_access_error(const struct view *view, enum vas_role role, uint64_t gpa, uint32_t prot)
{
	const struct vas_region_map_entry *e = vas_region_map_find(&view->map, gpa);

	if (!e)
		return vas_error_set(-EFAULT, "no region holds gpa %#llx", (unsigned long long)gpa);
	if (!(e->flags & VAS_REGION_MAP_REACHABLE))
		return vas_error_set(-ENXIO, "the memory at gpa %#llx is out of reach here: %s",
				     (unsigned long long)gpa, why_unreachable(view, e));
	if (prot == VAS_PROT_READ || e->flags & VAS_REGION_MAP_WRITABLE)
		return vas_error_set(-EIO,
				     "the page at gpa %#llx failed: no memory for it, or its file "
				     "was truncated",
				     (unsigned long long)gpa);
	if (role == VAS_ROLE_OBSERVER)
		return vas_error_set(-EACCES, "an observer cannot write");
	if (e->flags & VAS_REGION_MAP_ROM)
		return vas_error_set(-EACCES, "gpa %#llx is in a read-only region",
				     (unsigned long long)gpa);
	return vas_error_set(-EAGAIN, "the vas is frozen for writers");
}

/* Pages have failed, here or elsewhere: was one of them under the pointer? */
int vas_write_end_slow(struct vas *vas, uint64_t gpa, uint64_t len)
{
	const struct view *view = vas_view_of(vas);
	const struct thread *t = vas_thread_find(vas);
	uint64_t hva = 0;
	bool is_gone;

	/* Of a view newer than the section, nothing is known about the pointer. */
	is_gone =
		!t || t->head.serial != view->head.serial ||
		vas_region_map_range(&view->map, gpa, len, VAS_REGION_MAP_REACHABLE, &hva) < len ||
		vas_fault_in_sections(vas, (uintptr_t)hva, len);
	vas_leave(vas);
	vas_fault_heal(vas);
	if (!is_gone)
		return 0;
	return vas_error_set(-EIO,
			     "a page of [%#llx, +%#llx) failed, and what was written to it is "
			     "lost: no memory for it, or its file was truncated",
			     (unsigned long long)gpa, (unsigned long long)len);
}

/* ---- copying ------------------------------------------------------------------------------ */

/* As far as one file goes, where the file itself may be asked. */
static uint64_t step_of(struct vas *vas, const struct copy *c, uint64_t gpa)
{
	uint64_t left = vas_lazy_step(vas, gpa, c->len - c->done);
	const struct vas_region_map_entry *e =
		c->resident ? vas_region_map_find(&vas_view_of(vas)->map, gpa) : NULL;

	return e && e->gpa + e->size - gpa < left ? e->gpa + e->size - gpa : left;
}

/* In a section: range by range, until all is done or something stops it. */
static int copy_ranges(struct vas *vas, struct copy *c)
{
	const struct view *view = vas_view_of(vas);
	uint32_t flags = VAS_REGION_MAP_REACHABLE |
			 (c->prot == VAS_PROT_WRITE ? VAS_REGION_MAP_WRITABLE : 0);

	c->done = 0;
	while (c->done < c->len) {
		uint64_t address, gpa = c->gpa + c->done;
		uint64_t left = step_of(vas, c, gpa);
		uint64_t range = vas_region_map_range(&view->map, gpa, left, flags, &address);
		int err = range ? vas_lazy_range(vas, gpa, range) : 0;
		size_t copied;

		if (err)
			return err;
		copied = range ? vas_copy_run(vas, c, (char *)(uintptr_t)address, range) : 0;
		if (c->prot == VAS_PROT_WRITE && copied)
			vas_mark(vas, gpa, copied);
		if (vas_fault_since(vas, c->mended, address, copied))
			return -ESTALE;
		c->done += copied;
		if (copied < range || !range)
			return vas_access_error(view, vas->role, c->gpa + c->done, c->prot);
	}
	return 0;
}

/* One try: -ESTALE if it must be made again, because a page failed or the layout changed. */
static int copy_once(struct vas *vas, struct copy *c)
{
	uint32_t failed = __atomic_load_n(&vas->head.nr_failed, __ATOMIC_ACQUIRE);
	uint64_t generation;
	int err = 0;

	c->checked = failed > (vas->role == VAS_ROLE_OBSERVER);
	if (c->checked)
		err = vas_fault_heal(vas);
	c->mended = vas_fault_mended(vas);
	if (!err)
		err = vas_enter(vas);
	if (err)
		return err;
	generation = vas_observe_begin(vas);
	err = copy_ranges(vas, c);
	vas_leave(vas);
	/* An observer has no slot: what it read may have been torn down meanwhile. */
	if (vas->role == VAS_ROLE_OBSERVER && vas_observe_retry(vas, generation))
		err = -ESTALE;
	return err;
}

static int repeat_copy(struct vas *vas, struct copy *c)
{
	int err = -ESTALE, tries;

	/* Up to the last address, so that no sum wraps: it stops at the limit, which is lower. */
	if (c->len > UINT64_MAX - c->gpa)
		c->len = UINT64_MAX - c->gpa + 1;
	for (tries = 0; err == -ESTALE && tries < MAX_TRIES; tries++)
		err = copy_once(vas, c);
	if (err == -ESTALE) {
		c->done = 0;
		return vas_error_set(-EAGAIN, "the layout changed %d times during the access",
				     MAX_TRIES);
	}
	return err;
}

int vas_copy_slow(struct vas *vas, uint64_t gpa, void *buf, size_t len, uint32_t prot, size_t *done)
{
	NO_CANCEL;
	struct copy c = { .gpa = gpa, .buf = buf, .len = len, .prot = prot };
	int err = repeat_copy(vas, &c);

	if (done)
		*done = c.done;
	return err;
}

/* By the files where that is better: lib/access/copy.h. */
static int copy_by_file(struct vas *vas, struct copy *c, size_t *done)
{
	NO_CANCEL;
	struct resident resident;
	int err;

	vas_resident_init(&resident, vas);
	c->resident = &resident;
	err = repeat_copy(vas, c);
	if (done)
		*done = c->done;
	return err;
}

int vas_peek(struct vas *vas, uint64_t gpa, void *buf, size_t len, size_t *done)
{
	struct copy c = { .gpa = gpa, .buf = buf, .len = len, .prot = VAS_PROT_READ };

	return copy_by_file(vas, &c, done);
}

int vas_poke(struct vas *vas, uint64_t gpa, const void *buf, size_t len, size_t *done)
{
	struct copy c = {
		.gpa = gpa, .buf = (void *)(uintptr_t)buf, .len = len, .prot = VAS_PROT_WRITE
	};

	return copy_by_file(vas, &c, done);
}

/* ---- made of copies ----------------------------------------------------------------------- */

int vas_fill(struct vas *vas, uint64_t gpa, uint8_t byte, size_t len, size_t *done)
{
	NO_CANCEL;
	char page[CHUNK], *much = NULL;
	size_t at = 0, step = 0, size = CHUNK;
	int err = 0;

	if (len > CHUNK) {
		size = len < FILL_CHUNK ? len : FILL_CHUNK;
		much = malloc(size);
	}
	/* Without memory for much it is slower. */
	size = much ? size : CHUNK;
	memset(much ? much : page, byte, size);
	while (!err && at < len) {
		size = len - at < size ? len - at : size;
		err = much ? vas_poke(vas, gpa + at, much, size, &step) :
			     vas_write(vas, gpa + at, page, size, &step);
		at += step;
	}
	free(much);
	if (done)
		*done = at;
	return err;
}

static size_t equal_part(const char *a, const char *b, size_t len)
{
	size_t i;

	for (i = 0; i < len && a[i] == b[i]; i++)
		;
	return i;
}

int vas_compare(struct vas *vas, uint64_t gpa, const void *buf, size_t len, int *order,
		size_t *done)
{
	const char *bytes = buf;
	char chunk[CHUNK];
	size_t at = 0, got = 0, same = 0;
	int err = 0;

	*order = 0;
	while (!err && !*order && at < len) {
		err = vas_read(vas, gpa + at, chunk, len - at < CHUNK ? len - at : CHUNK, &got);
		*order = memcmp(chunk, bytes + at, got);
		same = *order ? equal_part(chunk, bytes + at, got) : got;
		at += same;
	}
	if (done)
		*done = at;
	return *order ? 0 : err;
}

int vas_iov(struct vas *vas, uint64_t gpa, uint64_t len, uint32_t prot, struct iovec *iov, int nr)
{
	const struct view *view = vas_view_of(vas);
	uint32_t flags =
		VAS_REGION_MAP_REACHABLE | (prot == VAS_PROT_WRITE ? VAS_REGION_MAP_WRITABLE : 0);
	int used = 0, err;

	if (!vas_range_fits(gpa, len, vas->sb.limit))
		return vas_error_set(-EFAULT, "[%#llx, +%#llx) is not in the address space",
				     (unsigned long long)gpa, (unsigned long long)len);
	err = vas_lazy_range(vas, gpa, len);
	if (err)
		return err;
	while (len) {
		uint64_t address,
			range = vas_region_map_range(&view->map, gpa, len, flags, &address);

		if (!range)
			return vas_access_error(view, vas->role, gpa, prot);
		if (used == nr)
			return vas_error_set(-E2BIG, "the range needs more than %d iovecs", nr);
		iov[used++] = (struct iovec){ (void *)(uintptr_t)address, range };
		gpa += range;
		len -= range;
	}
	return used;
}

int vas_field_error(uint64_t gpa, uint64_t len)
{
	return vas_error_set(-EINVAL, "a field of %u bytes cannot be at gpa %#llx: align it",
			     (unsigned int)len, (unsigned long long)gpa);
}

/* Why the translation of all of it failed, in the section in which it did. */
int vas_translate_error(struct vas *vas, uint64_t gpa, uint64_t len, uint32_t prot)
{
	uint32_t flags =
		VAS_REGION_MAP_REACHABLE | (prot == VAS_PROT_WRITE ? VAS_REGION_MAP_WRITABLE : 0);
	const struct view *view = vas_view_of(vas);
	uint64_t address, range;
	int err;

	if (!len)
		return vas_error_set(-EINVAL, "a range of 0 bytes at gpa %#llx",
				     (unsigned long long)gpa);
	range = vas_region_map_range(&view->map, gpa, len, flags, &address);
	if (range >= len) {
		err = vas_lazy_range(vas, gpa, len);
		/* The view is perhaps newer than the one in which the translation failed. */
		return err ? err :
			     vas_error_set(-EFAULT, "no region held gpa %#llx a moment ago",
					   (unsigned long long)gpa);
	}
	if (range && vas_region_map_range(&view->map, gpa + range, 1, flags, &address))
		return vas_error_set(-E2BIG,
				     "[%#llx, +%#llx) is not contiguous in this process from gpa "
				     "%#llx on",
				     (unsigned long long)gpa, (unsigned long long)len,
				     (unsigned long long)(gpa + range));
	return vas_access_error(view, vas->role, gpa + range, prot);
}
