// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Marking, beside one locked or and rust-vmm's AtomicBitmap. */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dirty.h"
#include "peer.h"

#define RAM	 (256ULL << 20)
#define NR_PAGES (RAM / VAS_PAGE_SIZE)

static struct {
	void *(*open)(size_t bytes);
	void (*close)(void *bitmap);
	uint64_t (*mark)(void *bitmap, const struct peer_gpas *at, uint64_t nr);
	void (*reset)(void *bitmap);
} rust;

static const char *rust_missing(void)
{
	char path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 20);
	char *slash;
	void *object;

	if (len < 0)
		return "no /proc";
	path[len] = '\0';
	slash = strrchr(path, '/');
	strcpy(slash + 1, "vm_memory_peer.so");
	object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!object)
		return "built without the vm-memory crate (librust-vm-memory-dev, cargo)";
	rust.open = dlsym(object, "vm_memory_bitmap_open");
	rust.close = dlsym(object, "vm_memory_bitmap_close");
	rust.mark = dlsym(object, "vm_memory_bitmap_mark");
	rust.reset = dlsym(object, "vm_memory_bitmap_reset");
	return rust.open && rust.close && rust.mark && rust.reset ?
		       NULL :
		       "vm_memory_peer.so lacks a symbol";
}

static uint64_t load_and_test(void *ctx, uint64_t nr)
{
	struct dirty *d = ctx;
	uint64_t clean = 0;

	for (uint64_t i = 0; i < nr; i++) {
		uint64_t page = d->gpas[i & (d->nr_gpas - 1)] / VAS_PAGE_SIZE;

		if (!(__atomic_load_n(&d->flat[page / 64], __ATOMIC_RELAXED) >> page % 64 & 1))
			clean++;
	}
	return clean;
}

static uint64_t mark_vas(void *ctx, uint64_t nr)
{
	/* Copies, or all would be loaded anew after each mark. */
	const struct dirty d = *(struct dirty *)ctx;

	if (vas_enter(d.vas))
		return 1;
	for (uint64_t i = 0; i < nr; i++)
		vas_mark(d.vas, d.gpas[i & (d.nr_gpas - 1)], 8);
	vas_leave(d.vas);
	return 0;
}

static uint64_t mark_rust(void *ctx, uint64_t nr)
{
	struct dirty *d = ctx;
	struct peer_gpas at = { .gpas = d->gpas, .mask = d->nr_gpas - 1 };

	return rust.mark(d->rust, &at, nr);
}

/* Each page once, all clean again after a pass: the cost of that is in all subjects. */
static uint64_t first_or(void *ctx, uint64_t nr)
{
	struct dirty *d = ctx;
	static uint64_t page;

	while (nr--) {
		if (page == NR_PAGES) {
			memset(d->flat, 0, NR_PAGES / 8);
			page = 0;
		}
		__atomic_fetch_or(&d->flat[page / 64], 1ULL << page % 64, __ATOMIC_SEQ_CST);
		page++;
	}
	return d->flat[0];
}

static uint64_t first_vas(void *ctx, uint64_t nr)
{
	const struct dirty d = *(struct dirty *)ctx;
	static uint64_t next;
	uint64_t page = next;

	while (nr) {
		uint64_t left = NR_PAGES - page < nr ? NR_PAGES - page : nr;

		if (!left) {
			memset(d.words, 0, d.log_size);
			page = 0;
			continue;
		}
		nr -= left;
		if (vas_enter(d.vas))
			return 1;
		for (; left; left--)
			vas_mark(d.vas, page++ * VAS_PAGE_SIZE, 8);
		vas_leave(d.vas);
	}
	next = page;
	return 0;
}

static uint64_t first_rust(void *ctx, uint64_t nr)
{
	struct dirty *d = ctx;
	static uint64_t page;

	while (nr) {
		struct peer_gpas at = { .gpas = d->gpas + page, .mask = ~0ULL };
		uint64_t left = NR_PAGES - page < nr ? NR_PAGES - page : nr;

		if (!left) {
			rust.reset(d->rust);
			page = 0;
			continue;
		}
		rust.mark(d->rust, &at, left);
		page += left;
		nr -= left;
	}
	return 0;
}

static void add_rust(struct bench_session *session, struct bench_case *bcase, struct dirty *d,
		     uint64_t (*run)(void *ctx, uint64_t nr))
{
	const char *missing = rust_missing();

	if (missing) {
		bench_skip(session, "vm-memory", missing);
		return;
	}
	if (!d->rust)
		d->rust = rust.open(d->size);
	d->close_rust = rust.close;
	bench_case_add(bcase, "vm-memory", run, d);
}

static int bench_again(struct bench_session *session, struct dirty *d)
{
	struct bench_case bcase = { .name = "mark/again" };

	for (uint64_t i = 0; i < d->nr_gpas; i++)
		d->gpas[i] = dirty_mix(i) % NR_PAGES * VAS_PAGE_SIZE;
	memset(d->flat, 0xff, NR_PAGES / 8);
	mark_vas(d, d->nr_gpas);
	bench_case_add(&bcase, BENCH_LIMIT, load_and_test, d);
	bench_case_add(&bcase, "vas", mark_vas, d);
	add_rust(session, &bcase, d, mark_rust);
	return bench_measure(session, &bcase);
}

static int bench_first(struct bench_session *session, struct dirty *d)
{
	struct bench_case bcase = { .name = "mark/first" };

	for (uint64_t i = 0; i < d->nr_gpas; i++)
		d->gpas[i] = i * VAS_PAGE_SIZE;
	bench_case_add(&bcase, BENCH_LIMIT, first_or, d);
	bench_case_add(&bcase, "vas", first_vas, d);
	add_rust(session, &bcase, d, first_rust);
	return bench_measure(session, &bcase);
}

struct rival {
	struct dirty *d;
	int stop;
};

static void *mark_on(void *arg)
{
	struct rival *rival = arg;

	while (!__atomic_load_n(&rival->stop, __ATOMIC_RELAXED))
		mark_vas(rival->d, 10000);
	return NULL;
}

/* All marks go to one word; a second thread marks it too, or does not. */
static int bench_one_word(struct bench_session *session, struct dirty *d, const char *name, int two)
{
	struct bench_case bcase = { .name = name };
	struct rival rival = { d, 0 };
	pthread_t thread;
	int ret = 0;

	for (uint64_t i = 0; i < d->nr_gpas; i++)
		d->gpas[i] = i % 64 * VAS_PAGE_SIZE;
	if (two)
		ret = -pthread_create(&thread, NULL, mark_on, &rival);
	if (ret)
		return ret;
	bench_case_add(&bcase, "vas", mark_vas, d);
	ret = bench_measure(session, &bcase);
	__atomic_store_n(&rival.stop, 1, __ATOMIC_RELAXED);
	if (two)
		pthread_join(thread, NULL);
	return ret;
}

int dirty_bench_marks(struct bench_session *session)
{
	static const char *const names[] = { "mark/again", "mark/first", "mark/one-word",
					     "mark/one-word-two-threads" };
	struct dirty d;
	int ret = dirty_open(&d, RAM, NR_PAGES);

	for (int i = 0; !ret && i < 4; i++) {
		if (!bench_wants(session, names[i]))
			continue;
		ret = i == 0 ? bench_again(session, &d) :
		      i == 1 ? bench_first(session, &d) :
			       bench_one_word(session, &d, names[i], i == 3);
	}
	dirty_close(&d);
	return ret;
}
