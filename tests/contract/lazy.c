// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Lazy memory of a subject. What a rule arranges (regions, and what the owner writes there) is
 * kept beside the vas until the subject's or the owner's first access: then all of it is one layout that
 * is filled. Later regions wait until all is there, as they must.
 */
#include <stdlib.h>
#include <vas/lazy.h>

#include "subject.h"
#include "tests/patient.h"

#define WORD	    (64 * VAS_PAGE_SIZE)
#define MAX_REGIONS 128
#define MAX_WORDS   128

struct lazy {
	struct vas_source source; /* first */
	struct vas_region regions[MAX_REGIONS];
	uint64_t nr;
	int is_settled;
	uint8_t *image; /* [0, limit) */
	struct vas_dirty_word words[MAX_WORDS + 1];
	size_t nr_words;
};

static int fetch(struct vas_source *source, uint64_t gpa, void *pages, uint64_t *bits)
{
	const struct lazy *a = (struct lazy *)source;

	memcpy(pages, a->image + gpa, WORD);
	*bits = UINT64_MAX;
	return 0;
}

static void end(struct vas_source *source)
{
	(void)source;
}

void lazy_open(struct subject *s)
{
	struct lazy *a;

	if (!s->kind->fills)
		return;
	a = calloc(1, sizeof(*a));
	CHECK(a && s->limit / WORD <= MAX_WORDS && s->limit % WORD == 0);
	a->source = (struct vas_source){ fetch, end };
	a->image = calloc(1, s->limit);
	CHECK(a->image);
	s->lazy = a;
}

void lazy_close(struct subject *s)
{
	if (s->lazy)
		free(s->lazy->image);
	free(s->lazy);
}

static int is_planned(const struct lazy *a, uint64_t gpa)
{
	for (uint64_t i = 0; i < a->nr; i++)
		if (gpa - a->regions[i].gpa < a->regions[i].size)
			return 1;
	return 0;
}

/* Every page of every region is to come, the zeros too. */
static void list_words(struct subject *s, struct lazy *a)
{
	for (uint64_t gpa = 0; gpa < s->limit; gpa += WORD) {
		struct vas_dirty_word *word = &a->words[a->nr_words];

		*word = (struct vas_dirty_word){ .gpa = gpa };
		for (uint64_t i = 0; i < 64; i++)
			if (is_planned(a, gpa + i * VAS_PAGE_SIZE))
				word->bits |= 1ull << i;
		a->nr_words += word->bits != 0;
	}
}

void lazy_settle(struct subject *s)
{
	struct lazy *a = s->lazy;
	struct vas_layout *layout;
	int err;

	if (!a || a->is_settled || !a->nr)
		return;
	a->is_settled = 1;
	list_words(s, a);
	CHECK_OK(vas_layout_begin(s->owner, &layout));
	for (uint64_t i = 0; i < a->nr; i++) {
		uint64_t id = 0;

		CHECK_OK(vas_layout_add(layout, &a->regions[i], &id));
		CHECK_EQ(id, i + 1);
	}
	err = vas_layout_commit_lazy(layout, &a->source, a->words, a->nr_words,
				     s->kind->fills & FILLED_BY_ITSELF ? 0 : VAS_LAZY_ON_TOUCH);
	if (err == -EOPNOTSUPP)
		test_skip("%s", vas_error());
	CHECK_OK(err);
}

uint64_t lazy_place(struct subject *s, const struct vas_region *region)
{
	struct lazy *a = s->lazy;
	uint64_t id = 0;

	if (a->is_settled) {
		CHECK_OK(vas_lazy_wait(s->owner, TEST_HANG_NS));
		CHECK_OK(patient_add(s->owner, region, &id));
		return id;
	}
	CHECK(a->nr < MAX_REGIONS);
	a->regions[a->nr++] = *region;
	return a->nr; /* as the vas will count them */
}

int lazy_keep(struct subject *s, uint64_t gpa, const void *buf, size_t len)
{
	struct lazy *a = s->lazy;

	if (!a || a->is_settled || !len)
		return 0;
	CHECK(is_planned(a, gpa) && is_planned(a, gpa + len - 1));
	memcpy(a->image + gpa, buf, len);
	return 1;
}
