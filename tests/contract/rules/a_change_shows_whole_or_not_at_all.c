// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <pthread.h>

#include "../subject.h"

#define NR_LOOKS 3000

struct mover {
	struct subject *s;
	uint64_t id[2];
	int stop;
	int err;
	uint64_t nr;
};

static int move_both(struct mover *m, uint64_t at)
{
	struct vas_layout *layout;
	int err = vas_layout_begin(m->s->owner, &layout);

	if (err)
		return err;
	for (uint64_t i = 0; i < 2 && !err; i++)
		err = vas_layout_move(layout, m->id[i], (at + 2 * i) * m->s->unit);
	if (err) {
		vas_layout_abort(layout);
		return err;
	}
	return vas_layout_commit(layout, TEST_HANG_NS, NULL);
}

static void *move(void *arg)
{
	struct mover *m = arg;

	while (!__atomic_load_n(&m->stop, __ATOMIC_RELAXED) && !m->err) {
		m->err = move_both(m, m->nr & 1 ? 10 : 20);
		__atomic_store_n(&m->nr, m->nr + 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static int has_moved(struct mover *m)
{
	return __atomic_load_n(&m->nr, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&m->err, __ATOMIC_RELAXED);
}

/* Two regions go to and fro together: every list has both here, or both there. */
RULE(a_change_shows_whole_or_not_at_all, CAN_LIST | CAN_WHOLE | CAN_WHOLE_CHANGE)
{
	struct mover m = { .s = s };
	struct vas_region_entry list[4];
	pthread_t thread;

	m.id[0] = place(s, 10, 1);
	m.id[1] = place(s, 12, 1);
	CHECK_EQ(pthread_create(&thread, NULL, move, &m), 0);
	for (int i = 0; i < NR_LOOKS || !has_moved(&m); i++) {
		int nr = subject_regions(s, list, 4);

		if (nr == -EAGAIN)
			continue; /* an observer may give up, with a word */
		CHECK_EQ(nr, 2);
		CHECK(list[0].gpa == 10 * s->unit || list[0].gpa == 20 * s->unit);
		CHECK_EQ(list[1].gpa, list[0].gpa + 2 * s->unit);
		CHECK_EQ(list[0].id, m.id[0]);
		CHECK_EQ(list[1].id, m.id[1]);
	}
	__atomic_store_n(&m.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	CHECK_OK(m.err);
}
