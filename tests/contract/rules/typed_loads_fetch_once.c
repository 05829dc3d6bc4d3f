// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <pthread.h>

#include "../subject.h"

#define NR_LOADS 20000

struct flipper {
	struct vas *vas;
	uint64_t gpa;
	int stop;
	int err;
	uint64_t flips;
};

static void *flip(void *arg)
{
	struct flipper *f = arg;

	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED) && !f->err) {
		f->err = vas_store_le64(f->vas, f->gpa, f->flips & 1 ? ~0ull : 0, __ATOMIC_RELAXED);
		__atomic_fetch_add(&f->flips, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* A field that the guest changes meanwhile has the old or the new value, never half of each. */
RULE(typed_loads_fetch_once, CAN_FIELD)
{
	struct flipper f = { .vas = s->owner, .gpa = s->unit + 8 };
	uint64_t val, nr = 0, seen[2] = { 0, 0 };
	pthread_t thread;

	place(s, 1, 1);
	arranged(s);
	CHECK_EQ(pthread_create(&thread, NULL, flip, &f), 0);
	for (; nr < NR_LOADS || __atomic_load_n(&f.flips, __ATOMIC_RELAXED) < 2; nr++) {
		CHECK_OK(subject_load(s, f.gpa, 8, &val));
		CHECK(val == 0 || val == ~0ull);
		seen[val & 1]++;
	}
	__atomic_store_n(&f.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	CHECK_OK(f.err);
	CHECK_EQ(seen[0] + seen[1], nr);
}
