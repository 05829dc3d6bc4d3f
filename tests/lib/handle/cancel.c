// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* pthread_cancel() and calls that are under way: they end first. */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/consumer.h>
#include <vas/dirty.h>
#include <vas/event.h>

#include "simple_vas.h"

#define LONG_NS 60000000000ull

static struct vas *vas;
static uint64_t region_id;
static int in_section, may_leave, is_waiting;

static int is_set(void *flag)
{
	return __atomic_load_n((int *)flag, __ATOMIC_ACQUIRE);
}

static void set(int *flag)
{
	__atomic_store_n(flag, 1, __ATOMIC_RELEASE);
}

static void *stay_inside(void *arg)
{
	(void)arg;
	CHECK_OK(vas_enter(vas));
	set(&in_section);
	test_wait(is_set, &may_leave, 60000);
	vas_leave(vas);
	return NULL;
}

static void *remove_region(void *arg)
{
	struct vas_layout *layout;

	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_remove(layout, region_id));
	set(&is_waiting);
	*(int *)arg = vas_layout_commit(layout, LONG_NS, NULL);
	pthread_testcancel();
	return NULL;
}

/* Its new layout is there, so that it waits for the section, or is about to. */
static int is_published(void *arg)
{
	struct vas_region region;

	(void)arg;
	return vas_region_by_id(vas, region_id, &region) == -ENOENT;
}

TEST(a_commit_that_is_cancelled_is_a_commit)
{
	pthread_t inside, committer;
	void *result;
	int err = 1;

	vas = simple_vas();
	region_id = simple_add(vas, 1, 1);
	CHECK_OK(-pthread_create(&inside, NULL, stay_inside, NULL));
	test_wait(is_set, &in_section, 60000);
	CHECK_OK(-pthread_create(&committer, NULL, remove_region, &err));
	test_wait(is_published, NULL, 60000);
	CHECK_OK(-pthread_cancel(committer));
	set(&may_leave);
	CHECK_OK(-pthread_join(committer, &result));
	CHECK(result == PTHREAD_CANCELED);
	CHECK_EQ(err, 0);
	CHECK_OK(-pthread_join(inside, NULL));
	simple_add(vas, 9, 1);
	vas_destroy(vas);
}

/* ---- each call, with the request already there ----------------------------------------------- */

static int pair[2];
static struct vas_mapping *mapping;
static struct vas_tracker *dirty;

static void create_another(void)
{
	vas_destroy(simple_vas());
}

static void bind_another(void)
{
	struct vas *binder;

	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	vas_unbind(binder);
}

static void look_at_it(void)
{
	struct vas_info info;

	CHECK_OK(vas_info(vas, &info));
	CHECK(vas_readonly_fd(vas) >= 0);
}

static void change_it(void)
{
	CHECK_OK(vas_region_remove(vas, simple_add(vas, 20, 4)));
}

static void freeze_it(void)
{
	CHECK_OK(vas_freeze(vas, LONG_NS, NULL));
	CHECK_OK(vas_thaw(vas));
}

static void track_it(void)
{
	const struct vas_dirty_word *words;
	uint64_t gpa = 0;

	CHECK_OK(vas_tracker_attach(vas, "cancel", VAS_TRACKER_ALL, &dirty));
	CHECK_OK(vas_tracker_begin(dirty));
	CHECK_OK(vas_tracker_harvest(dirty, &gpa, 256 * PAGE, 16, &words));
	CHECK_OK(vas_tracker_abort(dirty));
	vas_tracker_detach(dirty);
}

static void map_it(void)
{
	CHECK_OK(vas_mapping_create(vas, PAGE, PAGE, VAS_MAPPING_WRITE, &mapping));
	vas_mapping_destroy(mapping);
}

static void pass_it(void)
{
	struct vas *binder;

	CHECK_OK(vas_send_fds(vas, pair[0], 0));
	CHECK_OK(vas_recv_fds(pair[1], 0, &binder));
	vas_unbind(binder);
}

static void watch_it(void)
{
	CHECK(vas_notify_fd(vas) >= 0);
	CHECK_OK(vas_notifications(vas));
}

static void raise_events(void)
{
	const struct vas_event event = { .kind = VAS_EVENT_IRQ, .id = 3, .gsi = 4, .name = "irq" };

	CHECK_OK(vas_event_add(vas, &event));
	CHECK_OK(vas_irq_raise(vas, 3));
	CHECK_OK(vas_event_remove(vas, 3));
}

static void search_it(void)
{
	const struct vas_pattern pattern = { .bytes = "not there", .len = 9 };
	uint64_t found;

	CHECK_EQ(vas_search(vas, 0, 256 * PAGE, &pattern, &found), -ENOENT);
}

static void back_it(void)
{
	int fd = memfd_create("second", 0), nr;

	CHECK_OK(ftruncate(fd, 4 * PAGE));
	nr = vas_backing_add(vas, fd);
	CHECK(nr > 0);
	CHECK_OK(vas_backing_remove(vas, (uint32_t)nr));
}

static void *call(void *arg)
{
	void (*const *function)(void) = arg;

	CHECK_OK(-pthread_cancel(pthread_self()));
	(*function)();
	/* Here, and not before. */
	*(void (**)(void))arg = NULL;
	pthread_testcancel();
	return NULL;
}

static void returns_before_it_is_cancelled(const char *name, void (*function)(void))
{
	pthread_t thread;
	void *result;

	test_note("%s", name);
	CHECK_OK(-pthread_create(&thread, NULL, call, &function));
	CHECK_OK(-pthread_join(thread, &result));
	CHECK(result == PTHREAD_CANCELED);
	CHECK(!function);
}

TEST(no_call_is_a_cancellation_point)
{
#define RETURNS(function) returns_before_it_is_cancelled(#function, function)
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	vas = simple_vas();
	simple_add(vas, 1, 1);
	RETURNS(create_another);
	RETURNS(bind_another);
	RETURNS(pass_it);
	RETURNS(look_at_it);
	RETURNS(change_it);
	RETURNS(freeze_it);
	RETURNS(track_it);
	RETURNS(map_it);
	RETURNS(watch_it);
	RETURNS(raise_events);
	RETURNS(search_it);
	RETURNS(back_it);
	vas_destroy(vas);
}

/* ---- the one that is ----------------------------------------------------------------------- */

static void *wait_for_doorbell(void *arg)
{
	(void)arg;
	set(&is_waiting);
	vas_doorbell_wait(vas, 1, UINT64_MAX);
	return NULL;
}

TEST(a_wait_for_a_doorbell_can_be_cancelled)
{
	const struct vas_event event = {
		.kind = VAS_EVENT_DOORBELL, .id = 1, .len = 4, .name = "bell"
	};
	pthread_t thread;
	void *result;

	vas = simple_vas();
	CHECK_OK(vas_event_add(vas, &event));
	CHECK_OK(-pthread_create(&thread, NULL, wait_for_doorbell, NULL));
	test_wait(is_set, &is_waiting, 60000);
	CHECK_OK(-pthread_cancel(thread));
	CHECK_OK(-pthread_join(thread, &result));
	CHECK(result == PTHREAD_CANCELED);
	vas_destroy(vas);
}
