/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Who owns a slot: binding, claiming, freeing, unbinding, and reclaiming what a dead binder has left,
 * by several threads and processes at once, one of which may die at it. The same goes for pins and
 * trackers. docs/design/sections.md, "Death"; code: lib/handle/lock.c and
 * lib/handle/thread.c.
 *
 * Handle A binds, its thread claims a slot, frees it, unbinds; it may be killed at any step. Handle
 * B binds when A's index is free, and does the same. Handle C has two threads, each of which
 * reclaims dead binders whenever it likes: the owner at P5, and one that found the table full. An OFD
 * lock belongs to the handle: it does not keep the two apart. With OTHER, the second of them is a binder
 * with an index of its own instead.
 *
 * check:
 * check: -DRECLAIMER_DIES
 * check: -DOTHER
 * deep:  -DTIMES=2 -DRECLAIMER_DIES
 * break: RECLAIM_WITHOUT_LOCK
 * break: RECLAIM_WITHOUT_MUTEX
 * break: RECLAIM_OWN
 * break: RECLAIM_BINDER_FIRST -DOTHER
 * break: CLAIM_WITHOUT_SWAP -DOTHER
 * break: BIND_WITHOUT_CLEANING
 * break: UNLOCK_BEFORE_CLEANING
 * break: FREE_BINDER_FIRST -DOTHER
 */
#ifndef TIMES
#define TIMES 1			/* that each claims, or reclaims */
#endif
#define NSLOTS 2
#define INDICES 2
#define A 1
#define B 2
#define C 3
#define D 4

byte slot_generation[NSLOTS], slot_binder[NSLOTS];	/* binder: index + 1; 0: free */
byte index_lock[INDICES];				/* the kernel's: the handle that has it */
bit mutex;						/* C's */
bit dead[5];
/* Only for assertions: the living thread that has the slot. */
byte user[NSLOTS];
hidden byte live_slot_taken, dead_slot_left;

#define ASSERT_NOT_USED(s) live_slot_taken = user[s] != 0; assert(!live_slot_taken)

/* The caller has the lock of the index. */
inline clean(index)
{
	do
	:: k < NSLOTS && slot_binder[k] == index + 1 ->
#ifndef RECLAIM_BINDER_FIRST
		d_step { ASSERT_NOT_USED(k); slot_generation[k] = 0 };
		d_step { ASSERT_NOT_USED(k); slot_binder[k] = 0; k++ }
#else
		d_step { ASSERT_NOT_USED(k); slot_binder[k] = 0 };
		d_step { ASSERT_NOT_USED(k); slot_generation[k] = 0; k++ }
#endif
	:: k < NSLOTS && slot_binder[k] != index + 1 -> k++
	:: k == NSLOTS -> k = 0; break
	od
}

/* A thread of A or B: bind, and TIMES times claim a slot, enter, leave, free it; unbind. */
proctype Binder(byte self; byte index)
{
	byte s, k, n;

	{
	n = TIMES;
	d_step { index_lock[index] == 0 -> index_lock[index] = self };
#ifndef BIND_WITHOUT_CLEANING
	clean(index);
#endif
	/* What a dead one left under an index that lives again would be there for ever. */
	atomic {
		dead_slot_left = slot_binder[0] == index + 1 || slot_binder[1] == index + 1;
		assert(!dead_slot_left)
	};
	do
	:: n > 0 ->
		n--;
		do
		:: slot_binder[0] == 0 || slot_binder[1] == 0 ->
			s = (slot_binder[0] == 0 -> 0 : 1);
			if
#ifndef CLAIM_WITHOUT_SWAP
			:: atomic {
				slot_binder[s] == 0 ->
				ASSERT_NOT_USED(s);
				slot_binder[s] = index + 1; user[s] = self; break
			}
			:: slot_binder[s] != 0
#else
			:: atomic {
				slot_binder[s] = index + 1;
				ASSERT_NOT_USED(s);
				user[s] = self; break
			}
#endif
			fi
		od;
		slot_generation[s] = self;
		d_step {
			live_slot_taken = slot_generation[s] != self || slot_binder[s] != index + 1;
			assert(!live_slot_taken)
		};
#ifndef FREE_BINDER_FIRST
		slot_generation[s] = 0;
		d_step { slot_binder[s] = 0; user[s] = 0; s = 0 }
#else
		d_step { slot_binder[s] = 0; user[s] = 0 };
		slot_generation[s] = 0;
		s = 0
#endif
	:: n == 0 -> break
	od;
#ifdef UNLOCK_BEFORE_CLEANING
	index_lock[index] = 0;
	clean(index)
#else
	clean(index);
	index_lock[index] = 0
#endif
	} unless { d_step { dead[self] -> s = 0; k = 0; n = 0 } }
}

/* A thread of C. Its own index is 1, A's and B's is 0. */
proctype Reclaimer()
{
	byte index, k, n;

	{
	n = TIMES;
	do
	:: n > 0 ->
		n--;
#ifdef RECLAIM_OWN
		index = 1;
#endif
#ifndef RECLAIM_WITHOUT_MUTEX
		d_step { mutex == 0 -> mutex = 1 };
#endif
#ifndef RECLAIM_WITHOUT_LOCK
		if
		:: d_step { index_lock[index] == 0 || index_lock[index] == C -> index_lock[index] = C };
			clean(index);
			index_lock[index] = 0
		:: index_lock[index] != 0 && index_lock[index] != C
		fi;
#else
		if
		:: index_lock[index] == 0 -> clean(index)
		:: index_lock[index] != 0
		fi;
#endif
#ifndef RECLAIM_WITHOUT_MUTEX
		mutex = 0;
#endif
		index = 0
	:: n == 0 -> break
	od
	} unless { d_step { dead[C] -> index = 0; k = 0; n = 0 } }
}

inline kill(handle)
{
	dead[handle] = 1;
	if
	:: index_lock[0] == handle -> index_lock[0] = 0
	:: else
	fi;
	if
	:: index_lock[1] == handle -> index_lock[1] = 0
	:: else
	fi;
	if
	:: user[0] == handle -> user[0] = 0
	:: else
	fi;
	if
	:: user[1] == handle -> user[1] = 0
	:: else
	fi
}

proctype Killer()
{
	if
	:: d_step { kill(A); skip }
	:: skip
	fi;
#ifdef RECLAIMER_DIES
	if
	:: d_step { kill(C); skip }
	:: skip
	fi
#endif
}

init {
#ifdef RECLAIM_OWN
	/* A thread of C itself, under an index that another of its threads takes for dead. */
	d_step { index_lock[1] = C; slot_binder[1] = 2; slot_generation[1] = 1; user[1] = C };
#endif
	atomic {
		run Binder(A, 0);
		run Binder(B, 0);
		run Reclaimer();
#ifdef OTHER
		run Binder(D, 1);
#else
		run Reclaimer();
#endif
		run Killer()
	}
}
