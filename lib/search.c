// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Searching: chunk by chunk, each in a section of its own, over what the files really hold. The
 * first and the last byte of the pattern that are not masked are compared for a vector of places at
 * once (the "generic SIMD" way of W. Mula); what both match is looked at in full.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "core/range.h"
#include "lib/error.h"
#include "lib/view.h"

#define CHUNK	    (1u << 20)
#define MAX_PATTERN 4096

/* The pattern, private and masked; probes are two places in it whose bytes count in full. */
struct needle {
	uint8_t bytes[MAX_PATTERN];
	uint8_t mask[MAX_PATTERN];
	size_t len;
	size_t probe[2];
	bool has_probe;
	bool is_plain; /* no mask: memcmp will do */
	bool zeros;    /* matches untouched memory */
};

static int needle_init(struct needle *n, const struct vas_pattern *pattern)
{
	size_t i;

	if (!pattern->len || pattern->len > MAX_PATTERN)
		return vas_fail(-EINVAL, "a pattern has 1 to %d bytes, not %zu", MAX_PATTERN,
				pattern->len);
	n->len = pattern->len;
	n->is_plain = !pattern->mask;
	n->zeros = true;
	n->has_probe = false;
	memset(n->mask, 0xff, n->len);
	if (pattern->mask)
		memcpy(n->mask, pattern->mask, n->len);
	for (i = 0; i < n->len; i++) {
		n->bytes[i] = ((const uint8_t *)pattern->bytes)[i] & n->mask[i];
		n->zeros = n->zeros && !n->bytes[i];
		if (n->mask[i] != 0xff)
			continue;
		if (!n->has_probe)
			n->probe[0] = i;
		n->probe[1] = i;
		n->has_probe = true;
	}
	return 0;
}

static bool matches(const struct needle *n, const uint8_t *at)
{
	size_t i;

	if (n->is_plain)
		return !memcmp(at, n->bytes, n->len);
	for (i = 0; i < n->len; i++)
		if ((at[i] & n->mask[i]) != n->bytes[i])
			return false;
	return true;
}

typedef uint8_t vector __attribute__((vector_size(32), aligned(1)));
typedef uint64_t words __attribute__((vector_size(32)));

/*
 * GCC's way to have it twice. A sanitizer's runtime is not there yet when the clone is chosen, as the
 * program is loaded; clang does not know `optimize`.
 */
#if defined(__SANITIZE_THREAD__) || defined(__clang__)
#define CLONES
#else
#define CLONES __attribute__((target_clones("avx2", "default"), optimize("O3")))
#endif

/* The first of `nr` places from hay on that matches, or NULL; hay has nr + len - 1 bytes. */
CLONES static const uint8_t *scan(const struct needle *n, const uint8_t *hay, size_t nr)
{
	const uint8_t *a = hay + n->probe[0], *b = hay + n->probe[1];
	vector first = n->bytes[n->probe[0]] - (vector){ 0 };
	vector last = n->bytes[n->probe[1]] - (vector){ 0 };
	size_t at = 0, i;

	while (n->has_probe && at + sizeof(vector) <= nr) {
		words hit = (words)((*(const vector *)(a + at) == first) &
				    (*(const vector *)(b + at) == last));

		if (vas_likely(!(hit[0] | hit[1] | hit[2] | hit[3]))) {
			at += sizeof(vector);
			continue;
		}
		for (i = 0; i < sizeof(vector); i++, at++)
			if (a[at] == n->bytes[n->probe[0]] && matches(n, hay + at))
				return hay + at;
	}
	for (; at < nr; at++)
		if (matches(n, hay + at))
			return hay + at;
	return NULL;
}

/* lseek without a trace: the whence is SEEK_DATA or SEEK_HOLE, the answer an offset, -1 if none. */
static off_t seek(const struct vas *vas, uint32_t backing, off_t offset, int whence)
{
	int fd = backing ? vas->backings[backing].fd : vas->lock_fd, saved_errno = errno;
	off_t at = lseek(fd, offset, whence);

	if (at < 0 && errno != ENXIO)
		at = offset; /* it cannot tell: take it for data */
	errno = saved_errno;
	return at;
}

/* What the region's file has from gpa on: a hole of so many bytes, or (0) data of so many. */
static void extent_at(struct vas *vas, const struct vas_map_entry *e, uint64_t gpa, uint64_t *hole,
		      uint64_t *data)
{
	const struct vas_region *region = &vas_view_of(vas)->set->regions[e->region];
	uint64_t left = e->gpa + e->size - gpa;
	off_t offset = (off_t)(region->offset + (gpa - e->gpa)), next;

	*hole = 0;
	*data = left;
	if (!(e->flags & VAS_MAP_REACHABLE) || region->flags & VAS_REGION_LOCAL)
		return;
	next = seek(vas, region->backing, offset, SEEK_DATA);
	if (next != offset) {
		*hole = next < 0 || (uint64_t)(next - offset) > left ? left : (uint64_t)(next - offset);
		return;
	}
	next = seek(vas, region->backing, offset, SEEK_HOLE);
	if (next > offset && (uint64_t)(next - offset) < left)
		*data = (uint64_t)(next - offset);
}

/* A stretch of the search: where to look, and how much of gpa it settles. */
struct stretch {
	uint8_t seam[2 * MAX_PATTERN];
	const uint8_t *hay;
	uint64_t nr;	/* places to look at */
	uint64_t skip;	/* without hay: places that cannot match */
	bool is_zeros;	/* without hay: a match, with memory that was never touched */
};

/*
 * The last bytes of a run that is shorter than the pattern, and what follows elsewhere in this
 * process's address space: side by side in s->seam.
 */
static void look_across(const struct view *view, const struct needle *n, uint64_t gpa, uint64_t end,
			struct stretch *s)
{
	uint64_t address, run, first = 0, got = 0, want = MAX_PATTERN + n->len;

	if (want > end - gpa)
		want = end - gpa;
	while (got < want && (!got || got < first + n->len - 1)) {
		run = vas_map_run(&view->map, gpa + got, want - got, VAS_MAP_REACHABLE, &address);
		if (!run)
			break;
		memcpy(s->seam + got, (const void *)(uintptr_t)address, run);
		first = first ? first : run;
		got += run;
	}
	if (got < n->len) {
		s->skip = got; /* memory ends here */
		return;
	}
	s->hay = s->seam;
	s->nr = got - n->len + 1 < first ? got - n->len + 1 : first;
}

/* In a section: what is at gpa. Holes are not read: that would fill them. */
static void look_at(struct vas *vas, const struct needle *n, uint64_t gpa, uint64_t end,
		    struct stretch *s)
{
	const struct view *view = vas_view_of(vas);
	const struct vas_map_entry *e = vas_map_next(&view->map, gpa);
	uint64_t address, run, hole, data;

	s->hay = NULL;
	s->nr = s->skip = 0;
	s->is_zeros = false;
	if (!e || e->gpa > gpa) {
		s->skip = e && e->gpa < end ? e->gpa - gpa : end - gpa;
		return;
	}
	extent_at(vas, e, gpa, &hole, &data);
	if (hole >= n->len) {
		s->is_zeros = n->zeros && end - gpa >= n->len;
		s->skip = hole - (n->len - 1); /* a match may begin with the hole's last zeros */
		return;
	}
	run = vas_map_run(&view->map, gpa, CHUNK + n->len - 1, VAS_MAP_REACHABLE, &address);
	if (run > end - gpa)
		run = end - gpa;
	if (run < n->len) {
		s->skip = e->gpa + e->size - gpa;
		if (e->flags & VAS_MAP_REACHABLE)
			look_across(view, n, gpa, end, s);
		return;
	}
	s->hay = (const uint8_t *)(uintptr_t)address;
	s->nr = run - n->len + 1;
	if (!hole && s->nr > data)
		s->nr = data;
}

/* One step: 1 and *gpa at a match, 0 and *gpa further on, or an error. */
static int step(struct vas *vas, const struct needle *n, uint64_t *gpa, uint64_t end)
{
	const uint8_t *hit = NULL;
	uint64_t generation;
	struct stretch s;
	int err = vas_enter(vas);

	if (err)
		return err;
	generation = vas_generation(vas);
	look_at(vas, n, *gpa, end, &s);
	if (s.hay)
		hit = scan(n, s.hay, s.nr);
	vas_leave(vas);
	if ((hit || s.is_zeros) && vas->role == VAS_ROLE_OBSERVER && !vas_still(vas, generation))
		return 0; /* again, from the same place */
	if (s.is_zeros)
		return 1;
	*gpa += hit ? (uint64_t)(hit - s.hay) : s.hay ? s.nr : s.skip;
	return !!hit;
}

int vas_search(struct vas *vas, uint64_t gpa, uint64_t len, const struct vas_pattern *pattern,
	       uint64_t *found)
{
	struct needle n;
	uint64_t end = len > UINT64_MAX - gpa ? UINT64_MAX : gpa + len;
	int err = needle_init(&n, pattern), hit = 0;

	if (err)
		return err;
	if (end > vas->sb.limit)
		end = vas->sb.limit;
	while (!hit && gpa < end) {
		hit = step(vas, &n, &gpa, end);
		if (hit < 0)
			return hit;
	}
	if (!hit)
		return vas_fail(-ENOENT, "no match");
	*found = gpa;
	return 0;
}
