// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <pthread.h>

#include "../subject.h"

struct remover {
	struct vas *owner;
	uint64_t id;
	int err;
};

static void *remove_region(void *arg)
{
	struct remover *r = arg;
	struct vas_layout *layout;

	r->err = vas_layout_begin(r->owner, &layout);
	if (r->err)
		return NULL;
	r->err = vas_layout_remove(layout, r->id);
	if (!r->err)
		r->err = vas_layout_commit(layout, TEST_HANG_NS, NULL);
	return NULL;
}

RULE(a_map_that_is_asked_back_lets_the_change_go_on, CAN_MAP | CAN_PIN | CAN_NOTIFY | CAN_WHOLE)
{
	struct remover r = { .owner = s->owner, .id = place(s, 1, 1) };
	pthread_t thread;
	uint64_t map;
	int told = 0;

	CHECK_OK(subject_map(s, s->unit, s->unit, VAS_MAPPING_WRITE, &map));
	CHECK_EQ(subject_request(s, map), VAS_REQUEST_NONE);
	CHECK_OK(subject_notified(s, 0));
	CHECK_EQ(pthread_create(&thread, NULL, remove_region, &r), 0);
	/* Notifications of other things may come first. */
	for (int i = 0; i < 10 && !(told & VAS_NOTIFY_REQUEST); i++) {
		told = subject_notified(s, TEST_HANG_MS);
		CHECK(told > 0);
	}
	CHECK(told & VAS_NOTIFY_REQUEST);
	CHECK_EQ(subject_request(s, map), VAS_REQUEST_UNMAP);
	CHECK_OK(subject_unmap(s, map));
	pthread_join(thread, NULL);
	CHECK_OK(r.err);
}
