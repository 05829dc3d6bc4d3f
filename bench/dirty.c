// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The dirty log: marking, beside one locked or and rust-vmm's AtomicBitmap; harvesting, beside a flat scan. */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vas/access.h>
#include <vas/consumer.h>
#include <vas/dirty.h>

#include "harness.h"
#include "peer.h"

#define RAM	   (256ULL << 20)
#define NR_PAGES   (RAM / VAS_PAGE_SIZE)
#define HUGE_LIMIT (12ULL << 40)
#define NR_SPARSE  1000
#define HALF_LIMIT (4ULL << 30)
#define HALF_WORDS (HALF_LIMIT / VAS_PAGE_SIZE / 64)

struct dirty {
	struct vas *vas;
	struct vas_dirty *tracker;
	uint64_t size;
	uint64_t *flat; /* a bitmap of the limit's own */
	uint64_t *copy; /* where its scan moves words to */
	uint64_t *gpas; /* nr_gpas, a power of two, or all of the sparse case's, or none: half of all */
	uint64_t nr_gpas;
	void *rust;
	/* The vas's own log, to set or clear it without marking or harvesting. */
	uint64_t *words;
	size_t log_size;
};

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
	return rust.open && rust.close && rust.mark && rust.reset ? NULL :
								    "vm_memory_peer.so lacks a symbol";
}

/* ---- marking ------------------------------------------------------------------------------ */

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

/* ---- harvesting --------------------------------------------------------------------------- */

static void mark_some(struct dirty *d)
{
	if (vas_enter(d->vas))
		return;
	for (uint64_t i = 0; i < d->nr_gpas; i++)
		vas_mark(d->vas, d->gpas[i], 8);
	vas_leave(d->vas);
}

static uint64_t marks_alone(void *ctx, uint64_t nr)
{
	struct dirty *d = ctx;

	/* They have to be first marks, as the harvest's are: on a bitmap without levels. */
	while (nr--)
		for (uint64_t i = 0; i < d->nr_gpas; i++) {
			uint64_t page = d->gpas[i] / VAS_PAGE_SIZE;

			__atomic_fetch_xor(&d->flat[page / 64], 1ULL << page % 64, __ATOMIC_SEQ_CST);
		}
	return 0;
}

static void set_words(uint64_t *words, uint64_t nr, uint64_t bits)
{
	for (uint64_t i = 0; i < nr; i++)
		__atomic_store_n(&words[i], bits, __ATOMIC_RELAXED);
}

/* Every word, half of its pages, and all that is above them: the rest of the log. */
static void mark_half(struct dirty *d)
{
	uint64_t nr_words = d->size / VAS_PAGE_SIZE / 64;

	set_words(d->words, nr_words, 0x5555555555555555ULL);
	set_words(d->words + nr_words, d->log_size / 8 - nr_words, ~0ULL);
}

static uint64_t half_alone(void *ctx, uint64_t nr)
{
	struct dirty *d = ctx;

	while (nr--)
		set_words(d->flat, d->size / VAS_PAGE_SIZE / 64, 0x5555555555555555ULL);
	return 0;
}

static uint64_t harvest_vas(void *ctx, uint64_t nr)
{
	static struct vas_dirty_word words[HALF_WORDS];
	struct dirty *d = ctx;
	uint64_t found = 0;

	while (nr--) {
		uint64_t gpa = 0;

		if (d->nr_gpas)
			mark_some(d);
		else
			mark_half(d);
		if (vas_dirty_begin(d->tracker))
			return 0;
		while (gpa < d->size) {
			ssize_t got = vas_dirty_harvest(d->tracker, &gpa, d->size, words, HALF_WORDS);

			if (got < 0)
				return 0;
			found += (uint64_t)got;
		}
		vas_dirty_commit(d->tracker);
	}
	return found;
}

/* Words that are not 0 are taken and listed: 32 bytes are looked at at once. */
__attribute__((target_clones("avx2", "default"))) static uint64_t scan(uint64_t *bitmap,
								       uint64_t nr_words,
								       uint64_t *list)
{
	typedef uint64_t words __attribute__((vector_size(32)));
	uint64_t found = 0;

	for (uint64_t i = 0; i < nr_words; i += 4) {
		words w = *(const volatile words *)(bitmap + i);

		if (!(w[0] | w[1] | w[2] | w[3]))
			continue;
		for (uint64_t j = i; j < i + 4; j++) {
			uint64_t bits = bitmap[j] ? __atomic_exchange_n(&bitmap[j], 0,
									__ATOMIC_SEQ_CST) : 0;

			if (!bits)
				continue;
			list[2 * (found % HALF_WORDS)] = j;
			list[2 * (found % HALF_WORDS) + 1] = bits;
			found++;
		}
	}
	return found;
}

static uint64_t harvest_flat(void *ctx, uint64_t nr)
{
	struct dirty *d = ctx;
	uint64_t found = 0;

	while (nr--) {
		for (uint64_t i = 0; i < d->nr_gpas; i++) {
			uint64_t page = d->gpas[i] / VAS_PAGE_SIZE;

			__atomic_fetch_or(&d->flat[page / 64], 1ULL << page % 64, __ATOMIC_SEQ_CST);
		}
		if (!d->nr_gpas)
			half_alone(d, 1);
		found += scan(d->flat, d->size / VAS_PAGE_SIZE / 64, d->copy);
	}
	return found;
}

/* ---- cases -------------------------------------------------------------------------------- */

static void dirty_close(struct dirty *d)
{
	vas_dirty_detach(d->tracker);
	vas_destroy(d->vas);
	if (d->rust)
		rust.close(d->rust);
	munmap(d->flat, d->size / VAS_PAGE_SIZE / 8);
	munmap(d->words, d->log_size);
	free(d->copy);
	free(d->gpas);
}

/* As vas-format(5) has it: from the superblock's extents. */
static int map_log(struct dirty *d)
{
	struct vas_superblock sb;
	struct stat st;
	int fd = vas_fd(d->vas);

	if (fstat(fd, &st) ||
	    pread(fd, &sb, sizeof(sb), st.st_size - (off_t)sizeof(sb)) != sizeof(sb))
		return -EIO;
	/* A page at least of words, of summary words, and of the summary's. */
	for (uint64_t size = d->size / VAS_PAGE_SIZE / 8, level = 0; level < 3; level++, size /= 64)
		d->log_size += (size + VAS_PAGE_SIZE - 1) / VAS_PAGE_SIZE * VAS_PAGE_SIZE;
	d->words = mmap(NULL, d->log_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			(off_t)sb.extents[VAS_EXT_LOG].offset);
	return d->words == MAP_FAILED ? -ENOMEM : 0;
}

static int dirty_open(struct dirty *d, uint64_t size, uint64_t nr_gpas)
{
	struct vas_options options = { .limit = size };
	struct vas_region region = { .size = size };
	int ret;

	*d = (struct dirty){ .size = size, .nr_gpas = nr_gpas };
	d->copy = malloc(2 * HALF_WORDS * sizeof(uint64_t));
	d->gpas = calloc(nr_gpas, sizeof(*d->gpas));
	d->flat = mmap(NULL, size / VAS_PAGE_SIZE / 8, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (!d->copy || !d->gpas || d->flat == MAP_FAILED)
		return -ENOMEM;
	ret = vas_create(&options, &d->vas);
	if (!ret)
		ret = vas_region_add(d->vas, &region, NULL);
	if (!ret)
		ret = map_log(d);
	return ret ? ret : vas_dirty_attach(d->vas, "bench", 0, &d->tracker);
}

static uint64_t mix(uint64_t i)
{
	i = (i ^ i >> 30) * 0xbf58476d1ce4e5b9ULL;
	i = (i ^ i >> 27) * 0x94d049bb133111ebULL;
	return i ^ i >> 31;
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
	bench_case_add(bcase, "vm-memory", run, d);
}

static int bench_again(struct bench_session *session, struct dirty *d)
{
	struct bench_case bcase = { .name = "mark/again" };

	for (uint64_t i = 0; i < d->nr_gpas; i++)
		d->gpas[i] = mix(i) % NR_PAGES * VAS_PAGE_SIZE;
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

static int bench_harvest(struct bench_session *session, struct dirty *d, const char *name)
{
	struct bench_case bcase = { .name = name };

	bench_case_add(&bcase, "vas", harvest_vas, d);
	bench_case_add(&bcase, "flat-avx2", harvest_flat, d);
	bench_case_add(&bcase, "marks-alone", d->nr_gpas ? marks_alone : half_alone, d);
	return bench_measure(session, &bcase);
}

static int run_marks(struct bench_session *session)
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

static int run_harvests(struct bench_session *session)
{
	struct dirty d;
	int ret = 0;

	if (bench_wants(session, "harvest/12T-1000-pages")) {
		ret = dirty_open(&d, HUGE_LIMIT, NR_SPARSE);
		for (uint64_t i = 0; !ret && i < d.nr_gpas; i++)
			d.gpas[i] = mix(i) % (HUGE_LIMIT / VAS_PAGE_SIZE) * VAS_PAGE_SIZE;
		if (!ret)
			ret = bench_harvest(session, &d, "harvest/12T-1000-pages");
		dirty_close(&d);
	}
	if (!ret && bench_wants(session, "harvest/4G-half")) {
		ret = dirty_open(&d, HALF_LIMIT, 0);
		if (!ret)
			ret = bench_harvest(session, &d, "harvest/4G-half");
		dirty_close(&d);
	}
	return ret;
}

static int run(struct bench_session *session)
{
	int ret = run_marks(session);

	return ret ? ret : run_harvests(session);
}

static const struct bench bench = {
	.name = "dirty",
	.summary = "The dirty log: marking a page, and harvesting what was marked.",
	.run = run,
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, &bench);
}
