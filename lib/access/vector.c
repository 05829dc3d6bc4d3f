// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Copies between a list of guest ranges and a list of buffers. */
#include <errno.h>
#include <stdbool.h>

#include <vas/access.h>

/* How far a copy has come in both lists. */
struct cursor {
	const struct vas_range *range;
	const struct iovec *iov;
	size_t nr_ranges, nr_iov; /* that are left. A list of none may be NULL */
	uint64_t range_done;	  /* of *range */
	size_t iov_done;	  /* of *iov */
	size_t done;
};

/* What is contiguous in both lists. */
struct segment {
	uint64_t gpa;
	char *buf;
	size_t len;
};

/* The next segment; false at the end of the shorter list. */
static bool find_segment(struct cursor *c, struct segment *s)
{
	for (; c->nr_ranges && c->range_done == c->range->len; c->range++, c->nr_ranges--)
		c->range_done = 0;
	for (; c->nr_iov && c->iov_done == c->iov->iov_len; c->iov++, c->nr_iov--)
		c->iov_done = 0;
	if (!c->nr_ranges || !c->nr_iov)
		return false;
	s->gpa = c->range->gpa + c->range_done;
	s->buf = (char *)c->iov->iov_base + c->iov_done;
	s->len = c->iov->iov_len - c->iov_done;
	if (s->len > c->range->len - c->range_done)
		s->len = (size_t)(c->range->len - c->range_done);
	return true;
}

static void advance(struct cursor *c, size_t len)
{
	c->range_done += len;
	c->iov_done += len;
	c->done += len;
}

static void copy_segment(struct vas *vas, const struct segment *s, void *hva, uint32_t prot)
{
	if (prot == VAS_PROT_WRITE) {
		vas_copy_bytes(hva, s->buf, s->len);
		vas_mark(vas, s->gpa, s->len);
	} else {
		vas_copy_bytes(s->buf, hva, s->len);
	}
}

/* All that translates, in one section. False: a page failed, and all of it has to be done again. */
static bool copy_in_section(struct vas *vas, struct cursor *c, uint32_t prot)
{
	const struct cursor start = *c;
	struct segment s;
	bool failed;

	if (vas_page_failed(vas) || vas_enter(vas))
		return false;
	while (find_segment(c, &s)) {
		void *hva = vas_translate(vas, s.gpa, s.len, prot);

		if (!hva)
			break;
		copy_segment(vas, &s, hva, prot);
		advance(c, s.len);
	}
	failed = vas_page_failed(vas);
	vas_leave(vas);
	if (failed)
		*c = start;
	return !failed;
}

static int copy_vector(struct vas *vas, struct cursor *c, uint32_t prot, size_t *done)
{
	bool plain = true;
	struct segment s;
	int err = 0;

	while (!err) {
		size_t copied = 0;

		/* Not again after a failure: then whoever makes pages fail costs one copy. */
		if (plain)
			plain = copy_in_section(vas, c, prot);
		if (!find_segment(c, &s))
			break;
		err = vas_copy_slow(vas, s.gpa, s.buf, s.len, prot, &copied);
		advance(c, copied);
	}
	if (done)
		*done = c->done;
	return err;
}

int vas_readv(struct vas *vas, const struct vas_range *ranges, size_t nr_ranges,
	      const struct iovec *iov, size_t nr_iov, size_t *done)
{
	struct cursor c = { .range = ranges, .iov = iov, .nr_ranges = nr_ranges, .nr_iov = nr_iov };

	return copy_vector(vas, &c, VAS_PROT_READ, done);
}

int vas_writev(struct vas *vas, const struct vas_range *ranges, size_t nr_ranges,
	       const struct iovec *iov, size_t nr_iov, size_t *done)
{
	struct cursor c = { .range = ranges, .iov = iov, .nr_ranges = nr_ranges, .nr_iov = nr_iov };

	return copy_vector(vas, &c, VAS_PROT_WRITE, done);
}
