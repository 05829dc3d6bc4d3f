// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Events: what may be declared, who sees it, whose eventfds they are. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/events/event.h"
#include "tests/forbid.h"
#include "tests/harness.h"

static struct vas *vas_new(void)
{
	const struct vas_options options = { .limit = 1 << 20 };
	struct vas *vas;

	CHECK_OK(vas_create(&options, &vas));
	return vas;
}

static struct vas_event doorbell(uint32_t id)
{
	struct vas_event event = {
		.kind = VAS_EVENT_DOORBELL, .id = id, .len = 4, .addr = 0x10000 + 8ull * id
	};

	snprintf(event.name, sizeof(event.name), "doorbell-%u", id);
	return event;
}

TEST(event_is_found_by_id_and_by_name)
{
	struct vas *vas = vas_new();
	struct vas_event event = doorbell(1), found;

	CHECK_OK(vas_event_add(vas, &event));
	event = doorbell(2);
	CHECK_OK(vas_event_add(vas, &event));
	CHECK_EQ(vas_events(vas, NULL, 0), 2);
	CHECK_OK(vas_event_find(vas, 2, &found));
	CHECK_MEM(&found, &event, sizeof(event));
	CHECK_OK(vas_event_find_by_name(vas, "doorbell-2", &found));
	CHECK_EQ(found.id, 2);
	CHECK_EQ(vas_event_find_by_name(vas, "doorbell-3", &found), -ENOENT);
	CHECK_EQ(vas_event_find_by_name(vas, "", &found), -ENOENT);
	CHECK_EQ(vas_event_find(vas, 0, &found), -ENOENT);
	vas_destroy(vas);
}

TEST(event_that_is_changed_keeps_its_eventfd_and_its_name)
{
	struct vas *vas = vas_new(), *peer;
	struct vas_event event = { .kind = VAS_EVENT_IRQ,
				   .id = 3,
				   .flags = VAS_EVENT_MSI,
				   .addr = 0xfee00000,
				   .data = 0x41,
				   .gsi = 24,
				   .name = "vector" };
	struct vas_event other = doorbell(4), found;
	int fd;

	CHECK_OK(vas_event_add(vas, &event));
	CHECK_OK(vas_event_add(vas, &other));
	fd = vas_event_fd(vas, 3);
	CHECK_OK(vas_bind(vas_fd(vas), 0, &peer));
	event.addr = 0xfee01000;
	event.data = 0x42;
	*event.name = '\0';
	CHECK_OK(vas_event_change(vas, &event));
	CHECK_EQ(vas_event_fd(vas, 3), fd);
	CHECK_OK(vas_event_find_by_name(peer, "vector", &found));
	CHECK_EQ(found.addr, 0xfee01000);
	CHECK_EQ(found.data, 0x42);

	CHECK_EQ(vas_event_change(peer, &event), -EPERM);
	event.data = 1ull << 32;
	CHECK_EQ(vas_event_change(vas, &event), -EINVAL);
	other.id = 3;
	CHECK_EQ(vas_event_change(vas, &other), -EINVAL);
	other.id = 5;
	CHECK_EQ(vas_event_change(vas, &other), -ENOENT);
	event = (struct vas_event){ .kind = VAS_EVENT_IRQ, .id = 3, .flags = VAS_EVENT_RESAMPLE };
	CHECK_EQ(vas_event_change(vas, &event), -EINVAL);
	CHECK_OK(vas_event_find(vas, 3, &found));
	CHECK_EQ(found.data, 0x42);
	vas_unbind(peer);
	vas_destroy(vas);
}

TEST(event_that_makes_no_sense_is_refused)
{
	static const struct vas_event bad[] = {
		{ .kind = VAS_EVENT_DOORBELL, .id = 0, .len = 4 },
		{ .kind = 3, .id = 1 },
		{ .kind = VAS_EVENT_NONE, .id = 1 },
		{ .kind = VAS_EVENT_DOORBELL, .id = 1, .len = 3 },
		{ .kind = VAS_EVENT_DOORBELL, .id = 1, .len = 4, .flags = VAS_EVENT_MSI },
		{ .kind = VAS_EVENT_DOORBELL, .id = 1, .len = 4, .flags = 16 },
		{ .kind = VAS_EVENT_DOORBELL, .id = 1, .len = 4, .gsi = 1 },
		{ .kind = VAS_EVENT_DOORBELL, .id = 1, .len = 4, .data = 1 },
		{ .kind = VAS_EVENT_DOORBELL, .id = 1, .len = 4, .addr = UINT64_MAX - 2 },
		{ .kind = VAS_EVENT_DOORBELL, .id = 1, .len = 8, .flags = VAS_EVENT_PIO },
		{ .kind = VAS_EVENT_DOORBELL,
		  .id = 1,
		  .len = 2,
		  .flags = VAS_EVENT_PIO,
		  .addr = 0xffff },
		{ .kind = VAS_EVENT_DOORBELL, .id = 1, .len = 0, .flags = VAS_EVENT_DATAMATCH },
		{ .kind = VAS_EVENT_DOORBELL,
		  .id = 1,
		  .len = 2,
		  .flags = VAS_EVENT_DATAMATCH,
		  .data = 1 << 16 },
		{ .kind = VAS_EVENT_IRQ, .id = 1, .len = 4 },
		{ .kind = VAS_EVENT_IRQ, .id = 1, .flags = VAS_EVENT_PIO },
		{ .kind = VAS_EVENT_IRQ, .id = 1, .addr = 1 },
		{ .kind = VAS_EVENT_IRQ, .id = 1, .flags = VAS_EVENT_MSI | VAS_EVENT_RESAMPLE },
		{ .kind = VAS_EVENT_IRQ, .id = 1, .flags = VAS_EVENT_MSI, .data = 1ull << 32 },
	};
	struct vas *vas = vas_new();
	struct vas_event event = doorbell(1);
	int fds = test_count_fds();
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		test_note("event %zu", i);
		CHECK_EQ(vas_event_add(vas, &bad[i]), -EINVAL);
	}
	memset(event.name, 'x', sizeof(event.name));
	CHECK_EQ(vas_event_add(vas, &event), -EINVAL);
	CHECK_EQ(vas_events(vas, NULL, 0), 0);
	CHECK_EQ(test_count_fds(), fds);
	vas_destroy(vas);
}

TEST(id_or_name_that_is_taken_is_refused)
{
	struct vas *vas = vas_new();
	struct vas_event event = doorbell(1);

	CHECK_OK(vas_event_add(vas, &event));
	CHECK_EQ(vas_event_add(vas, &event), -EEXIST);
	event.id = 2;
	CHECK_EQ(vas_event_add(vas, &event), -EEXIST);
	CHECK_HAS(vas_error(), "doorbell-1");
	/* Many may have none. */
	event.name[0] = 0;
	CHECK_OK(vas_event_add(vas, &event));
	event.id = 3;
	CHECK_OK(vas_event_add(vas, &event));
	vas_destroy(vas);
}

TEST(events_fill_their_table_and_leave_it)
{
	struct vas *vas = vas_new();
	int fds = test_count_fds(), round;
	struct vas_event event;
	uint32_t id;

	for (round = 0; round < 3; round++) {
		for (id = 1; id <= VAS_MAX_EVENTS; id++) {
			event = doorbell(id);
			CHECK_OK(vas_event_add(vas, &event));
		}
		event = doorbell(id);
		CHECK_EQ(vas_event_add(vas, &event), -ENOSPC);
		CHECK_EQ(test_count_fds(), fds + VAS_MAX_EVENTS);
		for (id = 1; id <= VAS_MAX_EVENTS; id++)
			CHECK_OK(vas_event_remove(vas, id));
		CHECK_EQ(vas_event_remove(vas, 1), -ENOENT);
		CHECK_EQ(test_count_fds(), fds);
	}
	vas_destroy(vas);
}

static struct vas *sent_to(struct vas *vas, uint32_t send_flags)
{
	struct vas *other;
	int pair[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	CHECK_OK(vas_send_fds(vas, pair[0], send_flags));
	CHECK_OK(vas_recv_fds(pair[1], 0, &other));
	close(pair[0]);
	close(pair[1]);
	return other;
}

TEST(eventfds_travel_with_the_vas)
{
	struct vas_event irq = { .kind = VAS_EVENT_IRQ, .id = 9, .flags = VAS_EVENT_RESAMPLE };
	struct vas *vas = vas_new(), *other;
	struct vas_event event = doorbell(1);
	eventfd_t count;

	CHECK_OK(vas_event_add(vas, &event));
	CHECK_OK(vas_event_add(vas, &irq));
	other = sent_to(vas, 0);
	CHECK_OK(vas_doorbell_ring(vas, 1));
	CHECK_OK(vas_doorbell_ring(vas, 1));
	CHECK_EQ(vas_doorbell_wait(other, 1, UINT64_MAX), 2);
	CHECK_OK(vas_irq_raise(other, 9));
	CHECK_EQ(vas_doorbell_wait(vas, 9, 0), 1);
	CHECK_OK(eventfd_write(vas_event_resample_fd(vas, 9), 5));
	CHECK_OK(eventfd_read(vas_event_resample_fd(other, 9), &count));
	CHECK_EQ(count, 5);
	CHECK_EQ(vas_event_resample_fd(other, 1), -ENXIO);
	/* What the owner withdraws is gone for all, whoever still has the fd. */
	CHECK_OK(vas_event_remove(vas, 1));
	CHECK_EQ(vas_doorbell_wait(other, 1, 0), -ENOENT);
	vas_unbind(other);
	vas_destroy(vas);
}

TEST(binder_without_the_eventfd_sees_the_event)
{
	struct vas *vas = vas_new(), *binder;
	struct vas_event event = doorbell(1);

	CHECK_OK(vas_event_add(vas, &event));
	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	CHECK_OK(vas_event_find(binder, 1, &event));
	CHECK_EQ(vas_event_fd(binder, 1), -ENXIO);
	CHECK_EQ(vas_doorbell_wait(binder, 1, 0), -ENXIO);
	CHECK_EQ(vas_event_fd(binder, 2), -ENOENT);
	event = doorbell(2);
	CHECK_EQ(vas_event_add(binder, &event), -EPERM);
	CHECK_EQ(vas_event_remove(binder, 1), -EPERM);
	vas_unbind(binder);
	vas_destroy(vas);
}

/* A wait that fails for another reason has left an older sentence in vas_error() first. */
TEST(a_wait_that_fails_says_why)
{
	struct vas *vas = vas_new();
	struct vas_event event = doorbell(1);

	CHECK_OK(vas_event_add(vas, &event));
	for (uint64_t timeout_ns = 0; timeout_ns < 2; timeout_ns++) {
		CHECK_EQ(vas_doorbell_wait(vas, 2, timeout_ns), -ENOENT);
		CHECK_HAS(vas_error(), "no event with id 2");
		CHECK_EQ(vas_doorbell_wait(vas, 1, timeout_ns), -ETIMEDOUT);
		CHECK_HAS(vas_error(), "event 1 was not raised in time");
	}
	/* Who closes what belongs to the handle is told so. */
	close(vas_event_fd(vas, 1));
	CHECK_EQ(vas_doorbell_wait(vas, 1, 0), -EBADF);
	CHECK_HAS(vas_error(), "cannot wait for event 1: ");
	vas_destroy(vas);
}

TEST(wait_ends_at_its_deadline_whatever_a_peer_does_to_the_eventfd)
{
	struct vas *vas = vas_new();
	struct vas_event event = doorbell(1);
	uint64_t start;
	int fd;

	CHECK_OK(vas_event_add(vas, &event));
	fd = vas_event_fd(vas, 1);
	/* The flags are those of the shared description: a peer can do this. */
	CHECK_OK(fcntl(fd, F_SETFL, 0));
	CHECK_EQ(vas_doorbell_wait(vas, 1, 0), -ETIMEDOUT);
	start = test_now_ns();
	CHECK_EQ(vas_doorbell_wait(vas, 1, 20000000), -ETIMEDOUT);
	CHECK(test_now_ns() - start >= 20000000);
	CHECK_OK(eventfd_write(fd, UINT64_MAX - 1));
	CHECK_EQ(vas_doorbell_wait(vas, 1, 0), INT64_MAX);
	/* A count that is full is raised. */
	CHECK_OK(fcntl(fd, F_SETFL, O_NONBLOCK));
	CHECK_OK(eventfd_write(fd, UINT64_MAX - 1));
	CHECK_OK(vas_doorbell_ring(vas, 1));
	vas_destroy(vas);
}

TEST(only_eventfds_are_accepted)
{
	struct vas *vas = vas_new();
	int pipes[2], fd = eventfd(0, 0);

	CHECK_OK(pipe(pipes));
	CHECK_EQ(vas_event_accept(vas, 1, VAS_EVENT_FD_MAIN, pipes[0]), -EPROTO);
	CHECK_EQ(vas_event_accept(vas, 1, VAS_EVENT_FD_MAIN, -1), -EPROTO);
	CHECK_EQ(vas_event_accept(vas, 0, VAS_EVENT_FD_MAIN, fd), -EPROTO);
	CHECK_EQ(vas_event_accept(vas, 1, 2, fd), -EPROTO);
	CHECK_EQ(vas_event_accept(vas, 1, -1, fd), -EPROTO);
	CHECK_OK(vas_event_accept(vas, 1, VAS_EVENT_FD_MAIN, fd));
	CHECK_EQ(vas_event_accept(vas, 1, VAS_EVENT_FD_MAIN, fd), -EEXIST);
	vas_destroy(vas);
}

/* Entries as a hostile peer, or an owner that died over one, leaves them. */
TEST(damaged_entries_are_passed_over_and_adopted_away)
{
	struct vas *vas = vas_new(), *adopter;
	struct vas_event event;
	uint32_t id;
	int fd;

	for (id = 1; id <= 4; id++) {
		event = doorbell(id);
		CHECK_OK(vas_event_add(vas, &event));
	}
	((struct vas_event_entry *)vas_extent(vas, VAS_EXT_EVENTS))[0].sequence |= 1;
	((struct vas_event_entry *)vas_extent(vas, VAS_EXT_EVENTS))[1].id = 4;
	memset(((struct vas_event_entry *)vas_extent(vas, VAS_EXT_EVENTS))[2].name, 'x', 24);
	CHECK_EQ(vas_events(vas, NULL, 0), 2); /* [1] and [3], both with the id 4 */
	CHECK_EQ(vas_event_find(vas, 1, &event), -ENOENT);
	fd = dup(vas_fd(vas));
	vas_unbind(vas);
	CHECK_OK(vas_bind(fd, VAS_BIND_ADOPT, &adopter));
	/* The first with the id stays, under the name that it has. */
	CHECK_EQ(vas_events(adopter, NULL, 0), 1);
	for (id = 1; id <= 5; id += 2) {
		event = doorbell(id);
		test_note("event %u", id);
		CHECK_OK(vas_event_add(adopter, &event));
	}
	CHECK_EQ(vas_events(adopter, NULL, 0), 4);
	vas_destroy(adopter);
}

struct race {
	struct vas *vas;
	int stop;
};

/* One place in the table, two events that take it in turn: no reader sees half of each. */
static void *changer(void *arg)
{
	struct race *race = arg;
	uint32_t id;

	while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED))
		for (id = 1; id <= 2; id++) {
			struct vas_event event = doorbell(id);

			if (vas_event_add(race->vas, &event) || vas_event_remove(race->vas, id))
				return race;
		}
	return NULL;
}

TEST(no_reader_sees_half_of_an_event)
{
	struct race race = { .vas = vas_new() };
	struct vas_event event, want;
	struct vas *binder;
	pthread_t thread;
	int seen = 0, i;
	void *failed;

	CHECK_OK(vas_bind(vas_fd(race.vas), 0, &binder));
	CHECK_EQ(pthread_create(&thread, NULL, changer, &race), 0);
	for (i = 0; i < 100000 || (!seen && i < 100000000); i++) {
		if (vas_events(binder, &event, 1) < 1)
			continue;
		want = doorbell(event.id);
		CHECK_MEM(&event, &want, sizeof(event));
		seen++;
	}
	__atomic_store_n(&race.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, &failed);
	CHECK(!failed);
	CHECK(seen);
	vas_unbind(binder);
	vas_destroy(race.vas);
}

/* ---- raising never sleeps ------------------------------------------------------------------ */

/* Whoever has the eventfd can do this: the next write to it would sleep. */
static void fill_up(int fd)
{
	CHECK_OK(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK));
	CHECK_OK(eventfd_write(fd, UINT64_MAX - 1));
}

static void raise_what_is_full(void)
{
	struct vas *vas = vas_new();
	const struct vas_event event = doorbell(1);
	int fd;

	CHECK_OK(vas_event_add(vas, &event));
	fd = vas_event_fd(vas, 1);
	/* More often than there are places for completions. */
	for (int i = 0; i < 1000; i++)
		CHECK_OK(vas_doorbell_ring(vas, 1));
	CHECK_EQ(vas_doorbell_wait(vas, 1, 0), 1000);
	fill_up(fd);
	for (int i = 0; i < 10; i++)
		CHECK_OK(vas_irq_raise(vas, 1));
	CHECK_EQ(vas_doorbell_wait(vas, 1, 0), INT64_MAX);
	CHECK_OK(vas_irq_raise(vas, 1));
	CHECK_EQ(vas_doorbell_wait(vas, 1, 0), 1);
	vas_destroy(vas);
}

TEST(raising_does_not_sleep_when_a_peer_fills_the_count)
{
	raise_what_is_full();
}

TEST(nor_does_it_in_a_process_that_has_no_aio)
{
	forbid(SYS_io_setup, -1, EPERM);
	raise_what_is_full();
}

TEST(a_child_raises_too)
{
	struct vas *vas = vas_new();
	const struct vas_event event = doorbell(1);
	int status;
	pid_t pid;

	CHECK_OK(vas_event_add(vas, &event));
	CHECK_OK(vas_doorbell_ring(vas, 1));
	pid = fork();
	if (!pid) {
		CHECK_OK(vas_doorbell_ring(vas, 1));
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(vas_doorbell_wait(vas, 1, 0), 2);
	vas_destroy(vas);
}
