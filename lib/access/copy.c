// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/access/copy.h"

#include <string.h>

#include "core/range.h"
#include "lib/access/checked.h"
#include "lib/base/pwrite.h"

static bool is_field(const char *hva, size_t len)
{
	return len <= sizeof(uint64_t) && vas_is_power_of_two(len) &&
	       vas_is_aligned((uintptr_t)hva, len);
}

/* By one load, in the strongest order that somebody may ask for. */
static void fetch(char *buf, const char *hva, size_t len)
{
	const void *field = hva;
	uint64_t val;

	switch (len) {
	case 1:
		val = __atomic_load_n((const uint8_t *)field, __ATOMIC_SEQ_CST);
		break;
	case 2:
		val = __atomic_load_n((const uint16_t *)field, __ATOMIC_SEQ_CST);
		break;
	case 4:
		val = __atomic_load_n((const uint32_t *)field, __ATOMIC_SEQ_CST);
		break;
	default:
		val = __atomic_load_n((const uint64_t *)field, __ATOMIC_SEQ_CST);
		break;
	}
	memcpy(buf, &val, len); /* of a little-endian host */
}

static size_t copy_mapped(const struct copy *c, char *hva, char *buf, size_t len)
{
	/* A typed load is promised to be one; memcpy() may go byte by byte, as by SVE it does. */
	if (c->prot == VAS_PROT_READ && is_field(hva, len)) {
		if (c->checked && vas_read_checked(buf, hva, len) < len)
			return 0;
		fetch(buf, hva, len);
		return len;
	}
	if (c->checked && c->prot == VAS_PROT_WRITE)
		return vas_write_checked(hva, buf, len);
	if (c->checked)
		return vas_read_checked(buf, hva, len);
	if (c->prot == VAS_PROT_WRITE)
		vas_copy_bytes(hva, buf, len);
	else
		vas_copy_bytes(buf, hva, len);
	return len;
}

/* From the map what is in memory, and the rest from the file, which allocates nothing. */
static size_t peek(struct vas *vas, const struct copy *c, const struct vas_region_map_entry *e,
		   char *hva, size_t len)
{
	char *buf = c->buf + c->done;
	size_t there = 0, copied;

	if (vas_view_of(vas)->set->regions[e->region].flags & VAS_REGION_LOCAL)
		return copy_mapped(c, hva, buf, len);
	if (c->resident->is_ours)
		there = vas_resident_present(hva, len);
	copied = there ? copy_mapped(c, hva, buf, there) : 0;
	if (copied < there || there == len)
		return copied;
	return there +
	       vas_resident_read(vas, e, c->gpa + c->done + there, buf + there, len - there);
}

/* ---- writing ------------------------------------------------------------------------------ */

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static bool is_zero(const char *p, size_t len)
{
	return !*p && !memcmp(p, p + 1, len - 1);
}

/* As far as the pages are all to be zero, or none is. */
static size_t find_run(const char *p, uint64_t gpa, size_t len, bool *zero)
{
	size_t run = least(len, VAS_PAGE_SIZE - gpa % VAS_PAGE_SIZE), next;

	*zero = is_zero(p, run);
	for (; run < len; run += next) {
		next = least(len - run, VAS_PAGE_SIZE);
		if (is_zero(p + run, next) != *zero)
			break;
	}
	return run;
}

/* A write to the file takes pages one by one, and who advised huge ones wants them. */
static bool wants_huge(const struct vas *vas)
{
	return vas->sb.features_optional & VAS_FEATURE_THP;
}

/*
 * To where the file has no page: zeros are there. What the file does not take goes through the map,
 * which has no RLIMIT_FSIZE and no seal against later writers, or fails as any access does.
 */
static size_t fill_hole(struct vas *vas, const struct copy *c, const struct fresh *fresh, char *hva,
			char *buf, size_t len)
{
	size_t done, run, put;
	bool zero;

	for (done = 0; done < len; done += run) {
		run = find_run(buf + done, fresh->offset + done, len - done, &zero);
		if (zero)
			continue;
		put = 0;
		if (!wants_huge(vas))
			pwrite_all(fresh->fd, buf + done, run, fresh->offset + done, &put);
		if (put < run)
			put += copy_mapped(c, hva + done + put, buf + done + put, run - put);
		if (put < run)
			return done + put;
	}
	return len;
}

static size_t poke_fresh(struct vas *vas, const struct copy *c,
			 const struct vas_region_map_entry *e, uint64_t gpa, char *hva, size_t len)
{
	char *buf = c->buf + (gpa - c->gpa);
	struct fresh fresh;
	size_t done;

	if (!vas_resident_get(vas, e, gpa, &fresh))
		return copy_mapped(c, hva, buf, len);
	done = fill_hole(vas, c, &fresh, hva, buf, len);
	vas_resident_put(vas, &fresh);
	return done;
}

static size_t poke(struct vas *vas, const struct copy *c, const struct vas_region_map_entry *e,
		   char *hva, size_t len)
{
	size_t done = 0, run, put;

	while (done < len) {
		uint64_t gpa = c->gpa + c->done + done;
		struct range found =
			vas_resident_at(c->resident, vas, e, gpa, hva + done, len - done);

		run = least(found.len, len - done);
		if (found.is_hole)
			put = poke_fresh(vas, c, e, gpa, hva + done, run);
		else
			put = copy_mapped(c, hva + done, c->buf + (gpa - c->gpa), run);
		done += put;
		if (put < run)
			break;
	}
	return done;
}

size_t vas_copy_run(struct vas *vas, const struct copy *c, char *hva, size_t len)
{
	const struct vas_region_map_entry *e;

	if (!c->resident)
		return copy_mapped(c, hva, c->buf + c->done, len);
	e = vas_region_map_find(&vas_view_of(vas)->map, c->gpa + c->done);
	return c->prot == VAS_PROT_WRITE ? poke(vas, c, e, hva, len) : peek(vas, c, e, hva, len);
}
