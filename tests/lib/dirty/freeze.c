// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Frozen, nobody writes; or nothing is frozen and the reason is known. */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/access.h>
#include <vas/consumer.h>

#include "tests/harness.h"
#include "tests/lib/dirty/shadow.h"

#define SIZE	 (4ull << 20)
#define SHORT_NS 50000000ull

TEST(writers_are_turned_away_until_thaw)
{
	struct vas *vas = shadow_vas(SIZE), *binder;
	struct vas_mapping *mapping;
	char byte;

	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	CHECK_OK(vas_write(binder, 0, "a", 1, NULL));
	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	CHECK_EQ(vas_freeze(vas, SHORT_NS, NULL), -EALREADY);
	CHECK_EQ(vas_write(binder, 0, "b", 1, NULL), -EAGAIN);
	CHECK_EQ(vas_write(vas, 0, "b", 1, NULL), -EAGAIN);
	CHECK_EQ(vas_mapping_create(binder, 0, 4096, VAS_MAPPING_WRITE, &mapping), -EAGAIN);
	CHECK_EQ(vas_wait_thawed(binder, 1000), -ETIMEDOUT);
	CHECK_OK(vas_read(binder, 0, &byte, 1, NULL));
	CHECK_EQ(byte, 'a');
	CHECK_OK(vas_thaw(vas));
	CHECK_EQ(vas_thaw(vas), -EINVAL);
	CHECK_OK(vas_wait_thawed(binder, 0));
	CHECK_OK(vas_write(binder, 0, "b", 1, NULL));
	CHECK_EQ(vas_freeze(binder, SHORT_NS, NULL), -EPERM);
	vas_unbind(binder);
	vas_destroy(vas);
}

static void *thaw(void *vas)
{
	CHECK_OK(vas_thaw(vas));
	return NULL;
}

TEST(who_waits_for_thaw_is_woken)
{
	struct vas *vas = shadow_vas(SIZE);
	pthread_t thread;

	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	CHECK_EQ(pthread_create(&thread, NULL, thaw, vas), 0);
	CHECK_OK(vas_wait_thawed(vas, TEST_HANG_NS));
	pthread_join(thread, NULL);
	vas_destroy(vas);
}

ROLE(stuck_in_a_section)
{
	struct vas *vas;

	CHECK_OK(vas_recv_fds(sock, 0, &vas));
	CHECK_OK(vas_enter(vas));
	CHECK_EQ(write(sock, "r", 1), 1);
	CHECK_EQ(read(sock, &(char){ 0 }, 1), 1);
	vas_leave(vas);
	CHECK_EQ(write(sock, "r", 1), 1);
	CHECK_EQ(read(sock, &(char){ 0 }, 1), 1);
	vas_unbind(vas);
	return 0;
}

TEST(a_stuck_section_is_named_and_nothing_is_frozen)
{
	struct vas *vas = shadow_vas(SIZE);
	struct vas_blocker blocker;
	int sock;
	pid_t pid = test_spawn("stuck_in_a_section", &sock);

	CHECK_OK(vas_send_fds(vas, sock, 0));
	CHECK_EQ(read(sock, &(char){ 0 }, 1), 1);
	CHECK_EQ(vas_freeze(vas, SHORT_NS, &blocker), -EBUSY);
	CHECK_EQ(blocker.kind, VAS_BLOCKER_SECTION);
	CHECK_EQ(blocker.pid, pid);
	CHECK_HAS(vas_error(), "section");
	CHECK_OK(vas_write(vas, 0, "a", 1, NULL));
	CHECK_EQ(write(sock, "g", 1), 1);
	CHECK_EQ(read(sock, &(char){ 0 }, 1), 1);
	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, &blocker));
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	vas_destroy(vas);
}

TEST(a_dead_writer_does_not_hinder)
{
	struct vas *vas = shadow_vas(SIZE);
	int sock;
	pid_t pid = test_spawn("stuck_in_a_section", &sock);

	CHECK_OK(vas_send_fds(vas, sock, 0));
	CHECK_EQ(read(sock, &(char){ 0 }, 1), 1);
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	vas_destroy(vas);
}

static void *be_quiet(void *mapping)
{
	while (vas_mapping_request(mapping) != VAS_REQUEST_QUIESCE)
		;
	CHECK_OK(vas_mapping_quiesce(mapping));
	return NULL;
}

TEST(a_writable_map_is_asked_for_quiet)
{
	struct vas *vas = shadow_vas(SIZE);
	struct vas_blocker blocker;
	struct vas_mapping *mapping, *reader;
	pthread_t thread;

	CHECK_OK(vas_mapping_create(vas, 0, 4096, 0, &reader));
	CHECK_OK(vas_mapping_create(vas, 8192, 4096, VAS_MAPPING_WRITE, &mapping));
	CHECK_EQ(vas_freeze(vas, SHORT_NS, &blocker), -EBUSY);
	CHECK_EQ(blocker.kind, VAS_BLOCKER_PIN);
	CHECK_EQ(blocker.gpa, 8192);
	CHECK_EQ(vas_mapping_request(mapping), VAS_REQUEST_NONE);
	CHECK_EQ(pthread_create(&thread, NULL, be_quiet, mapping), 0);
	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, &blocker));
	pthread_join(thread, NULL);
	CHECK_EQ(vas_mapping_request(mapping), VAS_REQUEST_QUIESCE);
	CHECK_EQ(vas_mapping_request(reader), VAS_REQUEST_NONE);
	CHECK_OK(vas_thaw(vas));
	CHECK_EQ(vas_mapping_request(mapping), VAS_REQUEST_NONE);
	vas_mapping_destroy(mapping);
	vas_mapping_destroy(reader);
	vas_destroy(vas);
}

/* ---- consumers ---------------------------------------------------------------------------- */

struct fake {
	struct vas_consumer head;
	int frozen;
	int refuses;
};

static int fake_freeze(struct vas_consumer *c, enum vas_freeze_reason reason, uint64_t deadline_ns)
{
	struct fake *fake = (struct fake *)c;

	(void)deadline_ns;
	CHECK_EQ(reason, VAS_FREEZE_WRITERS);
	if (fake->refuses)
		return -EIO;
	fake->frozen++;
	return 0;
}

static void fake_thaw(struct vas_consumer *c, enum vas_freeze_reason reason)
{
	CHECK_EQ(reason, VAS_FREEZE_WRITERS);
	((struct fake *)c)->frozen--;
}

static const struct vas_consumer_ops fake_ops = {
	.name = "fake",
	.prepare = shadow_prepare,
	.commit = shadow_commit,
	.abort = shadow_abort,
	.freeze = fake_freeze,
	.thaw = fake_thaw,
};

TEST(consumers_freeze_together_or_not_at_all)
{
	struct fake second = { .head.ops = &fake_ops, .refuses = 1 };
	struct fake first = { .head.ops = &fake_ops };
	struct vas *vas = shadow_vas(SIZE);
	struct vas_blocker blocker;

	CHECK_OK(vas_consumer_attach(vas, &first.head, TEST_HANG_NS, NULL));
	CHECK_OK(vas_consumer_attach(vas, &second.head, TEST_HANG_NS, NULL));
	CHECK_EQ(vas_freeze(vas, SHORT_NS, &blocker), -EIO);
	CHECK_EQ(blocker.kind, VAS_BLOCKER_CONSUMER);
	CHECK_STR(blocker.name, "fake");
	CHECK_EQ(first.frozen, 0);
	CHECK_OK(vas_write(vas, 0, "a", 1, NULL));
	second.refuses = 0;
	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, &blocker));
	CHECK_EQ(first.frozen + second.frozen, 2);
	CHECK_OK(vas_thaw(vas));
	CHECK_EQ(first.frozen + second.frozen, 0);
	vas_destroy(vas);
}

/* And thawed as it leaves: it is as it was when it came. */
TEST(who_comes_to_a_frozen_vas_is_frozen)
{
	struct fake fake = { .head.ops = &fake_ops };
	struct vas *vas = shadow_vas(SIZE);

	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	CHECK_OK(vas_consumer_attach(vas, &fake.head, TEST_HANG_NS, NULL));
	CHECK_EQ(fake.frozen, 1);
	vas_consumer_detach(&fake.head);
	CHECK_EQ(fake.frozen, 0);
	CHECK_OK(vas_consumer_attach(vas, &fake.head, TEST_HANG_NS, NULL));
	CHECK_OK(vas_thaw(vas));
	CHECK_EQ(fake.frozen, 0);
	vas_destroy(vas);
}

ROLE(freezes_and_dies)
{
	struct vas *vas = shadow_vas(SIZE);

	CHECK_OK(vas_send_fds(vas, sock, 0));
	CHECK_EQ(read(sock, &(char){ 0 }, 1), 1);
	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	raise(SIGKILL);
	return 1;
}

TEST(an_adopter_finds_it_thawed)
{
	struct vas_mapping *mapping;
	struct vas *vas, *owner;
	pthread_t thread;
	int sock;
	pid_t pid = test_spawn("freezes_and_dies", &sock);

	CHECK_OK(vas_recv_fds(sock, 0, &vas));
	CHECK_OK(vas_mapping_create(vas, 0, 4096, VAS_MAPPING_WRITE, &mapping));
	CHECK_EQ(pthread_create(&thread, NULL, be_quiet, mapping), 0);
	CHECK_EQ(write(sock, "g", 1), 1);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	pthread_join(thread, NULL);
	CHECK_EQ(vas_write(vas, 0, "a", 1, NULL), -EAGAIN);
	CHECK_OK(vas_bind(vas_fd(vas), VAS_BIND_ADOPT, &owner));
	CHECK_OK(vas_write(vas, 0, "a", 1, NULL));
	CHECK_EQ(vas_mapping_request(mapping), VAS_REQUEST_NONE);
	vas_mapping_destroy(mapping);
	vas_unbind(vas);
	vas_destroy(owner);
}
