// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "moving.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "tests/guests/mailbox.h"
#include "tests/harness.h"

#define HIGH_GPA (4ull << 30)

const struct moving_range moving_ranges[NR_AREAS] = {
	{ HIGH_GPA, 192 * VAS_PAGE_SIZE },
	{ HIGH_GPA + (16ull << 20), 64 * VAS_PAGE_SIZE },
	{ HIGH_GPA + (32ull << 20), 16 * VAS_PAGE_SIZE },
};

struct moving_record *moving_record_map(int fd)
{
	void *p =
		mmap(NULL, sizeof(struct moving_record), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* ---- what is written ---------------------------------------------------------------------- */

static uint64_t mix(uint64_t seed, uint64_t nr)
{
	uint64_t x = seed + nr * 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

uint64_t moving_guest_seed(uint64_t seed)
{
	return mix(seed, 1) | 1;
}

size_t moving_write(enum moving_area area, uint64_t seed, uint64_t nr, uint64_t *gpa, void *bytes)
{
	const struct moving_range *range = &moving_ranges[area];
	uint64_t draw = mix(seed + area, nr), *words = bytes;
	/* A map is written word by word, copies are of any length, and over the borders of pages.
	 */
	size_t len = area == AREA_MAP ? 8 : 8 * (1 + (draw >> 40) % (MOVING_MAX_WRITE / 8)), i;

	for (i = 0; i < len / 8; i++)
		words[i] = mix(draw, i);
	*gpa = range->gpa + draw % ((range->size - len) / 8 + 1) * 8;
	return len;
}

static void fill_area(enum moving_area area, uint64_t seed, char *bytes)
{
	uint64_t *words = (uint64_t *)bytes, i;

	/* Half of the pages stay as they are: zero. */
	for (i = 0; i < moving_ranges[area].size / 8; i++)
		words[i] = i / 512 % 2 ? mix(~seed + area, i) : 0;
}

void moving_fill(struct vas *vas, uint64_t seed)
{
	int i;

	for (i = 0; i < NR_AREAS; i++) {
		char *bytes = malloc(moving_ranges[i].size);

		CHECK(bytes);
		fill_area(i, seed, bytes);
		CHECK_OK(vas_write(vas, moving_ranges[i].gpa, bytes, moving_ranges[i].size, NULL));
		free(bytes);
	}
}

/* ---- what must be there ------------------------------------------------------------------- */

static void apply_guest(char *bytes, uint64_t *seed)
{
	uint64_t pages = moving_ranges[AREA_GUEST].size / VAS_PAGE_SIZE;
	uint64_t page = ((guest_random(seed) >> 32) * pages) >> 32;

	memcpy(bytes + page * VAS_PAGE_SIZE, seed, sizeof(*seed));
}

static void apply_foo(enum moving_area area, uint64_t seed, uint64_t nr, char *bytes)
{
	char written[MOVING_MAX_WRITE];
	uint64_t gpa;
	size_t len = moving_write(area, seed, nr, &gpa, written);

	memcpy(bytes + (gpa - moving_ranges[area].gpa), written, len);
}

/* What must be there, in sure, and what may be there instead, in maybe. */
static void draw_area(enum moving_area area, uint64_t seed, const uint64_t counts[2], char *sure,
		      char *maybe)
{
	uint64_t state = moving_guest_seed(seed), i;

	fill_area(area, seed, sure);
	for (i = 0; i < counts[1]; i++) {
		if (i == counts[0])
			memcpy(maybe, sure, moving_ranges[area].size);
		if (area == AREA_GUEST)
			apply_guest(i < counts[0] ? sure : maybe, &state);
		else
			apply_foo(area, seed, i, i < counts[0] ? sure : maybe);
	}
	if (counts[1] == counts[0])
		memcpy(maybe, sure, moving_ranges[area].size);
}

static void check_area(struct vas *vas, enum moving_area area, uint64_t seed,
		       const uint64_t counts[2])
{
	const struct moving_range *range = &moving_ranges[area];
	char *bytes = malloc(3 * range->size), *sure = bytes + range->size;
	char *maybe = sure + range->size;
	uint64_t i;

	CHECK(bytes && counts[1] - counts[0] <= 1);
	draw_area(area, seed, counts, sure, maybe);
	CHECK_OK(vas_read(vas, range->gpa, bytes, range->size, NULL));
	for (i = 0; i < range->size; i++)
		if (bytes[i] != sure[i] && bytes[i] != maybe[i])
			test_fail(__FILE__, __LINE__, "gpa %#llx is %#x, not %#x",
				  (unsigned long long)(range->gpa + i), bytes[i] & 0xff,
				  sure[i] & 0xff);
	free(bytes);
}

void moving_check(struct vas *vas, uint64_t seed, uint64_t nr_guest,
		  const struct moving_record *record)
{
	/* The guest counts after the write. */
	const uint64_t guest[2] = { nr_guest, nr_guest + 1 };
	int i;

	check_area(vas, AREA_GUEST, seed, guest);
	for (i = AREA_COPIES; i < NR_AREAS; i++) {
		const uint64_t foo[2] = { record->done[i], record->begun[i] };

		check_area(vas, i, seed, foo);
	}
}

static void check_same_region(struct vas *a, struct vas *b, const struct vas_region *region)
{
	static char pages[2][VAS_PAGE_SIZE];
	uint64_t gpa;

	for (gpa = region->gpa; gpa < region->gpa + region->size; gpa += VAS_PAGE_SIZE) {
		CHECK_OK(vas_read(a, gpa, pages[0], VAS_PAGE_SIZE, NULL));
		CHECK_OK(vas_read(b, gpa, pages[1], VAS_PAGE_SIZE, NULL));
		CHECK_MEM(pages[1], pages[0], VAS_PAGE_SIZE);
	}
}

void moving_check_same(struct vas *a, struct vas *b)
{
	struct vas_region regions[2][8];
	ssize_t nr = vas_regions(a, regions[0], 8), i;

	CHECK(nr > 0 && nr <= 8);
	CHECK_EQ(vas_regions(b, regions[1], 8), nr);
	for (i = 0; i < nr; i++) {
		CHECK_EQ(regions[0][i].gpa, regions[1][i].gpa);
		CHECK_EQ(regions[0][i].size, regions[1][i].size);
		check_same_region(a, b, &regions[0][i]);
	}
}
