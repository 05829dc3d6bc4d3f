// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Sections: translating inside of one for each access, beside translating alone, beside liburcu's
 * memb flavour and a pthread rwlock round the same translation; by one thread and by two at once.
 * And the owner's side: a commit that has to wait, with 64 idle and 2 busy threads bound.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <vas/access.h>
#include <vas/layout.h>

#ifdef HAVE_URCU
#define RCU_MEMB
#define URCU_INLINE_SMALL_FUNCTIONS
#include <urcu.h>
#endif

#include "harness.h"

#define NR_IDLE 64
#define NR_BUSY 2
#define GPA	0x1000

static struct vas *vas;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;

/* ---- one access ---------------------------------------------------------------------------- */

#define ACCESS_LOOP(name, enter, leave)                                                       \
	static uint64_t name(void *ctx, uint64_t nr)                                          \
	{                                                                                     \
		struct vas *v = vas;                                                          \
		struct vas_thread *thread = vas_thread_register(v);                           \
		uint64_t sum = 0;                                                             \
                                                                                              \
		(void)ctx;                                                                    \
		(void)thread;                                                                 \
		while (nr--) {                                                                \
			enter;                                                                \
			sum += *(volatile uint64_t *)vas_translate(v, GPA, 8, VAS_PROT_READ); \
			leave;                                                                \
		}                                                                             \
		return sum;                                                                   \
	}

ACCESS_LOOP(translate_only, (void)0, (void)0)
ACCESS_LOOP(vas_section, vas_enter(v), vas_leave(v))
ACCESS_LOOP(vas_registered, vas_enter_registered(v, thread), vas_leave_registered(v, thread))
ACCESS_LOOP(rwlock_only, pthread_rwlock_rdlock(&rwlock), pthread_rwlock_unlock(&rwlock))
#ifdef HAVE_URCU
ACCESS_LOOP(urcu_only, rcu_read_lock(), rcu_read_unlock())
#endif

/* Translations hold in sections only: one round all of them. */
#define IN_ONE_SECTION(name, loop)                   \
	static uint64_t name(void *ctx, uint64_t nr) \
	{                                            \
		uint64_t sum;                        \
                                                     \
		if (vas_enter(vas))                  \
			abort();                     \
		sum = loop(ctx, nr);                 \
		vas_leave(vas);                      \
		return sum;                          \
	}

IN_ONE_SECTION(translate_alone, translate_only)
IN_ONE_SECTION(rwlock_section, rwlock_only)
#ifdef HAVE_URCU
IN_ONE_SECTION(urcu_section, urcu_only)
#endif

/* ---- two threads at once ------------------------------------------------------------------- */

/* The harness has one core for itself; what runs beside it goes to the others. */
static int measuring_cpu;

static void leave_cpu(int taken)
{
	cpu_set_t cpus;
	int cpu;

	CPU_ZERO(&cpus);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (cpu != taken)
			CPU_SET(cpu, &cpus);
	pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
}

/* The partner does what the measuring thread does, as often, on another core. */
static struct {
	pthread_t thread;
	uint64_t (*run)(void *ctx, uint64_t nr);
	uint64_t nr;
	uint32_t ticket; /* odd: go; even: done */
	int stop;
} partner;

static void *be_partner(void *arg)
{
	uint32_t seen = 0;

	(void)arg;
	leave_cpu(measuring_cpu);
#ifdef HAVE_URCU
	rcu_register_thread();
#endif
	while (!__atomic_load_n(&partner.stop, __ATOMIC_ACQUIRE)) {
		uint32_t ticket = __atomic_load_n(&partner.ticket, __ATOMIC_ACQUIRE);

		if (ticket == seen || !(ticket & 1))
			continue;
		partner.run(NULL, partner.nr);
		seen = ticket + 1;
		__atomic_store_n(&partner.ticket, seen, __ATOMIC_RELEASE);
	}
#ifdef HAVE_URCU
	rcu_unregister_thread();
#endif
	return NULL;
}

static uint64_t run_both(void *ctx, uint64_t nr)
{
	uint64_t (*run)(void *ctx, uint64_t nr) = (uint64_t(*)(void *, uint64_t))ctx;
	uint32_t ticket = partner.ticket + 1;
	uint64_t sum;

	partner.run = run;
	partner.nr = nr;
	__atomic_store_n(&partner.ticket, ticket, __ATOMIC_RELEASE);
	sum = run(NULL, nr);
	while (__atomic_load_n(&partner.ticket, __ATOMIC_ACQUIRE) == ticket)
		;
	return sum;
}

/* ---- a commit ------------------------------------------------------------------------------ */

static struct {
	pthread_t threads[NR_IDLE + NR_BUSY];
	pthread_barrier_t bound;
	int stop;
	uint64_t id;
} crowd;

static void *be_idle(void *arg)
{
	(void)arg;
	if (!vas_enter(vas))
		vas_leave(vas);
	pthread_barrier_wait(&crowd.bound); /* all are bound */
	pthread_barrier_wait(&crowd.bound); /* all is measured */
	return NULL;
}

static void *be_busy(void *arg)
{
	(void)arg;
	leave_cpu(measuring_cpu);
	vas_section(NULL, 1);
	pthread_barrier_wait(&crowd.bound);
	while (!__atomic_load_n(&crowd.stop, __ATOMIC_RELAXED))
		vas_section(NULL, 100);
	pthread_barrier_wait(&crowd.bound);
	return NULL;
}

static int crowd_gather(void)
{
	int i;

	pthread_barrier_init(&crowd.bound, NULL, NR_IDLE + NR_BUSY + 1);
	crowd.stop = 0;
	for (i = 0; i < NR_IDLE + NR_BUSY; i++)
		if (pthread_create(&crowd.threads[i], NULL, i < NR_IDLE ? be_idle : be_busy, NULL))
			return -EAGAIN;
	pthread_barrier_wait(&crowd.bound);
	return 0;
}

static void crowd_disperse(void)
{
	int i;

	__atomic_store_n(&crowd.stop, 1, __ATOMIC_RELAXED);
	pthread_barrier_wait(&crowd.bound);
	for (i = 0; i < NR_IDLE + NR_BUSY; i++)
		pthread_join(crowd.threads[i], NULL);
}

/* Each commit moves a region, so each has to wait for every section. */
static uint64_t commit(void *ctx, uint64_t nr)
{
	static int there;
	uint64_t failed = 0;

	(void)ctx;
	while (nr--)
		failed += !!vas_region_move(vas, crowd.id, (there = !there) ? 8 << 20 : 4 << 20);
	return failed;
}

/* ---- the cases ----------------------------------------------------------------------------- */

static int measure_accesses(struct bench_session *session)
{
	struct bench_case c = { .name = "access/1-thread" };

	if (!bench_wants(session, c.name))
		return 0;
	bench_case_add(&c, BENCH_LIMIT, translate_alone, NULL);
	bench_case_add(&c, "vas", vas_section, NULL);
	bench_case_add(&c, "vas-tied", vas_registered, NULL);
#ifdef HAVE_URCU
	bench_case_add(&c, "urcu-memb", urcu_section, NULL);
#else
	bench_skip(session, "urcu-memb", "built without liburcu (liburcu-dev)");
#endif
	bench_case_add(&c, "rwlock", rwlock_section, NULL);
	return bench_measure(session, &c);
}

static int measure_both(struct bench_session *session)
{
	struct bench_case c = { .name = "access/2-threads" };
	int err;

	if (!bench_wants(session, c.name))
		return 0;
	if (pthread_create(&partner.thread, NULL, be_partner, NULL))
		return -EAGAIN;
	bench_case_add(&c, BENCH_LIMIT, run_both, (void *)translate_alone);
	bench_case_add(&c, "vas", run_both, (void *)vas_section);
	bench_case_add(&c, "vas-tied", run_both, (void *)vas_registered);
#ifdef HAVE_URCU
	bench_case_add(&c, "urcu-memb", run_both, (void *)urcu_section);
#endif
	bench_case_add(&c, "rwlock", run_both, (void *)rwlock_section);
	err = bench_measure(session, &c);
	__atomic_store_n(&partner.stop, 1, __ATOMIC_RELEASE);
	pthread_join(partner.thread, NULL);
	return err;
}

static int measure_commit(struct bench_session *session)
{
	struct bench_case c = { .name = "commit/64-idle-2-busy" };
	int err;

	if (!bench_wants(session, c.name))
		return 0;
	bench_case_add(&c, "vas", commit, NULL);
	err = crowd_gather();
	if (err)
		return err;
	err = bench_measure(session, &c);
	crowd_disperse();
	return err;
}

static int run(struct bench_session *session)
{
	struct vas_options options = { .limit = 64 << 20, .name = "bench-sections" };
	struct vas_region ram = { .size = 1 << 20 };
	struct vas_region mover = { .gpa = 4 << 20, .offset = 4 << 20, .size = 64 << 10 };
	int err = vas_create(&options, &vas);

	if (err)
		return err;
	measuring_cpu = sched_getcpu();
	err = vas_region_add(vas, &ram, NULL);
	if (!err)
		err = vas_region_add(vas, &mover, &crowd.id);
#ifdef HAVE_URCU
	rcu_register_thread();
#endif
	if (!err)
		err = measure_accesses(session);
	if (!err)
		err = measure_both(session);
	if (!err)
		err = measure_commit(session);
#ifdef HAVE_URCU
	rcu_unregister_thread();
#endif
	vas_destroy(vas);
	return err;
}

int main(int argc, char **argv)
{
	static const struct bench bench = {
		.name = "sections",
		.summary = "Entering and leaving sections, and the commit that waits for them.",
		.run = run,
	};

	return bench_main(argc, argv, &bench);
}
