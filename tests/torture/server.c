// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The owner of the tracking torture. */
#include <poll.h>

#include "tracking.h"

#define PATIENCE_NS 300000000ull

struct server {
	struct torture *t;
	struct vas *vas;
	struct test_random random;
	uint64_t more; /* id of a region that comes and goes, 0 if it is not there */
};

static void expect(struct server *s, const char *what, int err)
{
	if (err < 0 && err != -EBUSY)
		torture_violated(s->t, "%s: %s: %s", what, strerrorname_np(-err), vas_error());
}

/* Now and then the layout changes under trackers; what is new is dirty to them. */
static void change_layout(struct server *s)
{
	const struct vas_region region = { .gpa = TRACKING_LIMIT,
					   .size = PAGE,
					   .offset = TRACKING_LIMIT };
	struct vas_region old;
	int err;

	if (!vas_region_at(s->vas, TRACKING_LIMIT, &old))
		err = vas_region_remove(s->vas, old.id);
	else
		err = vas_region_add(s->vas, &region, NULL);
	expect(s, "hotplug", err);
	torture_count(&s->t->shared->tracking.nr_hotplugs);
}

static void look_at_round(struct server *s, int *frozen)
{
	struct torture_tracking *k = &s->t->shared->tracking;
	uint32_t wanted = tracking_get(&k->wanted);
	int err;

	if (*frozen && tracking_get(&k->done) == wanted) {
		expect(s, "thaw", vas_thaw(s->vas));
		*frozen = 0;
	} else if (!*frozen && tracking_get(&k->done) != wanted) {
		err = vas_freeze(s->vas, PATIENCE_NS, NULL);
		expect(s, "freeze", err);
		*frozen = !err;
		if (!err)
			tracking_set(&k->frozen, wanted);
	}
}

static void serve(struct server *s)
{
	uint64_t reign = 1 + test_random_below(&s->random, 3000);
	struct pollfd pfd = { .fd = vas_notify_fd(s->vas), .events = POLLIN };
	int frozen = 0;

	expect(s, "notify", pfd.fd);
	while ((frozen || reign--) && !torture_stopped(s->t)) {
		poll(&pfd, 1, 1);
		expect(s, "notifications", vas_notifications(s->vas));
		look_at_round(s, &frozen);
		if (!frozen && test_random_below(&s->random, 300) == 0)
			change_layout(s);
		torture_count(&s->t->shared->beats[0][0]);
	}
}

void server_run(struct torture *t, unsigned int process, uint64_t seed)
{
	struct server s = { .t = t, .random = { seed } };

	(void)process;
	while (!torture_stopped(t)) {
		int err = vas_bind(t->fd, VAS_BIND_ADOPT, &s.vas);

		if (err == -EBUSY || err == -EAGAIN)
			continue;
		if (err)
			torture_violated(t, "adopt: %s: %s", strerrorname_np(-err), vas_error());
		torture_count(&t->shared->nr_adopted);
		serve(&s);
		vas_unbind(s.vas);
	}
}
