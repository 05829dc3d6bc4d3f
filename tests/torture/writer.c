// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A process that writes: binds, writes with some threads, unbinds, and begins anew. */
#include <poll.h>
#include <pthread.h>

#include "tracking.h"

#define ROUND_NS 300000000ull

static const uint32_t bind_flags[] = { 0, 0, VAS_BIND_NO_WINDOW, VAS_BIND_FENCE };

struct writer {
	struct torture *t;
	struct vas *vas;
	uint64_t *beat;
	struct test_random random;
	uint64_t end_ns;
};

static void nap(struct writer *w, uint64_t up_to_ns)
{
	const struct timespec pause = { 0, (long)test_random_below(&w->random, up_to_ns) };

	if (!__atomic_load_n(&torture_doomed, __ATOMIC_RELAXED))
		ppoll(NULL, 0, &pause, NULL);
}

/* Frozen: everything else is a violation. */
static void expect_frozen(struct writer *w, const char *what, int err)
{
	if (!err)
		return;
	if (err != -EAGAIN)
		torture_violated(w->t, "%s: %s: %s", what, strerrorname_np(-err), vas_error());
	torture_count(&w->t->shared->nr_holes);
	err = vas_wait_thawed(w->vas, 5000000);
	if (err && err != -ETIMEDOUT && err != -EAGAIN)
		torture_violated(w->t, "thawed: %s: %s", strerrorname_np(-err), vas_error());
}

static uint64_t random_gpa(struct writer *w)
{
	return arena_page((unsigned int)test_random_below(&w->random, NR_ARENA_PAGES)) * PAGE;
}

static int write_in_section(struct writer *w, uint64_t gpa, uint64_t value)
{
	uint64_t *p;
	int err = vas_enter(w->vas);

	if (err)
		return err;
	p = vas_translate(w->vas, gpa, sizeof(*p), VAS_PROT_WRITE);
	if (p) {
		__atomic_store_n(p, value, __ATOMIC_RELAXED);
		if (test_random_below(&w->random, 4) == 0)
			nap(w, 5000000); /* a good time to be killed: written, and not marked */
		vas_mark(w->vas, gpa, sizeof(*p));
	}
	vas_leave(w->vas);
	return p ? 0 : -EAGAIN;
}

static void write_word(struct writer *w)
{
	uint64_t gpa = random_gpa(w) + test_random_below(&w->random, PAGE / 8) * 8;
	uint64_t value = test_random_next(&w->random);
	int err;

	torture_doom(w->t, SPARE_WRITER, &w->random, 50, 50000);

	switch (test_random_below(&w->random, 4)) {
	case 0:
		err = vas_write(w->vas, gpa, &value, sizeof(value), NULL);
		break;
	case 1:
		err = vas_store_le64(w->vas, gpa, value, __ATOMIC_RELEASE);
		break;
	case 2:
		err = vas_fill(w->vas, gpa, (uint8_t)value, sizeof(value), NULL);
		break;
	default:
		err = write_in_section(w, gpa, value);
	}
	expect_frozen(w, "write", err);
	torture_count(&w->t->shared->nr_writes);
}

/* Write through a map, and be quiet when asked; not at once, some of them. */
static void write_through(struct writer *w, struct vas_mapping *mapping)
{
	uint64_t *words = vas_mapping_addr(mapping);
	uint64_t writes = test_random_below(&w->random, 200);

	while (writes-- && !torture_stopped(w->t)) {
		while (vas_mapping_request(mapping) != VAS_REQUEST_NONE && !torture_stopped(w->t)) {
			vas_mapping_quiesce(mapping);
			nap(w, 1000000);
			torture_count(w->beat);
		}
		if (vas_mapping_request(mapping) == VAS_REQUEST_NONE)
			__atomic_store_n(&words[test_random_below(&w->random, PAGE / 8)],
					 test_random_next(&w->random), __ATOMIC_RELAXED);
		if (test_random_below(&w->random, 200) == 0)
			nap(w, 50000000);
	}
}

static void hold_map(struct writer *w)
{
	uint32_t flags = VAS_MAPPING_WRITE;
	struct vas_mapping *mapping;
	int err = vas_mapping_create(w->vas, random_gpa(w), PAGE, flags, &mapping);

	expect_frozen(w, "map", err);
	if (err)
		return;
	write_through(w, mapping);
	vas_mapping_destroy(mapping);
	torture_count(&w->t->shared->nr_maps);
}

static void *write_on(void *arg)
{
	struct writer *w = arg;

	while (!torture_stopped(w->t) && test_now_ns() < w->end_ns) {
		/* So slowly that what was lost is not had again at once by another write. */
		nap(w, 20000000);
		if (test_random_below(&w->random, 20) == 0)
			hold_map(w);
		else
			write_word(w);
		torture_count(w->beat);
	}
	return NULL;
}

static void run_threads(struct torture *t, struct vas *vas, unsigned int process,
			struct test_random *random)
{
	struct writer writers[MAX_THREADS];
	pthread_t threads[MAX_THREADS];
	unsigned int nr = t->options.threads;

	for (unsigned int i = 0; i < nr; i++) {
		writers[i] = (struct writer){
			.t = t,
			.vas = vas,
			.beat = &t->shared->beats[process][i],
			.random = { test_random_next(random) },
			.end_ns = test_now_ns() + ROUND_NS,
		};
		if (pthread_create(&threads[i], NULL, write_on, &writers[i]))
			torture_violated(t, "no thread");
	}
	for (unsigned int i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
}

void writer_run(struct torture *t, unsigned int process, uint64_t seed)
{
	uint32_t flags = bind_flags[process % (sizeof(bind_flags) / sizeof(bind_flags[0]))];
	struct test_random random = { seed };
	int fds = -1;

	while (!torture_stopped(t)) {
		struct vas *vas;
		int err = vas_bind(t->fd, flags, &vas);

		torture_count(&t->shared->beats[process][0]);
		if (err == -EAGAIN)
			continue;
		if (err)
			torture_violated(t, "bind: %s: %s", strerrorname_np(-err), vas_error());
		run_threads(t, vas, process, &random);
		vas_unbind(vas);
		if (fds < 0)
			fds = test_count_fds();
		if (test_count_fds() != fds)
			torture_violated(t, "leak: %d fds, were %d", test_count_fds(), fds);
	}
}
