/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Long-lived maps: pins, asking for the range back with a deadline, freezing, thawing, waiting for
 * it, and the death of a holder or of the owner at any step. docs/design/pins.md; code:
 * lib/access/mapping.c, lib/layout/publish.c, lib/layout/stale.c, lib/dirty/freeze.c,
 * lib/handle/notify.c.
 *
 * There is one range. ram is the region whose bytes are in it, 0 when they were given back; a holder
 * that finds another there than it has mapped used torn-down memory. What layout.pml has checked is
 * coarse here: a generation is published, and copied by a thread, in one step.
 *
 * The owner removes the region, adds one, or freezes and thaws: OPS times in any order. Additions may
 * fail as well, because of a section that stays in something else that the same change removes.
 *
 * check: -DOPS=2
 * check: -DOPS=1 -DHOLDER_DIES
 * deep:  -DOPS=1 -DOWNER_DIES
 * check: -DOPS=3 -DHOLDERS=1 -DHOLDER_DIES -DMAPS=2
 * check: -DOPS=2 -DHOLDERS=1 -DOWNER_DIES -DMAPS=2
 * deep:  -DOPS=3 -DHOLDER_DIES
 * deep:  -DOPS=2 -DDEPTH=2
 * break: PIN_OUTSIDE_SECTION
 * break: ASK_BEFORE_WAIT
 * break: TEARDOWN_UNDER_PIN
 * break: FREEZE_WITHOUT_ASKING
 * break: STALE_UNDER_PIN -DOPS=3 -DHOLDERS=1
 * break: CHANGE_WHILE_FROZEN
 * break: QUIESCED_BY_STORE
 * break: KEEP_ONCE
 * break: NOTIFY_FIRST
 * break: UNPIN_BINDER_FIRST -DOPS=2
 * break: ADOPT_WITHOUT_KEEP -DHOLDERS=1 -DOWNER_DIES -DADOPTER_OPS=0
 * break: ADOPT_FORGETS_PINS -DHOLDERS=1 -DOWNER_DIES
 */
#ifndef OPS
#define OPS 1
#endif
#ifndef ADOPTER_OPS
#define ADOPTER_OPS 1
#endif
#ifndef MAPS
#define MAPS 1				/* that each holder makes */
#endif
#ifndef DEPTH
#define DEPTH 1
#endif

#ifndef HOLDERS
#define HOLDERS 2
#endif
#define CPUS HOLDERS
#define SLOT(i) (i)
#define PIN(k) (HOLDERS + (k))
#define WORDS (HOLDERS + HOLDERS)
#include "tso.pml"

/* mem[PIN(k)]: enum vas_pin_state */
#define FREE 0
#define HELD 1
#define INVALIDATE 2
#define QUIESCE 3
#define QUIESCED 4

#define OWNER 1
#define ADOPTER 2

/* What a generation says: the region in the range, or 0, and whether writers stay out. */
byte generation = 1, layout = 1;
bit frozen;
byte notify;				/* futex */
byte pin_binder[HOLDERS];		/* index + 1; 0: free */
byte ram = 1, next_id = 2;
byte owner_lock = OWNER;		/* the kernel's */
bit dead[HOLDERS], owner_dead;
/* Only for assertions. */
bit all_quiet;				/* vas_freeze() has returned 0 */
hidden byte used_after_teardown, wrote_while_frozen;

inline use()
{
	d_step {
		used_after_teardown = ram != region;
		assert(!used_after_teardown);
		wrote_while_frozen = all_quiet;
		assert(!wrote_while_frozen)
	}
}

/* FREE first: a claimant of the entry must not have it overwritten. */
inline unpin()
{
#ifndef UNPIN_BINDER_FIRST
	store(i, PIN(k), FREE);
	d_step { drained(i) -> pin_binder[k] = 0 };
#else
	d_step { drained(i) -> pin_binder[k] = 0 };
	store(i, PIN(k), FREE);
#endif
	region = 0; k = 0
}

inline claim()
{
	do
	:: d_step { pin_binder[k] == 0 && drained(i) -> pin_binder[k] = i + 1 }; break
	:: d_step { pin_binder[k] != 0 -> k = (k + 1) % HOLDERS }
	od;
	store(i, PIN(k), HELD)
}

proctype Holder(byte i)
{
	byte tgen, seen, region, k, n, maps;
	bit view_frozen;

	{
	d_step { tgen = 1; seen = 1; maps = MAPS };
	do
	:: maps == 0 -> break
	:: maps > 0 ->
		store(i, SLOT(i), tgen);				/* E1 */
		if
		:: generation != tgen ->				/* E4 */
			store(i, SLOT(i), 0);
			d_step { tgen = generation; seen = layout; view_frozen = frozen }
		:: generation == tgen && seen == 0 ->			/* E3 */
			store(i, SLOT(i), 0);
			maps--
		:: generation == tgen && seen != 0 && view_frozen ->
			store(i, SLOT(i), 0);
			n = notify;					/* wait until it is thawed */
			if
			:: frozen -> notify != n
			:: !frozen
			fi;
			n = 0
		:: generation == tgen && seen != 0 && !view_frozen ->
#ifdef PIN_OUTSIDE_SECTION
			store(i, SLOT(i), 0);
#endif
			claim();
#ifndef PIN_OUTSIDE_SECTION
			store(i, SLOT(i), 0);				/* L */
#endif
			d_step { region = seen; maps-- };
			do
			:: region != 0 -> use()
			:: region != 0 -> unpin(); break
#ifndef QUIESCED_BY_STORE
			:: d_step { mem[PIN(k)] == QUIESCE && drained(i) -> mem[PIN(k)] = QUIESCED };
#else
			:: mem[PIN(k)] == QUIESCE ->
				store(i, PIN(k), QUIESCED);
				drained(i);
#endif
				do
				:: n = notify;
					if
					:: mem[PIN(k)] == HELD -> break
					:: mem[PIN(k)] == INVALIDATE -> break
					:: mem[PIN(k)] == QUIESCED -> notify != n
					:: else
					fi
				od;
				n = 0
			od
		fi
	od
	} unless { d_step { dead[i] -> tgen = 0; seen = 0; region = 0; k = 0; n = 0; maps = 0; view_frozen = 0 } }
}

inline publish(l, f)
{
	d_step { generation++; layout = l; frozen = f };
	membarrier()
}

#define IN_THE_WAY(s) (s < HOLDERS && mem[SLOT(s)] != 0 && mem[SLOT(s)] < generation)

inline wait_sections()
{
	ok = 1;
	do
	:: s == HOLDERS -> s = 0; break
	:: d_step { s < HOLDERS && !IN_THE_WAY(s) -> s++ }
	:: d_step { IN_THE_WAY(s) && dead[s] -> mem[SLOT(s)] = 0 }
	:: d_step { IN_THE_WAY(s) -> s = 0; ok = 0 }; break
	od
}

/* Reclaim what a dead binder pinned; its lock is not modelled here. */
inline reclaim(s)
{
	mem[PIN(s)] = FREE;
	pin_binder[s] = 0
}

#define PINNED(s) (mem[PIN(s)] != FREE && pin_binder[s] != 0)
#define HOLDER_IS_DEAD(s) (pin_binder[s] != 0 && dead[pin_binder[s] - 1])

/*
 * Ask each holder, by compare-and-swap, and wait until all have complied: ok. The first look may be
 * before the sections have ended, but there is one after that.
 */
inline request_pins(request)
{
	ok = 1;
	do
	:: s == HOLDERS -> s = 0; break
	:: d_step { s < HOLDERS && (!PINNED(s) || (request == QUIESCE && mem[PIN(s)] == QUIESCED)) -> s++ }
	:: s < HOLDERS && PINNED(s) && HOLDER_IS_DEAD(s) -> reclaim(s)
	:: s < HOLDERS && PINNED(s) && !(request == QUIESCE && mem[PIN(s)] == QUIESCED) ->
		x = mem[PIN(s)];
		d_step {
			if
			:: x != FREE && x != request && mem[PIN(s)] == x -> mem[PIN(s)] = request
			:: else
			fi;
			x = 0
		};
		if
		:: skip
		:: s = 0; ok = 0; break					/* deadline */
		fi
	od
}

/* Nothing is asked any more. */
inline keep_pins()
{
	do
	:: s == HOLDERS -> s = 0; break
	:: d_step { s < HOLDERS && (!PINNED(s) || mem[PIN(s)] == HELD) -> s++ }
	:: s < HOLDERS && PINNED(s) && mem[PIN(s)] != HELD ->
		x = mem[PIN(s)];
		d_step {
			if
			:: x != FREE && mem[PIN(s)] == x -> mem[PIN(s)] = HELD
			:: else
			fi;
			x = 0
#ifdef KEEP_ONCE
			; s++
#endif
		}
	od
}

/* A change that takes the region away; back: what the deadline brings back. */
inline remove()
{
	l = layout;
	publish(0, 0);
#ifdef ASK_BEFORE_WAIT
	request_pins(INVALIDATE);
	if
	:: ok -> wait_sections()
	:: else
	fi;
#else
	wait_sections();
#ifndef TEARDOWN_UNDER_PIN
	if
	:: ok -> request_pins(INVALIDATE)
	:: else
	fi;
#endif
#endif
	if
	:: ok -> ram = 0
	:: else -> keep_pins(); publish(l, 0); notify++
	fi;
	l = 0
}

/* A change that brings a region; kept: what an earlier one brought may be in use still. */
inline add()
{
	if
	:: kept ->							/* P0 */
		wait_sections();
#ifndef STALE_UNDER_PIN
		if
		:: ok -> request_pins(INVALIDATE);
			if
			:: !ok -> keep_pins(); notify++
			:: ok
			fi
		:: else
		fi
#endif
	:: !kept -> ok = 1
	fi;
	if
	:: ok ->
		d_step { kept = 0; l = next_id; ram = l; next_id++ };
		publish(l, 0);
		wait_sections();
		if
		:: ok
		:: else -> publish(0, 0); kept = 1
		fi;
		l = 0
	:: else
	fi
}

inline thaw()
{
#ifdef NOTIFY_FIRST
	notify++;
	publish(layout, 0);
	keep_pins()
#else
	publish(layout, 0);
	keep_pins();
	notify++
#endif
}

inline freeze()
{
	publish(layout, 1);
	wait_sections();
#ifndef FREEZE_WITHOUT_ASKING
	if
	:: ok -> request_pins(QUIESCE)
	:: else
	fi;
#endif
	if
	:: ok ->
		all_quiet = 1;
#ifdef CHANGE_WHILE_FROZEN
		/* A removal that fails: its holders are told to keep what they have. */
		request_pins(INVALIDATE);
		keep_pins();
		notify++;
#endif
		all_quiet = 0
	:: else
	fi;
	thaw()
}

proctype Owner(byte self; byte ops)
{
	byte l, s, x;
	bit ok, kept;

	{
	skip;
end:	if
	:: self == OWNER
	:: d_step { self != OWNER && owner_lock == 0 -> owner_lock = self; all_quiet = 0 };
		publish(layout, 0);
#ifndef ADOPT_WITHOUT_KEEP
		keep_pins();
#endif
		notify++;
#ifndef ADOPT_FORGETS_PINS
		kept = layout == 0
#endif
	fi;
	do
	:: ops == 0 -> break
	:: ops > 0 && layout != 0 -> ops--; remove()
	:: ops > 0 && layout == 0 -> ops--; add()
	:: ops > 0 -> ops--; freeze()
	od
	} unless { d_step { self == OWNER && owner_dead -> l = 0; s = 0; x = 0; ok = 0; kept = 0; ops = 0 } }
}

proctype Killer()
{
	if
#ifdef HOLDER_DIES
	:: d_step { drain(0); dead[0] = 1 }
#endif
#ifdef OWNER_DIES
	:: d_step { owner_dead = 1; owner_lock = 0 }
#endif
	:: skip
	fi
}

init {
	atomic {
		run_memory();
		run Holder(0);
#if HOLDERS > 1
		run Holder(1);
#endif
		run Owner(OWNER, OPS);
#ifdef OWNER_DIES
		run Owner(ADOPTER, ADOPTER_OPS);
#endif
#if defined(HOLDER_DIES) || defined(OWNER_DIES)
		run Killer()
#endif
	}
}
