// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <pthread.h>

#include "../subject.h"
#include "tests/patient.h"

#define NR_LOOKS 5000
#define LEN	 512

struct changer {
	struct subject *s;
	struct vas_region region[2]; /* the same gpa, in different parts of the file */
	int stop;
	int err;
	uint64_t nr;
};

/* Old content out, new content in: at the gpa there is all 'A', all 'B', or a hole. */
static void *change(void *arg)
{
	struct changer *c = arg;
	struct vas *vas = c->s->owner;
	uint64_t id = 0;

	while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED) && !c->err) {
		if (id)
			c->err = patient_remove(vas, id);
		if (!c->err)
			c->err = patient_add(vas, &c->region[c->nr & 1], &id);
		__atomic_store_n(&c->nr, c->nr + 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void check_whole(const uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (buf[i] != buf[0] || (buf[0] != 'A' && buf[0] != 'B'))
			test_fail(__FILE__, __LINE__, "byte %zu is %#x, byte 0 %#x", i, buf[i],
				  buf[0]);
}

static void fill_both(struct subject *s, struct changer *c)
{
	uint64_t id;

	for (int i = 0; i < 2; i++) {
		c->region[i].gpa = 2 * s->unit;
		CHECK_OK(patient_add(s->owner, &c->region[i], &id));
		CHECK_OK(vas_fill(s->owner, 2 * s->unit, i ? 'B' : 'A', s->unit, NULL));
		CHECK_OK(patient_remove(s->owner, id));
	}
}

RULE(bytes_of_a_reused_region_are_never_taken_for_the_old, CAN_READ | CAN_KEEP | CAN_WHOLE)
{
	struct changer c = { .s = s };
	int found = 0, holes = 0;
	pthread_t thread;
	uint8_t buf[LEN];

	c.region[0] = place_prepare(s, 2, 1);
	c.region[1] = place_prepare(s, 2, 1);
	fill_both(s, &c);
	CHECK_EQ(pthread_create(&thread, NULL, change, &c), 0);
	for (int i = 0; i < NR_LOOKS || !__atomic_load_n(&c.nr, __ATOMIC_RELAXED); i++) {
		int err = subject_read(s, 2 * s->unit + 64, buf, LEN, NULL);

		if (!err)
			check_whole(buf, LEN);
		else if (err != -EAGAIN)
			CHECK_EQ(err, -EFAULT);
		found += !err;
		holes += err == -EFAULT;
	}
	__atomic_store_n(&c.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	CHECK_OK(c.err);
	CHECK(found + holes > 0);
}
