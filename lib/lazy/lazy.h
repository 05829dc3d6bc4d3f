/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The owner's side of memory that is filled on first touch: where pages come from, and who brings
 * them.
 */
#ifndef VAS_LIB_LAZY_OWNER_H
#define VAS_LIB_LAZY_OWNER_H

#include <vas/lazy.h>

#include "lib/access/lazy.h"

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
	bool done; /* all has come */
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
extern const struct vas_lazy_ops vas_lazy_ops;
/* Is gpa's page not filled yet? */
bool vas_lazy_is_missing(struct lazy *a, uint64_t gpa);

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
