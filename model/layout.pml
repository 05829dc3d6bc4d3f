/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * How a layout changes under use: publish, sections, the wait and its deadline, going back, the
 * death of a binder or of the owner at any step, reclaiming, adoption. Steps are named as in
 * docs/design/sections.md; code: lib/layout/ (P, A), include/vas/access.h and lib/access/ (E),
 * lib/handle/lock.c (reclaim).
 *
 * Guest memory is two ranges. A layout has one region, in one of them: its id is in the table twice
 * (so that a half-written table shows), and the id's lowest bit is the range. Each change removes
 * the region and adds a new one in the other range. ram[r] is the region whose bytes are in range r,
 * 0 when they were given back; a reader that finds anything but the region of its view there used
 * torn-down memory.
 *
 * DEPTH 1 is enough for the slot's stores: a second store that waits can only make the slot look
 * taken for longer. scripts/model.sh --deep checks 2 as well.
 *
 * check: -DCOMMITS=3
 * check: -DCOMMITS=2 -DBINDER_DIES
 * check: -DCOMMITS=1 -DOWNER_DIES
 * check: -DCOMMITS=2 -DONE_PROCESS
 * check: -DCOMMITS=1 -DWITH_OWNER -DOWNER_DIES
 * check: -DCOMMITS=2 -DWITH_OWNER -DBINDER_DIES
 * check: -DCOMMITS=2 -DFENCE -DBINDER_DIES
 * check: -DCOMMITS=2 -DOBSERVER -DBINDER_DIES
 * check: -DCOMMITS=1 -DOBSERVER -DOWNER_DIES
 * check: -DCOMMITS=1 -DADOPTERS=2 -DONE_READER -DOWNER_DIES
 * check: -DCOMMITS=1 -DADOPTERS=2 -DONE_READER -DOWNER_DIES -DADOPTER_DIES
 * check: -DLIVE -DNO_DEADLINE -DBINDER_DIES
 * check: -DLIVE -DNO_DEADLINE -DBINDER_DIES -DNOBODY_NEW
 * deep:  -DCOMMITS=2 -DBINDER_DIES -DDEPTH=2
 * deep:  -DCOMMITS=2 -DOWNER_DIES
 * deep:  -DCOMMITS=1 -DONE_PROCESS -DOWNER_DIES
 * deep:  -DCOMMITS=2 -DONE_PROCESS -DBINDER_DIES
 * break: SKIP_MEMBARRIER
 * break: SKIP_OWNER_FENCE -DFENCE
 * break: PUBLISH_BEFORE_TABLE
 * break: NO_RECHECK
 * break: NO_RECHECK_OF_COPY -DCOMMITS=2
 * break: VIEW_GOES_BACK -DONE_PROCESS -DCOMMITS=2
 * break: FREE_WITHOUT_MEMBARRIER -DONE_PROCESS
 * break: TEARDOWN_BEFORE_WAIT
 * break: TEARDOWN_BEFORE_PUBLISH -DOBSERVER
 * break: OBSERVER_NO_RECHECK -DOBSERVER
 * break: ROLLBACK_WITHOUT_WAIT
 * break: GENERATION_REUSED -DCOMMITS=2
 * break: WAIT_FOR_NEWEST -DCOMMITS=2
 * break: ADD_OVER_KEPT -DCOMMITS=2
 * break: RECLAIM_WITHOUT_LOCK -DBINDER_DIES
 * break: RECLAIM_OWN -DWITH_OWNER
 * break: ADOPT_KEEPS_TABLE -DOWNER_DIES
 * break: ADOPT_WITHOUT_WAIT -DOWNER_DIES -DONE_READER
 * break: ADOPTER_WITHOUT_MEMBARRIER -DOWNER_DIES -DONE_READER
 * break: ADOPT_INTO_OTHER_TABLE -DOWNER_DIES -DADOPTER_DIES -DADOPTERS=2 -DONE_READER
 * break: ADOPT_WITHOUT_LOCK -DOWNER_DIES -DADOPTERS=2 -DONE_READER
 * break: NO_RECLAIM -DLIVE -DNO_DEADLINE -DBINDER_DIES -DNOBODY_NEW
 * break: WAIT_FOR_EMPTY -DLIVE -DNO_DEADLINE
 */
#ifndef COMMITS
#define COMMITS 1
#endif
#ifndef ADOPTERS
#define ADOPTERS 1
#endif
#ifndef DEPTH
#define DEPTH 1
#endif

#define NSLOTS 2
#define SLOT(s) (s)
#define GENERATION NSLOTS
#define WORDS (NSLOTS + 1)
#define CPUS 3
#define OWNER_CPU 2
#include "tso.pml"

/*
 * Handles, which are what locks belong to: reader i has handle 1 + i and binder index i, but both
 * are one process's threads with ONE_PROCESS, and reader 1 is one of the owner's with WITH_OWNER.
 */
#define OWNER 3
#define ADOPTER 4
#ifdef ONE_PROCESS
#define PROCESS(i) 0
#define INDEX(i) 0
#else
#define PROCESS(i) (i)
#define INDEX(i) (i)
#endif
#ifdef WITH_OWNER
#define HANDLE_1 OWNER
#else
#define HANDLE_1 2
#endif

#define RANGE(l) ((l) & 1)
#define OTHER(l) (1 - RANGE(l))
#define FIRST 2				/* the first layout; range 0 */
#define GENERATIONS 12

/* The control area, but for what mem[] has. */
byte state_generation[2], state_table[2];
byte table_a[2], table_b[2];
byte slot_binder[NSLOTS];		/* index + 1; 0: free */
byte next_id = 1;
byte ram[2];
/* The kernel's: which handle has the lock on a binder's byte, and on the owner's. */
byte binder_lock[2], owner_lock;
/* Each process's. */
byte view_generation[2], view_layout[2];
byte freed_below;			/* of one process: older views than this are free */
bit dead[2], owner_dead, adopter_dead;
/* Only for assertions. */
byte layout_of[GENERATIONS];		/* what each generation was published with */
bit alive[NSLOTS];			/* the slot's thread lives */
byte slot_of[2];
bit committed;
hidden byte used_after_teardown, used_after_free, torn_copy, live_slot_reclaimed;
hidden byte wrong_bytes, two_owners, wrong_adoption;

/* Clear what carries the index of a dead binder. */
inline clean(binder)
{
	do
	:: k < NSLOTS && slot_binder[k] == binder ->
		d_step {
			live_slot_reclaimed = alive[k];
			assert(!live_slot_reclaimed);
			mem[SLOT(k)] = 0
		};
		d_step {
			live_slot_reclaimed = alive[k];
			assert(!live_slot_reclaimed);
			slot_binder[k] = 0; k++
		}
	:: k < NSLOTS && slot_binder[k] != binder -> k++
	:: k == NSLOTS -> k = 0; break
	od
}

#define HOLDS(l) (ram[RANGE(l)] == l)
#define VIEW view_layout[PROCESS(i)]

/* A section, or instead of it the look at a new generation. */
inline section()
{
	store(i, SLOT(s), tgen);		/* E1 */
#ifdef FENCE
	drained(i);				/* E2 */
#endif
	if
#ifndef NO_RECHECK
	:: mem[GENERATION] == tgen ->		/* E3 */
#else
	:: tgen ->
#endif
#ifdef ONE_PROCESS
		/* translate: perhaps with a newer view than that of E3 */
		d_step { v = VIEW; b = view_generation[0] };
		d_step {
			used_after_teardown = !HOLDS(v); assert(!used_after_teardown);
			used_after_free = b < freed_below; assert(!used_after_free);
			v = 0; b = 0
		};
#else
		d_step { used_after_teardown = !HOLDS(VIEW); assert(!used_after_teardown) };
#endif
		store(i, SLOT(s), 0)		/* L */
	:: mem[GENERATION] != tgen ->
		store(i, SLOT(s), 0);		/* E4 */
		d_step {
			g = mem[GENERATION];
			v = state_generation[g & 1];
			a = table_a[state_table[g & 1]]
		};
		/* The rest of the table, the generation again, then the view, which others here use. */
		d_step {
			b = table_b[state_table[g & 1]];
			if
#ifndef NO_RECHECK_OF_COPY
			:: mem[GENERATION] != g -> g = 0
#endif
			/* What is not whole here is a damaged control area. */
			:: else ->
				torn_copy = v != g || a != b || a != layout_of[g];
				assert(!torn_copy)
			fi;
			v = 0;
#ifdef ONE_PROCESS
		};
		/* Others here may have built a newer view by now. */
		d_step {
#endif
			if
#ifndef VIEW_GOES_BACK
			:: g > view_generation[PROCESS(i)] ->
#else
			:: g ->
#endif
				view_generation[PROCESS(i)] = g;
				VIEW = a
			:: else
			fi;
			if
			:: g -> tgen = g
			:: else
			fi;
			a = 0; b = 0
#ifdef ONE_PROCESS
		};
		/* V: free the views before this one, unless the other thread here is in one of them. */
#ifndef FREE_WITHOUT_MEMBARRIER
		membarrier();
#endif
		if
		:: mem[SLOT(1 - i)] == 0 || mem[SLOT(1 - i)] >= g -> d_step {
				if
				:: g > freed_below -> freed_below = g
				:: else
				fi
			}
		:: mem[SLOT(1 - i)] != 0 && mem[SLOT(1 - i)] < g
		fi;
		d_step {
#endif
			g = 0
		}
	fi
}

proctype Reader(byte i)
{
	byte tgen, s, index, g, a, b, v, k;

	d_step { tgen = 1; s = i; index = INDEX(i) };
	do
	:: section()
	od unless { dead[PROCESS(i)] };
#if !defined(ONE_PROCESS) && !defined(NOBODY_NEW)
	/* A new process in its stead: bind (take a byte that is free, clean), claim a slot. */
	d_step {
		i == 0 -> tgen = 0; s = 0; g = 0; a = 0; b = 0; v = 0; k = 0;
		view_generation[0] = 0; VIEW = 0
	};
	do
	:: atomic { binder_lock[index] == 0 -> binder_lock[index] = 1; dead[0] = 0; break }
	:: atomic { binder_lock[index] != 0 -> index = 1 - index }
	od;
	clean(index + 1);
	do
	:: d_step { slot_binder[s] == 0 -> slot_binder[s] = index + 1; alive[s] = 1 }; break
	:: d_step { slot_binder[s] != 0 -> s = (s + 1) % NSLOTS }
	od;
	do
	:: section()
	od
#endif
}

/* Takes the generation, reads, compares again; leaves no trace. */
proctype Observer()
{
	byte g, l, bytes;

	do
	:: d_step { g = mem[GENERATION]; l = layout_of[g] };
		bytes = ram[RANGE(l)];
		d_step {
#ifndef OBSERVER_NO_RECHECK
			wrong_bytes = bytes != l && mem[GENERATION] == g;
#else
			wrong_bytes = bytes != l;
#endif
			assert(!wrong_bytes);
			g = 0; l = 0; bytes = 0
		}
	od
}

inline barrier()
{
#if defined(SKIP_MEMBARRIER) || (defined(FENCE) && !defined(SKIP_OWNER_FENCE))
	drained(OWNER_CPU)			/* P4 without membarrier: a full fence */
#elif defined(ADOPTER_WITHOUT_MEMBARRIER)
	if
	:: self == OWNER -> membarrier()
	:: self != OWNER -> drained(OWNER_CPU)
	fi
#elif !defined(SKIP_OWNER_FENCE)
	membarrier()				/* P4 */
#else
	skip
#endif
}

inline publish_state(l)
{
	d_step { state_table[g & 1] = t; state_generation[g & 1] = g };	/* P2 */
	d_step { layout_of[g] = l; store(OWNER_CPU, GENERATION, g) }		/* P3 */
}

inline publish(l)
{
	d_step { two_owners = owner_lock != self; assert(!two_owners); g++; t = 1 - t };
#ifdef PUBLISH_BEFORE_TABLE
	publish_state(l);
#endif
	table_a[t] = l;				/* P1 */
	table_b[t] = l;
#ifndef PUBLISH_BEFORE_TABLE
	publish_state(l);
#endif
	barrier()
}

#if defined(WAIT_FOR_NEWEST)
#define IN_THE_WAY(s, limit) (s < NSLOTS && mem[SLOT(s)] == limit)
#elif defined(WAIT_FOR_EMPTY)
#define IN_THE_WAY(s, limit) (s < NSLOTS && mem[SLOT(s)] != 0)
#else
#define IN_THE_WAY(s, limit) (s < NSLOTS && mem[SLOT(s)] != 0 && mem[SLOT(s)] <= limit)
#endif

/* P5: until nobody is in a generation up to the limit, or the deadline passes. */
inline wait_out(limit)
{
	ok = 1;
	do
	:: s == NSLOTS -> s = 0; break
	:: d_step { s < NSLOTS && !IN_THE_WAY(s, limit) -> s++ }
	:: d_step { IN_THE_WAY(s, limit) && slot_binder[s] -> b = slot_binder[s] };
		if
#if defined(NO_RECLAIM)
		:: binder_lock[b - 1] == 0
#elif defined(RECLAIM_WITHOUT_LOCK)
		:: binder_lock[b - 1] == 0 -> clean(b)
#else
		:: d_step { binder_lock[b - 1] == 0 -> binder_lock[b - 1] = self };
			clean(b);
			binder_lock[b - 1] = 0
#endif
#ifdef RECLAIM_OWN
		/* A handle's own locks never stand in its way. */
		:: binder_lock[b - 1] == self -> clean(b); binder_lock[b - 1] = 0
#else
		:: binder_lock[b - 1] == self
#endif
		:: binder_lock[b - 1] != 0 && binder_lock[b - 1] != self
		fi;
		b = 0
#ifndef NO_DEADLINE
	:: d_step { IN_THE_WAY(s, limit) -> s = 0; ok = 0 }; break
#endif
	od
}

#ifdef ADOPTER_DIES
#define MAY_ADOPT (self == ADOPTER || adopter_dead)	/* one after the other */
#else
#define MAY_ADOPT (true)
#endif

/*
 * kept: readers of this generation and older ones may still use the range that the present layout
 * does not have; 0: it is free. An adopter takes it that what only the other table has is in use.
 */
proctype Owner(byte self; byte commits)
{
	byte g, t, l, n, kept, s, k, b;
	bit ok;

	{
	if
	:: d_step { self == OWNER -> g = 1; l = FIRST }
	:: d_step { self != OWNER && owner_lock == 0 && MAY_ADOPT ->
#ifndef ADOPT_WITHOUT_LOCK
			owner_lock = self;
#endif
			g = mem[GENERATION];				/* A1: copy and check */
			t = state_table[g & 1];
#ifndef ADOPT_KEEPS_TABLE
			l = table_a[t];
			wrong_adoption = l != table_b[t] || l != layout_of[g];
#else
			l = table_a[1 - t];	/* the dead owner's next, "finished" for it */
			wrong_adoption = l != table_b[1 - t];
#endif
			assert(!wrong_adoption);
			/* What only the other table names may be in use, or half written. */
			if
			:: table_a[1 - t] != l || table_b[1 - t] != l -> kept = g
			:: else
			fi
		};
#ifdef ADOPT_WITHOUT_LOCK
		owner_lock = self;
#endif
		/* A2: a new generation; the other table stays, for the next adopter to see. */
#if defined(ADOPT_INTO_OTHER_TABLE) || defined(ADOPT_KEEPS_TABLE)
		publish(l);
#else
		d_step { two_owners = owner_lock != self; assert(!two_owners); g++ };
		publish_state(l);
		barrier();
#endif
#ifdef ADOPT_WITHOUT_WAIT
		d_step { ram[OTHER(l)] = 0; kept = 0 }
#endif
	fi;
	do
	:: commits > 0 ->
		commits--;
		if
#ifndef ADD_OVER_KEPT
		:: kept -> wait_out(kept)				/* P0 */
#endif
		:: else -> ok = 1
		fi;
		if
		:: !ok
		:: ok ->
			d_step {
				next_id++; n = 2 * next_id + OTHER(l); kept = 0;
				ram[RANGE(n)] = n
			};
#ifdef TEARDOWN_BEFORE_PUBLISH
			ram[RANGE(l)] = 0;
#endif
			publish(n);
#ifdef TEARDOWN_BEFORE_WAIT
			ram[RANGE(l)] = 0;
#endif
			wait_out(g - 1);				/* P5 */
			if
			:: d_step { ok -> ram[RANGE(l)] = 0; l = n; n = 0 }	/* P6 */
			:: d_step { !ok && self != OWNER -> n = 0; commits = 0 }
			:: d_step { !ok && self == OWNER -> n = 0 };
				/* The old layout again. */
#ifdef GENERATION_REUSED
				d_step { g--; t = 1 - t };
				store(OWNER_CPU, GENERATION, g);
				membarrier();
				wait_out(g + 1);
				kept = (ok -> 0 : g + 1);
#else
				publish(l);
#ifdef ROLLBACK_WITHOUT_WAIT
				ok = 1;
#else
				wait_out(g - 1);
#endif
				kept = (ok -> 0 : g - 1);
#endif
				if
				:: ok -> ram[OTHER(l)] = 0
				:: else
				fi
			fi
		fi
	:: commits == 0 -> break
	od;
	committed = 1
	} unless {
		d_step {
			(self == OWNER && owner_dead) || (self == ADOPTER && adopter_dead) ->
			g = 0; t = 0; l = 0; n = 0; kept = 0; s = 0; k = 0; b = 0; ok = 0; commits = 0
		}
	}
}

/* kill -9, once, at any instant: what was stored is seen, then the locks go. */
proctype Killer()
{
	if
#ifdef BINDER_DIES
	:: d_step {
		drain(0);
		dead[0] = 1; alive[0] = 0; binder_lock[0] = 0;
#ifdef ONE_PROCESS
		drain(1);
		alive[1] = 0;
#endif
		skip
	}
#endif
#ifdef OWNER_DIES
	:: d_step {
		drain(OWNER_CPU);
		owner_dead = 1; owner_lock = 0;
		if
		:: binder_lock[0] == OWNER -> binder_lock[0] = 0
		:: else
		fi;
		if
		:: binder_lock[1] == OWNER -> binder_lock[1] = 0
		:: else
		fi;
#ifdef WITH_OWNER
		drain(1);
		dead[1] = 1; alive[1] = 0;
#endif
		skip
	};
#ifdef ADOPTER_DIES
	d_step { owner_lock == ADOPTER -> drain(OWNER_CPU); adopter_dead = 1; owner_lock = 0 }
#endif
#endif
	:: skip
	fi
}

init {
	d_step {
		mem[GENERATION] = 1; layout_of[1] = FIRST; ram[RANGE(FIRST)] = FIRST;
		state_generation[1] = 1; table_a[0] = FIRST; table_b[0] = FIRST;
		owner_lock = OWNER; binder_lock[0] = 1;
		slot_binder[0] = 1; alive[0] = 1;
		view_generation[0] = 1; view_layout[0] = FIRST;
#if !defined(OBSERVER) && !defined(ONE_READER)
		slot_binder[1] = 1 + INDEX(1); alive[1] = 1;
		view_generation[1] = 1; view_layout[1] = FIRST;
#ifndef ONE_PROCESS
		binder_lock[1] = HANDLE_1;
#endif
#endif
		skip
	};
	atomic {
		run_memory();
		run Reader(0);
#ifdef OBSERVER
		run Observer();
#elif !defined(ONE_READER)
		run Reader(1);
#endif
		run Owner(OWNER, COMMITS);
#ifdef OWNER_DIES
#ifndef ADOPTER_DIES
		run Owner(ADOPTER, 1);
#else
		run Owner(ADOPTER, 0);
#endif
#if ADOPTERS > 1
		run Owner(ADOPTER + 1, 1);
#endif
#endif
#if defined(OWNER_DIES) || defined(BINDER_DIES)
		run Killer()
#endif
	}
}

#ifdef LIVE
/* A change ends, even without a deadline: no reader, dead or alive, keeps it for ever. */
ltl commit_ends { <> committed }
#endif
