/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A device of the bus behind its owner's IOMMU: what its provider is told, and what it asks, while
 * maps change, sockets are full, connections end, and either side becomes another one.
 * docs/design/iommu.md, "A device on the bus"; code: lib/bus/iommu.c, lib/bus/view.c,
 * lib/bus/provider.c, lib/iommu/view.c, core/protocol/device.c.
 *
 * Each map of a page is another version of it. The driver unmaps a page, waits for the invalidation, and
 * maps it again, or not, OPS times. Each of the provider's QUEUES looks for a page in a section, uses what
 * it finds until that ends, and asks for what it misses, ACCESSES times.
 *
 * - After an invalidation nobody uses what was unmapped before it: still_used, found_again.
 * - A refusal is of something that was not mapped once the question had been put: stale_refusal.
 * - Nobody waits for ever while the other side lives: that would be a deadlock.
 * - The owner keeps the maps of one message at most: held_page[] ends there.
 * - An unmap is never told before the one that was before it: gap.
 *
 * LOSS: a connection ends at any moment, and the provider comes again. DEATH: the provider dies at any
 * step, and there is another one. HANDOVER: the vas has another owner at any moment between two changes;
 * the connection to the first one ends later. A socket is full with ROOM messages in it. ASKS_NOTHING:
 * queues use what the owner tells unasked. IN_STEPS: a section begins in three, as its slot is stored,
 * compared, and taken back; else in one, when it may.
 *
 * What is done under a lock is one step, but for a grant, which is seen in the entry before its message.
 *
 * SECTIONS: the owner sees the sections in which pages are used, and waits for an answer, or for those
 * that have begun before. Who begins one knows of all unmaps by then, or waits until it does. Without,
 * for an answer: a module's sections it does not see.
 *
 * Not here: how a section and its end are seen (order.pml), views that are full, questions ahead of time,
 * lengths of time. Who does not answer in time is killed: DEATH.
 *
 * check: -DACCESSES=2 -DROOM=1
 * check: -DPAGES=2 -DROOM=1
 * check: -DQUEUES=2
 * check: -DLOSS
 * check: -DHANDOVER -DOPS=3 -DROOM=1 -DASKS_NOTHING
 * check: -DDEATH
 * check: -DSECTIONS -DIN_STEPS -DACCESSES=2
 * check: -DSECTIONS -DPAGES=2 -DROOM=1
 * check: -DSECTIONS -DQUEUES=2 -DOPS=2 -DASKS_NOTHING
 * deep:  -DSECTIONS -DQUEUES=2
 * deep:  -DSECTIONS -DLOSS
 * deep:  -DSECTIONS -DDEATH
 * deep:  -DSECTIONS -DHANDOVER -DOPS=3 -DROOM=1 -DASKS_NOTHING
 * deep:  -DOPS=2 -DROOM=1
 * deep:  -DHANDOVER
 * break: ANSWERS_TOO_EARLY
 * break: MAP_WITHOUT_LOCK
 * break: UNMAP_PASSES_HELD
 * break: HELD_OUTLIVES_LOSS -DOPS=2 -DROOM=1
 * break: FULL_IS_NO_LOSS -DPAGES=2 -DROOM=1
 * break: FULL_IS_NO_LOSS_OF_UNMAPS -DOPS=2 -DROOM=1
 * break: ENTRY_IS_NOT_LOOKED_AT -DOPS=2 -DROOM=1
 * break: MAPS_WITHOUT_COUNT -DOPS=2 -DROOM=1
 * break: FORGETS_SILENTLY -DLOSS
 * break: MESSAGE_BEGINS_AGAIN -DLOSS
 * break: OWNER_KEEPS_THE_GRANT -DHANDOVER -DOPS=3 -DROOM=1 -DASKS_NOTHING
 * break: ANSWER_WITHOUT_GRANT -DHANDOVER -DOPS=3 -DROOM=1 -DASKS_NOTHING
 * break: ANSWERED_AFTER_MAP -DQUEUES=2
 * break: REFUSAL_WITHOUT_NUMBER -DOPS=2
 * break: REFUSES_WITHOUT_LOCK -DQUEUES=2
 * break: JOINED_IS_OWN -DQUEUES=2
 * break: REFUSED_FOR_ANOTHER -DDEATH
 * break: SECTION_DOES_NOT_LOOK -DSECTIONS
 * break: SECTION_WITHOUT_GRANT -DSECTIONS -DHANDOVER -DOPS=3 -DROOM=1 -DASKS_NOTHING
 * break: TAKEN_BEFORE_GONE -DSECTIONS
 */
#ifndef OPS
#define OPS 1
#endif
#ifndef ACCESSES
#define ACCESSES 1
#endif
#ifndef PAGES
#define PAGES 1
#endif
#ifndef QUEUES
#define QUEUES 1
#endif
#ifndef ROOM
#define ROOM 2				/* messages in half of a socket */
#endif
#define MAX_MAPS 2			/* of a message */
#if defined(LOSS) || defined(DEATH) || defined(HANDOVER)
#define CONNS 2
#else
#define CONNS 1
#endif
#define NONE CONNS			/* no connection */

/* ---- the guest's table, by its lock ---------------------------------------------------------- */

byte table[PAGES];			/* a version; 0: not mapped */
byte versions;
bit is_over[OPS + PAGES + 1];		/* versions: the guest was told that nobody uses it */

/* ---- the entry, and the sockets -------------------------------------------------------------- */

byte served_by = 1, grant = 1, gone = 1;	/* vas_device_told */
#ifdef SECTIONS
byte told_grant = 1, told = 1;		/* vas_device_entry.unmaps */
byte shared_grant = 1;			/* vas_device_answer.sections */
byte section_grant[QUEUES], section[QUEUES];	/* vas_device_queue_answer.section; grant 0: none */
byte taken_grant = 1, taken = 1;	/* vas_iommu_view.unmaps */
#endif
byte answered_grant = 1, answered = 1;	/* vas_device_answer.unmapped */

mtype = { GRANT, MAPS, UNMAP };
/*
 * GRANT: gone, the grant. UNMAP: its count, a page. MAPS: the count, then page, version (0: a refusal),
 * number, twice; page PAGES: none.
 */
chan down[CONNS] = [ROOM + 1] of { mtype, byte, byte, byte, byte, byte, byte, byte };
chan up[CONNS] = [ROOM] of { byte, byte };	/* MISSES: number, page */
bit is_cut[CONNS];
byte offer[CONNS];			/* who offers; 0: nobody, or it is granted */

/* ---- the owner ------------------------------------------------------------------------------- */

bit owner, lock;			/* the second one; the lock, where it is held for longer */
byte sock;				/* the connection of its provider */
byte count = 1, number, nr_asking, nr_held;
byte held_page[MAX_MAPS], held_version[MAX_MAPS], held_number[MAX_MAPS];
bit is_due, was_told[PAGES];

/* ---- the provider ---------------------------------------------------------------------------- */

byte me = 1;				/* its tag */
bit is_dead;
byte psock;				/* its connection */
byte vsock;				/* the same, once it is granted there: bus_view.sock */
byte sock_grant = 1;				/* the grant of this connection's message */
byte my_grant = 1, my_count = 1, next_number = 1;
bit is_granted = 1, is_unsettled;
byte asked[PAGES];			/* the number of the question; 0: none */
byte view[PAGES];			/* a version, or 0 */

mtype = { NO_QUESTION, NOT_SENT, SENT, ANSWERED, REFUSED };
mtype question[QUEUES] = NO_QUESTION;
byte page_of[QUEUES];
bit is_own[QUEUES];
bit is_inside[QUEUES], is_waited_for[QUEUES];
byte nr_gone;				/* queues of a dead provider */

/* Only for assertions. */
byte used[QUEUES];			/* the version that a section uses */
bit may_refuse[QUEUES];			/* the page was not mapped, at some time since */
hidden byte found_again, still_used, stale_refusal, gap, q_;

#define IS_SERVED (served_by == me && !is_dead)
#define last_queue (QUEUES - 1)
#define last_page (PAGES - 1)

/* ---- what the owner says: with its lock ------------------------------------------------------ */

#define has_room(s) (s != NONE && !is_cut[s] && len(down[s]) < ROOM)

inline clear_held()
{
	nr_held = 0;
	held_page[0] = 0; held_version[0] = 0; held_number[0] = 0;
	held_page[1] = 0; held_version[1] = 0; held_number[1] = 0
}

/* In the same step: bus_tell_unmaps(). */
inline tell_unmaps()
{
#ifdef SECTIONS
	told_grant = grant; told = count
#else
	skip
#endif
}

/* bus_iommu_lose(); the caller publishes it in the same step. */
inline lose()
{
	was_told[0] = 0;
	was_told[last_page] = 0;
#ifndef HELD_OUTLIVES_LOSS
	clear_held();
#endif
	count++;
	gone = count;
	is_due = 1;
	tell_unmaps()
}

inline send_held()
{
	if
	:: nr_held == 0
	:: nr_held > 0 && has_room(sock) ->
		down[sock]!MAPS(count, held_page[0], held_version[0], held_number[0],
				(nr_held > 1 -> held_page[1] : PAGES), held_version[1], held_number[1]);
		clear_held()
	:: nr_held > 0 && !has_room(sock) ->
#ifdef FULL_IS_NO_LOSS
		clear_held()
#else
		lose()
#endif
	fi
}

inline hold(p, version)
{
	if
	:: sock == NONE
	:: sock != NONE ->
		was_told[p] = was_told[p] || version;
		held_page[nr_held] = p;
		held_version[nr_held] = version;
		held_number[nr_held] = number;
		nr_held++;
		if
		:: nr_asking == 0 || nr_held == MAX_MAPS -> send_held()
		:: else
		fi
	fi
}

/* vas_device_unmap() */
inline unmap(p)
{
#ifndef UNMAP_PASSES_HELD
	send_held();
#endif
	if
	:: !was_told[p]
	:: was_told[p] ->
		is_due = 1;
		was_told[p] = 0;
		if
		:: has_room(sock) ->
			count++;
			down[sock]!UNMAP(count, p, 0, 0, 0, 0, 0);
			tell_unmaps()
#ifdef FULL_IS_NO_LOSS_OF_UNMAPS
		:: else -> count++
#else
		:: else -> lose()
#endif
		fi
	fi
}

/* ---- the guest's driver, and the thread that does what it says -------------------------------- */

#ifdef ANSWER_WITHOUT_GRANT
#define HAS_ANSWERED (answered >= wanted)
#else
#define HAS_ANSWERED (answered_grant == grant && answered >= wanted)
#endif

#ifndef SECTIONS
#define IS_PAST(q) 0
#elif defined(SECTION_WITHOUT_GRANT)
#define IS_PAST(q) (section_grant[q] == 0 || section[q] >= wanted)
#else
#define IS_PAST(q) (shared_grant == by && \
		    (section_grant[q] == 0 || (section_grant[q] == by && section[q] >= wanted)))
#endif

inline take_from_table(p)
{
	old = table[p];
	table[p] = 0;
	for (q_ : 0 .. last_queue) {
		may_refuse[q_] = may_refuse[q_] || page_of[q_] == p
	}
	q_ = 0
}

inline tell_guest()
{
	is_over[old] = old != 0;
	for (q_ : 0 .. last_queue) {
		still_used = old != 0 && used[q_] == old;
		assert(!still_used)
	}
	q_ = 0;
	old = 0
}

inline map_in_table(p)
{
	versions++;
	table[p] = versions
}

/* It has nothing of the first one's but what is told in the entry. */
inline hand_over()
{
	owner = 1;
	sock = NONE;
	number = 0;
	nr_asking = 0;
	clear_held();
	count = gone;
#ifndef OWNER_KEEPS_THE_GRANT
	grant++;
#endif
	lose()
}

proctype Driver()
{
	byte ops = OPS, p, old, wanted, by;
	bit waits;

	do
	:: ops == 0 -> break
#ifdef HANDOVER
	:: d_step { owner == 0 && !lock -> hand_over() }
#endif
	:: ops > 0 ->
		ops--;
		if
		:: p = 0
#if PAGES > 1
		:: p = 1
#endif
		fi;
		d_step { !lock -> take_from_table(p); unmap(p) };
		d_step { !lock -> wanted = count; by = grant; waits = is_due };
		/* One queue's section after the other's; or the answer. */
		if
		:: !waits || HAS_ANSWERED || !IS_SERVED
		:: waits && IS_PAST(0) -> (HAS_ANSWERED || !IS_SERVED || IS_PAST(last_queue))
		fi;
		d_step { wanted = 0; by = 0; waits = 0; tell_guest() };
		/* The provider is told, or not before it asks. */
		if
		:: d_step { !lock -> map_in_table(p); hold(p, table[p]) }
		:: d_step { !lock -> map_in_table(p) }
		:: true
		fi;
		p = 0
	od
}

/* ---- a thread that serves a connection ------------------------------------------------------- */

#ifdef HANDOVER
#define is_ours (owner == c)
#else
#define is_ours 1
#endif

inline take_misses()
{
	if
	:: d_step { !lock && sock == c && is_ours -> number = n; nr_asking++; by = grant };
#ifdef MAP_WITHOUT_LOCK
		p_version = table[p];
		if
		:: d_step { !lock && is_ours && p_version -> hold(p, p_version) }
		:: !p_version || !is_ours -> is_no = 1
		fi;
		p_version = 0;
#else
		/* Under the lock of the table: miss(). */
		if
		:: d_step { !lock && is_ours && table[p] -> hold(p, table[p]) }
		:: !table[p] || !is_ours -> is_no = 1
		fi;
#endif
		/* An error of miss() is a refusal, without the table's lock. */
		d_step {
			!lock ->
			if
#ifdef REFUSED_FOR_ANOTHER
			:: is_no && is_ours -> hold(p, 0)
#else
			:: is_no && is_ours && by == grant -> hold(p, 0)
#endif
			:: else
			fi;
			is_no = 0
		};
		d_step {
			!lock ->
			if
			:: is_ours ->
				nr_asking--;
				if
				:: nr_asking == 0 -> send_held()
				:: else
				fi
			:: else
			fi;
			n = 0; p = 0; by = 0
		}
	:: d_step { !lock && (sock != c || !is_ours) -> n = 0; p = 0 }
	fi
}

/* Published before the message; the lock is held over both. */
inline take_offer()
{
	d_step {
		lock = 1;
		lose();
		if
		:: served_by != offer[c] -> is_due = 0; number = 0
		:: else
		fi;
		served_by = offer[c];
		offer[c] = 0;
		sock = c;
		grant++;
		tell_unmaps()
	};
	d_step {
		if
		:: !is_cut[c] -> down[c]!GRANT(gone, grant, 0, 0, 0, 0, 0)
		:: is_cut[c]
		fi;
		lock = 0
	}
}

proctype Serve(byte c)
{
	byte n, p, by;
	bit is_no;
#ifdef MAP_WITHOUT_LOCK
	byte p_version;
#endif

end:	do
	:: up[c]?n, p -> take_misses()
	:: atomic { offer[c] && !lock && is_ours && (!IS_SERVED || served_by == offer[c]) -> take_offer() }
	:: d_step {
		is_cut[c] && !lock ->
		if
		:: sock == c && is_ours ->
			sock = NONE;
			if
			:: IS_SERVED -> lose()
			:: else
			fi
		:: else
		fi
	   };
	   break
	od
}

/* ---- the provider's thread ------------------------------------------------------------------- */

inline ask_again()
{
	d_step {
		for (q_ : 0 .. last_queue) {
			if
			:: question[q_] == SENT -> question[q_] = NOT_SENT
			:: else
			fi
		}
		q_ = 0
	}
}

inline forget()
{
	d_step { is_unsettled = 1; asked[0] = 0; asked[last_page] = 0 };
	d_step { view[0] = 0; view[last_page] = 0 };
#ifndef FORGETS_SILENTLY
	ask_again()
#endif
}

inline lose_if_newer(n)
{
	if
	:: n > my_count -> my_count = n; forget()
	:: n <= my_count
	fi
}

/* Another grant, by the entry or by its message, whichever is seen first. */
inline begin(n, g)
{
	d_step { my_grant = g; my_count = n; is_granted = 1 };
	forget()
}

inline answer_slots(p, answer_of_own, answer_of_others)
{
	for (q_ : 0 .. last_queue) {
		if
		:: question[q_] == SENT && page_of[q_] == p ->
			question[q_] = (is_own[q_] -> answer_of_own : answer_of_others)
		:: else
		fi
	}
	q_ = 0
}

#ifdef JOINED_IS_OWN
#define JOINED REFUSED
#else
#define JOINED NOT_SENT
#endif
#ifdef REFUSAL_WITHOUT_NUMBER
#define is_answer(p, n) (asked[p] != 0)
#else
#define is_answer(p, n) (asked[p] != 0 && asked[p] <= n)
#endif

inline drop_asked(p, n)
{
	asked[p] = (is_answer(p, n) -> 0 : asked[p])
}

inline take_map(p, version, n)
{
	if
	:: p == PAGES
	:: p < PAGES && version ->
#ifdef ANSWERED_AFTER_MAP
		d_step { view[p] = version; answer_slots(p, ANSWERED, ANSWERED) };
		drop_asked(p, n)
#else
		drop_asked(p, n);
		d_step { view[p] = version; answer_slots(p, ANSWERED, ANSWERED) }
#endif
	:: p < PAGES && !version ->
		if
#ifdef REFUSES_WITHOUT_LOCK
		:: is_answer(p, n) ->
			asked[p] = 0;
			d_step { answer_slots(p, REFUSED, JOINED) }
#else
		:: d_step { is_answer(p, n) -> asked[p] = 0; answer_slots(p, REFUSED, JOINED) }
#endif
		:: !is_answer(p, n)
		fi
	fi
}

inline take_maps()
{
	if
#ifndef MAPS_WITHOUT_COUNT
	:: n < my_count
	:: n >= my_count ->
		lose_if_newer(n);
#else
	:: true ->
#endif
		take_map(p1, v1, n1);
		take_map(p2, v2, n2)
	fi
}

inline take_unmap()
{
	if
	:: n <= my_count
	:: n == my_count + 1 ->
#ifdef TAKEN_BEFORE_GONE
		d_step { my_count = n; is_unsettled = 1; taken = n };
		view[p1] = 0
#else
		d_step { my_count = n; is_unsettled = 1; view[p1] = 0 }
#endif
	:: n > my_count + 1 ->			/* lib/bus/view.c empties the view then */
		gap = 1;
		assert(!gap)
	fi
}

/* n: gone, p1: the grant. */
inline take_grant()
{
	if
#ifdef MESSAGE_BEGINS_AGAIN
	:: true -> begin(n, p1)
#else
	:: p1 != my_grant -> begin(n, p1)
	:: p1 == my_grant
#endif
	fi;
	d_step { vsock = psock; sock_grant = my_grant }
}

inline receive()
{
	d_step { down[psock]?what(n, p1, v1, n1, p2, v2, n2); was_empty = 0 };
	if
	:: what == GRANT -> take_grant()
	:: what == MAPS && sock_grant == my_grant -> take_maps()
	:: what == UNMAP && sock_grant == my_grant -> take_unmap()
	:: what != GRANT && sock_grant != my_grant
	fi;
	d_step { what = GRANT; n = 0; p1 = 0; v1 = 0; n1 = 0; p2 = 0; v2 = 0; n2 = 0 }
}

/* The entry is looked at where the socket was empty a moment before. There is a copy of it. */
#define HAS_NEWS (is_granted && served_by == me && (grant != my_grant || gone > my_count))

inline follow()
{
	if
	:: p1 != my_grant -> begin(n, p1)
	:: p1 == my_grant -> lose_if_newer(n)
	fi;
	d_step { n = 0; p1 = 0 }
}

inline connect()
{
	d_step { psock = CONNS - 1; offer[CONNS - 1] = me }
}

inline lose_connection()
{
	d_step { vsock = NONE; psock = NONE };
	forget()
}

#define IS_WAITING (is_waited_for[0] || is_waited_for[last_queue])

inline settle()
{
#ifdef SECTIONS
	d_step { taken_grant = my_grant; taken = my_count; shared_grant = my_grant };
#endif
	d_step { is_waited_for[0] = is_inside[0]; is_waited_for[last_queue] = is_inside[last_queue] };
	if
#ifdef ANSWERS_TOO_EARLY
	:: true ->
#else
	:: !IS_WAITING ->
#endif
		is_unsettled = 0;
		d_step { answered_grant = my_grant; answered = my_count }
	:: IS_WAITING -> skip			/* not in time */
	fi;
	d_step { is_waited_for[0] = 0; is_waited_for[last_queue] = 0 }
}

/* The queues' threads have ended, too. */
inline be_another()
{
	nr_gone == QUEUES;
	d_step {
		nr_gone = 0; me = 2; is_dead = 0;
		my_grant = 0; my_count = 0; is_granted = 0; is_unsettled = 0;
		next_number = 1;
#ifdef SECTIONS
		taken_grant = 0; taken = 0;
		section_grant[0] = 0; section[0] = 0;
		section_grant[last_queue] = 0; section[last_queue] = 0
#endif
	};
	connect()
}

proctype Provider()
{
	mtype what = GRANT;
	byte n, p1, v1, n1, p2, v2, n2;
	bit was_empty;

serve:	{
end:		do
		:: psock != NONE && nempty(down[psock]) -> receive()
		:: psock != NONE && is_cut[psock] -> lose_connection(); connect()
#ifndef ENTRY_IS_NOT_LOOKED_AT
		:: !was_empty && (psock == NONE || empty(down[psock])) -> was_empty = 1
		:: d_step { was_empty && HAS_NEWS -> was_empty = 0; p1 = grant; n = gone };
		   follow()
#endif
		:: is_unsettled && is_granted -> settle()
		od
	} unless { is_dead };
	d_step { was_empty = 0; what = GRANT; n = 0; p1 = 0; v1 = 0; n1 = 0; p2 = 0; v2 = 0; n2 = 0 };
	be_another();
	goto serve
}

#define OWN 1
#define JOINS 2
#define BUSY 3

/* ---- a queue's thread ------------------------------------------------------------------------ */

inline put()
{
	question[q] = SENT;
	is_own[q] = 0;
	page_of[q] = p;
	may_refuse[q] = table[p] == 0
}

#define can_ask (vsock != NONE && !is_cut[vsock] && len(up[vsock]) < ROOM)

inline miss()
{
	if
	:: can_ask && !asked[p] ->
		up[vsock]!next_number, p;
		asked[p] = next_number;
		next_number++;
		heard = OWN
	:: can_ask && asked[p] -> heard = JOINS
	:: !can_ask -> heard = BUSY
	fi
}

inline note()
{
	if
	:: question[q] == SENT ->
		is_own[q] = heard == OWN;
		question[q] = (heard == BUSY -> NOT_SENT : SENT)
	:: else
	fi;
	heard = 0
}

/*
 * The question is put by the view's lock, sent by that of bus_view, and what has come of it noted by the
 * view's. Answers may come in between: here once in an access, since that can go on for ever.
 */
inline ask()
{
	if
	:: is_late -> d_step { put(); miss(); note() }
	:: !is_late ->
		d_step { put() };
		d_step { miss() };
		d_step { note(); is_late = 1 }
	fi
}

#ifdef SECTION_DOES_NOT_LOOK
#define IS_BEHIND 0
#else
#define IS_BEHIND (taken_grant != told_grant || taken < told)
#endif

inline leave()
{
	d_step {
#ifdef SECTIONS
		section_grant[q] = 0; section[q] = 0;
#endif
		used[q] = 0; is_inside[q] = 0; is_waited_for[q] = 0
	}
}

/* vas_iommu_enter() */
inline enter()
{
#ifndef SECTIONS
	is_inside[q] = 1
#elif defined(IN_STEPS)
	do
	:: true ->
		d_step { is_inside[q] = 1; section_grant[q] = taken_grant; section[q] = taken };
		if
		:: section_grant[q] == told_grant && section[q] >= told -> break
		:: else -> leave(); !IS_BEHIND
		fi
	od;
	skip
#else
	d_step { !IS_BEHIND -> is_inside[q] = 1; section_grant[q] = taken_grant; section[q] = taken }
#endif
}

/* An access to page p, until it is done, or refused. */
inline access()
{
	do
	:: true ->
		enter();
		d_step {
			used[q] = view[p];
			found_again = is_over[used[q]];
			assert(!found_again)
		};
		is_found = used[q] != 0;
		leave();
		if
		:: is_found -> break
#ifdef ASKS_NOTHING
		:: !is_found -> break
#else
		:: !is_found
#endif
		fi;
		ask();
		do
		:: question[q] == NOT_SENT && can_ask -> ask()
		:: question[q] == ANSWERED || question[q] == REFUSED -> break
		od;
		if
		:: question[q] == REFUSED ->
			d_step { stale_refusal = !may_refuse[q]; assert(!stale_refusal) };
			break
		:: question[q] == ANSWERED
		fi
	od;
	atomic { is_found = 0; is_late = 0; question[q] = NO_QUESTION; page_of[q] = 0; is_own[q] = 0; may_refuse[q] = 0 }
}

proctype Queue(byte q)
{
	byte p, nr;
	bit is_found, is_late;
	byte heard;

serve:	{
		do
		:: nr == ACCESSES -> break
		:: nr < ACCESSES ->
			nr++;
			if
			:: p = 0
#if PAGES > 1
			:: p = 1
#endif
			fi;
			access();
			p = 0
		od;
end:		(0)
	} unless { is_dead };
	d_step {
		p = 0; nr = 0; is_found = 0; is_late = 0; heard = 0;
		nr_gone++
	};
	!is_dead;
	goto serve
}

/* ---- what happens ---------------------------------------------------------------------------- */

inline die()
{
	d_step {
		is_dead = 1;
		is_cut[0] = 1;
		psock = NONE; vsock = NONE;
		asked[0] = 0; asked[last_page] = 0;
		view[0] = 0; view[last_page] = 0;
		for (q_ : 0 .. last_queue) {
			question[q_] = NO_QUESTION; page_of[q_] = 0; is_own[q_] = 0;
			is_inside[q_] = 0; is_waited_for[q_] = 0; used[q_] = 0; may_refuse[q_] = 0
		}
		q_ = 0
	}
}

#if CONNS > 1
proctype Fate()
{
#ifdef LOSS
	is_cut[0] = 1
#endif
#ifdef DEATH
	die()
#endif
#ifdef HANDOVER
end:	owner == 1;
	is_cut[0] = 1
#endif
}
#endif

init {
	atomic {
		table[0] = 1;
#if PAGES > 1
		table[1] = 2;
#endif
		versions = PAGES;
		run Driver();
		run Serve(0);
		run Provider();
		run Queue(0);
#if QUEUES > 1
		run Queue(1);
#endif
#if CONNS > 1
		run Serve(1);
		run Fate()
#endif
	}
}
