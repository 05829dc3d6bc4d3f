// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <string.h>

#include "haystack.h"

#define PAGE 4096

static void fill_text(uint8_t *page, uint64_t seed)
{
	static const char letters[] =
		"eeeeettttaaaoooiiinnnsssrrhhddlluccmmffyywggppbvkxqjz      ..\n0";

	for (size_t i = 0; i < PAGE; i++)
		page[i] = (uint8_t)letters[guest_random(&seed) % (sizeof(letters) - 1)];
}

static void fill_random(uint8_t *page, uint64_t seed)
{
	for (size_t i = 0; i < PAGE; i += sizeof(uint64_t)) {
		uint64_t word = guest_random(&seed);

		memcpy(page + i, &word, sizeof(word));
	}
}

/* A quarter zeros, a quarter text, the rest anything: guests have all of them. */
static void fill_extent(uint8_t *extent, uint64_t seed)
{
	for (uint64_t i = 0; i < HAYSTACK_EXTENT / PAGE; i++) {
		uint8_t *page = extent + i * PAGE;

		if (i % 4 == 0)
			memset(page, 0, PAGE);
		else if (i % 4 == 1)
			fill_text(page, seed + i);
		else
			fill_random(page, seed + i);
	}
}

/* Random bytes may spell the needle's beginning. */
static void remove_needles(uint8_t *extent)
{
	uint8_t *end = extent + HAYSTACK_EXTENT;
	uint8_t *p = extent;

	while ((p = memmem(p, (size_t)(end - p), HAYSTACK_NEEDLE, HAYSTACK_MIN_NEEDLE)))
		*p = ' ';
}

static uint8_t *extent_at(const struct haystack *haystack, unsigned int i)
{
	return haystack->guest.flat + haystack->guest.regions[i].gpa;
}

int haystack_create(struct haystack *haystack, uint64_t region_size)
{
	int ret = guest_create(&haystack->guest, HAYSTACK_NR_REGIONS, region_size);

	if (ret)
		return ret;
	for (unsigned int i = 0; i < HAYSTACK_NR_REGIONS; i++) {
		fill_extent(extent_at(haystack, i), i * HAYSTACK_EXTENT);
		remove_needles(extent_at(haystack, i));
	}
	return 0;
}

void haystack_destroy(struct haystack *haystack)
{
	guest_destroy(&haystack->guest);
}

uint64_t haystack_needle_gpa(const struct haystack *haystack, size_t len)
{
	return haystack->guest.regions[HAYSTACK_NR_REGIONS - 1].gpa + HAYSTACK_EXTENT - len;
}

void haystack_plant(struct haystack *haystack, size_t len)
{
	memcpy(haystack->guest.flat + haystack_needle_gpa(haystack, len), HAYSTACK_NEEDLE, len);
}

void haystack_clear(struct haystack *haystack, size_t len)
{
	memset(haystack->guest.flat + haystack_needle_gpa(haystack, len), ' ', len);
}
