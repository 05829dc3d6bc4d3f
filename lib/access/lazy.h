/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Lazy memory: docs/design/lazy.md. A log, in the place of a tracker's, has a bit for each page
 * that is not filled yet. Whoever finds one set sends a request to the owner.
 */
#ifndef VAS_LIB_LAZY_H
#define VAS_LIB_LAZY_H

#include <stdbool.h>
#include <vas/lazy.h>

#include "lib/handle/handle.h"

/*
 * vas_tracker_entry.binder of the entry whose log it is: no binder's, so that nobody's death frees
 * it.
 */
#define LAZY_BINDER UINT32_MAX

/* vas_control.lazy_failed of a vas that was adopted: its source died with the owner. */
#define LAZY_NEVER UINT64_MAX

/* Bytes of gpa that are filled together: those of a word of the log. */
#define WORD_SIZE (VAS_LOG_PAGES_PER_WORD * VAS_PAGE_SIZE)

/*
 * Where the newest view of this process is not of the present generation: what that generation
 * says.
 */
int vas_lazy_by_state(struct vas *vas);

/* Wait until [gpa, gpa + len) is there. 0, -EIO, -ETIMEDOUT. May be called in a section. */
int vas_lazy_range_slow(struct vas *vas, uint64_t gpa, uint64_t len);

/* The owner's state has to say so too, which a peer cannot change for those who have copied it. */
static inline int vas_is_lazy(struct vas *vas)
{
	if (vas_likely(!__atomic_load_n(&vas->ctl->lazy_log, __ATOMIC_ACQUIRE)))
		return 0;
	/*
	 * Acquire: flags are of that generation or newer; partner: the release in view_replace().
	 */
	if (__atomic_load_n(&vas->seen_generation, __ATOMIC_ACQUIRE) != vas_generation(vas))
		return vas_lazy_by_state(vas);
	return __atomic_load_n(&vas->seen_flags, __ATOMIC_RELAXED) & VAS_STATE_LAZY;
}

static inline int vas_lazy_range(struct vas *vas, uint64_t gpa, uint64_t len)
{
	return vas_is_lazy(vas) ? vas_lazy_range_slow(vas, gpa, len) : 0;
}

/*
 * Enter a section in which [gpa, gpa + len) is there. It waits outside of the section; inside, it
 * only looks again whether pages are missing, as the layout may have changed on the way.
 */
int vas_lazy_enter(struct vas *vas, uint64_t gpa, uint64_t len);

/* Bytes from gpa on, at most len, that are requested in one step while memory is lazy. */
uint64_t vas_lazy_step(struct vas *vas, uint64_t gpa, uint64_t len);

/* Missing pages of these regions count as touched: mark them in log. */
void vas_lazy_mark(struct vas *vas, const struct vas_region *regions, uint32_t nr,
		   const struct vas_log *log);

/* Before an adopter's first generation: pages that the dead owner had not filled never are. */
void vas_lazy_adopt(struct vas *vas);

/* ---- the owner's side --------------------------------------------------------------------- */

/* A mapping that KVM may touch. */
struct lazy_map {
	char *hva;
	uint64_t size;
	uint64_t offset;
	struct lazy_map *next;
};

struct lazy {
	struct vas_cleanup cleanup; /* first: the handle's end is ours */
	struct vas *vas;
	struct vas_source *source;
	struct vas_log log; /* bits of missing pages, for all to see */
	uint32_t index;
	int wake_fd;	/* tells the catcher to end */
	int uffd;	/* -1: not to be had */
	int nothing_fd; /* a file without a byte; -1: not needed yet */
	char *dest;	/* a mapping of the file's RAM, into which userfaultfd copies */
	pthread_t filler, catcher;
	bool has_catcher;
	bool stop;
	bool background; /* the rest is filled without being requested */

	pthread_mutex_t ticket; /* vas_lazy_lock() */
	/* lock: words, maps, buffer. Taken after vas->change. */
	pthread_mutex_t lock;
	struct vas_dirty_word *words; /* private: what others see decides nothing here */
	uint64_t *missing;	      /* of each word, the missing pages */
	size_t nr_words;
	struct vas_region *regions; /* sorted by gpa; they do not change before all is there */
	uint32_t nr_regions;
	size_t next; /* of the background */
	size_t nr_left;
	size_t nr_failed;
	struct lazy_map *maps;
	char *buffer;
	bool done; /* all is filled */
};

/*
 * The filler wants the lock again as soon as it has let go of it, long before somebody who waits
 * has woken up, and a guest's fault would wait for all that is in the background. But who waits
 * holds the ticket lock, so that the filler has to queue.
 */
static inline void vas_lazy_lock(struct lazy *a)
{
	pthread_mutex_lock(&a->ticket);
	pthread_mutex_lock(&a->lock);
	pthread_mutex_unlock(&a->ticket);
}

/* Fill the word that holds gpa, if it is not filled. -errno: it cannot be had. Takes the lock. */
int vas_lazy_fetch(struct lazy *a, uint64_t gpa);
/* Is gpa's page not filled yet? */
bool vas_lazy_is_missing(struct lazy *a, uint64_t gpa);
/* The owner wants all of it. */
void vas_lazy_all(struct vas *vas);

/* File offset of gpa's page, and the reverse; UINT64_MAX: in no region. */
uint64_t vas_lazy_offset(const struct lazy *a, uint64_t gpa);
uint64_t vas_lazy_gpa(const struct lazy *a, uint64_t offset);

/* The thread that fills words, requested and others; and its end, which may be at any time. */
void *vas_lazy_fill(void *lazy);
void vas_lazy_stop(struct lazy *a);
/* All is there, or nothing was missing: nobody need look at the log. */
void vas_lazy_forget(struct lazy *a);
int vas_lazy_thread(pthread_t *thread, void *(*run)(void *arg), struct lazy *a);

/* userfaultfd: -errno if it is not to be had, and what follows from that is the caller's. */
int vas_lazy_open(struct lazy *a);
void vas_lazy_close(struct lazy *a);
/* Registered mappings are as any other again. */
void vas_lazy_release(struct lazy *a);
/* -EOPNOTSUPP: this host's settings allocate larger pages. */
int vas_lazy_check_host(void);
/* Pages to an offset of the file, which has none there; and to whoever waits for them. */
int vas_lazy_place(struct lazy *a, uint64_t offset, char *pages, uint64_t size);
/* Let those who wait for these bytes of the file look again; or, if failed, get a SIGBUS. */
void vas_lazy_wake(struct lazy *a, uint64_t offset, uint64_t size, bool failed);

#endif
