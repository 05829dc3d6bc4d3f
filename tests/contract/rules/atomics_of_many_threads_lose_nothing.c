// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <pthread.h>

#include "../subject.h"

#define NR_ADDS 20000

static void *add(void *arg)
{
	struct subject *s = arg;
	uint64_t old;

	for (int i = 0; i < NR_ADDS; i++)
		if (vas_fetch_add_le64(s->owner, s->unit, 1, &old, __ATOMIC_RELAXED))
			return s;
	return NULL;
}

RULE(atomics_of_many_threads_lose_nothing, CAN_FIELD | CAN_WRITE)
{
	pthread_t thread;
	uint64_t val;
	void *failed;

	place(s, 1, 1);
	arranged(s);
	CHECK_EQ(pthread_create(&thread, NULL, add, s), 0);
	for (int i = 0; i < NR_ADDS; i++) {
		val = 1ull << 32;
		CHECK_OK(subject_rmw(s, REQ_ADD, s->unit, 8, &val));
	}
	pthread_join(thread, &failed);
	CHECK(!failed);
	CHECK_OK(subject_load(s, s->unit, 8, &val));
	CHECK_EQ(val, NR_ADDS * ((1ull << 32) + 1));
}
