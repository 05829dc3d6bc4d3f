/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Measuring several subjects against each other, in one run.
 *
 * A bench is a program. It has cases ("same-region/64/dependent"), and each case has subjects: ways
 * to do the same work on the same memory. One of them may be called "limit": the least that any way
 * must do. The subjects of a case take turns, round by round (A B C, B A C, ...), so that whatever
 * else the machine is busy with meets them all alike, and a figure is only ever compared with one
 * of its run.
 *
 * Single-threaded. Functions return 0 or -errno.
 */
#ifndef VAS_BENCH_HARNESS_H
#define VAS_BENCH_HARNESS_H

#include <stdbool.h>
#include <stdint.h>

#define BENCH_MAX_SUBJECTS 12
#define BENCH_MAX_ROUNDS   101

/* The subject that others are compared with. */
#define BENCH_LIMIT "limit"

/*
 * One way to do a case's work. run() does it nr times over and returns something that depends on
 * all of it, so that none of it can be optimised away; it is called with many different nr, and
 * must not get slower or faster from call to call.
 */
struct bench_subject {
	const char *name;
	uint64_t (*run)(void *ctx, uint64_t nr);
	void *ctx;
};

struct bench_case {
	const char *name;
	/* Bytes moved by one run of the work: the result is then a rate in GB/s; 0 gives ns/op. */
	uint64_t bytes;
	/* What is counted instead of ns, with its "/op"; NULL for time. */
	const char *unit;
	unsigned int nr_subjects;
	struct bench_subject subjects[BENCH_MAX_SUBJECTS];
};

struct bench_options {
	const char *pattern; /* of the cases to measure; NULL for all */
	unsigned int rounds;
	uint64_t round_ns; /* the time that one subject gets in one round */
	bool json;
	bool list;
	int cpu; /* to run on; -1 chooses one */
};

struct bench_session {
	const char *bench;
	struct bench_options options;
	unsigned int nr_measured;
};

struct bench {
	const char *name;
	const char *summary;
	/* Goes through the cases in order: asks bench_wants() before it sets one up. */
	int (*run)(struct bench_session *session);
};

/* The whole of a bench's main(): options, one core, the cases. Returns the exit status. */
int bench_main(int argc, char **argv, const struct bench *bench);

/* Shall this case be measured? (Under --list, prints its name and says no.) */
bool bench_wants(struct bench_session *session, const char *case_name);

/* Adds a subject to a case; a case holds up to BENCH_MAX_SUBJECTS. */
void bench_case_add(struct bench_case *bcase, const char *name,
		    uint64_t (*run)(void *ctx, uint64_t nr), void *ctx);

/* Measures a case's subjects, and reports them. */
int bench_measure(struct bench_session *session, const struct bench_case *bcase);

/* Says on stderr why a subject is missing; the bench goes on without it. */
void bench_skip(const struct bench_session *session, const char *subject, const char *why);

#endif
