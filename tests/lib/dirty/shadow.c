// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tests/lib/dirty/shadow.h"

#include <stdlib.h>

#include "tests/harness.h"

struct vas *shadow_vas(uint64_t size)
{
	return shadow_vas_made(size, 0);
}

struct vas *shadow_vas_made(uint64_t size, uint32_t create_flags)
{
	struct vas_options options = { .limit = 2 * size, .name = "shadow", .flags = create_flags };
	struct vas_region region = { .size = size, .name = "ram" };
	struct vas *vas;

	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_region_add(vas, &region, NULL));
	return vas;
}

void shadow_init(struct shadow *s, struct vas *vas, uint64_t size)
{
	*s = (struct shadow){ .vas = vas, .size = size, .bytes = calloc(1, size) };
	CHECK(s->bytes);
	CHECK_OK(vas_tracker_attach(vas, "shadow", VAS_TRACKER_ALL, &s->dirty));
}

void shadow_clean(struct shadow *s)
{
	vas_tracker_detach(s->dirty);
	free(s->bytes);
}

void shadow_segment(struct shadow *s, uint64_t *gpa, uint64_t end, size_t nr)
{
	const struct vas_dirty_word *words;
	ssize_t got, i;

	got = vas_tracker_harvest(s->dirty, gpa, end, nr, &words);
	CHECK_OK(got);
	for (i = 0; i < got; i++) {
		uint64_t bits;

		CHECK(words[i].bits);
		for (bits = words[i].bits; bits; bits &= bits - 1) {
			uint64_t page =
				words[i].gpa + (uint64_t)__builtin_ctzll(bits) * VAS_PAGE_SIZE;

			CHECK(page < s->size);
			CHECK_OK(vas_read(s->vas, page, s->bytes + page, VAS_PAGE_SIZE, NULL));
			s->nr_pages++;
		}
	}
}

uint64_t shadow_round(struct shadow *s, size_t nr)
{
	uint64_t before = s->nr_pages, gpa = 0;

	CHECK_OK(vas_tracker_begin(s->dirty));
	while (gpa < s->size)
		shadow_segment(s, &gpa, s->size, nr);
	CHECK_OK(vas_tracker_commit(s->dirty));
	return s->nr_pages - before;
}

void shadow_check(struct shadow *s)
{
	char page[VAS_PAGE_SIZE];
	uint64_t gpa;

	for (gpa = 0; gpa < s->size; gpa += sizeof(page)) {
		CHECK_OK(vas_read(s->vas, gpa, page, sizeof(page), NULL));
		test_note("page %#llx", (unsigned long long)gpa);
		CHECK_MEM(s->bytes + gpa, page, sizeof(page));
	}
}

int shadow_prepare(struct vas_consumer *c, const struct vas_delta *delta, uint64_t deadline_ns)
{
	(void)c;
	(void)delta;
	(void)deadline_ns;
	return 0;
}

int shadow_commit(struct vas_consumer *c, const struct vas_delta *delta)
{
	(void)c;
	(void)delta;
	return 0;
}

void shadow_abort(struct vas_consumer *c, const struct vas_delta *delta)
{
	(void)c;
	(void)delta;
}
