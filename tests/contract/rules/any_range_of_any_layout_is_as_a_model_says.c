// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <stdlib.h>

#include "../subject.h"

#define NR_UNITS    100
#define NR_ACCESSES 400
#define MAX_LEN	    20000

struct model {
	uint8_t bytes[NR_UNITS * 4096];
	uint8_t there[NR_UNITS]; /* 1: RAM, 2: ROM */
};

static void add_regions(struct subject *s, struct model *model, struct test_random *random)
{
	for (uint64_t at = test_random_below(random, 4); at < NR_UNITS;) {
		uint64_t nr = 1 + test_random_below(random, 9);
		int rom = test_random_below(random, 5) == 0;

		if (at + nr > NR_UNITS)
			break;
		place_flags(s, at, nr, rom ? VAS_REGION_READONLY : 0);
		memset(model->there + at, rom ? 2 : 1, nr);
		at += nr + (test_random_below(random, 3) ? 0 : test_random_below(random, 4));
	}
}

/* How much of a range can be accessed, and why it ends there. */
static size_t model_run(const struct model *model, uint64_t gpa, size_t len, int write, int *err)
{
	size_t done = 0;

	*err = 0;
	while (done < len) {
		uint64_t at = gpa + done;
		int there = at / 4096 < NR_UNITS ? model->there[at / 4096] : 0;

		if (!there || (write && there == 2)) {
			*err = there ? -EACCES : -EFAULT;
			break;
		}
		done += 4096 - at % 4096 < len - done ? 4096 - at % 4096 : len - done;
	}
	return done;
}

/* A range may begin beyond the model, and then nothing of it is there: no address there is formed. */
static void model_write(struct model *model, uint64_t gpa, const uint8_t *buf, size_t len)
{
	if (len)
		memcpy(model->bytes + gpa, buf, len);
}

static void access_once(struct subject *s, struct model *model, struct test_random *random)
{
	static uint8_t buf[MAX_LEN];
	uint64_t gpa = test_random_below(random, s->limit);
	size_t len = test_random_below(random, 1ull << (1 + test_random_below(random, 14)));
	int write = s->kind->can & CAN_WRITE && test_random_below(random, 2);
	size_t done, want_done;
	int err, want_err;

	test_note("%s of %zu bytes at %#llx", write ? "write" : "read", len,
		  (unsigned long long)gpa);
	want_done = model_run(model, gpa, len, write, &want_err);
	if (write) {
		pattern_make(buf, gpa, len, test_random_next(random));
		err = subject_write(s, gpa, buf, len, &done);
		model_write(model, gpa, buf, want_done);
	} else {
		err = subject_read(s, gpa, buf, len, &done);
	}
	CHECK_EQ(err, want_err);
	CHECK_EQ(done, want_done);
	if (done)
		CHECK_MEM(buf, model->bytes + gpa, done);
}

RULE(any_range_of_any_layout_is_as_a_model_says, CAN_READ | CAN_SPARSE)
{
	struct test_random random = { test_seed() };
	struct model *model = calloc(1, sizeof(*model) + MAX_LEN);

	CHECK(model);
	add_regions(s, model, &random);
	for (int i = 0; i < NR_ACCESSES; i++)
		access_once(s, model, &random);
	free(model);
}
