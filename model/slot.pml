/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Who owns a slot: claiming an index, claiming slots, freeing them, and taking from the dead what they
 * have left, by any number at once, each of which may die at any step. The same goes for pins and
 * trackers. docs/design/sections.md, Death; code: core/protocol/binder.c and slot.c.
 *
 * Handles A and B take the one index in turn, A and B or B and A, when its lock is free. Each claims a
 * slot, a free one or a dead one's, enters a section, leaves, frees it. Two reclaimers take from the
 * dead whenever they like; no lock keeps them apart. A tag names one life of the index: how often it was
 * claimed.
 *
 * check:
 * check: -DBOTH_DIE
 * deep:  -DTIMES=2 -DBOTH_DIE
 * break: TAG_WITHOUT_COUNT
 * break: COUNT_BEFORE_LOCK
 * break: RECLAIM_BY_STORE
 * break: RECLAIM_CLEARS_GENERATION -DBOTH_DIE
 * break: LOSE_AFTER_SWAP
 */
#ifndef TIMES
#define TIMES 1			/* that each claims, or reclaims */
#endif
#define NSLOTS 2
#define A 1
#define B 2

byte slot_generation[NSLOTS], slot_tag[NSLOTS];		/* tag 0: free */
byte index_lock;					/* the kernel's: the handle that has it */
byte claims;						/* of the index */
bit lost;						/* control.log_incomplete has counted */
bit dead[3];
/* Only for assertions. */
byte user[NSLOTS];					/* the living thread that has the slot */
bit died_inside[NSLOTS];
hidden byte live_slot_taken, death_unnoticed;

/* A swap of slot s has succeeded: nobody alive had it, and if one died inside that is known. */
#define CHECK_TAKEN(s)							\
	live_slot_taken = user[s] != 0; assert(!live_slot_taken);	\
	death_unnoticed = died_inside[s] && !lost; assert(!death_unnoticed); \
	died_inside[s] = 0

/* The claimer locks, then counts: who has seen the count finds the lock, or its holder is dead. */
inline look(t, alive)
{
	alive = (t == claims);
	if
	:: alive -> alive = (index_lock != 0)
	:: else
	fi
}

inline lose(s)
{
	if
	:: slot_generation[s] != 0 -> lost = 1
	:: slot_generation[s] == 0
	fi
}

proctype Binder(byte self)
{
	byte s, n, mine, t;
	bit alive, has;

	{
	n = TIMES;
#ifndef COUNT_BEFORE_LOCK
	d_step { index_lock == 0 -> index_lock = self };
	d_step { claims++; mine = claims };
#else
	d_step { claims++; mine = claims };
	d_step { index_lock == 0 -> index_lock = self };
#endif
#ifdef TAG_WITHOUT_COUNT
	d_step { claims = 1; mine = 1 };
#endif
	do
	:: n > 0 ->
		n--;
		has = 0;
		do
		:: has -> break
		:: !has ->
			if
			:: s = 0
			:: s = 1
			fi;
			t = slot_tag[s];
			alive = 0;
			if
			:: t != 0 && t != mine -> look(t, alive)
			:: t == mine -> alive = 1
			:: t == 0
			fi;
			if
			:: alive
			:: !alive ->
				if
				:: t != 0 -> lose(s)
				:: t == 0
				fi;
				if
				:: atomic { slot_tag[s] == t ->
					CHECK_TAKEN(s);
					slot_tag[s] = mine; user[s] = self; has = 1 }
				:: slot_tag[s] != t
				fi
			fi
		od;
		slot_generation[s] = 0;
		slot_generation[s] = self;
		d_step {
			live_slot_taken = slot_generation[s] != self || slot_tag[s] != mine;
			assert(!live_slot_taken)
		};
		slot_generation[s] = 0;
		d_step { slot_tag[s] = 0; user[s] = 0 };
		s = 0; t = 0; has = 0; alive = 0
	:: n == 0 -> break
	od;
	index_lock = 0;
	mine = 0
	} unless { d_step { dead[self] -> s = 0; n = 0; mine = 0; t = 0; alive = 0; has = 0 } }
}

proctype Reclaimer()
{
	byte s, t, n;
	bit alive;

	n = TIMES;
	do
	:: n > 0 ->
		n--;
		if
		:: s = 0
		:: s = 1
		fi;
		t = slot_tag[s];
		alive = 1;
		if
		:: t != 0 -> look(t, alive)
		:: t == 0
		fi;
		if
		:: t == 0 || alive
		:: t != 0 && !alive ->
#ifndef LOSE_AFTER_SWAP
			lose(s);
#endif
#ifdef RECLAIM_CLEARS_GENERATION
			slot_generation[s] = 0;
#endif
#ifndef RECLAIM_BY_STORE
			if
			:: atomic { slot_tag[s] == t -> CHECK_TAKEN(s); slot_tag[s] = 0 }
			:: slot_tag[s] != t
			fi;
#else
			atomic { CHECK_TAKEN(s); slot_tag[s] = 0 };
#endif
#ifdef LOSE_AFTER_SWAP
			lose(s)
#endif
		fi;
		s = 0; t = 0; alive = 0
	:: n == 0 -> break
	od
}

/* The lock goes with the handle, whatever it was at. */
inline kill(handle)
{
	dead[handle] = 1;
	if
	:: index_lock == handle -> index_lock = 0
	:: else
	fi;
	if
	:: user[0] == handle -> user[0] = 0; died_inside[0] = (slot_generation[0] == handle)
	:: else
	fi;
	if
	:: user[1] == handle -> user[1] = 0; died_inside[1] = (slot_generation[1] == handle)
	:: else
	fi
}

proctype Killer()
{
	if
	:: d_step { kill(A); skip }
	:: skip
	fi;
#ifdef BOTH_DIE
	if
	:: d_step { kill(B); skip }
	:: skip
	fi
#endif
}

init {
	atomic {
		run Binder(A);
		run Binder(B);
		run Reclaimer();
		run Reclaimer();
		run Killer()
	}
}
