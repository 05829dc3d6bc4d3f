// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Searching all of guest memory for a few bytes, against reading it once. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "harness.h"
#include "haystack.h"

#define NOT_FOUND UINT64_MAX

struct search {
	const struct haystack *haystack;
	size_t len; /* of the pattern */
};

/* One vector register of words, where the processor has AVX2; two otherwise. */
typedef uint64_t words __attribute__((vector_size(32)));

/* The limit: every byte is loaded, and hardly anything is done with it. */
__attribute__((target_clones("avx2", "default"))) static uint64_t sum_words(const void *p,
									    size_t len)
{
	const words *w = p;
	words sum[4] = { 0 };

	for (size_t i = 0; i < len / sizeof(*w); i += 4) {
		for (int j = 0; j < 4; j++)
			sum[j] += w[i + j];
	}
	sum[0] += sum[1] + sum[2] + sum[3];
	return sum[0][0] + sum[0][1] + sum[0][2] + sum[0][3];
}

static uint64_t run_limit(void *ctx, uint64_t nr)
{
	const struct guest *guest = &((const struct search *)ctx)->haystack->guest;
	uint64_t sum = 0;

	while (nr--) {
		for (unsigned int i = 0; i < guest->nr_regions; i++)
			sum += sum_words(guest->flat + guest->regions[i].gpa, HAYSTACK_EXTENT);
	}
	return sum;
}

static const void *find_memmem(const void *extent, size_t len)
{
	return memmem(extent, HAYSTACK_EXTENT, HAYSTACK_NEEDLE, len);
}

static const void *find_memchr(const void *extent, size_t len)
{
	const char *p = extent;
	const char *end = p + HAYSTACK_EXTENT - len + 1;

	while ((p = memchr(p, HAYSTACK_NEEDLE[0], (size_t)(end - p)))) {
		if (!memcmp(p, HAYSTACK_NEEDLE, len))
			return p;
		if (++p == end)
			break;
	}
	return NULL;
}

/* The C library's ways do not know what is resident: they are told. */
static uint64_t find_in_extents(const struct search *search,
				const void *(*find)(const void *extent, size_t len))
{
	const struct guest *guest = &search->haystack->guest;

	for (unsigned int i = 0; i < guest->nr_regions; i++) {
		const uint8_t *extent = guest->flat + guest->regions[i].gpa;
		const uint8_t *match = find(extent, search->len);

		if (match)
			return (uint64_t)(match - guest->flat);
	}
	return NOT_FOUND;
}

static uint64_t run_memmem(void *ctx, uint64_t nr)
{
	uint64_t found = NOT_FOUND;

	while (nr--)
		found = find_in_extents(ctx, find_memmem);
	return found;
}

static uint64_t run_memchr(void *ctx, uint64_t nr)
{
	uint64_t found = NOT_FOUND;

	while (nr--)
		found = find_in_extents(ctx, find_memchr);
	return found;
}

static uint64_t find_vas(const struct search *search, const void *mask)
{
	const struct guest *guest = &search->haystack->guest;
	const struct vas_pattern pattern = {
		.bytes = HAYSTACK_NEEDLE,
		.mask = mask,
		.len = search->len,
	};
	uint64_t found;

	return vas_search(guest->vas, 0, guest->limit, &pattern, &found) ? NOT_FOUND : found;
}

static uint64_t run_vas(void *ctx, uint64_t nr)
{
	uint64_t found = NOT_FOUND;

	while (nr--)
		found = find_vas(ctx, NULL);
	return found;
}

/* Letters of either case. */
static uint64_t run_vas_mask(void *ctx, uint64_t nr)
{
	static const char mask[] =
		"\xdf\xdf\xdf\xdf\xdf\xdf\xff\xdf\xdf\xff\xdf\xff\xff\xff\xff\xff"
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
	uint64_t found = NOT_FOUND;

	while (nr--)
		found = find_vas(ctx, mask);
	return found;
}

static const struct {
	const char *name;
	uint64_t (*run)(void *ctx, uint64_t nr);
} subjects[] = {
	{ BENCH_LIMIT, run_limit }, { "vas", run_vas },	      { "vas-mask", run_vas_mask },
	{ "memmem", run_memmem },   { "memchr", run_memchr },
};

#define NR_SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

static int64_t resident_blocks(const struct haystack *haystack)
{
	struct stat st;

	return fstat(vas_fd(haystack->guest.vas), &st) ? -1 : st.st_blocks;
}

/*
 * Each search must find the needle in the last bytes that are resident, and nothing without it; and
 * looking at memory that was never touched must not bring it into being.
 */
static int verify(const struct search *search, struct haystack *haystack, size_t i)
{
	int64_t blocks = resident_blocks(haystack);
	uint64_t with;
	uint64_t without;

	if (subjects[i].run == run_limit)
		return 0;
	haystack_plant(haystack, search->len);
	with = subjects[i].run((void *)search, 1);
	haystack_clear(haystack, search->len);
	without = subjects[i].run((void *)search, 1);
	if (with != haystack_needle_gpa(haystack, search->len) || without != NOT_FOUND) {
		fprintf(stderr, "find: %s: found %#llx and %#llx\n", subjects[i].name,
			(unsigned long long)with, (unsigned long long)without);
		return -EIO;
	}
	if (resident_blocks(haystack) != blocks) {
		fprintf(stderr, "find: %s fills holes: %lld KiB more\n", subjects[i].name,
			(long long)(resident_blocks(haystack) - blocks) / 2);
		return -EIO;
	}
	return 0;
}

static int measure(struct bench_session *session, const char *name, struct haystack *haystack,
		   size_t len)
{
	struct search search = { .haystack = haystack, .len = len };
	struct bench_case bcase = { .name = name, .bytes = HAYSTACK_BYTES };

	for (size_t i = 0; i < NR_SUBJECTS; i++) {
		int ret = verify(&search, haystack, i);

		if (ret)
			return ret;
		bench_case_add(&bcase, subjects[i].name, subjects[i].run, &search);
	}
	return bench_measure(session, &bcase);
}

static const struct {
	const char *name;
	uint64_t region_size;
	size_t len;
} cases[] = {
	{ "dense/4", HAYSTACK_EXTENT, 4 },   { "dense/8", HAYSTACK_EXTENT, 8 },
	{ "dense/16", HAYSTACK_EXTENT, 16 }, { "dense/32", HAYSTACK_EXTENT, 32 },
	{ "sparse/16", 64ULL << 20, 16 },
};

static int run(struct bench_session *session)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct haystack haystack;

		if (!bench_wants(session, cases[i].name))
			continue;
		ret = haystack_create(&haystack, cases[i].region_size);
		if (ret)
			break;
		ret = measure(session, cases[i].name, &haystack, cases[i].len);
		haystack_destroy(&haystack);
	}
	return ret;
}

static const struct bench bench = {
	.name = "find",
	.summary = "Searching all of guest memory: DENSITY/PATTERN-BYTES.",
	.run = run,
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, &bench);
}
