/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Memory of a processor that lets stores pass stores and loads pass loads, as far as the orders of
 * C11 allow. tso.pml has what x86 does.
 *
 * Each word keeps all that was ever stored in it, oldest first. A thread has a view: of each word,
 * the oldest store that it may still read. A load takes any from there on, and its view moves. A
 * store with release carries the thread's view, and a load with acquire that takes it joins it to
 * its own. A read-modify-write takes the last store, and passes on the view that came with it.
 *
 * The includer defines THREADS, WORDS and DEPTH: stores of one word, the first is its beginning.
 */
byte stored[WORDS * DEPTH], last[WORDS];
byte view[THREADS * WORDS];
byte carried[WORDS * DEPTH * WORDS];
byte fenced[WORDS];			/* the view of all full fences */
byte pick;				/* 0 between two steps */
hidden byte each, other;

#define RELAXED 0
#define ACQUIRE 1
#define RELEASE 1

#define VIEW(t, w)	 view[(t) * WORDS + (w)]
#define STORED(w, n)	 stored[(w) * DEPTH + (n)]
#define CARRIED(w, n, x) carried[((w) * DEPTH + (n)) * WORDS + (x)]
#define LAST(w)		 STORED(w, last[w])

/* In a d_step. */
inline join(to, from)
{
	if
	:: from > to -> to = from
	:: else
	fi
}

inline join_carried(t, w, n)
{
	each = 0;
	do
	:: each < WORDS -> join(VIEW(t, each), CARRIED(w, n, each)); each++
	:: else -> break
	od
}

inline load(t, w, to, order)
{
	atomic {
		pick = VIEW(t, w);
		do
		:: pick < last[w] -> pick++
		:: break
		od;
		d_step {
			to = STORED(w, pick);
			VIEW(t, w) = pick;
			if
			:: order == ACQUIRE -> join_carried(t, w, pick)
			:: else
			fi;
			pick = 0
		}
	}
}

/* In a d_step: the new last store of w carries the thread's view. */
inline carry(t, w)
{
	each = 0;
	do
	:: each < WORDS -> join(CARRIED(w, last[w], each), VIEW(t, each)); each++
	:: else -> break
	od
}

inline append(t, w, what)
{
	last[w]++;
	assert(last[w] < DEPTH);
	STORED(w, last[w]) = what;
	VIEW(t, w) = last[w]
}

inline store(t, w, what, order)
{
	d_step {
		append(t, w, what);
		if
		:: order == RELEASE -> carry(t, w)
		:: else
		fi
	}
}

/* In a d_step, after a look at LAST(w): acquire always, release as told. */
inline modify(t, w, what, order)
{
	join_carried(t, w, last[w]);
	append(t, w, what);
	each = 0;
	do
	:: each < WORDS -> CARRIED(w, last[w], each) = CARRIED(w, last[w] - 1, each); each++
	:: else -> break
	od;
	if
	:: order == RELEASE -> carry(t, w)
	:: else
	fi
}

/* In a d_step. */
inline full_fence(t)
{
	each = 0;
	do
	:: each < WORDS ->
		join(fenced[each], VIEW(t, each));
		VIEW(t, each) = fenced[each];
		each++
	:: else -> break
	od;
	skip
}

/* A full fence of the caller, of each running thread, and of the caller. */
inline membarrier()
{
	d_step {
		other = 0;
		do
		:: other < THREADS -> full_fence(other); other++
		:: else -> break
		od;
		other = 0;
		do
		:: other < THREADS -> full_fence(other); other++
		:: else -> break
		od
	}
}
