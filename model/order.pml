/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Which orders the hand-overs of the protocol need on a processor that reorders more than x86 does.
 * What layout, slot, pin and dirty check step by step is cut down to two or three threads here; each
 * variant takes an order out of the code that is named.
 *
 * TAGS: a living binder's tag is in an entry; who looks must not find it dead.
 *	core/protocol/binder.c, vas_entry_tag().
 * DEATH: a binder died in a section; one reaps its slot, one claims it. The owner that finds the
 *	slot empty, either way, sees that marks are missing. core/protocol/slot.c, P5.
 * PIN: a holder pins in a section, uses, lets go; the owner takes the range away. E1 to E3, L, P3 to
 *	P5; include/vas/access.h, lib/layout/publish.c, core/protocol/pin.c.
 * DIRTY: a writer marks, W1 to W4, while a tracker harvests, H1 to H4; core/log.c. W5 is as W4.
 *
 * Locks on the file's bytes are system calls, and order what comes before and after them.
 *
 * check: -DTAGS
 * check: -DDEATH
 * check: -DPIN
 * check: -DPIN -DFENCE
 * check: -DDIRTY
 * break: TAG_LOADED_RELAXED -DTAGS
 * break: TAG_SWAPPED_RELAXED -DTAGS
 * break: CLAIMS_LOADED_RELAXED -DTAGS
 * break: CLAIMS_STORED_RELAXED -DTAGS
 * break: TAG_LOADED_RELAXED -DDEATH
 * break: TAG_SWAPPED_RELAXED -DDEATH
 * break: SLOT_LOADED_RELAXED -DDEATH
 * break: SLOT_CLEARED_RELAXED -DDEATH
 * break: NO_MEMBARRIER -DPIN
 * break: NO_FENCE -DPIN -DFENCE
 * break: LEFT_RELAXED -DPIN
 * break: SLOT_LOADED_RELAXED -DPIN
 * break: PIN_LOADED_RELAXED -DPIN
 * break: PIN_FREED_RELAXED -DPIN
 * break: NO_MEMBARRIER -DDIRTY
 * break: LEVELS_LOADED_ACQUIRE -DDIRTY
 */
#ifdef TAGS
#define THREADS 2
#define WORDS 3
#elif defined(DEATH)
#define THREADS 3
#define WORDS 3
#elif defined(PIN)
#define THREADS 2
#define WORDS 4
#else
#define THREADS 2
#define WORDS 3
#endif
#define DEPTH 6
#include "weak.pml"

#ifdef TAG_LOADED_RELAXED
#define TAG_LOADED RELAXED
#else
#define TAG_LOADED ACQUIRE
#endif
#ifdef TAG_SWAPPED_RELAXED
#define TAG_SWAPPED RELAXED
#else
#define TAG_SWAPPED RELEASE
#endif
#ifdef CLAIMS_LOADED_RELAXED
#define CLAIMS_LOADED RELAXED
#else
#define CLAIMS_LOADED ACQUIRE
#endif
#ifdef CLAIMS_STORED_RELAXED
#define CLAIMS_STORED RELAXED
#else
#define CLAIMS_STORED RELEASE
#endif
#ifdef SLOT_LOADED_RELAXED
#define SLOT_LOADED RELAXED
#else
#define SLOT_LOADED ACQUIRE
#endif
#ifdef SLOT_CLEARED_RELAXED
#define SLOT_CLEARED RELAXED
#else
#define SLOT_CLEARED RELEASE
#endif
#ifdef LEFT_RELAXED
#define LEFT RELAXED
#else
#define LEFT RELEASE
#endif
#ifdef PIN_LOADED_RELAXED
#define PIN_LOADED RELAXED
#else
#define PIN_LOADED ACQUIRE
#endif
#ifdef PIN_FREED_RELAXED
#define PIN_FREED RELAXED
#else
#define PIN_FREED RELEASE
#endif

/* ---- a tag, and the count of claims ------------------------------------------------------- */

#ifdef TAGS
#define CLAIMS 0
#define TAG 1
#define LOCK 2

proctype Claimer()
{
	d_step { modify(0, LOCK, 1, RELEASE) };
	store(0, CLAIMS, 1, CLAIMS_STORED);
	d_step { modify(0, TAG, 1, TAG_SWAPPED) }
}

/* It finds the tag in an entry; or has it from elsewhere, and finds the count. */
proctype Looker()
{
	byte tag, claims;
	bit locked;

	load(1, TAG, tag, TAG_LOADED);
	load(1, CLAIMS, claims, CLAIMS_LOADED);
	/* A system call: it sees the lock as it is, if it was taken before what we have seen. */
	load(1, LOCK, locked, ACQUIRE);
	assert(tag == 0 || (claims == tag && locked));
	assert(claims == 0 || locked)
}

init { atomic { run Claimer(); run Looker() } }
#endif

/* ---- the death of a binder in a section ---------------------------------------------------- */

#ifdef DEATH
#define SLOT 0
#define TAG 1
#define INCOMPLETE 2
#define DEAD 1
#define CLAIMER 2

proctype Reaper()
{
	d_step { modify(0, INCOMPLETE, LAST(INCOMPLETE) + 1, RELEASE) };
	d_step {
		if
		:: LAST(TAG) == DEAD -> modify(0, TAG, 0, TAG_SWAPPED)
		:: else
		fi
	}
}

/* An empty slot has a generation, too. */
proctype Claimer()
{
	d_step { modify(1, INCOMPLETE, LAST(INCOMPLETE) + 1, RELEASE) };
	if
	:: d_step { LAST(TAG) == DEAD -> modify(1, TAG, CLAIMER, TAG_SWAPPED) };
		store(1, SLOT, 0, SLOT_CLEARED)
	:: d_step { LAST(TAG) != DEAD }
	fi
}

proctype Owner()
{
	byte generation, tag, incomplete;

	load(2, SLOT, generation, SLOT_LOADED);
	tag = DEAD;
	if
	:: generation != 0 -> load(2, TAG, tag, TAG_LOADED)
	:: generation == 0
	fi;
	if
	:: generation == 0 || tag == 0 ->
		load(2, INCOMPLETE, incomplete, ACQUIRE);
		assert(incomplete > 0)
	:: else
	fi
}

init {
	atomic {
		STORED(SLOT, 0) = 1;
		STORED(TAG, 0) = DEAD;
		run Reaper();
		run Claimer();
		run Owner()
	}
}
#endif

/* ---- a section, a pin in it, and what the owner waits for ----------------------------------- */

#ifdef PIN
#define SLOT 0
#define GENERATION 1
#define HELD 2
#define RAM 3

bit torn_down;
byte uses;

/* A use is a store that who gets the memory next must find in it: their number. */
inline use()
{
	d_step { assert(!torn_down); uses++; append(0, RAM, uses) }
}

proctype Holder()
{
	byte generation;

	store(0, SLOT, 1, RELAXED);				/* E1 */
#if defined(FENCE) && !defined(NO_FENCE)
	d_step { full_fence(0) };				/* E2 */
#endif
	load(0, GENERATION, generation, ACQUIRE);		/* E3 */
	if
	:: generation == 1 ->
		use();
		if
		:: skip
		:: store(0, HELD, 1, RELEASE);
			store(0, SLOT, 0, LEFT);		/* L */
			use();
			store(0, HELD, 0, PIN_FREED);
			goto end
		fi
	:: generation != 1
	fi;
	store(0, SLOT, 0, LEFT);
end:	skip
}

proctype Owner()
{
	byte seen;

	store(1, GENERATION, 2, RELEASE);			/* P3 */
#ifdef FENCE
	d_step { full_fence(1) };				/* P4, its own half of it */
#endif
#if !defined(NO_MEMBARRIER) && !defined(FENCE)
	membarrier();						/* P4 */
#endif
	do							/* P5 */
	:: load(1, SLOT, seen, SLOT_LOADED);
		if
		:: seen == 0 || seen == 2 -> break
		:: else
		fi
	od;
	do
	:: load(1, HELD, seen, PIN_LOADED);
		if
		:: seen == 0 -> break
		:: else
		fi
	od;
	torn_down = 1;
	load(1, RAM, seen, RELAXED);
	assert(seen == uses)
}

init {
	atomic {
		STORED(GENERATION, 0) = 1;
		run Holder();
		run Owner()
	}
}
#endif

/* ---- a write, its mark, and a harvest -------------------------------------------------------- */

#ifdef DIRTY
#define PAGE 0
#define WORD 1
#define SUMMARY 2

bit copied, wrote;

proctype Writer()
{
	bit set;

	store(0, PAGE, 1, RELAXED);				/* W1 */
	load(0, WORD, set, RELAXED);				/* W2 */
	if
	:: !set ->
		d_step {
			modify(0, WORD, 1, RELEASE);		/* W3 */
#ifndef LEVELS_LOADED_ACQUIRE
			full_fence(0)				/* W3 and W4 are seq_cst */
#endif
		};
		load(0, SUMMARY, set, ACQUIRE);			/* W4 */
		if
		:: !set -> d_step { modify(0, SUMMARY, 1, RELEASE) }
		:: set
		fi
	:: set
	fi;
	wrote = 1
}

inline harvest()
{
	d_step {
		found = LAST(SUMMARY);
		if
		:: found -> modify(1, SUMMARY, 0, RELEASE); full_fence(1)	/* H1 */
		:: else
		fi
	};
	if
	:: found ->
		d_step {
			found = LAST(WORD);
			if
			:: found -> modify(1, WORD, 0, RELEASE)	/* H2 */
			:: else
			fi
		};
		if
		:: found ->
#ifndef NO_MEMBARRIER
			membarrier();				/* H3 */
#endif
			load(1, PAGE, copied, RELAXED)		/* H4 */
		:: !found
		fi
	:: !found
	fi
}

/* Once at any time, and once when the writer has left. */
proctype Tracker()
{
	bit found;

	harvest();
	wrote;
	found = 0;
	harvest();
	assert(copied)
}

/* The page is marked already, or another one under the same summary bit was. */
init {
	atomic {
		STORED(SUMMARY, 0) = 1;
		if
		:: STORED(WORD, 0) = 1
		:: skip
		fi;
		run Writer();
		run Tracker()
	}
}
#endif
