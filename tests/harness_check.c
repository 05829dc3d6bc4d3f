// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What a case calls: checks, notes, skips, seeds, counts. */
#include <dirent.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "harness_private.h"

/* Shared with the case's process and all that it forks, so that it outlives a crash. */
struct scratch {
	int said; /* the case's line was printed */
	char note[512];
};

static struct scratch local_scratch, *scratch = &local_scratch;
static const char *case_name = "?";
static int case_nr;

/* The library's story of its last error, where the program is linked with it. */
const char *vas_error(void) __attribute__((weak));

void harness_init(void)
{
	void *p = mmap(NULL, sizeof(*scratch), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);

	if (p != MAP_FAILED)
		scratch = p;
}

void harness_begin(const char *name, int nr)
{
	case_name = name;
	case_nr = nr;
	scratch->said = 0;
	scratch->note[0] = '\0';
}

static void print_note(void)
{
	scratch->note[sizeof(scratch->note) - 1] = '\0';
	if (scratch->note[0])
		printf("# %s: while: %s\n", case_name, scratch->note);
}

enum test_result harness_end(int status)
{
	if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 77)
		return TEST_SKIPPED;
	if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		printf("ok %d - %s\n", case_nr, case_name);
		return TEST_PASSED;
	}
	if (!scratch->said)
		print_note();
	if (status == -1)
		printf("# %s: cannot fork\n", case_name);
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		printf("# %s: hangs\n", case_name);
	else if (WIFSIGNALED(status))
		printf("# %s: killed by SIG%s\n", case_name, sigabbrev_np(WTERMSIG(status)));
	else if (!scratch->said)
		printf("# %s: exit status %d\n", case_name, WEXITSTATUS(status));
	printf("not ok %d - %s\n", case_nr, case_name);
	return TEST_FAILED;
}

void test_note(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(scratch->note, sizeof(scratch->note), format, ap);
	va_end(ap);
}

static const char *message(void)
{
	return vas_error ? vas_error() : "";
}

void test_fail(const char *file, int line, const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	printf("# %s:%d: %s: %s\n", file, line, case_name, text);
	if (message()[0])
		printf("# the library's last word: %s\n", message());
	print_note();
	scratch->said = 1;
	fflush(stdout);
	_exit(1);
}

void test_skip(const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	printf("ok %d - %s # SKIP %s\n", case_nr, case_name, text);
	scratch->said = 1;
	fflush(stdout);
	_exit(77);
}

static const char *errno_name(long long value)
{
	const char *name = value < 0 && value > -4096 ? strerrorname_np((int)-value) : NULL;

	return name ? name : "";
}

void test_check_eq(const char *file, int line, const char *text, long long got, long long want)
{
	if (got == want)
		return;
	test_fail(file, line, "%s: got %lld (%#llx%s%s), want %lld (%#llx%s%s)", text, got,
		  (unsigned long long)got, *errno_name(got) ? " -" : "", errno_name(got), want,
		  (unsigned long long)want, *errno_name(want) ? " -" : "", errno_name(want));
}

void test_check_ok(const char *file, int line, const char *text, long long got)
{
	if (got >= 0)
		return;
	test_fail(file, line, "%s: got %lld (-%s), want success", text, got, errno_name(got));
}

void test_check_str(const char *file, int line, const char *got, const char *want)
{
	if (!got || strcmp(got, want))
		test_fail(file, line, "got \"%s\", want \"%s\"", got ? got : "(null)", want);
}

void test_check_has(const char *file, int line, const char *got, const char *want)
{
	if (!got || !strstr(got, want))
		test_fail(file, line, "\"%s\" does not say \"%s\"", got ? got : "(null)", want);
}

void test_check_mem(const char *file, int line, const void *got, const void *want, size_t len)
{
	const uint8_t *g = got, *w = want;

	for (size_t i = 0; i < len; i++)
		if (g[i] != w[i])
			test_fail(file, line, "byte %zu of %zu: got %#x, want %#x", i, len, g[i],
				  w[i]);
}

uint64_t test_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void test_wait(int (*condition)(void *arg), void *arg, unsigned int timeout_ms)
{
	uint64_t end = test_now_ns() + timeout_ms * 1000000ull;
	const struct timespec tick = { 0, 200000 };

	while (!condition(arg)) {
		if (test_now_ns() > end)
			test_fail(__FILE__, __LINE__, "nothing came in %u ms", timeout_ms);
		nanosleep(&tick, NULL);
	}
}

/* SplitMix64: every seed, 0 included, is a good one. */
uint64_t test_random_next(struct test_random *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

uint64_t test_random_below(struct test_random *random, uint64_t limit)
{
	return limit ? test_random_next(random) % limit : 0;
}

int test_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int nr = 0;

	if (!dir)
		test_fail(__FILE__, __LINE__, "/proc/self/fd: %s", strerror(errno));
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr - 3; /* ".", ".." and the directory's own */
}

int test_count_maps(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	int c, nr = 0;

	if (!file)
		test_fail(__FILE__, __LINE__, "/proc/self/maps: %s", strerror(errno));
	while ((c = fgetc(file)) != EOF)
		nr += c == '\n';
	fclose(file);
	return nr;
}
