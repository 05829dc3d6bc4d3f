/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A small test harness: TAP on stdout, each case in a process of its own under an alarm, so that a
 * crash, a hang or a leaked thread is one failed case and not the end of the run. It needs fork and
 * nothing else of the system, so a statically linked test runs as PID 1 of a virtual machine too.
 *
 *	TEST(a_hole_is_refused)
 *	{
 *		CHECK_EQ(vas_read(vas, gpa, buf, 8, NULL), -EFAULT);
 *	}
 *
 * A check that fails prints its place and both values and ends the case. Exit status of the program:
 * 0 all passed, 77 all skipped, 1 otherwise. Options: see harness.c.
 */
#ifndef TESTS_HARNESS_H
#define TESTS_HARNESS_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Built with a sanitizer whose runtime has maps and reservations of its own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TEST_SANITIZED 1
#endif
#endif
#ifndef TEST_SANITIZED
#define TEST_SANITIZED 0
#endif

enum test_result { TEST_PENDING, TEST_PASSED, TEST_FAILED, TEST_SKIPPED };

struct test_case {
	const char *name;
	void (*run)(void *arg);
	void *arg;
	enum test_result result;
	struct test_case *next;
};

void test_register(struct test_case *test);

#define TEST(name)                                                                             \
	static void name(void);                                                                \
	static void run_##name(void *arg)                                                      \
	{                                                                                      \
		(void)arg;                                                                     \
		name();                                                                        \
	}                                                                                      \
	static struct test_case test_##name = { #name, run_##name, NULL, TEST_PENDING, NULL }; \
	__attribute__((constructor)) static void register_##name(void)                         \
	{                                                                                      \
		test_register(&test_##name);                                                   \
	}                                                                                      \
	static void name(void)

/* The whole of a test program's main(): returns its exit status. */
int test_main(int argc, char **argv);

/*
 * A role is what the program does in another process that it starts: ROLE(name) defines it, and
 * test_spawn() forks and executes this program again with the role, the socket as its fd 3. The
 * child dies with the case that started it.
 */
struct test_role {
	const char *name;
	int (*run)(int sock);
	struct test_role *next;
};

void test_register_role(struct test_role *role);
int test_spawn(const char *role, int *sock); /* its pid */

#define ROLE(name)                                                          \
	static int name(int sock);                                          \
	static struct test_role role_##name = { #name, name, NULL };        \
	__attribute__((constructor)) static void register_role_##name(void) \
	{                                                                   \
		test_register_role(&role_##name);                           \
	}                                                                   \
	static int name(int sock)

/* One seed a run, printed at its start: --seed or TEST_SEED, else fresh. */
uint64_t test_seed(void);

struct test_random {
	uint64_t state;
};

uint64_t test_random_next(struct test_random *random);
uint64_t test_random_below(struct test_random *random, uint64_t limit);

/* What is being tried now: printed if the case fails, crashes or hangs. */
void test_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* End the case: failed, or skipped for the reason given. */
void test_fail(const char *file, int line, const char *format, ...)
	__attribute__((noreturn, format(printf, 3, 4)));
void test_skip(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/*
 * How long to wait for what must come, before it is said to hang: minutes, since a busy machine is
 * slow. A case has twice as long in all (TEST_TIMEOUT, --timeout).
 */
#define TEST_HANG_MS 300000
#define TEST_HANG_NS (TEST_HANG_MS * 1000000ull)

/* Wait until condition(arg) is true, or fail the case after the deadline. */
void test_wait(int (*condition)(void *arg), void *arg, unsigned int timeout_ms);

uint64_t test_now_ns(void);
int test_count_fds(void);
int test_count_maps(void);

void test_check_eq(const char *file, int line, const char *text, long long got, long long want);
void test_check_ok(const char *file, int line, const char *text, long long got);
void test_check_str(const char *file, int line, const char *got, const char *want);
void test_check_has(const char *file, int line, const char *got, const char *want);
void test_check_mem(const char *file, int line, const void *got, const void *want, size_t len);

#define CHECK(cond)                                                 \
	do {                                                        \
		if (!(cond))                                        \
			test_fail(__FILE__, __LINE__, "%s", #cond); \
	} while (0)
#define CHECK_EQ(got, want) \
	test_check_eq(__FILE__, __LINE__, #got " == " #want, (long long)(got), (long long)(want))
#define CHECK_OK(got)		  test_check_ok(__FILE__, __LINE__, #got, (long long)(got))
#define CHECK_STR(got, want)	  test_check_str(__FILE__, __LINE__, got, want)
#define CHECK_HAS(got, want)	  test_check_has(__FILE__, __LINE__, got, want)
#define CHECK_MEM(got, want, len) test_check_mem(__FILE__, __LINE__, got, want, len)

#endif
