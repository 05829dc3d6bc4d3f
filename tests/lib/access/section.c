// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <pthread.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/lib/simple_vas.h"

/* A thread that stays in a section until it is told to leave. */
struct sitter {
	struct vas *vas;
	sem_t inside, leave;
	pthread_t thread;
	pid_t tid;
	int err;
};

static void *sit(void *arg)
{
	struct sitter *s = arg;

	s->tid = (pid_t)syscall(SYS_gettid);
	s->err = vas_enter(s->vas);
	sem_post(&s->inside);
	sem_wait(&s->leave);
	if (!s->err)
		vas_leave(s->vas);
	return NULL;
}

static void sitter_start(struct sitter *s, struct vas *vas)
{
	s->vas = vas;
	sem_init(&s->inside, 0, 0);
	sem_init(&s->leave, 0, 0);
	CHECK_EQ(pthread_create(&s->thread, NULL, sit, s), 0);
	sem_wait(&s->inside);
	CHECK_OK(s->err);
}

static void sitter_stop(struct sitter *s)
{
	sem_post(&s->leave);
	pthread_join(s->thread, NULL);
}

static int remove_region(struct vas *vas, uint64_t id, uint64_t timeout_ns,
			 struct vas_blocker *blocker)
{
	struct vas_layout *layout;

	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_remove(layout, id));
	return vas_layout_commit(layout, timeout_ns, blocker);
}

TEST(sections_nest)
{
	struct vas *vas = simple_vas();
	uint64_t id = simple_add(vas, 1, 1);

	for (int i = 0; i < 5; i++)
		CHECK_OK(vas_enter(vas));
	for (int i = 0; i < 5; i++) {
		CHECK(vas_translate(vas, PAGE, 8, VAS_PROT_WRITE));
		vas_leave(vas);
	}
	CHECK_OK(vas_region_remove(vas, id));
	vas_destroy(vas);
}

TEST(sections_of_registered_threads_nest_with_the_others)
{
	struct vas *vas = simple_vas();
	uint64_t id = simple_add(vas, 1, 1);
	struct vas_thread *thread = vas_thread_register(vas);
	struct vas_layout *layout;

	CHECK_OK(vas_enter_registered(vas, thread));
	CHECK_OK(vas_enter(vas));
	vas_leave_registered(vas, thread);
	CHECK(vas_translate(vas, PAGE, 8, VAS_PROT_WRITE));
	vas_leave(vas);
	CHECK_OK(vas_enter(vas));
	CHECK_OK(vas_enter_registered(vas, thread));
	vas_leave(vas);
	CHECK_EQ(vas_layout_begin(vas, &layout), -EDEADLK); /* inside still */
	vas_leave_registered(vas, thread);
	CHECK_OK(vas_region_remove(vas, id));
	vas_destroy(vas);
}

static void *register_thread(void *vas)
{
	return vas_thread_register(vas)->slot;
}

TEST(a_registration_is_its_threads_own)
{
	struct vas *vas = simple_vas(), *many[VAS_FAST_HANDLES];
	struct vas_thread *mine = vas_thread_register(vas);
	pthread_t thread;
	void *their_slot;

	CHECK(mine->slot && mine == vas_thread_register(vas));
	CHECK_EQ(pthread_create(&thread, NULL, register_thread, vas), 0);
	CHECK_EQ(pthread_join(thread, &their_slot), 0);
	CHECK(their_slot && their_slot != mine->slot);
	/* Handles that are one too many have sections as well. */
	for (int i = 0; i < VAS_FAST_HANDLES; i++)
		CHECK_OK(vas_bind(vas_fd(vas), 0, &many[i]));
	mine = vas_thread_register(many[VAS_FAST_HANDLES - 1]);
	CHECK_EQ(mine->slot, NULL);
	CHECK_OK(vas_enter_registered(many[VAS_FAST_HANDLES - 1], mine));
	vas_leave_registered(many[VAS_FAST_HANDLES - 1], mine);
	CHECK_EQ(mine->slot, NULL);
	for (int i = 0; i < VAS_FAST_HANDLES; i++)
		vas_unbind(many[i]);
	vas_destroy(vas);
}

/* Not before its deadline, and within 10 ms of it: as soon as the machine is not too busy for that. */
TEST(a_thread_that_stays_inside_is_named_at_the_deadline)
{
	const uint64_t timeout_ns = 50000000;
	struct vas *vas = simple_vas(), *binder;
	uint64_t id = simple_add(vas, 1, 1), best = UINT64_MAX;
	struct vas_blocker blocker;
	struct sitter s;
	uint8_t byte;

	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	sitter_start(&s, binder);
	while (best > 10000000) {
		uint64_t start = test_now_ns(), took;

		memset(&blocker, 0, sizeof(blocker));
		CHECK_EQ(remove_region(vas, id, timeout_ns, &blocker), -EBUSY);
		took = test_now_ns() - start;
		CHECK(took >= timeout_ns);
		best = took - timeout_ns < best ? took - timeout_ns : best;
		CHECK_EQ(blocker.kind, VAS_BLOCKER_SECTION);
		CHECK_EQ(blocker.pid, getpid());
		CHECK_EQ(blocker.tid, s.tid);
		CHECK_EQ(blocker.gpa, PAGE);
		CHECK_EQ(blocker.size, PAGE);
		/* The old layout stands. */
		CHECK_OK(vas_read(vas, PAGE, &byte, 1, NULL));
		CHECK_OK(vas_read(binder, PAGE, &byte, 1, NULL));
	}
	sitter_stop(&s);
	CHECK_OK(remove_region(vas, id, timeout_ns, &blocker));
	CHECK_EQ(vas_read(binder, PAGE, &byte, 1, NULL), -EFAULT);
	vas_unbind(binder);
	vas_destroy(vas);
}

TEST(a_pointer_holds_until_the_end_of_its_section)
{
	struct vas *vas = simple_vas(), *binder;
	struct vas_region region = simple_region(1, 1);
	uint64_t id;
	char *p;

	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	for (int i = 0; i < 50; i++) {
		CHECK_OK(vas_region_add(vas, &region, &id));
		CHECK_OK(vas_write(vas, PAGE, "old", 3, NULL));
		CHECK_OK(vas_enter(binder));
		p = vas_translate(binder, PAGE, 3, VAS_PROT_READ);
		CHECK(p);
		CHECK_EQ(remove_region(vas, id, 100000, NULL), -EBUSY);
		CHECK_MEM(p, "old", 3);
		vas_leave(binder);
		CHECK_OK(vas_region_remove(vas, id));
	}
	vas_unbind(binder);
	vas_destroy(vas);
}

struct committer {
	struct vas *vas;
	uint64_t id, gpa;
	int err;
};

static void *commit_move(void *arg)
{
	struct committer *c = arg;
	struct vas_layout *layout;

	c->err = vas_layout_begin(c->vas, &layout);
	if (!c->err)
		c->err = vas_layout_move(layout, c->id, c->gpa);
	if (!c->err)
		c->err = vas_layout_commit(layout, 2000000000, NULL);
	return NULL;
}

static int is_there(struct vas *vas, uint64_t gpa)
{
	uint8_t byte;

	return vas_read(vas, gpa, &byte, 1, NULL) == 0;
}

/*
 * A change fails, and one who saw it for a moment sees the old layout again while a third is in it
 * still: what the three generations map, and unmap, is not in each other's way.
 */
TEST(a_region_that_comes_back_stays)
{
	struct vas *vas = simple_vas(), *binder;
	struct vas_region region = simple_region(1, 1);
	struct committer c = { .vas = vas, .gpa = 9 * PAGE };
	struct vas_info info;
	struct sitter s;
	pthread_t thread;
	char buf[4];

	region.offset = 5 * PAGE; /* elsewhere in the file: a mapping of its own */
	CHECK_OK(vas_region_add(vas, &region, &c.id));
	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	CHECK_OK(vas_write(binder, PAGE, "mine", 4, NULL));
	sitter_start(&s, binder);
	CHECK_EQ(pthread_create(&thread, NULL, commit_move, &c), 0);
	while (!is_there(binder, 9 * PAGE))
		; /* at its deadline the change is undone: then this would not end, but the alarm would */
	pthread_join(thread, NULL);
	CHECK_EQ(c.err, -EBUSY);
	CHECK(is_there(binder, PAGE));
	CHECK(!is_there(binder, 9 * PAGE));
	sitter_stop(&s);
	CHECK_OK(vas_info(binder, &info)); /* old views go */
	CHECK_OK(vas_read(binder, PAGE, buf, sizeof(buf), NULL));
	CHECK_MEM(buf, "mine", 4);
	vas_unbind(binder);
	vas_destroy(vas);
}

/* Mapped while it was there for a moment: the owner asks for it before it gives the memory back. */
TEST(a_map_of_a_change_that_failed_is_asked_back)
{
	struct vas *vas = simple_vas(), *binder;
	struct vas_mapping *mapping;
	struct vas_blocker blocker;
	struct committer c = { .vas = vas, .gpa = 9 * PAGE };
	struct vas_region region = simple_region(1, 1);
	struct sitter s;
	pthread_t thread;
	uint64_t id;

	region.offset = 9 * PAGE;
	CHECK_OK(vas_region_add(vas, &region, &c.id));
	id = simple_add(vas, 20, 1);
	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	sitter_start(&s, binder);
	CHECK_EQ(pthread_create(&thread, NULL, commit_move, &c), 0);
	while (vas_mapping_create(binder, 9 * PAGE, PAGE, 0, &mapping))
		;
	pthread_join(thread, NULL);
	CHECK_EQ(c.err, -EBUSY);
	sitter_stop(&s);
	CHECK_EQ(remove_region(vas, id, 10000000, &blocker), -EBUSY);
	CHECK_EQ(blocker.kind, VAS_BLOCKER_PIN);
	CHECK_EQ(blocker.gpa, 9 * PAGE);
	vas_mapping_destroy(mapping);
	CHECK_OK(remove_region(vas, id, TEST_HANG_NS, &blocker));
	vas_unbind(binder);
	vas_destroy(vas);
}

/* A section that began after the change does not hold it up. */
TEST(what_only_adds_waits_for_nobody)
{
	struct vas *vas = simple_vas(), *binder;
	struct sitter s;

	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	sitter_start(&s, binder);
	for (uint64_t i = 0; i < 10; i++)
		simple_add(vas, 2 * i, 1);
	sitter_stop(&s);
	vas_unbind(binder);
	vas_destroy(vas);
}

#define NR_SLOTS 12

/* Each thread in a section has a slot; one too many is told so; an ended thread's comes back. */
TEST(slots_come_back_when_threads_end)
{
	const struct vas_options options = { .limit = 1 << 20, .nr_slots = NR_SLOTS };
	struct sitter sitters[NR_SLOTS];
	struct vas_info info;
	struct vas *vas;

	CHECK_OK(vas_create(&options, &vas));
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < NR_SLOTS; i++)
			sitter_start(&sitters[i], vas);
		CHECK_OK(vas_info(vas, &info));
		CHECK_EQ(info.nr_threads, NR_SLOTS);
		CHECK_EQ(vas_enter(vas), -EAGAIN);
		CHECK_HAS(vas_error(), "12 thread slots");
		for (int i = 0; i < NR_SLOTS; i++)
			sitter_stop(&sitters[i]);
	}
	CHECK_OK(vas_info(vas, &info));
	CHECK_EQ(info.nr_threads, 0);
	CHECK_OK(vas_enter(vas));
	vas_leave(vas);
	vas_destroy(vas);
}

#define NR_HANDLES 80

/* A thread has quick ties to some handles; to as many more, slower ones that do the same. */
TEST(a_thread_uses_many_handles_at_once)
{
	struct vas *vas = simple_vas(), *handles[NR_HANDLES];
	uint64_t id = simple_add(vas, 1, 1), val;

	for (uint64_t i = 0; i < NR_HANDLES; i++)
		CHECK_OK(vas_bind(vas_fd(vas), i % 3 ? 0 : VAS_BIND_FENCE, &handles[i]));
	for (uint64_t i = 0; i < NR_HANDLES; i++) {
		CHECK_OK(vas_enter(handles[i]));
		CHECK_OK(vas_store_le64(handles[i], PAGE, i, __ATOMIC_RELAXED));
		CHECK_OK(vas_read(handles[NR_HANDLES - 1 - i], PAGE, &val, 8, NULL));
		CHECK_EQ(val, i);
	}
	CHECK_EQ(remove_region(vas, id, 1000000, NULL), -EBUSY);
	for (uint64_t i = 0; i < NR_HANDLES; i++) {
		CHECK(vas_translate(handles[i], PAGE, 8, VAS_PROT_WRITE));
		vas_leave(handles[i]);
	}
	CHECK_OK(vas_region_remove(vas, id));
	for (uint64_t i = 0; i < NR_HANDLES; i++) {
		CHECK_EQ(vas_read(handles[i], PAGE, &val, 8, NULL), -EFAULT);
		vas_unbind(handles[i]);
	}
	vas_destroy(vas);
}

TEST(a_cache_follows_the_layout)
{
	struct vas_cache cache = { 0 };
	struct vas *vas = simple_vas(), *binder;
	uint64_t id = simple_add(vas, 1, 2);
	char *p;

	CHECK_OK(vas_bind(vas_fd(vas), VAS_BIND_NO_WINDOW, &binder));
	CHECK_OK(vas_enter(binder));
	p = vas_translate_cached(binder, &cache, PAGE, 8, VAS_PROT_READ);
	CHECK(p);
	CHECK(vas_translate_cached(binder, &cache, 2 * PAGE + 8, 8, VAS_PROT_WRITE) ==
	      p + PAGE + 8);
	CHECK(!vas_translate_cached(binder, &cache, 3 * PAGE - 4, 8, VAS_PROT_READ));
	CHECK(!vas_translate_cached(binder, &cache, PAGE, ~0ull, VAS_PROT_READ));
	CHECK(!vas_translate_cached(binder, &cache, PAGE, 0, VAS_PROT_READ));
	CHECK(!vas_translate_cached(binder, &cache, 0, 8, VAS_PROT_READ));
	vas_leave(binder);
	CHECK_OK(vas_region_move(vas, id, 5 * PAGE));
	CHECK_OK(vas_enter(binder));
	CHECK(!vas_translate_cached(binder, &cache, PAGE, 8, VAS_PROT_READ));
	CHECK(vas_translate_cached(binder, &cache, 5 * PAGE, 8, VAS_PROT_READ));
	vas_leave(binder);
	vas_unbind(binder);
	vas_destroy(vas);
}

TEST(a_cache_knows_what_is_read_only)
{
	struct vas_region rom = simple_region(1, 1);
	struct vas_cache cache = { 0 };
	struct vas *vas = simple_vas();

	rom.flags = VAS_REGION_READONLY;
	CHECK_OK(vas_region_add(vas, &rom, NULL));
	CHECK_OK(vas_enter(vas));
	CHECK(vas_translate_cached(vas, &cache, PAGE, 8, VAS_PROT_READ));
	CHECK(!vas_translate_cached(vas, &cache, PAGE, 8, VAS_PROT_WRITE));
	CHECK(vas_translate_cached(vas, &cache, PAGE, 8, VAS_PROT_READ));
	vas_leave(vas);
	vas_destroy(vas);
}
