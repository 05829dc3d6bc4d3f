// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A process that uses the vas: binds, works with some threads, unbinds, and begins anew. */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "torture.h"

#define MAX_READ 4u /* pages */
#define ROUND_NS 300000000ull

/* How this process binds, by its number. */
static const uint32_t bind_flags[] = {
	0,
	0,
	VAS_BIND_NO_WINDOW,
	VAS_BIND_OBSERVE,
	VAS_BIND_FENCE,
	VAS_BIND_OBSERVE | VAS_BIND_NO_WINDOW,
};

struct worker {
	struct torture *t;
	struct vas *vas;
	uint64_t *beat;
	struct test_random random;
	uint64_t end_ns;
	int observes;
};

int torture_bind(struct torture *t, uint32_t flags, struct vas **vas)
{
	int err = vas_bind(t->fd, flags, vas);

	for (unsigned int i = 1; !err && i <= NR_BACKINGS; i++) {
		int nr = vas_backing_offer(*vas, t->files[i]);

		if (nr == (int)i)
			continue;
		vas_unbind(*vas);
		err = nr < 0 ? nr : -EXDEV;
	}
	return err;
}

/* A hole, or too many changes at once: everything else is a violation. */
static void expect_clean(struct worker *w, const char *what, int err)
{
	if (err != -EFAULT && err != -EAGAIN)
		torture_violated(w->t, "%s: %s: %s", what, strerrorname_np(-err), vas_error());
	torture_count(&w->t->shared->nr_holes);
}

static void check_pages(struct worker *w, const char *what, const struct page *pages, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		const char *wrong = page_check(&pages[i]);

		if (!wrong && i)
			wrong = page_check_next(&pages[i - 1], &pages[i]);
		if (wrong)
			torture_violated(w->t, "%s: %s (page %zu of %zu, tag %#llx)", what, wrong,
					 i + 1, nr, (unsigned long long)pages[i].tag);
	}
}

static uint64_t random_page(struct worker *w)
{
	return test_random_below(&w->random, LIMIT_PAGES) * PAGE;
}

static void read_some(struct worker *w)
{
	static __thread struct page pages[MAX_READ];
	size_t nr = 1 + test_random_below(&w->random, MAX_READ), done;
	int err = vas_read(w->vas, random_page(w), pages, nr * PAGE, &done);

	if (err)
		expect_clean(w, "read", err);
	check_pages(w, w->observes ? "observe" : "read", pages, done / PAGE);
	torture_count(w->observes ? &w->t->shared->nr_observed : &w->t->shared->nr_reads);
}

/* Now and then one is slower than the owner's patience, so that changes are rolled back. */
static int dawdle(struct worker *w, unsigned int one_in)
{
	const struct timespec nap = { 0, (long)test_random_below(&w->random, 30000000) };

	if (test_random_below(&w->random, one_in))
		return 0;
	ppoll(NULL, 0, &nap, NULL);
	return 1;
}

/* In one section: the pointer, what is there, and a note that belongs to it. */
static void write_note(struct worker *w)
{
	uint64_t gpa = random_page(w), place = test_random_below(&w->random, 256);
	struct page *page;
	int err = vas_enter(w->vas);

	if (err) {
		expect_clean(w, "enter", err);
		return;
	}
	page = vas_translate(w->vas, gpa, PAGE, VAS_PROT_WRITE);
	if (page) {
		uint64_t tag = __atomic_load_n(&page->tag, __ATOMIC_RELAXED);
		uint32_t number = (uint32_t)test_random_next(&w->random);

		dawdle(w, 500);
		__atomic_store_n(&page->notes[place], page_note(tag, number), __ATOMIC_RELAXED);
		/* What was found stays until the end of the section. */
		if (__atomic_load_n(&page->tag, __ATOMIC_RELAXED) != tag)
			torture_violated(w->t, "section: the page changed under it");
		torture_count(&w->t->shared->nr_writes);
	}
	vas_leave(w->vas);
}

static void load_field(struct worker *w)
{
	uint64_t val;
	int err = vas_load_le64(w->vas, random_page(w), &val, __ATOMIC_ACQUIRE);

	if (err)
		expect_clean(w, "load", err);
	else if (!val || val == 0xddddddddddddddddull)
		torture_violated(w->t, "load: a page without a tag (%#llx)",
				 (unsigned long long)val);
	torture_count(&w->t->shared->nr_reads);
}

/* Hold a map for a while, or until it is asked back. What is in it does not change. */
static void check_map(struct worker *w, const struct page *mapped, const struct page *pages,
		      size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		uint64_t tag = __atomic_load_n(&mapped[i].tag, __ATOMIC_RELAXED);

		if (tag != pages[i].tag)
			torture_violated(w->t, "map: what it holds changed (tag %#llx, now %#llx)",
					 (unsigned long long)pages[i].tag, (unsigned long long)tag);
	}
}

static void hold_map(struct worker *w)
{
	size_t nr = 1 + test_random_below(&w->random, MAX_READ);
	uint64_t looks = test_random_below(&w->random, 200);
	static __thread struct page pages[MAX_READ];
	struct vas_mapping *mapping;
	const struct page *mapped;
	int err = vas_mapping_create(w->vas, random_page(w), nr * PAGE, 0, &mapping);

	if (err) {
		expect_clean(w, "map", err);
		return;
	}
	mapped = vas_mapping_addr(mapping);
	vas_copy_bytes(pages, mapped, nr * PAGE);
	check_pages(w, "map", pages, nr);
	while (looks-- && vas_mapping_request(mapping) == VAS_REQUEST_NONE)
		check_map(w, mapped, pages, nr);
	if (dawdle(w, 30)) /* whether it was asked or not */
		check_map(w, mapped, pages, nr);
	vas_mapping_destroy(mapping);
	torture_count(&w->t->shared->nr_maps);
}

/* More threads than processors: who always runs is mostly preempted, and for long, in a section. */
static void rest(struct worker *w)
{
	const struct timespec nap = { 0, (long)test_random_below(&w->random, 200000) };

	if (test_random_below(&w->random, 8) == 0)
		ppoll(NULL, 0, &nap, NULL);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	while (!torture_stopped(w->t) && test_now_ns() < w->end_ns) {
		rest(w);
		switch (test_random_below(&w->random, w->observes ? 4 : 8)) {
		case 0:
			load_field(w);
			break;
		case 4:
		case 5:
			write_note(w);
			break;
		case 6:
			hold_map(w);
			break;
		default:
			read_some(w);
		}
		torture_count(w->beat);
	}
	return NULL;
}

static void run_threads(struct torture *t, struct vas *vas, unsigned int process,
			struct test_random *random)
{
	struct worker workers[MAX_THREADS];
	pthread_t threads[MAX_THREADS];
	unsigned int nr = t->options.threads;

	for (unsigned int i = 0; i < nr; i++) {
		struct vas_info info;

		if (vas_info(vas, &info))
			info.role = VAS_ROLE_BINDER;
		workers[i] = (struct worker){
			.t = t,
			.vas = vas,
			.beat = &t->shared->beats[process][i],
			.random = { test_random_next(random) },
			.end_ns = test_now_ns() + ROUND_NS,
			.observes = info.role == VAS_ROLE_OBSERVER,
		};
		if (pthread_create(&threads[i], NULL, work, &workers[i]))
			torture_violated(t, "no thread");
	}
	for (unsigned int i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
}

void worker_run(struct torture *t, unsigned int process, uint64_t seed)
{
	uint32_t flags = bind_flags[process % (sizeof(bind_flags) / sizeof(bind_flags[0]))];
	struct test_random random = { seed };
	int fds = -1, maps = 0;

	while (!torture_stopped(t)) {
		struct vas *vas;
		int err = torture_bind(t, flags, &vas);

		torture_count(&t->shared->beats[process][0]);
		if (err == -EAGAIN)
			continue; /* changes came too fast, or no place is free: both pass */
		if (err)
			torture_violated(t, "bind: %s: %s", strerrorname_np(-err), vas_error());
		run_threads(t, vas, process, &random);
		vas_unbind(vas);
		if (fds < 0) { /* what stays for good is there after the first round */
			fds = test_count_fds();
			maps = test_count_maps();
		}
		if (test_count_fds() != fds)
			torture_violated(t, "leak: %d fds, were %d", test_count_fds(), fds);
		if (!TEST_SANITIZED && test_count_maps() > maps + 32)
			torture_violated(t, "leak: %d maps, were %d", test_count_maps(), maps);
	}
}
