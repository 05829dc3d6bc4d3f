/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the users of one vas agree on through shared memory: who lives, whose a slot, pin or tracker
 * is, what a generation says. The same objects in libvas and in vas.ko; docs/design/sections.md has
 * the steps.
 *
 *	binder.c	an index is claimed with a lock on its byte; a tag names one life of it
 *	slot.c		a thread's place for sections: claim, release, the dead one's taken away
 *	pin.c		a long-lived map: claim, release, requests and answers
 *	tracker.c	a consumer of the dirty log, and the right to take words from it
 *	generation.c	state and table, copied and checked
 *
 * Everything here is in memory that any writer of the vas may change at any time. So nothing is
 * trusted: indices are checked at each use, no loop is longer than a table of the checked
 * superblock, and whoever walks a table does so under a struct vas_scan, which bounds the whole
 * walk.
 *
 * Tags. An entry is claimed by a compare-and-swap of its tag from 0, or from a dead one's, to one's
 * own: binder index, and how often that index was claimed. A tag that is not its index's present
 * one, or whose index's byte nobody has locked for writing, is dead and never lives again. Hence no
 * lock is needed to take an entry from the dead: a swap that comes too late finds another tag.
 *
 * Read locks are no life: anybody who may read the file can take them. A process that dies at any
 * instruction loses its write lock with its last file description.
 */
#ifndef VAS_CORE_PROTOCOL_H
#define VAS_CORE_PROTOCOL_H

#include <vas/format.h>

#include "core/log.h"
#include "core/range.h"

#define VAS_NO_TAG	  0u
#define VAS_TAG_IMMORTAL  (~0u) /* of an entry that no death frees: see lib/lazy */
#define VAS_NO_ENTRY	  (~0u)
#define VAS_SCAN_NS	  50000000ull	/* what locks may take of a call without a deadline */
#define VAS_SCAN_ROOM	  (64ull << 30) /* bytes that one scan may mark for dead holders of pins */
#define VAS_SCAN_REMEMBER 64u

struct vas_proto;
struct vas_scan;

/* What differs between a process and the kernel. All but `now` may sleep. */
struct vas_proto_ops {
	/* Lock one byte of the file for writing, or unlock it: 0; -EBUSY; -errno. Never waits. */
	int (*lock)(struct vas_proto *proto, uint64_t offset);
	void (*unlock)(struct vas_proto *proto, uint64_t offset);
	/* Somebody else has the byte locked for writing. */
	bool (*is_locked)(struct vas_proto *proto, uint64_t offset);
	uint64_t (*now_ns)(void);
	/* Give the processor away if others want it. */
	void (*yield)(void);
	/* Mark all levels of the dirty log. -errno: not all of it could be. */
	int (*mark)(struct vas_proto *proto, uint64_t gpa, uint64_t len);
	/* Copy from the file as it is, holes without filling them. */
	int (*copy)(struct vas_proto *proto, void *to, uint64_t offset, uint64_t size);
};

/* What scans have done since the handle was made: for tests, and to find a hog. */
struct vas_proto_work {
	uint64_t entries; /* looked at */
	uint64_t looks;	  /* at locks */
	uint64_t marked;  /* bytes, for dead holders */
};

/* Several threads may be at it. */
static inline void vas_work_add(uint64_t *counter, uint64_t nr)
{
	__atomic_fetch_add(counter, nr, __ATOMIC_RELAXED);
}

/* One handle's side. The caller fills in all but `tag`, `index` and `work`. */
struct vas_proto {
	const struct vas_proto_ops *ops;
	const struct vas_superblock *sb; /* a checked private copy */
	struct vas_control *control;
	struct vas_slot *slots;
	struct vas_binder *binders;
	struct vas_pin *pins;
	struct vas_tracker_entry *trackers;
	uint32_t tag;	/* VAS_NO_TAG: not a binder */
	uint32_t index; /* VAS_NO_ENTRY: not a binder */
	struct vas_proto_work work;
};

/*
 * One walk, or several that belong to one call: a deadline and an allowance for all of it. It
 * remembers who was found alive or dead, so that a table full of one binder's entries costs one
 * look.
 */
struct vas_scan {
	struct vas_proto *proto;
	uint64_t deadline_ns; /* on the clock of ops->now_ns() */
	uint64_t locks_ns;    /* that ops on locks may still take */
	uint64_t room;	      /* bytes that may still be marked */
	uint32_t entries;
	bool expired;
	uint32_t tags[VAS_SCAN_REMEMBER];
	uint64_t alive; /* bit i: tags[i] */
};

/*
 * deadline_ns 0: the ends of the tables are the end. Only what locks take, of which a peer may hold
 * any number, is limited then, to VAS_SCAN_NS: a slow machine comes to the end all the same.
 */
void vas_scan_begin(struct vas_scan *scan, struct vas_proto *proto, uint64_t deadline_ns);

/* Forget who was found alive: some time has passed. */
void vas_scan_forget(struct vas_scan *scan);

/*
 * One more entry is looked at. False: the deadline has passed, stop. The clock is looked at, and
 * the processor given away, for each 256 entries, and after each look at a lock.
 */
static inline bool vas_scan_step(struct vas_scan *scan)
{
	extern bool vas_scan_check(struct vas_scan * scan);

	return !scan->expired && (++scan->entries % 256 || vas_scan_check(scan));
}

/* ---- binder.c ----------------------------------------------------------------------------- */

/* What a binder says of itself: informational, and as true as it is. */
struct vas_binder_about {
	uint32_t pid;
	uint32_t flags; /* VAS_BINDER_* */
	char comm[16];
	char consumers[VAS_CONSUMERS_LEN];
};

/*
 * Take an index: a lock on its byte, and a tag that nobody had before. The lowest that can be had;
 * where locks are so slow that none was found in time, one from `start` on (any number), so that
 * who tries again goes on elsewhere. -EAGAIN: all are taken, or none was found; -errno of
 * ops->lock.
 */
int vas_binder_claim(struct vas_proto *proto, const struct vas_binder_about *about, uint32_t start);

/* Give back the entries that still carry our tag, then the index. Nobody else uses the handle. */
void vas_binder_release(struct vas_proto *proto);

/* Is the holder of this tag alive? Remembered by the scan; never true for an index out of range. */
bool vas_tag_is_alive(struct vas_scan *scan, uint32_t tag);

/* Who has this tag, as it says: false, and zeros, if nobody has. */
bool vas_tag_about(const struct vas_proto *proto, uint32_t tag, struct vas_binder_about *about);

void vas_binder_set_flags(struct vas_proto *proto, uint32_t flags);
void vas_binder_set_consumers(struct vas_proto *proto, const char consumers[VAS_CONSUMERS_LEN]);

/* The next living binder from *index on: true, and *index is its place. */
bool vas_binder_next(struct vas_scan *scan, uint32_t *index, struct vas_binder_about *about);

/* Its tag. */
uint32_t vas_binder_tag(const struct vas_proto *proto, uint32_t index);

/* ---- slot.c ------------------------------------------------------------------------------- */

/*
 * Claim a slot for a thread, a free one or a dead one's: its place, or VAS_NO_ENTRY. *word is what
 * the section protocol writes, and is 0.
 */
uint32_t vas_slot_claim(struct vas_scan *scan, uint32_t tid, uint64_t **word);

/* Give it back, if it is still ours; inside: its thread ended within a section. */
void vas_slot_release(struct vas_proto *proto, uint32_t slot);

/* Is the slot's thread in a generation before `generation`? */
bool vas_slot_is_inside(const struct vas_proto *proto, uint32_t slot, uint64_t generation);

/*
 * Take it from a holder that is dead: true. If it died inside a section, marks may be missing, and
 * the log says so before the slot is empty. Looks anew each time it is called.
 */
bool vas_slot_reap(struct vas_scan *scan, uint32_t slot);

/* The same for all sections that somebody died in: false, the scan expired before the end. */
bool vas_slots_reap(struct vas_scan *scan);

/* Whose it is, to report it. */
void vas_slot_about(const struct vas_proto *proto, uint32_t slot, uint32_t *tid,
		    struct vas_binder_about *about);

/* Slots of the living. */
uint32_t vas_slots_count(struct vas_scan *scan);

/* ---- pin.c -------------------------------------------------------------------------------- */

/* What a pin tells. */
struct vas_pin_about {
	uint64_t gpa;
	uint64_t size;
	uint64_t generation; /* whose layout the map shows; 0: not said */
	uint32_t flags;	     /* VAS_PIN_* */
	uint32_t tid;
};

/*
 * In a section of the layout that has the range, so that after P5 the owner sees it. Its place, or
 * VAS_NO_ENTRY.
 */
uint32_t vas_pin_claim(struct vas_scan *scan, const struct vas_pin_about *about);

void vas_pin_set_generation(struct vas_proto *proto, uint32_t pin, uint64_t generation);

/* What was done to the range comes before. The caller wakes `answer`. */
void vas_pin_release(struct vas_proto *proto, uint32_t pin);

/* enum vas_pin_state, or nonsense that a peer has written. */
uint32_t vas_pin_state(const struct vas_proto *proto, uint32_t pin);

/* The holder is quiet: false if there was no request. The caller wakes `answer`. */
bool vas_pin_answer(struct vas_proto *proto, uint32_t pin);

/* Is there a request to one of our own pins? */
bool vas_pins_are_requested(struct vas_scan *scan);

/* What is requested of the holders of pins. */
enum vas_pin_request { VAS_PINS_KEEP, VAS_PINS_INVALIDATE, VAS_PINS_QUIESCE };

/* Which pins: those for which `hits` is true. */
struct vas_pin_set {
	bool (*hits)(const struct vas_pin_set *set, const struct vas_pin_about *about);
};

/* The first pin in the way. */
struct vas_pin_blocker {
	struct vas_pin_about pin;
	struct vas_binder_about holder;
};

/*
 * Send the holders a request; with QUIESCE only those of writable pins, and those that are quiet
 * already have complied. What a dead holder has pinned is marked and given back on the way. Returns
 * how many have not complied; *told counts those whose state has changed, for whom the caller wakes
 * `notify`. A scan that expires counts as one that has not complied.
 */
uint32_t vas_pins_request(struct vas_scan *scan, const struct vas_pin_set *set,
			  enum vas_pin_request request, uint32_t *told,
			  struct vas_pin_blocker *blocker);

/* All pins of dead holders are marked and given back: false, the scan expired before the end. */
bool vas_pins_reap(struct vas_scan *scan);

/* Is there a writable pin that does not mark for itself? */
bool vas_pins_are_dirty(struct vas_scan *scan);

/*
 * Mark those, all levels, in a log of the caller's. False: they are too large to mark one by one.
 */
bool vas_pins_mark(struct vas_scan *scan, const struct vas_log *log);

uint32_t vas_pins_count(struct vas_scan *scan);

/* ---- tracker.c ---------------------------------------------------------------------------- */

struct vas_tracker_about {
	char name[VAS_REGION_NAME_LEN];
	uint64_t epoch;
	uint32_t tag;
};

/* An entry, a free one or a dead one's, not in use yet: its place, or VAS_NO_ENTRY. */
uint32_t vas_tracker_claim(struct vas_scan *scan, uint32_t tag);

/* From here on others deliver to its log. Under the drain lock. */
void vas_tracker_start(struct vas_proto *proto, uint32_t tracker, const char *name);
void vas_tracker_stop(struct vas_proto *proto, uint32_t tracker);
void vas_tracker_release(struct vas_proto *proto, uint32_t tracker, uint32_t tag);
void vas_tracker_count_epoch(struct vas_proto *proto, uint32_t tracker);

/* Somebody has it, and it was started. */
bool vas_tracker_is_in_use(const struct vas_proto *proto, uint32_t tracker);
bool vas_tracker_is_alive(struct vas_scan *scan, uint32_t tracker);

/* From the file, for those who must not fill holes by looking. False: it is nobody's. */
bool vas_tracker_about(struct vas_scan *scan, uint32_t tracker, struct vas_tracker_about *about);

/*
 * The right to take words from the logs, of one binder at a time: 0; -EBUSY: a living one has it;
 * 1: it was taken from a dead one, which may have cleared a summary bit whose word is still there:
 * repair.
 */
int vas_drain_trylock(struct vas_scan *scan);
void vas_drain_release(struct vas_proto *proto);

/* ---- generation.c ------------------------------------------------------------------------- */

/*
 * The state of the generation that holds now, checked: 0; -EPROTO; -EAGAIN: it never stood still.
 */
int vas_generation_read(struct vas_proto *proto, struct vas_state *state);

/*
 * The same with the backings and the regions, checked as a whole. `room` has seen the state and
 * makes room for its nr_regions entries; any error of its own ends the reading.
 */
struct vas_generation {
	struct vas_state state;
	struct vas_backing_entry backings[VAS_MAX_BACKINGS];
	struct vas_region_entry
		*regions; /* from room(); whatever the result, the caller's to free */
	/*
	 * Called again for each try. May leave `regions` NULL, if they are known: they are not
	 * read, and it is the caller who checks them against the backings.
	 */
	int (*room)(struct vas_generation *generation);
};

int vas_generation_copy(struct vas_proto *proto, struct vas_generation *generation);

#endif
