/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The dirty log: marking, harvesting with summary levels by one or two trackers, the begin of a
 * tracker, freezing, and the death of a writer or of a harvester at any step. Steps are named as in
 * docs/design/dirty.md; code: core/log.c (W, H1, H2), lib/dirty/tracker.c and lib/dirty/tracking.c (H),
 * lib/handle/lock.c (D), lib/dirty/freeze.c.
 *
 * Guest memory is two pages, each with a word of the log of its own (one bit); the two share a
 * summary word and a top bit. Each writer has a cell in each page; mem[CELL(p, w)] is not what was
 * written but which trackers' copies (a bit each) lack what the writer has last stored there.
 *
 * check: -DMORE
 * check: -DWRITERS=2
 * check: -DWRITERS=2 -DWRITER_DIES
 * deep:  -DWRITERS=2 -DWRITER_DIES -DNEWCOMER
 * check: -DWRITERS=2 -DUNTRACKED
 * check: -DWRITERS=2 -DSEGMENTS
 * check: -DTRACKERS=2
 * check: -DTRACKERS=2 -DHARVESTER_DIES
 * check: -DTRACKERS=2 -DHARVESTER_DIES -DABORTS
 * deep:  -DTRACKERS=2 -DHARVESTER_DIES -DHEIR
 * check: -DTRACKERS=2 -DBEGIN
 * check: -DWRITERS=2 -DMAPPER
 * check: -DWRITERS=2 -DMAPPER -DMAPPER_DIES
 * deep:  -DMORE -DWRITERS=2
 * deep:  -DWRITERS=2 -DTRACKERS=2 -DHARVESTER_DIES
 * deep:  -DWRITERS=2 -DWRITER_DIES -DDEPTH=3
 * break: MARK_BEFORE_WRITE
 * break: SUMMARY_BEFORE_WORD
 * break: TOP_BEFORE_SUMMARY
 * break: MARK_AFTER_LEAVE
 * break: CLEAR_SUMMARY_AFTER_SCAN -DMORE
 * break: CLEAR_TOP_AFTER_SCAN
 * break: TOP_NOT_RESTORED -DSEGMENTS
 * break: HARVEST_WITHOUT_MEMBARRIER
 * break: HARVEST_WITHOUT_LOCK -DTRACKERS=2
 * break: FREEZE_WITHOUT_DRAIN
 * break: FREEZE_WITHOUT_MEMBARRIER
 * break: TRACK_WITHOUT_DRAIN -DUNTRACKED
 * break: BEGIN_WITHOUT_LOCK -DTRACKERS=2 -DBEGIN
 * break: BEGIN_WITHOUT_MEMBARRIER -DTRACKERS=2 -DBEGIN
 * break: NO_REPAIR -DWRITERS=2 -DWRITER_DIES
 * break: ALL_DIRTY_INSTEAD -DWRITERS=2 -DWRITER_DIES
 * break: RECLAIM_BEFORE_INCOMPLETE -DWRITERS=2 -DWRITER_DIES -DNEWCOMER
 * break: NO_REPAIR -DTRACKERS=2 -DHARVESTER_DIES
 * break: CLEAR_WORD_BEFORE_OR -DTRACKERS=2 -DHARVESTER_DIES
 * break: DELIVER_ENDS_EARLY -DTRACKERS=2 -DHARVESTER_DIES -DHEIR
 * break: ABORT_ENDS_EARLY -DTRACKERS=2 -DHARVESTER_DIES -DABORTS
 * break: PINS_DO_NOT_COUNT -DWRITERS=2 -DMAPPER
 * break: PIN_FREED_BEFORE_MARK -DWRITERS=2 -DMAPPER
 * break: FREEZE_WITHOUT_ASKING -DWRITERS=2 -DMAPPER
 * break: RECLAIM_WITHOUT_MARK -DWRITERS=2 -DMAPPER -DMAPPER_DIES
 */
#ifndef WRITERS
#define WRITERS 1
#endif
#ifndef TRACKERS
#define TRACKERS 1
#endif
#ifdef MORE
#define WRITES(w) 3
#define ROUNDS 2
#else
#define WRITES(w) (w == 0 -> 2 : 1)
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef DEPTH
#define DEPTH 2
#endif

#define PAGES 2
#define CPUS WRITERS
#define SLOT(w) (w)
#define CELL(p, w) (WRITERS + (p) * WRITERS + (w))
#define PIN (WRITERS + PAGES * WRITERS)
#define WORDS (PIN + 1)
#include "tso.pml"

#define EVERY_TRACKER ((1 << TRACKERS) - 1)

/* Generations: what the writer's view says. */
#define PLAIN 1				/* writers do not mark */
#define TRACKED 2			/* writers mark */
#define FROZEN 3			/* writers stay out */

byte generation;
/* mem[PIN], the state of a pin on page 0. */
#define FREE 0
#define HELD 1
#define INVALIDATE 2
#define QUIESCED 3

/* The log, and each tracker's own. */
bit word[PAGES], summary[PAGES], top;
bit own_word[PAGES * TRACKERS], own_summary[PAGES * TRACKERS];
#define OWN_WORD(t, p) own_word[(t) * PAGES + (p)]
#define OWN_SUMMARY(t, p) own_summary[(t) * PAGES + (p)]
bit in_use[TRACKERS];
bit draining;				/* a harvester is at it, or died at it */
byte incomplete, repaired;			/* deaths that may have left marks half done; seen to */
byte drain_lock;			/* the kernel's: 1 + tracker */
bit frozen;				/* the owner says so: a last harvest may begin */
bit dead[WRITERS], harvester_dead;
/* Only to know what a dead writer had not finished. */
bit writing[WRITERS], page[WRITERS];
hidden byte write_is_lost;

inline set_top()
{
	if
	:: top
	:: !top -> d_step { drained(w) -> top = 1 }
	fi
}

inline set_summary()
{
	if
	:: summary[page[w]]
	:: !summary[page[w]] -> d_step { drained(w) -> summary[page[w]] = 1 }
#if !defined(TOP_BEFORE_SUMMARY)
		;
		set_top()							/* W5 */
#endif
	fi
}

/* A bit that is set already was set by somebody who sees to the levels above. */
inline mark()
{
#ifdef SUMMARY_BEFORE_WORD
	set_summary();
#endif
	if
	:: word[page[w]]							/* W2 */
	:: !word[page[w]] -> d_step { drained(w) -> word[page[w]] = 1 };	/* W3 */
#ifdef TOP_BEFORE_SUMMARY
		set_top();
#endif
#ifndef SUMMARY_BEFORE_WORD
		set_summary()							/* W4 */
#endif
	fi
}

proctype Writer(byte w)
{
	byte tgen, n;

	{
	tgen = generation;
	n = WRITES(w);
	do
	:: n == 0 -> break
	:: n > 0 ->
		store(w, SLOT(w), tgen);				/* E1 */
		if
		:: generation != tgen ->				/* E4 */
			store(w, SLOT(w), 0);
			tgen = generation
		:: generation == tgen && tgen == FROZEN ->
			store(w, SLOT(w), 0);
			break						/* until thawed */
		:: generation == tgen && tgen != FROZEN ->		/* E3 */
			atomic {
				writing[w] = 1;
				if
				:: page[w] = 0
				:: page[w] = 1
				fi
			};
#ifdef MARK_BEFORE_WRITE
			mark();
#endif
			store(w, CELL(page[w], w), EVERY_TRACKER);	/* W1 */
#ifdef MARK_AFTER_LEAVE
			store(w, SLOT(w), 0);
#endif
#ifndef MARK_BEFORE_WRITE
			if
			:: tgen == TRACKED -> mark()
			:: else
			fi;
#endif
			d_step { writing[w] = 0; page[w] = 0; n-- };
#ifndef MARK_AFTER_LEAVE
			store(w, SLOT(w), 0)				/* L */
#endif
		fi
	od
	} unless { d_step { dead[w] -> tgen = 0; n = 0 } }
}

/* Instead of writer 1: writes through a map of page 0, without sections and without marks. */
proctype Mapper(byte w)
{
	{
	do
	:: store(w, CELL(0, w), EVERY_TRACKER)
	:: d_step { mem[PIN] == INVALIDATE && drained(w) -> mem[PIN] = QUIESCED }; break
	:: mem[PIN] == HELD ->
#ifdef PIN_FREED_BEFORE_MARK
		store(w, PIN, FREE);
		mark();
#else
		mark();							/* unmap marks once more */
		store(w, PIN, FREE);
#endif
		break
	od
	} unless { dead[w] }
}

/* Into a tracker's own log: all levels, whoever may have died on the way before. */
inline deliver(u)
{
#ifdef DELIVER_ENDS_EARLY
	if
	:: OWN_WORD(u, p)
	:: !OWN_WORD(u, p) -> OWN_WORD(u, p) = 1; OWN_SUMMARY(u, p) = 1
	fi
#else
	OWN_WORD(u, p) = 1;
	OWN_SUMMARY(u, p) = 1
#endif
}

/* H0: the lock, and what the dead have left. */
inline harvest_begin(t)
{
#ifndef HARVEST_WITHOUT_LOCK
	d_step { drain_lock == 0 -> drain_lock = 1 + t };
#endif
	if
	:: draining || incomplete != repaired ->
		seen = incomplete;
#ifdef ALL_DIRTY_INSTEAD
		pages = 3;
#elif !defined(NO_REPAIR)
		do
		:: p < PAGES && word[p] -> summary[p] = 1; top = 1; p++
		:: p < PAGES && !word[p] -> p++
		:: p == PAGES -> p = 0; break
		od;
#endif
		atomic { repaired = seen; seen = 0 }
	:: !draining && incomplete == repaired
	fi;
	draining = 1
}

/* Take what is in the log, for t and every other tracker, then what is in t's own: pages. */
inline harvest(t, may_stop)
{
	harvest_begin(t);
	if
	:: top ->
#ifndef CLEAR_TOP_AFTER_SCAN
		top = 0;						/* H1 */
#endif
		do
		:: p < PAGES && summary[p] ->
#ifndef CLEAR_SUMMARY_AFTER_SCAN
			summary[p] = 0;
#endif
			if
			:: word[p] ->					/* H2 */
#ifdef CLEAR_WORD_BEFORE_OR
				word[p] = 0;
#endif
				do
				:: u < TRACKERS ->
					if
					:: u != t && in_use[u] -> deliver(u)
					:: else
					fi;
					u++
				:: u == TRACKERS -> u = 0; break
				od;
#ifndef CLEAR_WORD_BEFORE_OR
				word[p] = 0;
#endif
				pages = pages | (1 << p)
			:: !word[p]
			fi;
#ifdef CLEAR_SUMMARY_AFTER_SCAN
			summary[p] = 0;
#endif
			p++
		:: p < PAGES && !summary[p] -> p++
#ifdef SEGMENTS
		:: may_stop && p == 1 -> break
#endif
		:: p == PAGES -> break
		od;
#ifdef CLEAR_TOP_AFTER_SCAN
		top = 0;
#endif
#if defined(SEGMENTS) && !defined(TOP_NOT_RESTORED)
		/* Enough for now: the rest is still to be found. */
		if
		:: p < PAGES && summary[p] -> top = 1
		:: else
		fi;
#endif
		p = 0
	:: !top
	fi;
	do
	:: p < PAGES && OWN_SUMMARY(t, p) -> d_step {
			pages = pages | (OWN_WORD(t, p) << p);
			OWN_SUMMARY(t, p) = 0; OWN_WORD(t, p) = 0; p++
		}
	:: p < PAGES && !OWN_SUMMARY(t, p) -> p++
	:: p == PAGES -> p = 0; break
	od;
#if defined(MAPPER) && !defined(PINS_DO_NOT_COUNT)
	if
	:: mem[PIN] != FREE -> pages = pages | 1
	:: mem[PIN] == FREE
	fi;
#endif
	draining = 0;
#ifndef HARVEST_WITHOUT_LOCK
	drain_lock = 0;
#endif
#ifndef HARVEST_WITHOUT_MEMBARRIER
	membarrier();							/* H3 */
#endif
#ifdef ABORTS
	if
	:: may_stop && t == 0 -> give_back(t)
	:: copy(t)
	fi
#else
	copy(t)
#endif
}

/* An epoch that is aborted: what was taken goes into the tracker's own log again, for the next. */
inline give_back(t)
{
	do
	:: p < PAGES && ((pages >> p) & 1) ->
#ifdef ABORT_ENDS_EARLY
		if
		:: OWN_WORD(t, p)
		:: !OWN_WORD(t, p) -> OWN_WORD(t, p) = 1; OWN_SUMMARY(t, p) = 1
		fi;
#else
		OWN_WORD(t, p) = 1;
		OWN_SUMMARY(t, p) = 1;
#endif
		p++
	:: p < PAGES && !((pages >> p) & 1) -> p++
	:: p == PAGES -> d_step { p = 0; pages = 0 }; break
	od
}

/* H4: copy the pages: the tracker now has all that is seen of them. */
inline copy(t)
{
	do
	:: pages & 1 -> d_step {
			mem[CELL(0, 0)] = mem[CELL(0, 0)] & ~(1 << t);
#if WRITERS > 1
			mem[CELL(0, 1)] = mem[CELL(0, 1)] & ~(1 << t);
#endif
			pages = pages & 2
		}
	:: pages == 2 -> d_step {
			mem[CELL(1, 0)] = mem[CELL(1, 0)] & ~(1 << t);
#if WRITERS > 1
			mem[CELL(1, 1)] = mem[CELL(1, 1)] & ~(1 << t);
#endif
			pages = 0
		}
	:: pages == 0 -> break
	od
}

#if WRITERS > 1
#define LACKING (mem[CELL(0, 0)] | mem[CELL(1, 0)] | mem[CELL(0, 1)] | mem[CELL(1, 1)])
#else
#define LACKING (mem[CELL(0, 0)] | mem[CELL(1, 0)])
#endif

/* After the freeze and the last harvest the tracker's copy has all that writers completed. */
inline assert_nothing_lost(t)
{
	d_step { write_is_lost = (LACKING >> t) & 1; assert(!write_is_lost) }
}

/* D: what died inside of a section may have left a mark half done: count it, then free the slot. */
inline reclaim(s)
{
#ifndef RECLAIM_BEFORE_INCOMPLETE
	incomplete++;
	mem[SLOT(s)] = 0
#else
	mem[SLOT(s)] = 0;
	incomplete++
#endif
}

/* P4 and P5 for a generation that has just been stored. */
inline drain_sections()
{
	membarrier();
	do
	:: s < WRITERS && (mem[SLOT(s)] == 0 || mem[SLOT(s)] == generation) -> s++
#ifndef NEWCOMER
	:: s < WRITERS && dead[s] && mem[SLOT(s)] != 0 -> reclaim(s)
#endif
	:: s == WRITERS -> s = 0; break
	od
}

/* The owner, who is tracker 0 too. */
proctype Owner()
{
	byte p, u, pages, s, n, seen;

#ifdef UNTRACKED
	in_use[0] = 1;
	generation = TRACKED;
#ifndef TRACK_WITHOUT_DRAIN
	drain_sections();
#endif
	pages = 3;
	copy(0);
#endif
	n = ROUNDS;
	do
	:: n > 0 ->
		n--;
#ifndef NEWCOMER
		if
		:: dead[0] && mem[SLOT(0)] -> reclaim(0)
		:: else
		fi;
#endif
		harvest(0, 1)
	:: n == 0 -> break
	od;
	generation = FROZEN;
#ifdef FREEZE_WITHOUT_MEMBARRIER
	do
	:: s < WRITERS && (mem[SLOT(s)] == 0 || mem[SLOT(s)] == generation) -> s++
	:: s == WRITERS -> s = 0; break
	od;
#elif !defined(FREEZE_WITHOUT_DRAIN)
	drain_sections();
#else
	membarrier();
#endif
#if defined(MAPPER) && !defined(FREEZE_WITHOUT_ASKING)
	/* Ask, and wait until the holder is quiet, gone or dead. A dead one's page is marked for it. */
	do
	:: d_step { mem[PIN] == HELD -> mem[PIN] = INVALIDATE }
	:: mem[PIN] == FREE || mem[PIN] == QUIESCED -> break
	:: dead[1] && mem[PIN] != FREE ->
#ifndef RECLAIM_WITHOUT_MARK
		word[0] = 1;
		summary[0] = 1;
		top = 1;
#endif
		mem[PIN] = FREE
	od;
#endif
	frozen = 1;
	harvest(0, 0);
	assert_nothing_lost(0)
}

/* A process that binds under the index of the dead writer, and cleans first. */
proctype Newcomer()
{
end:	if
	:: dead[0] && mem[SLOT(0)] -> reclaim(0)
	fi
}

/* Another process that tracks. */
proctype Tracker()
{
	byte p, u, pages, n, seen;

	{
#ifdef BEGIN
#ifndef BEGIN_WITHOUT_LOCK
	d_step { drain_lock == 0 -> drain_lock = 2 };
#endif
	in_use[1] = 1;
#ifndef BEGIN_WITHOUT_LOCK
	drain_lock = 0;
#endif
#ifndef BEGIN_WITHOUT_MEMBARRIER
	membarrier();
#endif
	pages = 3;
	copy(1);
#endif
	n = ROUNDS;
	do
	:: n > 0 -> n--; harvest(1, 1)
	:: n == 0 -> break
	od;
	frozen;
	harvest(1, 0);
	assert_nothing_lost(1)
	} unless { d_step { harvester_dead -> p = 0; u = 0; pages = 0; n = 0; seen = 0 } }
}

/* Another that tracks in the place of the one that died: it delivers what that one did not. */
proctype Heir()
{
	byte p, u, pages, seen;

end:	if
	:: harvester_dead ->
		d_step { drain_lock == 0 -> drain_lock = 2 };
		in_use[1] = 1;
		drain_lock = 0;
		membarrier();
		harvest(1, 0)
	fi
}

proctype Killer()
{
	if
#ifdef WRITER_DIES
	:: d_step {
		drain(0);
		dead[0] = 1;
		/* A write that never ended may be had or not. */
		if
		:: writing[0] -> mem[CELL(page[0], 0)] = 0
		:: else
		fi;
		writing[0] = 0; page[0] = 0
	}
#endif
#ifdef MAPPER_DIES
	:: d_step { drain(1); dead[1] = 1 }
#endif
#ifdef HARVESTER_DIES
	:: d_step {
		harvester_dead = 1;
		if
		:: drain_lock == 2 -> drain_lock = 0
		:: else
		fi;
		/* Its tracker is cleared with all that carries its index. */
		in_use[1] = 0;
		OWN_WORD(1, 0) = 0; OWN_WORD(1, 1) = 0;
		OWN_SUMMARY(1, 0) = 0; OWN_SUMMARY(1, 1) = 0
	}
#endif
	:: skip
	fi
}

init {
	d_step {
#ifdef MAPPER
		mem[PIN] = HELD;
#endif
#ifdef UNTRACKED
		generation = PLAIN;
#else
		generation = TRACKED;
		in_use[0] = 1;
#endif
#if TRACKERS > 1 && !defined(BEGIN)
		in_use[1] = 1;
#endif
		skip
	};
	atomic {
		run_memory();
		run Writer(0);
#ifdef MAPPER
		run Mapper(1);
#elif WRITERS > 1
		run Writer(1);
#endif
		run Owner();
#ifdef NEWCOMER
		run Newcomer();
#endif
#if TRACKERS > 1
		run Tracker();
#endif
#ifdef HEIR
		run Heir();
#endif
#if defined(WRITER_DIES) || defined(HARVESTER_DIES) || defined(MAPPER_DIES)
		run Killer()
#endif
	}
}
