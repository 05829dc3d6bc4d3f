// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What a back end is told, and when: regions, queues, a freeze, the dirty log, a successor. */
#include "tests/consumer/vhost_user/fixture.h"

static void set_up(void)
{
	fake_init(&fake);
}

TEST(a_back_end_has_the_layout_and_the_queues_as_the_driver_set_them_up)
{
	set_up();
	begin();
	CHECK_EQ(fake.nr_regions, 1);
	CHECK_EQ(fake.regions[0].size, 32 * PAGE);
	CHECK_EQ(server()->features, fake.features & ~(1ull << VHOST_USER_F_PROTOCOL_FEATURES |
						       1ull << VHOST_F_LOG_ALL));
	start();
	CHECK_EQ(fake.driver_features, DRIVER_WANTED | 1ull << VHOST_USER_F_PROTOCOL_FEATURES);
	SERVE_UNTIL(fake_runs(&fake, 0) && fake_runs(&fake, 1));
	CHECK_EQ(fake.queues[1].size, QUEUE_SIZE);
	CHECK_EQ(fake.queues[1].addr.desc - fake.regions[0].user, RING(1));
	CHECK_EQ(fake.queues[1].addr.avail - fake.regions[0].user, RING(1) + PAGE);
	CHECK_EQ(fake.queues[1].addr.used - fake.regions[0].user, RING(1) + 2 * PAGE);
	finish();
}

TEST(queues_run_on_while_memory_comes)
{
	set_up();
	begin();
	start();
	simple_add(vas, 64, 4);
	CHECK(fake_has(&fake, 64 * PAGE));
	CHECK_EQ(fake_count(&fake, VHOST_USER_GET_VRING_BASE), 0);
	finish();
}

TEST(queues_stand_while_memory_goes)
{
	uint64_t id;

	set_up();
	begin();
	start();
	id = simple_add(vas, 64, 4);
	CHECK_OK(vas_region_remove(vas, id));
	CHECK(!fake_has(&fake, 64 * PAGE));
	CHECK_EQ(fake.nr_changed_while_running, 0);
	CHECK_EQ(fake_count(&fake, VHOST_USER_GET_VRING_BASE), 2);
	SERVE_UNTIL(fake_runs(&fake, 0) && fake_runs(&fake, 1));
	finish();
}

TEST(a_table_is_replaced_while_queues_stand)
{
	uint64_t id;

	set_up();
	fake.protocol &= ~(1ull << VHOST_USER_PROTOCOL_MEM_SLOTS);
	begin();
	CHECK_EQ(fake.nr_regions, 1);
	start();
	id = simple_add(vas, 64, 4);
	CHECK(fake_has(&fake, 64 * PAGE) && fake_has(&fake, 0));
	CHECK_OK(vas_region_remove(vas, id));
	CHECK(!fake_has(&fake, 64 * PAGE));
	CHECK_EQ(fake.nr_changed_while_running, 0);
	SERVE_UNTIL(fake_runs(&fake, 0) && fake_runs(&fake, 1));
	finish();
}

/* Without acknowledgements, the answer to another request says that one was done. */
TEST(a_back_end_without_acknowledgements_is_told_the_same)
{
	uint64_t id;

	set_up();
	fake.protocol &= ~(1ull << VHOST_USER_PROTOCOL_REPLY_ACK);
	begin();
	start();
	id = simple_add(vas, 64, 4);
	CHECK(fake_has(&fake, 64 * PAGE));
	CHECK_OK(vas_region_remove(vas, id));
	CHECK(!fake_has(&fake, 64 * PAGE));
	SERVE_UNTIL(fake_runs(&fake, 0) && fake_runs(&fake, 1));
	finish();
}

/* One that speaks of no protocol features at all has queues that run as soon as they can. */
TEST(an_old_back_end_is_served_too)
{
	set_up();
	fake.features &= ~(1ull << VHOST_USER_F_PROTOCOL_FEATURES);
	fake.config[0] = 0;
	vas = simple_vas();
	simple_add(vas, 0, 32);
	fake_begin(&fake);
	{
		struct vas_vhost_user_options options = front_options();

		options.nr_queues = 1;
		CHECK_EQ(vas_vhost_user_attach(vas, fake.peer, &options, &front), -EOPNOTSUPP);
		CHECK_HAS(vas_error(), "no config space");
		fake_end(&fake);
		fake_begin(&fake);
		options.config = "a config space of the VMM's own.";
		CHECK_OK(vas_vhost_user_attach(vas, fake.peer, &options, &front));
	}
	make_events();
	CHECK_OK(server()->ops->start(server(), DRIVER_WANTED));
	CHECK_OK(start_queue(0));
	CHECK(fake.queues[0].is_running && !fake_count(&fake, VHOST_USER_SET_VRING_ENABLE));
	finish();
}

TEST(neighbours_are_one_region_where_there_is_no_room_for_each)
{
	struct vas_region stranger = simple_region(100, 4);
	uint64_t page;

	set_up();
	fake.max_slots = 2;
	begin();
	start();
	for (page = 32; page < 48; page += 4)
		simple_add(vas, page, 4);
	CHECK_EQ(fake.nr_regions, 1);
	CHECK_EQ(fake.regions[0].size, 48 * PAGE);
	CHECK_OK(vas_region_add(vas, &stranger, NULL));
	CHECK_EQ(fake.nr_regions, 2);
	stranger.gpa = stranger.offset = 200 * PAGE;
	CHECK_EQ(vas_region_add(vas, &stranger, NULL), -ENOSPC);
	CHECK_STR(vas_error(), "disk: the layout has 3 parts that are not neighbours, and the "
			       "back end takes 2");
	CHECK(!fake_has(&fake, 200 * PAGE));
	CHECK_EQ(fake.nr_regions, 2);
	CHECK_EQ(fake.nr_changed_while_running, 0);
	SERVE_UNTIL(fake_runs(&fake, 0));
	finish();
}

TEST(what_takes_the_place_of_another_comes_when_that_has_gone)
{
	struct vas_region other = simple_region(64, 4);
	struct vas_layout *layout;
	uint64_t id;

	set_up();
	begin();
	start();
	id = simple_add(vas, 64, 4);
	other.offset = 128 * PAGE;
	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_remove(layout, id));
	CHECK_OK(vas_layout_add(layout, &other, NULL));
	CHECK_OK(vas_layout_commit(layout, TEST_HANG_NS, NULL));
	CHECK_EQ(fake.nr_regions, 2);
	CHECK_EQ(fake.regions[1].offset, 128 * PAGE);
	CHECK_EQ(fake.nr_changed_while_running, 0);
	finish();
}

TEST(a_change_that_others_refuse_leaves_the_back_end_as_it_was)
{
	struct vas_region more = simple_region(128, 4);
	struct vas_mapping *mapping;
	struct vas_layout *layout;
	uint64_t id;

	set_up();
	begin();
	start();
	id = simple_add(vas, 64, 4);
	CHECK_OK(vas_mapping_create(vas, 64 * PAGE, PAGE, 0, &mapping));
	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_remove(layout, id));
	CHECK_OK(vas_layout_add(layout, &more, NULL));
	CHECK_EQ(vas_layout_commit(layout, 1000000, NULL), -EBUSY);
	CHECK(fake_has(&fake, 64 * PAGE) && !fake_has(&fake, 128 * PAGE));
	SERVE_UNTIL(fake_runs(&fake, 0) && fake_runs(&fake, 1));
	vas_mapping_destroy(mapping);
	finish();
}

TEST(memory_with_a_ring_in_it_stays)
{
	struct vas_virtio_queue queue;
	uint32_t base;
	uint64_t id;

	set_up();
	begin();
	start();
	id = simple_add(vas, 64, 16);
	server()->ops->queue_stop(server(), 1, &base);
	queue = queue_at(1);
	queue.device = 70 * PAGE;
	CHECK_OK(server()->ops->queue_start(server(), 1, &queue));
	CHECK_EQ(vas_region_remove(vas, id), -EBUSY);
	CHECK_HAS(vas_error(), "disk: queue 1 runs, and its ring is in");
	server()->ops->queue_stop(server(), 1, &base);
	CHECK_OK(vas_region_remove(vas, id));
	CHECK_EQ(server()->ops->queue_start(server(), 1, &queue), -EFAULT);
	CHECK_HAS(vas_error(), "queue 1 has its device's part at");
	finish();
}

TEST(what_cannot_be_handed_over_or_written_is_left_out)
{
	struct vas_region rom = simple_region(64, 4);

	set_up();
	begin();
	rom.flags = VAS_REGION_READONLY;
	CHECK_OK(vas_region_add(vas, &rom, NULL));
	CHECK_EQ(fake.nr_regions, 1);
	finish();
}

TEST(a_frozen_queue_stands_and_goes_on_from_where_it_stood)
{
	uint16_t used = 7;

	set_up();
	begin();
	start();
	fake.queues[0].base = used;
	CHECK_OK(vas_write(vas, RING(0) + 2 * PAGE + 2, &used, 2, NULL));
	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	CHECK(!fake.queues[0].is_running && !fake.queues[1].is_running);
	fake.queues[0].base = 0;
	CHECK_OK(vas_thaw(vas));
	SERVE_UNTIL(fake_runs(&fake, 0) && fake_runs(&fake, 1));
	CHECK_EQ(fake.queues[0].base, 7);
	finish();
}

TEST(a_queue_that_starts_in_a_frozen_vas_runs_when_it_is_thawed)
{
	set_up();
	begin();
	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	start();
	CHECK(!fake.queues[0].is_running);
	CHECK_OK(vas_thaw(vas));
	SERVE_UNTIL(fake_runs(&fake, 0) && fake_runs(&fake, 1));
	finish();
}

/* A back end says that a queue stands, and the used ring that it has not done all that it took. */
TEST(a_freeze_waits_until_the_used_ring_says_so)
{
	uint16_t used = 5;

	set_up();
	begin();
	start();
	fake_fault(&fake, VHOST_USER_GET_VRING_BASE, FAULT_LATE_BASE);
	CHECK_EQ(vas_freeze(vas, 20000000, NULL), -EBUSY);
	CHECK_HAS(vas_error(), "disk");
	CHECK_OK(vas_write(vas, RING(0) + 2 * PAGE + 2, &used, 2, NULL));
	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	CHECK_OK(vas_thaw(vas));
	SERVE_UNTIL(fake_runs(&fake, 0) && fake_runs(&fake, 1));
	finish();
}

/* Whether a page is dirty in an epoch of its own. */
static int is_dirty(struct vas_tracker *tracker, uint64_t page)
{
	const struct vas_dirty_word *words;
	uint64_t gpa = 0;
	ssize_t nr, i;
	int is = 0;

	CHECK_OK(vas_tracker_begin(tracker));
	nr = vas_tracker_harvest(tracker, &gpa, 256 * PAGE, 16, &words);
	CHECK_EQ(gpa, 256 * PAGE);
	for (i = 0; i < nr; i++)
		if (words[i].gpa == page / 64 * 64 * PAGE)
			is |= words[i].bits >> page % 64 & 1;
	CHECK_OK(vas_tracker_commit(tracker));
	return is;
}

TEST(what_the_back_end_marks_is_in_the_dirty_log)
{
	struct vas_tracker *tracker;

	set_up();
	begin();
	start();
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &tracker));
	CHECK(fake.driver_features >> VHOST_F_LOG_ALL & 1);
	CHECK(fake.log && fake.log_size * 8 >= 256);
	CHECK_EQ(fake.queues[0].addr.flags, 1);
	CHECK_EQ(fake.queues[0].addr.log, RING(0) + 2 * PAGE);
	CHECK(!is_dirty(tracker, 17));
	__atomic_fetch_or(&fake.log[17 / 8], 1u << 17 % 8, __ATOMIC_SEQ_CST);
	CHECK(is_dirty(tracker, 17));
	CHECK(!is_dirty(tracker, 17));
	vas_tracker_detach(tracker);
	SERVE_UNTIL(fake_runs(&fake, 0) && fake_runs(&fake, 1));
	CHECK(!(fake.driver_features >> VHOST_F_LOG_ALL & 1));
	CHECK_EQ(fake.queues[0].addr.flags, 0);
	finish();
}

/* ---- answers that come when something else is wanted ----------------------------------------- */

static void let_go(void)
{
	fake_fault(&fake, 0, FAULT_NONE);
}

TEST(a_log_that_was_taken_too_late_is_not_the_next_one)
{
	struct vas_tracker *tracker;

	set_up();
	begin();
	start();
	fake_fault(&fake, VHOST_USER_SET_LOG_BASE, FAULT_HELD);
	CHECK_EQ(vas_tracker_attach(vas, "test", 0, &tracker), -EBUSY);
	let_go();
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &tracker));
	CHECK_EQ(fake_count(&fake, VHOST_USER_SET_LOG_BASE), 2);
	__atomic_fetch_or(&fake.log[17 / 8], 1u << 17 % 8, __ATOMIC_SEQ_CST);
	CHECK(is_dirty(tracker, 17));
	vas_tracker_detach(tracker);
	finish();
}

TEST(features_without_a_log_that_were_taken_too_late_are_not_those_with_one)
{
	struct vas_tracker *tracker;

	set_up();
	begin();
	start();
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &tracker));
	fake_fault(&fake, VHOST_USER_SET_FEATURES, FAULT_HELD);
	vas_tracker_detach(tracker);
	let_go();
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &tracker));
	CHECK(fake.driver_features >> VHOST_F_LOG_ALL & 1);
	CHECK_EQ(fake.queues[0].addr.flags, 1);
	vas_tracker_detach(tracker);
	finish();
}

TEST(a_file_of_requests_in_flight_that_was_taken_after_a_reset_is_of_no_use)
{
	set_up();
	fake.protocol &= ~(1ull << VHOST_USER_PROTOCOL_RESET_DEVICE);
	begin();
	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	start();
	fake_fault(&fake, VHOST_USER_SET_INFLIGHT_FD, FAULT_HELD);
	CHECK_OK(vas_thaw(vas));
	CHECK_EQ(fake_count(&fake, VHOST_USER_SET_INFLIGHT_FD), 1);
	server()->ops->reset(server());
	let_go();
	start();
	CHECK_EQ(fake_count(&fake, VHOST_USER_GET_INFLIGHT_FD), 2);
	CHECK_EQ(fake_count(&fake, VHOST_USER_SET_INFLIGHT_FD), 2);
	finish();
}

/* ---- who comes, goes, and does not fit ------------------------------------------------------- */

TEST(one_that_does_not_log_keeps_a_vas_from_being_tracked)
{
	struct vas_tracker *tracker;

	set_up();
	fake.features &= ~(1ull << VHOST_F_LOG_ALL);
	begin();
	CHECK_EQ(vas_tracker_attach(vas, "test", 0, &tracker), -EOPNOTSUPP);
	CHECK_HAS(vas_error(), "disk writes guest memory without logging");
	finish();
}

/* The first one's end is seen by nobody but the test. */
TEST(a_successor_has_all_that_the_one_before_had)
{
	struct fake_back_end before;
	uint16_t used = 9;
	eventfd_t nr;

	set_up();
	begin();
	start();
	CHECK_OK(vas_write(vas, RING(1) + 2 * PAGE + 2, &used, 2, NULL));
	CHECK(fake.inflight_fd >= 0);
	before = fake;
	shutdown(fake.sock, SHUT_RDWR);
	fake_end(&fake);
	CHECK_EQ(vas_vhost_user_serve(front), -ECONNRESET);
	CHECK_STR(vas_error(), "disk: the back end has closed the connection");
	/* The layout changes without one. */
	simple_add(vas, 64, 4);
	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	CHECK_OK(vas_thaw(vas));
	fake_init(&fake);
	fake_begin(&fake);
	CHECK_OK(vas_vhost_user_connect(front, fake.peer));
	SERVE_UNTIL(fake_runs(&fake, 1));
	CHECK(fake_has(&fake, 64 * PAGE) && fake_has(&fake, 0));
	CHECK_EQ(fake.queues[1].base, 9);
	CHECK_EQ(fake.queues[0].base, 0);
	CHECK_EQ(fake.inflight_ino, before.inflight_ino);
	CHECK_EQ(fake_count(&fake, VHOST_USER_GET_INFLIGHT_FD), 0);
	/* Whoever died may have answered, and not said so. */
	SERVE_UNTIL(!eventfd_read(call_fd[1], &nr));
	CHECK_OK(eventfd_read(kick_fd[1], &nr));
	finish();
}

TEST(a_successor_that_lacks_what_is_in_use_is_refused)
{
	set_up();
	begin();
	start();
	shutdown(fake.sock, SHUT_RDWR);
	fake_end(&fake);
	fake_init(&fake);
	fake.features &= ~(1ull << VIRTIO_F_VERSION_1);
	fake_begin(&fake);
	CHECK_EQ(vas_vhost_user_connect(front, fake.peer), -EOPNOTSUPP);
	CHECK_HAS(vas_error(), "lacks features that the driver was offered: 0x100000000");
	fake_end(&fake);
	fake_init(&fake);
	fake.max_slots = 0;
	fake_begin(&fake);
	CHECK_EQ(vas_vhost_user_connect(front, fake.peer), -EOPNOTSUPP);
	CHECK_HAS(vas_error(), "takes no memory");
	finish();
}

TEST(config_space_is_read_and_written)
{
	uint8_t bytes[40];

	set_up();
	begin();
	server()->ops->config_read(server(), 8, bytes, 4);
	CHECK_MEM(bytes, "\x09\x0a\x0b\x0c", 4);
	server()->ops->config_write(server(), 8, "wxyz", 4);
	server()->ops->config_read(server(), 8, bytes, 4);
	CHECK_MEM(bytes, "wxyz", 4);
	CHECK_EQ(server()->ops->config_generation(server()), 2);
	/* Behind its end are zeros, and nothing is written there. */
	server()->ops->config_read(server(), 30, bytes, 4);
	CHECK_MEM(bytes, "\x1f\x20\0\0", 4);
	server()->ops->config_write(server(), 30, "wxyz", 4);
	CHECK_EQ(fake.config[30], 31);
	finish();
}

TEST(a_reset_leaves_nothing_running)
{
	set_up();
	begin();
	start();
	server()->ops->reset(server());
	CHECK(!fake.queues[0].is_running && !fake.queues[1].is_running);
	CHECK_EQ(fake_count(&fake, VHOST_USER_RESET_DEVICE), 1);
	start();
	SERVE_UNTIL(fake_runs(&fake, 0) && fake_runs(&fake, 1));
	CHECK_EQ(fake.driver_features, DRIVER_WANTED | 1ull << VHOST_USER_F_PROTOCOL_FEATURES);
	CHECK_EQ(fake_count(&fake, VHOST_USER_GET_INFLIGHT_FD), 2);
	finish();
}

TEST(options_and_fds_that_make_no_sense_are_refused)
{
	struct vas_vhost_user_options options = front_options();
	int memfd = memfd_create("no socket", MFD_CLOEXEC), nr_fds;

	set_up();
	vas = simple_vas();
	nr_fds = test_count_fds();
	CHECK_EQ(vas_vhost_user_attach(vas, memfd, &options, &front), -ENOTSOCK);
	options.device_id = 0;
	CHECK_EQ(vas_vhost_user_attach(vas, memfd, &options, &front), -EINVAL);
	CHECK_EQ(test_count_fds(), nr_fds);
	options = front_options();
	options.nr_queues = 3;
	fake_begin(&fake);
	CHECK_EQ(vas_vhost_user_attach(vas, fake.peer, &options, &front), -EOPNOTSUPP);
	CHECK_STR(vas_error(), "disk: the back end has 2 queues, not 3");
	fake_end(&fake);
	CHECK_EQ(test_count_fds(), nr_fds);
	vas_destroy(vas);
}
