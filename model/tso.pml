/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A processor's store buffer, as x86 has it (total store order): a plain store goes into the
 * thread's own queue and reaches memory later, in order, at any time; loads read memory. No thread
 * here loads what it has just stored, so forwarding is not modelled. What weaker machines reorder
 * beyond that is the business of the acquire and release orders in the code.
 *
 * The includer defines CPUS (the threads that store), WORDS, and DEPTH: how many stores may wait.
 */
byte mem[WORDS];
chan buffer[CPUS] = [DEPTH] of { byte, byte };
hidden byte at, val;

inline store(cpu, where, what) { buffer[cpu] ! where, what }

/* In a d_step: all that the thread has stored is seen. Leaving a processor does so, dying too. */
inline drain(cpu)
{
	do
	:: len(buffer[cpu]) > 0 -> buffer[cpu] ? at, val; mem[at] = val
	:: else -> break
	od;
	skip
}

/* A locked instruction or a full fence goes on only when the thread's buffer is empty. */
#define drained(cpu) (len(buffer[cpu]) == 0)

/* membarrier(GLOBAL_EXPEDITED): every running thread passes a full barrier; the others did already. */
inline membarrier()
{
	d_step {
		drain(0);
#if CPUS > 1
		drain(1);
#endif
#if CPUS > 2
		drain(2);
#endif
#if CPUS > 3
		drain(3);
#endif
		skip
	}
}

/*
 * The processors: they write back whenever they like. One process for all of them has fewer states;
 * where fairness counts (LIVE), each has its own.
 */
#define ALL_CPUS 255
#define WRITE_BACK(n) \
	d_step { (cpu == ALL_CPUS || cpu == n) && len(buffer[n]) > 0 -> \
		buffer[n] ? at, val; mem[at] = val }

proctype Memory(byte cpu)
{
end:
	do
	:: WRITE_BACK(0)
#if CPUS > 1
	:: WRITE_BACK(1)
#endif
#if CPUS > 2
	:: WRITE_BACK(2)
#endif
#if CPUS > 3
	:: WRITE_BACK(3)
#endif
	od
}

inline run_memory()
{
#ifndef LIVE
	run Memory(ALL_CPUS);
#else
	run Memory(0);
#if CPUS > 1
	run Memory(1);
#endif
#if CPUS > 2
	run Memory(2);
#endif
#if CPUS > 3
	run Memory(3);
#endif
#endif
	skip
}
