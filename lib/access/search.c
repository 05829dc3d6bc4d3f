// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Searching: chunk by chunk, each in a section of its own, over what the files really hold. Two
 * bytes of the pattern are compared for a vector of places at once (the "generic SIMD" way of W.
 * Mula), two that are rare (the way of Rust's memchr); what both match is looked at in full.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/access/lazy.h"
#include "lib/base/cancel.h"
#include "lib/base/error.h"
#include "lib/access/resident.h"
#include "lib/access/view.h"
#include "lib/base/error.h"

#define CHUNK	    (1u << 20)
#define MAX_PATTERN 4096

/* The pattern, private and masked. */
struct needle {
	uint8_t bytes[MAX_PATTERN];
	uint8_t mask[MAX_PATTERN];
	size_t len;
	size_t probe[2]; /* places in it of bytes that are rare */
	bool is_plain;	 /* no mask: memcmp will do */
	bool zeros;	 /* matches untouched memory */
};

/* How often such a byte is met, roughly: memory is full of zeros and of text. */
static int commonness(uint8_t byte, uint8_t mask)
{
	if (mask != 0xff)
		return 5 + 8 - __builtin_popcount(mask);
	if (!byte)
		return 4;
	if (byte == 0xff || byte == ' ')
		return 3;
	return byte >= 'a' && byte <= 'z' ? 2 : 1;
}

/* The first of the rarest bytes, and the last of the rarest others. */
static void choose_probes(struct needle *n)
{
	int best[2] = { INT_MAX, INT_MAX };
	size_t i;

	for (i = 0; i < n->len; i++) {
		int common = commonness(n->bytes[i], n->mask[i]);

		if (common < best[0]) {
			best[0] = common;
			n->probe[0] = i;
		}
	}
	n->probe[1] = n->probe[0];
	for (i = 0; i < n->len; i++) {
		int common = commonness(n->bytes[i], n->mask[i]);

		if (i != n->probe[0] && common <= best[1]) {
			best[1] = common;
			n->probe[1] = i;
		}
	}
}

static int needle_init(struct needle *n, const struct vas_pattern *pattern)
{
	size_t i;

	if (!pattern->len || pattern->len > MAX_PATTERN)
		return vas_error_set(-EINVAL, "a pattern has 1 to %d bytes, not %zu", MAX_PATTERN,
				     pattern->len);
	n->len = pattern->len;
	n->is_plain = !pattern->mask;
	n->zeros = true;
	memset(n->mask, 0xff, n->len);
	if (pattern->mask)
		memcpy(n->mask, pattern->mask, n->len);
	for (i = 0; i < n->len; i++) {
		n->bytes[i] = ((const uint8_t *)pattern->bytes)[i] & n->mask[i];
		n->zeros = n->zeros && !n->bytes[i];
	}
	choose_probes(n);
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
 * GCC's way to have it twice on x86; elsewhere the vectors are there always. A sanitizer's runtime
 * is not there yet when the clone is chosen, as the program is loaded; musl's loader cannot choose;
 * clang does not know `optimize`.
 */
#if !defined(__x86_64__) || !defined(__GLIBC__) || defined(__SANITIZE_THREAD__) || \
	defined(__clang__)
#define CLONES
#else
#define CLONES __attribute__((target_clones("avx2", "default")))
#endif

/* Vectors that are looked at together: to test one for zero costs more than to compare it. */
#define AT_ONCE 4

/*
 * The first place in a vector's worth that matches: of those where `hit` has a byte that is not 0.
 */
static const uint8_t *match_among(const struct needle *n, const uint8_t *hay, const words *hit)
{
	size_t i, at;

	for (i = 0; i < sizeof(words) / sizeof(uint64_t); i++) {
		uint64_t bytes = (*hit)[i];

		for (; bytes; bytes &= ~(0xffull << at * 8 % 64)) {
			at = i * 8 + (size_t)__builtin_ctzll(bytes) / 8;
			if (matches(n, hay + at))
				return hay + at;
		}
	}
	return NULL;
}

/* The first of `nr` places from hay on that matches, or NULL; hay has nr + len - 1 bytes. */
CLONES static const uint8_t *scan(const struct needle *n, const uint8_t *hay, size_t nr)
{
	const vector bytes[2] = { n->bytes[n->probe[0]] - (vector){ 0 },
				  n->bytes[n->probe[1]] - (vector){ 0 } };
	const vector masks[2] = { n->mask[n->probe[0]] - (vector){ 0 },
				  n->mask[n->probe[1]] - (vector){ 0 } };
	const uint8_t *match = NULL;
	size_t at = 0, i;

	for (; at + AT_ONCE * sizeof(vector) <= nr; at += AT_ONCE * sizeof(vector)) {
		const vector *a = (const vector *)(hay + at + n->probe[0]);
		const vector *b = (const vector *)(hay + at + n->probe[1]);
		words hit[AT_ONCE], any = { 0 };

		for (i = 0; i < AT_ONCE; i++)
			any |= hit[i] = (words)(((a[i] & masks[0]) == bytes[0]) &
						((b[i] & masks[1]) == bytes[1]));
		if (vas_likely(!(any[0] | any[1] | any[2] | any[3])))
			continue;
		for (i = 0; i < AT_ONCE && !match; i++)
			match = match_among(n, hay + at + i * sizeof(vector), &hit[i]);
		if (match)
			return match;
	}
	for (; at < nr; at++)
		if (matches(n, hay + at))
			return hay + at;
	return NULL;
}

/* A search at work: where it is, and what it looks at next. */
struct search {
	struct needle needle;
	struct resident resident;
	uint64_t gpa;
	uint64_t end;
	/* Bytes from gpa on that are filled: a hole beyond them may be a missing page. */
	uint64_t sure;
	/* The next places to look at, or none, and how much of gpa they settle. */
	const uint8_t *hay;
	uint64_t nr;
	uint64_t skip;	 /* without hay: places that cannot match */
	bool is_match;	 /* without hay: memory that was never touched is one */
	uint8_t *bounce; /* what may be a hole and is no address to look at; NULL: not needed yet */
	uint8_t seam[2 * MAX_PATTERN];
};

/*
 * In a section: the last places of a range that is shorter than the pattern, with what follows it,
 * which is elsewhere in this process's address space, or was never touched: side by side in seam.
 */
static void look_across(struct vas *vas, struct search *s)
{
	const struct view *view = vas_view_of(vas);
	uint64_t address, range, first = 0, got = 0, want = MAX_PATTERN + s->needle.len;

	if (want > s->end - s->gpa)
		want = s->end - s->gpa;
	while (got < want && (!got || got < first + s->needle.len - 1)) {
		const uint64_t gpa = s->gpa + got;
		struct range at;

		range = vas_region_map_range(&view->map, gpa, want - got, VAS_REGION_MAP_REACHABLE,
					     &address);
		if (!range)
			break;
		at = vas_resident_at(&s->resident, vas, vas_region_map_find(&view->map, gpa), gpa,
				     (const void *)(uintptr_t)address, range);
		at.len = at.len < range ? at.len : range;
		if (at.is_hole)
			memset(s->seam + got, 0, at.len);
		else if (at.is_unsure)
			at.len = vas_resident_read(vas, vas_region_map_find(&view->map, gpa), gpa,
						   s->seam + got, at.len);
		else
			memcpy(s->seam + got, (const void *)(uintptr_t)address, at.len);
		if (!at.len)
			break;
		first = first ? first : at.len;
		got += at.len;
	}
	if (got < s->needle.len) {
		s->skip = got; /* memory ends here */
		return;
	}
	s->hay = s->seam;
	s->nr = got - s->needle.len + 1 < first ? got - s->needle.len + 1 : first;
}

/* In a section: huge pages that are perhaps holes, copied. What cannot be had cannot match. */
static void look_into(struct vas *vas, struct search *s, const struct vas_region_map_entry *e,
		      uint64_t len)
{
	uint64_t got;

	if (!s->bounce)
		s->bounce = malloc(CHUNK + MAX_PATTERN);
	got = s->bounce ? vas_resident_read(vas, e, s->gpa, s->bounce, len) : 0;
	s->skip = len;
	if (got < s->needle.len)
		return;
	s->hay = s->bounce;
	s->nr = got - s->needle.len + 1;
}

/* In a section: what is at gpa. Holes of files are not read: that would fill them. */
static void look(struct vas *vas, struct search *s)
{
	const struct view *view = vas_view_of(vas);
	const struct vas_region_map_entry *e = vas_region_map_next(&view->map, s->gpa);
	const uint64_t len = s->needle.len;
	struct range at;
	uint64_t address, range;

	s->hay = NULL;
	s->is_match = false;
	s->skip = s->end - s->gpa;
	if (!e || e->gpa >= s->end)
		return;
	if (e->gpa > s->gpa) {
		s->skip = e->gpa - s->gpa;
		return;
	}
	range = vas_region_map_range(&view->map, s->gpa, CHUNK + len - 1, VAS_REGION_MAP_REACHABLE,
				     &address);
	if (!range) {
		s->skip = e->gpa + e->size - s->gpa;
		return;
	}
	range = range < s->end - s->gpa ? range : s->end - s->gpa;
	at = vas_resident_at(&s->resident, vas, e, s->gpa, (const void *)(uintptr_t)address, range);
	at.len = at.len < s->sure ? at.len : s->sure;
	if (at.len < len) {
		look_across(vas, s);
	} else if (at.is_hole) {
		s->is_match = s->needle.zeros && s->end - s->gpa >= len;
		s->skip = at.len - (len - 1); /* a match may begin with the hole's last zeros */
	} else if (at.is_unsure) {
		look_into(vas, s, e, at.len);
	} else {
		s->hay = (const uint8_t *)(uintptr_t)address;
		s->nr = at.len - len + 1;
	}
}

/* One step: 1 with gpa at a match, 0 with gpa further on, or an error. */
static int step(struct vas *vas, struct search *s)
{
	const uint8_t *hit = NULL;
	uint64_t seq, left = s->end - s->gpa, most = CHUNK + 2 * MAX_PATTERN;
	int err = vas_lazy_enter(vas, s->gpa, left < most ? left : most);

	if (err)
		return err;
	seq = vas_observe_begin(vas);
	s->sure = vas_is_lazy(vas) ? most : left;
	look(vas, s);
	if (s->hay)
		hit = scan(&s->needle, s->hay, s->nr);
	vas_leave(vas);
	if ((hit || s->is_match) && vas->role == VAS_ROLE_OBSERVER && vas_observe_retry(vas, seq))
		return 0; /* again, from the same place */
	if (s->is_match)
		return 1;
	s->gpa += hit ? (uint64_t)(hit - s->hay) : s->hay ? s->nr : s->skip;
	return !!hit;
}

int vas_search(struct vas *vas, uint64_t gpa, uint64_t len, const struct vas_pattern *pattern,
	       uint64_t *found)
{
	NO_CANCEL;
	struct search s;
	int err = needle_init(&s.needle, pattern), hit = 0;

	if (err)
		return err;
	s.bounce = NULL;
	s.gpa = gpa;
	s.end = len > UINT64_MAX - gpa ? UINT64_MAX : gpa + len;
	if (s.end > vas->sb.limit)
		s.end = vas->sb.limit;
	vas_resident_init(&s.resident, vas);
	while (!hit && s.gpa < s.end)
		hit = step(vas, &s);
	free(s.bounce);
	if (hit < 0)
		return hit;
	if (!hit)
		return vas_error_set(-ENOENT, "no match");
	*found = s.gpa;
	return 0;
}
