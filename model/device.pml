/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A device of the bus: who is granted it, what is in flight when a provider dies at any step, a queue
 * that stops, a reset, a freeze. docs/design/devices.md; code: core/protocol/device.c, lib/bus/,
 * device/bus/bus.c, device/inflight.c.
 *
 * Providers A and B want one device with one split queue, in which the driver has made NR requests
 * available. A may die at any step; its lock on its byte of the binder table ends behind its last I/O.
 * Each request must be answered once in a life of the queue. While the owner holds the queue quiet (it is
 * stopped, reset, or frozen) nobody touches it.
 *
 * Coarse: the owner's half is copied in one step (a seqlock: layout.pml), and so is a claim of a pin in a
 * section that ends before P5 (pin.pml). Requests are served one or two at a time, and answered together
 * or in either order.
 *
 * check: -DOPS=1
 * deep:  -DOPS=2
 * break: TAKE_FROM_LIVING
 * break: LOCK_BEFORE_IO
 * break: ANSWER_BEFORE_STOP
 * break: FLAG_BEFORE_USED
 * break: USED_BEFORE_BATCH
 * break: RECOVER_NOTHING
 * break: LIFE_IGNORED
 * break: FREEZE_WITHOUT_PINS
 */
#ifndef OPS
#define OPS 1				/* that the owner does: stop, reset, freeze, in any order */
#endif
#define NR 2
#define A 1
#define B 2
#define NOBODY 0

/* The owner's half, and what its own copy has. */
byte provider, grant, change;
bit is_enabled = 1, frozen;
byte life = 1;
/* The provider's half. */
byte answered_grant, answered_change;
/* In flight, in the vas: device/inflight.h. */
bit inflight[NR];
byte next[NR], last_batch, part_used, part_life;
/* The ring, by its driver: all NR are available. */
byte used;
/* The kernel's. */
bit lock[3], pin[3], io[3], dead[3];
bit done;
/* Only for assertions. */
bit quiet;
byte answers[NR];
hidden byte touched_while_quiet, two_at_once, answered_twice;

inline touch()
{
	d_step {
		touched_while_quiet = quiet; assert(!touched_while_quiet);
		two_at_once = io[A] && io[B]; assert(!two_at_once)
	}
}

#define WANTS_STOP(p) (provider != p || !is_enabled || frozen || part_life != life)

/* Batch: the heads from `first` on, one or two of them, by their list. */
inline publish(nr)
{
	d_step {
		touched_while_quiet = quiet; assert(!touched_while_quiet);
		answers[first]++;
		if
		:: nr == 2 -> answers[1 - first]++
		:: else
		fi;
		answered_twice = answers[0] > 1 || answers[1] > 1; assert(!answered_twice);
		used = used + nr
	}
}

inline link(nr)
{
	next[first] = last_batch;
	last_batch = first;
	if
	:: nr == 2 -> next[1 - first] = last_batch; last_batch = 1 - first
	:: else
	fi
}

inline clear(nr)
{
	inflight[first] = 0;
	if
	:: nr == 2 -> inflight[1 - first] = 0
	:: else
	fi
}

/* The order of device/inflight.c. */
inline give(nr)
{
#ifdef FLAG_BEFORE_USED
	link(nr);
	clear(nr);
	publish(nr);
#else
#ifdef USED_BEFORE_BATCH
	publish(nr);
	link(nr);
	clear(nr);
#else
	link(nr);
	publish(nr);
	clear(nr);
#endif
#endif
	part_used = used
}

/* Those of the last batch that the driver has seen are not in flight. */
inline recover(self)
{
#ifndef RECOVER_NOTHING
	k = used - part_used; h = last_batch;
	do
	:: k == 0 -> break
	:: k > 0 && h >= NR -> break
	:: k > 0 && h < NR -> inflight[h] = 0; h = next[h]; k--
	od;
	k = 0; h = 0;
#endif
	part_used = used
}

/* With another life nothing is in flight; which life it is, is stored last. */
inline begin_life(self)
{
	if
#ifdef LIFE_IGNORED
	:: part_life != life -> part_life = life
#else
	:: part_life != life ->
		inflight[0] = 0; inflight[1] = 0; part_used = 0; last_batch = NR;
		part_life = life
#endif
	:: part_life == life
	fi
}

/* Perhaps take the next ones, which are behind all that were taken; then do and answer one or both. */
inline serve(self)
{
	d_step { n = inflight[0] + inflight[1]; k = used + n };
	do
	:: k < NR -> inflight[k] = 1; d_step { n++; k++ }
	:: n > 0 -> break
	od;
	if
	:: inflight[0] && inflight[1] -> first = 0; n = 2
	:: inflight[0] -> first = 0; n = 1
	:: inflight[1] -> first = 1; n = 1
	fi;
	k = 0;
	io[self] = 1;
	touch();
	io[self] = 0;
	give(n);
	n = 0; first = 0
}

proctype Provider(byte self)
{
	byte n, k, h, first, seen_grant, seen_change;

	{
	do
	:: done -> break
	:: !done && provider == self ->
		d_step { seen_grant = grant; seen_change = change };
		if
		/* In a section: after P5, the owner finds the pin, or none comes. */
		:: d_step { provider == self && is_enabled && !frozen -> pin[self] = 1 };
			begin_life(self);
			recover(self);
			do
			:: WANTS_STOP(self) -> break
			:: !WANTS_STOP(self) && used < NR -> serve(self)
			:: !WANTS_STOP(self) && used >= NR ->
				if
				:: done -> break
				:: WANTS_STOP(self)
				fi
			od;
			pin[self] = 0
		:: d_step { !(is_enabled && !frozen) && change == seen_change -> skip };
#ifndef ANSWER_BEFORE_STOP
			if
			:: provider == self && !is_enabled ->
				d_step { answered_grant = seen_grant; answered_change = seen_change }
			:: else
			fi;
#endif
			(done || provider != self || (is_enabled && !frozen) || change != seen_change)
		:: provider != self
		:: change != seen_change
		fi
	od;
	lock[self] = 0
	} unless { d_step { dead[self] ->
		n = 0; k = 0; h = 0; first = 0; seen_grant = 0; seen_change = 0; pin[self] = 0 } }
}

#ifdef ANSWER_BEFORE_STOP
/* A thread that answers for queues that still run. */
proctype Answerer()
{
	do
	:: done -> break
	:: answered_change != change && provider != NOBODY ->
		d_step { answered_grant = grant; answered_change = change }
	od
}
#endif

/* Of the process that dies: its I/O ends, then its lock goes. */
proctype Killer()
{
	if
	:: d_step { dead[A] = 1 };
#ifndef LOCK_BEFORE_IO
		io[A] = 0;
#endif
		lock[A] = 0;
		io[A] = 0
	:: skip
	fi
}

#define IS_SERVED (provider != NOBODY && lock[provider])

/* Who offers is granted the device, if nobody who lives has it: lib/bus/grant.c. */
proctype Granter()
{
	do
	:: done -> break
#ifdef TAKE_FROM_LIVING
	:: d_step { !done && grant < 3 && lock[A] && provider != A -> provider = A; grant++; change++ }
	:: d_step { !done && grant < 3 && lock[B] && provider != B -> provider = B; grant++; change++ }
#else
	:: d_step { !done && !IS_SERVED && lock[A] -> provider = A; grant++; change++ }
	:: d_step { !done && !IS_SERVED && lock[B] -> provider = B; grant++; change++ }
#endif
	od
}

#define HAS_ANSWERED (answered_change >= wanted && answered_grant == grant)

/* Until the provider has answered, or is dead: then nobody follows any more, but who comes next. */
inline stop()
{
	d_step { is_enabled = 0; change++; wanted = change };
	(HAS_ANSWERED || !IS_SERVED);
	quiet = 1
}

inline start()
{
	quiet = 0;
	d_step { is_enabled = 1; change++ }
}

proctype Owner()
{
	byte ops = OPS, wanted;

	do
	:: ops == 0 -> break
	:: ops > 0 ->
		ops--;
		stop();
		start()
	:: ops > 0 ->
		ops--;
		stop();
		/* The driver makes the ring anew. */
		d_step { life++; used = 0; answers[0] = 0; answers[1] = 0 };
		start()
	:: ops > 0 ->
		ops--;
		d_step { frozen = 1; change++ };
#ifndef FREEZE_WITHOUT_PINS
			!(pin[A] && lock[A]) && !(pin[B] && lock[B]);
#endif
		quiet = 1;
		quiet = 0;
		d_step { frozen = 0; change++ }
	od;
	used == NR;
	d_step { assert(answers[0] == 1 && answers[1] == 1); done = 1 }
}

init {
	atomic {
		lock[A] = 1; lock[B] = 1; last_batch = NR; next[0] = NR; next[1] = NR;
		run Provider(A);
		run Provider(B);
		run Granter();
		run Owner();
#ifdef ANSWER_BEFORE_STOP
		run Answerer();
#endif
		run Killer()
	}
}
