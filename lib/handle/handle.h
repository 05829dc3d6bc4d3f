/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The private side of a handle, and which lock protects what.
 *
 * Lock order: handles_lock (lib/handle/thread.c), change, lock, registry (lib/handle/sigbus.c),
 * drain. A fork holds handles_lock, every lock, and registry; the child's others are made anew.
 */
#ifndef VAS_LIB_HANDLE_H
#define VAS_LIB_HANDLE_H

#include <pthread.h>
#include <stdbool.h>

#include <vas/access.h>
#include <vas/consumer.h>
#include <vas/event.h>

#include "core/layout.h"
#include "core/log.h"
#include "core/map.h"
#include "core/protocol/protocol.h"

#define VAS_MAX_FAILED 64u

/* A file that regions lie in. fd -1: the layout names it, but nobody has brought it. */
struct backing {
	int fd;
	int readonly; /* sealed against writing, so that not even a map for it can be had */
	struct vas_backing_entry entry;
};

/* The owner's own layout: what it decides from. */
struct own_layout {
	struct vas_region *regions; /* sorted by gpa */
	uint32_t nr;
	uint32_t table;
	uint64_t generation;
	uint64_t regions_generation;
	uint64_t next_id;
	uint32_t flags; /* VAS_STATE_* */
};

/*
 * What changes have left behind: parts of the file, to be given back once nobody can be using them;
 * and, if the change failed or its owner died, the ranges of gpa by which somebody may have mapped
 * memory, in a generation from `since` on and before `before`, that no region shows there any more.
 */
struct stale {
	struct vas_extent *ranges;
	size_t nr;
	struct vas_region *regions; /* sorted by gpa, no overlap */
	size_t nr_regions;
	uint64_t since;
	uint64_t before;
};

/* Pages that failed; the signal handler writes all but `mended`. lib/handle/sigbus.h. Atomic. */
struct failures {
	uint64_t nr;		      /* ever noted: number i is in at[i % VAS_MAX_FAILED] */
	uint64_t mended;	      /* of these, mapped again: vas->lock */
	uint64_t settled;	      /* of these, when no thread was in a section: vas->lock */
	uint32_t active;	      /* handlers at work */
	uintptr_t at[VAS_MAX_FAILED]; /* hva; 0: all of a map */
};

/* A doorbell or interrupt, and the eventfd by which a level-triggered one is resampled. */
enum vas_event_which { VAS_EVENT_FD_MAIN, VAS_EVENT_FD_RESAMPLE, VAS_EVENT_FD_COUNT };

/*
 * The eventfds of one event. Written under the handle's lock; read without it: id is stored last
 * (release) when they are made, and cleared first when they go.
 */
struct vas_event_fds {
	uint32_t id;		    /* 0: free */
	uint32_t index;		    /* where its entry was last seen: a hint */
	int fd[VAS_EVENT_FD_COUNT]; /* -1: not available */
};

/* What a handle knows of events; all of it under the handle's lock to change. */
struct vas_event_set {
	struct vas_event_fds fds[VAS_MAX_EVENTS];
	/* The owner's own copy, by index: what it decides from. */
	struct vas_event_entry own[VAS_MAX_EVENTS];
};

struct bus;
struct lazy;
struct view;
struct notifier;

/* How the owner's own threads have missing pages filled: lib/lazy is above those who call this. */
struct vas_lazy_ops {
	/* Fill the word that holds gpa. -errno: it cannot be had. */
	int (*fetch)(struct lazy *lazy, uint64_t gpa);
	/* Everything is wanted. */
	void (*fetch_all)(struct vas *vas);
};

struct vas {
	struct vas_head head;
	enum vas_role role;
	uint32_t create_flags; /* VAS_CREATE_*; an adopter has 0 */
	uint32_t bind_flags;

	int fd;	     /* for the control area and for the caller; RAM is backings[0] */
	int lock_fd; /* a description of its own that is never mapped or handed out: it has the
			locks */
	struct vas_superblock sb; /* the checked copy */

	char *control; /* map of the file from vas_control_start() on */
	size_t control_size;
	int control_watch; /* lib/handle/sigbus.h */

	struct failures failures;

	struct vas_control *ctl;
	struct vas_proto proto; /* core/protocol */
	struct vas_log log;
	int log_broken; /* marks of this process may go to a page that is not the log's any more */

	/*
	 * lock: views, the list of threads, backings' fds, events, mappings. Held for microseconds,
	 * or while a view is built.
	 */
	pthread_mutex_t lock;
	struct view *view;    /* the newest; head.view points into it */
	struct view *retired; /* replaced, perhaps still in use by a section */
	uint64_t next_serial;
	/*
	 * Of the newest view, for those who may not look into it: they are in no section. Atomic.
	 */
	uint64_t seen_generation;
	uint32_t seen_flags;
	uint64_t nr_maps; /* of the newest view, as vas_maps_charge() knows */
	struct thread *threads;
	struct backing backings[VAS_MAX_BACKINGS];
	struct vas_event_set events;
	int fence; /* sections begin with a full fence: membarrier cannot be had; markers read it */
	int no_barrier; /* membarrier cannot be had, so what others store is not ours to drain */
	int forked;	/* in a child: bind anew before the next use */
	uint32_t fork_count;

	/*
	 * change: the owner's layout, consumers and stale ranges; held from begin to commit or
	 * abort.
	 */
	pthread_mutex_t change;
	struct own_layout own;
	bool is_tracked; /* of own, as it was published, for who does not hold change. Atomic. */
	int is_share;	 /* its layout, freezes and tracking are another vas's: lib/share/share.c */
	struct vas_consumer *consumers; /* in the order in which their steps start */
	struct vas_consumer *last_consumer;
	struct stale stale;

	/* Our own threads, before the drain lock; taken last. */
	pthread_mutex_t drain;

	struct vas_cleanup *cleanups; /* lock */
	const struct vas_lazy_ops *lazy_ops;
	struct lazy *lazy; /* the owner's; change. NULL: we fill no lazy memory */

	struct bus *bus; /* the owner's devices: lib/bus; lock. NULL: there were none yet */

	struct notifier *notifier;
	struct vas *next; /* handles_lock */
};

static inline bool vas_has_ram_apart(const struct vas *vas)
{
	return vas->sb.features_required & VAS_FEATURE_RAM_APART;
}

static inline void *vas_extent(const struct vas *vas, enum vas_extent_id id)
{
	return vas->control + (vas->sb.extents[id].offset - vas_control_start(&vas->sb));
}

#endif
