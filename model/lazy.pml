/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Lazy memory: those who touch pages that are not filled yet, those who fill them, the announcement
 * that all are there, and the death of a binder or of the owner at any step, with an adopter after
 * it. Steps are named as in docs/design/lazy.md; code: lib/access/lazy.c (A), lib/lazy/begin.c and
 * lib/lazy/fill.c (F), lib/lazy/fault.c and lib/lazy/place.c (U).
 *
 * There are two pages, each a word of the log by itself; two binders ask for any of them, or, ALONE, one.
 * A wait on a futex is a look at its count, and a sleep until it has changed. Waits for `answer` end after
 * a while, too: here only if an owner has died and there is something to see, so that a wait which needs
 * it at other times is a deadlock; with IMPATIENT whenever they like. That nobody waits for ever
 * shows in that there are none of those.
 *
 * Not here: that a generation is read whole (layout.pml), and store buffers: all that must not pass
 * another step is a locked instruction or a system call, or is stored after it and loaded before it.
 *
 * check:
 * check: -DBACKGROUND
 * check: -DIMPATIENT
 * check: -DBINDER_DIES
 * check: -DTHREAD -DALONE
 * check: -DTHREAD -DALONE -DBACKGROUND
 * check: -DTHREAD -DALONE -DWAITER
 * check: -DMAPPER -DBACKGROUND
 * check: -DFAILS
 * check: -DFAILS -DBACKGROUND -DTHREAD -DALONE
 * check: -DSTALE
 * check: -DREUSE -DALONE -DBACKGROUND
 * check: -DTRACKER -DBACKGROUND
 * check: -DGUEST
 * check: -DGUEST -DBACKGROUND -DFAILS
 * check: -DOWNER_DIES -DALONE -DBACKGROUND
 * check: -DOWNER_DIES -DALONE -DBACKGROUND -DWAITER
 * check: -DOWNER_DIES -DALONE -DBACKGROUND -DADOPTER
 * check: -DOWNER_DIES -DALONE -DBACKGROUND -DADOPTER -DIMPATIENT
 * check: -DOWNER_DIES -DALONE -DBACKGROUND -DADOPTER -DMAPPER
 * check: -DOWNER_DIES -DALONE -DBACKGROUND -DADOPTER -DREUSE
 * check: -DOWNER_DIES -DALONE -DBACKGROUND -DADOPTER -DTHREAD
 * check: -DOWNER_DIES -DALONE -DBACKGROUND -DTRACKER
 * check: -DOWNER_DIES -DALONE -DBINDER_DIES -DADOPTER
 * deep:  -DREUSE -DBACKGROUND
 * deep:  -DOWNER_DIES
 * deep:  -DOWNER_DIES -DBACKGROUND
 * deep:  -DOWNER_DIES -DALONE -DBACKGROUND -DADOPTER -DREUSE -DWAITER
 * deep:  -DGUEST -DTHREAD -DALONE -DBACKGROUND
 * break: LOG_AFTER_LAYOUT
 * break: LAZY_AFTER_LAYOUT
 * break: LAYOUT_BEFORE_FLAG
 * break: LOG_NOT_CLEARED -DSTALE
 * break: BIT_BEFORE_PAGE
 * break: PAGE_BEFORE_BIT
 * break: PRESENT_WHILE_LAZY
 * break: FILL_WITHOUT_LOCK -DTHREAD -DALONE -DBACKGROUND
 * break: WANTED_BEFORE_LOCK -DTHREAD -DALONE -DBACKGROUND
 * break: FAILED_COUNTS -DFAILS -DBACKGROUND
 * break: FINISH_AFTER_LAST_OF_OWN -DTHREAD -DALONE -DBACKGROUND -DFAILS
 * break: LAST_WITHOUT_WAKEUP -DTHREAD -DALONE -DWAITER
 * break: ANSWER_BEFORE_CLEAR
 * break: ANSWER_SEEN_LATE
 * break: WAKEUP_SEEN_LATE
 * break: WAKE_FOR_OWN_REQUEST -DBINDER_DIES
 * break: MAP_ASKS_BEFORE -DMAPPER
 * break: TOUCHED_BEFORE_MISSING -DTRACKER -DBACKGROUND
 * break: FILLED_LOOKED_FOR_LAST -DOWNER_DIES -DALONE -DBACKGROUND
 * break: FILLED_LOOKED_FOR_LAST -DOWNER_DIES -DALONE -DBACKGROUND -DWAITER
 * break: LOG_LOOKED_AT_LAST -DOWNER_DIES -DALONE -DBACKGROUND -DADOPTER -DREUSE
 * break: STALE_IS_LAZY -DOWNER_DIES -DALONE -DBACKGROUND -DWAITER
 * break: ADOPT_SILENTLY -DOWNER_DIES -DALONE -DADOPTER
 * break: ADOPT_KEEPS_THE_LOG -DOWNER_DIES -DALONE -DBACKGROUND -DADOPTER
 * break: ADOPT_KEEPS_THE_FLAG -DOWNER_DIES -DALONE -DBACKGROUND -DADOPTER
 * break: ZEROS_FOR_FAULTS -DGUEST
 * break: RELEASE_BEFORE_LAST -DGUEST -DBACKGROUND
 */
#define PAGES 2
#define BINDERS 2

/* A page of the file. */
#define HOLE 0				/* zeros to who looks at it */
#define FILLED 1				/* as the source has it */
#define WRITTEN 2			/* and written since */
byte page[PAGES];

/* Generations; the numbers only tell them apart. */
#define EMPTY 0				/* no regions */
#define LAZY 1			/* all pages, LAZY */
#define WHOLE 2				/* all pages */
#define EMPTY_ADOPTED 3
#define LAZY_ADOPTED 4
#define WHOLE_ADOPTED 5
#define has_pages(g) ((g) % 3 != EMPTY)
#define is_lazy(g) ((g) % 3 == LAZY)

/* The control area. */
byte generation;
bit lazy_log;
bit missing[PAGES];			/* the log that `lazy_log` names */
#define NOBODY 0
#define LAZY_LOG 1
#define OTHER 2
byte log_of;				/* whose it is: vas_tracker.binder */
byte request;				/* lazy_request: page + 1 */
#define NEVER 255
byte failed;				/* lazy_failed: page + 1, or NEVER */
byte owner_byte;			/* the kernel's: who has the owner's lock */

/* Futexes: has it changed since this one looked? The owner's filler sleeps on the wakeup. */
#define AWAY 0
#define LOOKED 1
#define WOKEN 2
byte futex[BINDERS];
bit woken;
#define woken_if(b) (futex[b] == AWAY -> AWAY : WOKEN)
#define answer() d_step { futex[0] = woken_if(0); futex[1] = woken_if(1) }

/* The owner's process. */
bit lock, change;
bit wanting[PAGES], done, started;
byte left;
#ifdef BACKGROUND
#define background 1
#else
#define background 0
#endif
/* Its guest's mapping: userfaultfd has it; a page that faulted, one that is never filled. */
bit watched, poisoned[PAGES];
byte faulted;

bit owner_dead, dead[BINDERS];
/* Only for assertions. */
bit refused[PAGES];
bit announced;
hidden byte zeros_seen, write_lost, error_without_cause, strange_request, not_all_there, left_behind;

#ifdef STALE
#define is_to_fill(p) ((p) == 0)
#else
#define is_to_fill(p) 1
#endif
#ifdef FAILS
#define can_fill(p) ((p) == 1)
#else
#define can_fill(p) 1
#endif

/* A load, or a store that is lost if a fill comes after it. */
inline touch(p) { d_step { zeros_seen = page[p] == HOLE; assert(!zeros_seen); page[p] = WRITTEN } }

inline check_all_there()
{
	not_all_there = page[0] == HOLE || page[1] == HOLE;
	assert(!not_all_there)
}

/* ---- bringing: threads of the owner's process ------------------------------------------------ */

inline place(p)
{
	d_step {
		write_lost = page[p] == WRITTEN;
		assert(!write_lost);
		error_without_cause = refused[p];
		assert(!error_without_cause);
		page[p] = FILLED							/* F3 */
	}
}

inline filled(p)
{
#ifdef BIT_BEFORE_PAGE
	missing[p] = 0;
	place(p);
#else
	place(p);
	missing[p] = 0;								/* F4 */
#endif
	d_step {
		wanting[p] = 0;
		left--;
		/* Who faulted there is woken. */
		if
		:: faulted == p + 1 -> faulted = 0
		:: else
		fi
	}
}

inline not_filled(p)
{
	failed = p + 1;
	d_step {
#ifdef FAILED_COUNTS
		if
		:: wanting[p] -> wanting[p] = 0; left--
		:: else
		fi;
#endif
		poisoned[p] = 1;
		if
		:: faulted == p + 1 -> faulted = 0
		:: else
		fi
	}
}

/* F2 to F4 for a page that somebody wants, or that is the next. */
inline fetch(p)
{
#if defined(FILL_WITHOUT_LOCK)
	w = wanting[p];
#elif defined(WANTED_BEFORE_LOCK)
	w = wanting[p];
	d_step { lock == 0 -> lock = 1 };
#else
	d_step { lock == 0 -> lock = 1; w = wanting[p] };
#endif
	if
	:: w && !done && can_fill(p) -> filled(p)
	:: w && !done && !can_fill(p) -> not_filled(p)
	:: else
	fi;
	d_step { w = (left == 0); lock = 0 };
	answer();
#ifndef LAST_WITHOUT_WAKEUP
	d_step { woken = woken || w; w = 0 }
#else
	w = 0
#endif
}

/* All is there. */
inline finish()
{
	d_step { change == 0 -> change = 1 };
	d_step { lock == 0 -> lock = 1 };
	watched = 0;
	d_step { done = 1; faulted = 0; lock = 0 };
	d_step { generation = WHOLE; announced = 1; check_all_there() };			/* F5 */
	lazy_log = 0;
	d_step { log_of = NOBODY; change = 0 };
	answer()
}

proctype Filler()
{
	byte p, w, next;

	{
	started;
	do
	:: true ->
#ifndef WAKEUP_SEEN_LATE
		woken = 0;
#endif
		p = request;
		if
		:: p == 0
		:: p != 0 ->
			d_step { p--; strange_request = !is_to_fill(p); assert(!strange_request) };
			fetch(p);
#ifdef ANSWER_BEFORE_CLEAR
			request = 0;
#else
			request = 0;
			answer();
#endif
			p = 0
		fi;
		if
		:: background && next < PAGES ->
#ifdef RELEASE_BEFORE_LAST
			watched = next + 1 < PAGES;
#endif
			fetch(next);
			next++
		:: !background || next == PAGES ->
			if
#ifdef FINISH_AFTER_LAST_OF_OWN
			:: left == 0 || next == PAGES -> finish(); break
			:: left != 0 && next != PAGES ->
#else
			:: lock == 0 && left == 0 -> finish(); break
			:: lock == 0 && left != 0 ->
#endif
				if
				:: request != 0
				:: request == 0 ->
#ifdef WAKEUP_SEEN_LATE
					woken = 0;
#endif
end:					woken
				fi
			fi
		fi
	od
	} unless { d_step { owner_dead -> p = 0; w = 0; next = 0 } }
}

/* The owner's beginning; then one of its threads, which fetches for itself. */
proctype Owner()
{
	byte p, w;

	{
	change = 1;
	d_step { log_of == NOBODY -> log_of = LAZY_LOG };				/* F1 */
#ifndef LOG_NOT_CLEARED
	d_step { missing[0] = 0; missing[1] = 0 };
#endif
#ifndef LOG_AFTER_LAYOUT
	d_step { missing[0] = 1; missing[1] = missing[1] | is_to_fill(1) };
#endif
#ifndef LAZY_AFTER_LAYOUT
	lazy_log = 1;
#endif
	started = 1;
#ifdef LAYOUT_BEFORE_FLAG
	generation = WHOLE;
#endif
	generation = LAZY;
#ifdef LAZY_AFTER_LAYOUT
	lazy_log = 1;
#endif
#ifdef LOG_AFTER_LAYOUT
	missing[0] = 1;
	missing[1] = 1;
#endif
	change = 0;
#ifdef THREAD
	p = 1;
	if
	:: lazy_log && missing[p] ->
		fetch(p);
		if
		:: !can_fill(p)
		:: can_fill(p) -> touch(p)
		fi
	:: !lazy_log || !missing[p] -> touch(p)
	fi;
#endif
	p = 0
	} unless { d_step { owner_dead -> p = 0; w = 0 } }
}

/* ---- touching: binders ----------------------------------------------------------------------- */

/* vas_is_lazy(): what the present state says, if the view is not of it. */
inline look_if_lazy()
{
	is_on = lazy_log;
#ifdef STALE_IS_LAZY
	is_on = is_on && (seen != generation || is_lazy(seen))
#else
	is_on = is_on && is_lazy(generation)
#endif
}

/*
 * What may make it useless to wait, and then, not before, whether there still is what to wait for: of what
 * an owner has left undone when it is seen to be dead, nothing is filled any more.
 */
inline look_if_failed()
{
	lost = failed == p + 1 || failed == NEVER;
	lost = lost || owner_byte == 0
}

/* The log, and then, not before, whether it is that log still: it may have become a tracker's. */
#ifndef LOG_LOOKED_AT_LAST
inline look_if_missing()
{
	is_on = missing[p];
	if
	:: is_on -> look_if_lazy()
	:: !is_on
	fi
}
#else
inline look_if_missing()
{
	look_if_lazy();
	is_on = is_on && missing[p]
}
#endif

#define IS_SEEN (!missing[p] || !lazy_log || !is_lazy(generation) || failed == p + 1 || \
		 failed == NEVER || owner_byte == 0)

inline wait_for_answer(is_seen)
{
	if
	:: futex[b] == WOKEN
	:: owner_dead && (is_seen)
#ifdef IMPATIENT
	:: true
#endif
	fi;
	futex[b] = AWAY
}

inline refuse()
{
	d_step {
		/* Only what is never filled. */
		error_without_cause = !missing[p] || log_of != LAZY_LOG;
		assert(!error_without_cause);
		refused[p] = 1;
		no = 1
	}
}

/* One request at a time; but whoever finds another's wakes as well, for that one may be dead. */
inline make_request()
{
	d_step {
		not_mine = request != 0;
		request = (request == 0 -> p + 1 : request)
	};
	if
#ifdef WAKE_FOR_OWN_REQUEST
	:: not_mine
	:: !not_mine -> woken = 1
#else
	:: true -> woken = 1
#endif
	fi
}

/* A1 to A4: no is set if it cannot be had. */
inline ask()
{
	no = 0;
	look_if_lazy();							/* A1 */
	do
	:: !is_on -> break
	:: is_on ->
#ifndef ANSWER_SEEN_LATE
		futex[b] = LOOKED;
#endif
#ifndef FILLED_LOOKED_FOR_LAST
		look_if_failed();
		look_if_missing();						/* A2, A3 */
#else
		look_if_missing();
		if
		:: is_on -> look_if_failed()
		:: !is_on
		fi;
#endif
		if
		:: !is_on
		:: is_on && lost -> refuse(); break
		:: is_on && !lost ->
			make_request();						/* A4 */
#ifdef ANSWER_SEEN_LATE
			futex[b] = LOOKED;
#endif
			wait_for_answer(IS_SEEN)
		fi
	od;
	atomic { futex[b] = AWAY; is_on = 0; lost = 0; not_mine = 0 }
}

inline wait_for_pages()
{
	has_pages(generation) || generation == EMPTY_ADOPTED || (owner_dead && owner_byte == 0)
}

/* vas_read() and vas_write(): in a section, by the generation that holds when it begins. */
proctype Binder(byte b)
{
	byte p, seen;
	bit is_on, lost, no, not_mine;
#ifdef PAGE_BEFORE_BIT
	bit early;
#endif

	{
	wait_for_pages();
	seen = generation;
	if
	:: p = 0
	:: p = 1
	fi;
	if
	:: !has_pages(seen)
	:: has_pages(seen) ->
#ifdef PAGE_BEFORE_BIT
		early = page[p] == HOLE;
		ask();
		zeros_seen = early && !no;
		assert(!zeros_seen)
#else
		if
#ifndef PRESENT_WHILE_LAZY
		:: is_lazy(seen) -> ask()
		:: !is_lazy(seen)
#else
		:: true
#endif
		fi;
		if
		:: no
		:: !no -> touch(p)
		fi
#endif
	fi
	} unless { d_step { dead[b] -> futex[b] = AWAY; p = 0; seen = 0; is_on = 0; lost = 0; no = 0; not_mine = 0 } }
}

/* vas_map() and vas_search(): they ask before the section, and must not find that this was too early. */
proctype Mapper(byte b)
{
	byte p, seen;
	bit is_on, lost, no, not_mine;

	if
	:: p = 0
	:: p = 1
	fi;
	do
	:: true ->
		ask();
		seen = generation;
		if
		:: no || !has_pages(seen) -> break
#ifdef MAP_ASKS_BEFORE
		:: !no && has_pages(seen) -> touch(p); break
#else
		:: !no && has_pages(seen) ->
			look_if_lazy();
			if
			:: is_on && missing[p]
			:: else -> touch(p); break
			fi
#endif
		fi
	od
}

/* vas_lazy_wait() of another process: each page, then the end. */
proctype Waiter(byte b)
{
	byte p, seen;
	bit is_on, lost, no, not_mine;

	wait_for_pages();
	seen = generation;
	if
	:: !has_pages(seen) -> goto over
	:: has_pages(seen)
	fi;
	do
	:: p < PAGES && !no -> ask(); p++
	:: p < PAGES && no -> goto over
	:: p == PAGES -> break
	od;
	look_if_lazy();
	do
	:: !is_on -> break
	:: is_on ->
		futex[b] = LOOKED;
#ifdef FILLED_LOOKED_FOR_LAST
		look_if_lazy();
		lost = failed != 0 || owner_byte == 0;
#else
		lost = failed != 0;
		lost = lost || owner_byte == 0;
		look_if_lazy();
#endif
		if
		:: is_on && lost ->
			/* All may be there, but nobody has said so. */
			d_step { error_without_cause = announced; assert(!error_without_cause) };
			goto over
		:: is_on && !lost ->
			wait_for_answer(!lazy_log || !is_lazy(generation) || failed ||
					owner_byte == 0)
		:: !is_on
		fi
	od;
	atomic { check_all_there() };
over:	skip
}

inline mark_touched()
{
	do
	:: p < PAGES -> marked = marked | ((page[p] != HOLE) << p); p++
	:: p == PAGES -> p = 0; break
	od
}

inline mark_missing()
{
	do
	:: p < PAGES && lazy_log -> marked = marked | (missing[p] << p); p++
	:: p == PAGES || !lazy_log -> p = 0; break
	od
}

/* A tracker's epoch of everything that was ever touched, or is to be filled. */
proctype Tracker()
{
	byte p, marked;

	wait_for_pages();
	if
	:: !has_pages(generation) -> marked = 3
	:: has_pages(generation)
	fi;
#ifndef TOUCHED_BEFORE_MISSING
	mark_missing();
	mark_touched();
#else
	mark_touched();
	mark_missing();
#endif
	assert(marked == 3)
}

/* Another tracker in the place of the log that was: its bits mean something else. */
proctype Heir()
{
end:	d_step { generation != EMPTY && log_of == NOBODY -> log_of = OTHER };
	d_step { missing[0] = 0; missing[1] = 0 };
	missing[0] = 1;
	missing[1] = 1
}

/* ---- the guest, who asks nobody ------------------------------------------------------------- */

proctype Guest()
{
	byte p;

	{
	change == 0 && started;
	if
	:: p = 0
	:: p = 1
	fi;
	do
	:: page[p] != HOLE && !poisoned[p] -> touch(p); break
	:: poisoned[p] -> break							/* SIGBUS */
	:: page[p] == HOLE && !poisoned[p] ->
		if
		:: d_step { watched && page[p] == HOLE -> faulted = p + 1 };	/* U1 */
			faulted != p + 1
		:: d_step { !watched && page[p] == HOLE ->
				zeros_seen = !poisoned[p]; assert(!zeros_seen) }
		:: page[p] != HOLE
		fi
	od
	} unless { owner_dead }
}

proctype Catcher()
{
	byte p, w;

	{
	do
	:: true ->
end:		faulted != 0;
		p = faulted;
		if
		:: p == 0
		:: p != 0 ->
			p--;
#ifndef ZEROS_FOR_FAULTS
			d_step { lock == 0 -> w = wanting[p] };			/* U2 */
#endif
			if
			:: w -> fetch(p)
			:: !w -> d_step {
				/* A page of zeros, if there is none yet. */
				if
				:: page[p] == HOLE && !poisoned[p] -> zeros_seen = 1; assert(!zeros_seen)
				:: else
				fi;
				if
				:: faulted == p + 1 -> faulted = 0
				:: else
				fi
			}
			fi;
			p = 0; w = 0
		fi
	od
	} unless { owner_dead }
}

/* ---- death ---------------------------------------------------------------------------------- */

proctype Killer()
{
#ifdef OWNER_DIES
	if
	:: d_step {
		owner_dead = 1;
		owner_byte = 0;
		/* What was its own nobody sees any more. */
		wanting[0] = 0; wanting[1] = 0; left = 0; done = 0; started = 0;
		lock = 0; change = 0; woken = 0; watched = 0; faulted = 0
	}
	:: skip
	fi;
#endif
#ifdef BINDER_DIES
	if
	:: dead[0] = 1
	:: skip
	fi;
#endif
	skip
}

/* Who owns it next: it has no source. */
proctype Adopter()
{
	byte p, was;

end:	owner_dead;
	owner_byte = 2;
	was = generation;
	do
	:: p < PAGES && is_lazy(was) && missing[p] -> break
	:: p < PAGES && !(is_lazy(was) && missing[p]) -> p++
	:: p == PAGES -> break
	od;
	if
	:: p < PAGES ->
#ifndef ADOPT_SILENTLY
		failed = NEVER;
#endif
		generation = LAZY_ADOPTED
	:: p == PAGES ->
#ifndef ADOPT_KEEPS_THE_LOG
		lazy_log = 0;
		d_step {
			if
			:: log_of == LAZY_LOG -> log_of = NOBODY
			:: else
			fi
		};
#endif
#ifndef ADOPT_KEEPS_THE_FLAG
		d_step {
			generation = (has_pages(was) -> WHOLE_ADOPTED : EMPTY_ADOPTED);
			if
			:: has_pages(was) -> check_all_there()
			:: else
			fi
		};
#else
		generation = was + 3;
#endif
		/* The layout can change again, and the log is to be had. */
		d_step {
			left_behind = is_lazy(generation) || lazy_log || log_of == LAZY_LOG;
			assert(!left_behind)
		}
	fi
}

init {
	d_step {
		owner_byte = 1;
		wanting[0] = 1;
		wanting[1] = is_to_fill(1);
		left = 1 + is_to_fill(1);
#ifdef STALE
		/* Page 1 is zero and no more; a dead tracker has left a bit for it. */
		page[1] = FILLED;
		missing[1] = 1;
#endif
#ifdef GUEST
		watched = 1;
#endif
		skip
	};
	atomic {
		run Owner();
		run Filler();
#if !(defined(ALONE) && (defined(MAPPER) || defined(WAITER)))
		run Binder(0);
#endif
#if defined(MAPPER)
		run Mapper(1);
#elif defined(WAITER)
		run Waiter(1);
#elif defined(TRACKER)
		run Tracker();
#elif defined(GUEST)
		run Guest();
		run Catcher();
#elif !defined(ALONE)
		run Binder(1);
#endif
#ifdef REUSE
		run Heir();
#endif
#ifdef ADOPTER
		run Adopter();
#endif
#if defined(OWNER_DIES) || defined(BINDER_DIES)
		run Killer()
#endif
	}
}
