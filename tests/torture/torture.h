/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Many processes use one vas while its layout changes without pause and processes are killed at any
 * instruction, the owner included.
 *
 *	killer.c   the first process: has only fds, starts the others, kills, starts again
 *	load.c     --load: hogs, ballast, processes that stop for a while
 *	options.c  how long, how many: --help
 *	torture.c  the layout torture: the vas, the run, what is left at the end
 *	owner.c    adopts; adds, removes, moves, resizes; rewrites what it has taken away
 *	worker.c   binds; reads, writes, maps; checks each byte
 *	page.c     what a page must look like
 *
 * The tracking torture, tracking.h, has the same killer.
 *
 * A region lies in a slot: a fixed place in one of the files. While a slot is in no layout (the commit
 * that took it away has returned) the owner scribbles over it and then gives it a new pattern, byte
 * by byte. So whoever is still in there, against the promise of the commit, reads rubbish or spoils
 * the new pattern with its late write: both are found, by the next reader.
 */
#ifndef TESTS_TORTURE_TORTURE_H
#define TESTS_TORTURE_TORTURE_H

#include <vas/access.h>
#include <vas/vas.h>

#include "tests/harness.h"

#define PAGE	      4096ull
#define LIMIT_PAGES   512ull
#define NR_SLOTS      24u /* of 1 to SLOT_PAGES pages */
#define SLOT_PAGES    8u
#define NR_BACKINGS   2u       /* beside the file itself */
#define DUMMY_SLOT    NR_SLOTS /* one page that moves to and fro: see owner.c */
#define MAX_PROCESSES 64u
#define MAX_THREADS   16u

struct torture_options {
	unsigned int processes; /* workers, beside the owner */
	unsigned int threads;	/* of each worker */
	unsigned int seconds;	/* the end, whichever comes first */
	uint64_t kills;
	uint64_t changes;
	uint64_t checks;
	unsigned int load;     /* see load.h */
	unsigned int pause_us; /* longest time between two kills; 0: nobody is killed */
};

/* Of the tracking torture: see tracking.h. */
struct torture_tracking {
	uint32_t wanted, frozen, done;
	uint32_t checked[MAX_PROCESSES];
	uint64_t epochs[MAX_PROCESSES]; /* committed by each tracker, ever */
	uint64_t nr_pages, nr_aborts, nr_attached, nr_refused, nr_hotplugs;
};

/* Shared by all processes, and never touched by the library. */
struct torture_shared {
	int stop;
	int spared; /* SPARE_*: who is not doomed */
	int violated;
	char violation[512];
	uint64_t nr_reads, nr_writes, nr_maps, nr_observed;
	uint64_t nr_holes; /* accesses that ended in a clean error */
	uint64_t nr_commits, nr_adopted;
	uint64_t nr_busy[2]; /* changes refused: a section was in the way, a pin was */
	uint64_t beats[MAX_PROCESSES][MAX_THREADS]; /* that each thread is alive */
	struct torture_tracking tracking;
};

struct torture {
	struct torture_options options;
	struct torture_shared *shared;
	int fd;			       /* of the vas */
	int files[1 + NR_BACKINGS];    /* files[0] is fd */
	char *memory[1 + NR_BACKINGS]; /* each file's pages that slots lie in, mapped raw */
	uint64_t seed;
};

/* Read the options, make what is shared; `what` says for --help when the torture ends. */
void torture_init(struct torture *t, int argc, char **argv, const char *what);

/* Print the result: the exit status. fds: as many as there were before the run. */
int torture_result(struct torture *t, const char *name, int fds);

/* The first violation is kept; the process that found it ends. */
void torture_violated(struct torture *t, const char *format, ...)
	__attribute__((noreturn, format(printf, 2, 3)));
/* The same in the process that goes on to clean up. */
void torture_complain(struct torture *t, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * One time in so many, let this process be killed soon: in the middle of what it does next, at any
 * instruction. The killer alone, who comes some 50 times a second, would seldom meet a window of 100 ns.
 */
#define SPARE_OWNER   1u
#define SPARE_TRACKER 2u
#define SPARE_WRITER  4u
#define SPARE_ALL     7u
void torture_doom(struct torture *t, unsigned int kind, struct test_random *random, uint64_t one_in,
		  uint64_t within_ns);
/* Its time is short: no rest. The timer takes some microseconds, and a single access much less. */
extern int torture_doomed;

static inline void torture_count(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static inline int torture_stopped(const struct torture *t)
{
	return __atomic_load_n(&t->shared->stop, __ATOMIC_RELAXED);
}

static inline int torture_is_over(const struct torture *t, uint64_t start_ns)
{
	return torture_stopped(t) || test_now_ns() - start_ns > t->options.seconds * 1000000000ull;
}

/* ---- page.c ------------------------------------------------------------------------------- */

/*
 * tag: slot and page of it in the top bytes, then a number that is new each time; words: made of
 * tag and place; notes: 0, or what a writer leaves: a number and a mix of number and tag.
 */
struct page {
	uint64_t tag;
	uint64_t words[255];
	uint64_t notes[256];
};

_Static_assert(sizeof(struct page) == PAGE, "");

void page_fill(struct page *page, unsigned int slot, unsigned int nr, uint64_t fresh);
void page_scribble(struct page *page);
/* NULL, or what is wrong with it. */
const char *page_check(const struct page *page);
/* Two that were read at once, one after the other: NULL, or what is wrong. */
const char *page_check_next(const struct page *page, const struct page *next);
uint64_t page_note(uint64_t tag, uint32_t number);

/* ---- slots: where they are ----------------------------------------------------------------- */

static inline unsigned int slot_file(unsigned int slot)
{
	return slot == DUMMY_SLOT ? 0 : slot % (1 + NR_BACKINGS);
}

/* Room for SLOT_PAGES each; the same numbers for every file. */
static inline uint64_t slot_offset(unsigned int slot)
{
	return (uint64_t)(slot / (1 + NR_BACKINGS)) * SLOT_PAGES * PAGE;
}

static inline unsigned int slot_of(uint32_t file, uint64_t offset)
{
	return (unsigned int)(offset / (SLOT_PAGES * PAGE)) * (1 + NR_BACKINGS) + file;
}

#define FILE_PAGES ((NR_SLOTS / (1 + NR_BACKINGS) + 1) * SLOT_PAGES)

/* ---- the processes: they return when told to stop ------------------------------------------ */

void owner_run(struct torture *t, unsigned int process, uint64_t seed);
void worker_run(struct torture *t, unsigned int process, uint64_t seed);

/* Bind to t->fd with these flags and offer the further files: 0 or -errno. */
int torture_bind(struct torture *t, uint32_t flags, struct vas **vas);

#endif
