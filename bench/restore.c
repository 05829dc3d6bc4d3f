// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * How long until the first byte of a snapshot can be used, until all of it is there, and what a
 * touch of a page that has not come costs. The snapshot is of random data and in the page cache.
 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <vas/access.h>
#include <vas/lazy.h>
#include <vas/kvm.h>
#include <vas/migrate.h>

#include "bare_kvm.h"

#define MAX_ROUNDS 101
#define NR_TOUCHES 1000
#define FOREVER_NS 600000000000ull
#define LOW_END	   (3ull << 30) /* as a PC has it: what is above lies from 4 GiB on */
#define GUEST_LOAD 0x1000
#define GUEST_PORT 1

static uint64_t size = 4ull << 30;
static unsigned int rounds = 5;
static bool as_json;
static const char *pattern = "*"; /* of the cases to measure */
static char path[4096];

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static void must(int err, const char *what)
{
	if (err >= 0)
		return;
	fprintf(stderr, "restore: %s: %s (%s)\n", what, strerror(-err), vas_error());
	unlink(path);
	exit(1);
}

/* ---- the snapshot ------------------------------------------------------------------------- */

static void fill_random(char *p)
{
	uint64_t *words = (uint64_t *)p, state = 88172645463325252ull, i;

	for (i = 0; i < size / 8; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		words[i] = state;
	}
}

/* A guest that looks at another page before it says that it is there. */
static void put_guest(char *p)
{
	static const unsigned char code[] = { 0xa1, 0x00,      0x50,
					      0x34, 0x02,	  /* mov eax, [0x2345000] */
					      0xe6, GUEST_PORT }; /* out port, al */

	memcpy(p + GUEST_LOAD, code, sizeof(code));
}

static void make_snapshot(void)
{
	struct vas_options options = { .limit = size + LOW_END };
	struct vas_region low = { .size = size < LOW_END ? size : LOW_END };
	struct vas_region high = { .gpa = 4ull << 30, .size = size - low.size, .offset = LOW_END };
	struct vas *vas;
	char *p;

	must(vas_create(&options, &vas), "create");
	must(vas_region_add(vas, &low, NULL), "region");
	if (high.size)
		must(vas_region_add(vas, &high, NULL), "region");
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vas_fd(vas), 0);
	must(p == MAP_FAILED ? -errno : 0, "mmap");
	fill_random(p);
	put_guest(p);
	munmap(p, size);
	must(vas_snapshot_save(vas, path, NULL, NULL), "save");
	vas_destroy(vas);
}

static void read_all(void)
{
	static char buf[1 << 20];
	int fd = open(path, O_RDONLY);

	must(fd < 0 ? -errno : 0, path);
	while (read(fd, buf, sizeof(buf)) > 0)
		;
	close(fd);
}

/* ---- measuring ---------------------------------------------------------------------------- */

static uint64_t random_offset(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % size & ~7ull;
}

static uint64_t random_gpa(void)
{
	uint64_t offset = random_offset();

	return offset < LOW_END ? offset : offset - LOW_END + (4ull << 30);
}

/* The least: the file mapped, and one load. */
static uint64_t limit(uint32_t flags)
{
	uint64_t start = now_ns(), ns;
	int fd = open(path, O_RDONLY);
	char *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);

	(void)flags;
	must(p == MAP_FAILED ? -errno : 0, "mmap");
	(void)*(volatile uint64_t *)(p + random_offset());
	ns = now_ns() - start;
	munmap(p, size);
	close(fd);
	return ns;
}

static uint64_t first_access(uint32_t flags)
{
	uint64_t start = now_ns(), value, ns;
	struct vas *vas;

	must(vas_snapshot_restore(path, flags, &vas), "restore");
	must(vas_load_le64(vas, random_gpa(), &value, __ATOMIC_RELAXED), "load");
	ns = now_ns() - start;
	vas_destroy(vas);
	return ns;
}

static char *map_registered(struct vas *vas)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, vas_fd(vas),
		       0);

	must(p == MAP_FAILED ? -errno : 0, "mmap");
	must(vas_lazy_register(vas, p, size, 0), "userfaultfd");
	return p;
}

/* As KVM would: it has a mapping, and somebody touches it. */
static uint64_t first_touch(uint32_t flags)
{
	uint64_t start = now_ns(), ns;
	struct vas *vas;
	char *p;

	must(vas_snapshot_restore(path, flags, &vas), "restore");
	p = map_registered(vas);
	(void)*(volatile uint64_t *)(p + random_offset());
	ns = now_ns() - start;
	vas_lazy_unregister(vas, p);
	munmap(p, size);
	vas_destroy(vas);
	return ns;
}

/* The guest's own first instructions, in a VM that is there already: until it says that it runs. */
static uint64_t first_instruction(uint32_t flags)
{
	int vm_fd = bare_vm_create(), vcpu_fd;
	uint64_t start, ns;
	struct vas_kvm *kvm;
	struct vas *vas;

	must(vm_fd, "VM");
	vcpu_fd = bare_vcpu_create(vm_fd, GUEST_LOAD);
	must(vcpu_fd, "vCPU");
	start = now_ns();
	must(vas_snapshot_restore(path, flags, &vas), "restore");
	must(vas_kvm_attach(vas, vm_fd, NULL, &kvm), "attach");
	must(bare_vcpu_run(vcpu_fd, GUEST_PORT), "run");
	ns = now_ns() - start;
	vas_kvm_detach(kvm);
	vas_destroy(vas);
	close(vcpu_fd);
	close(vm_fd);
	return ns;
}

/* The least: the same bytes into a new memfd, unchecked. */
static uint64_t plain_copy(uint32_t flags)
{
	static char buf[256 << 10];
	uint64_t start = now_ns(), at, ns;
	int from = open(path, O_RDONLY), to = memfd_create("bench", MFD_CLOEXEC);

	(void)flags;
	must(from < 0 || to < 0 || ftruncate(to, (off_t)size) ? -errno : 0, "memfd");
	for (at = 0; at < size; at += sizeof(buf))
		must(pread(from, buf, sizeof(buf), (off_t)at) != sizeof(buf) ||
				     pwrite(to, buf, sizeof(buf), (off_t)at) != sizeof(buf) ?
			     -EIO :
			     0,
		     "copy");
	ns = now_ns() - start;
	close(to);
	close(from);
	return ns;
}

static uint64_t complete(uint32_t flags)
{
	uint64_t start = now_ns(), ns;
	struct vas *vas;

	must(vas_snapshot_restore(path, flags, &vas), "restore");
	must(vas_lazy_wait(vas, FOREVER_NS), "wait");
	ns = now_ns() - start;
	vas_destroy(vas);
	return ns;
}

/* A page that has not come, each time: mostly. By libvas, and by userfaultfd. */
static uint64_t touch(uint32_t flags)
{
	uint64_t value, ns, i;
	struct vas *vas;

	must(vas_snapshot_restore(path, flags, &vas), "restore");
	must(vas_load_le64(vas, 0, &value, __ATOMIC_RELAXED), "load");
	ns = now_ns();
	for (i = 0; i < NR_TOUCHES; i++)
		must(vas_load_le64(vas, random_gpa(), &value, __ATOMIC_RELAXED), "load");
	ns = now_ns() - ns;
	vas_destroy(vas);
	return ns / NR_TOUCHES;
}

static uint64_t touch_mapped(uint32_t flags)
{
	uint64_t ns, i;
	struct vas *vas;
	char *p;

	must(vas_snapshot_restore(path, flags, &vas), "restore");
	p = map_registered(vas);
	ns = now_ns();
	for (i = 0; i < NR_TOUCHES; i++)
		(void)*(volatile uint64_t *)(p + random_offset());
	ns = now_ns() - ns;
	vas_lazy_unregister(vas, p);
	munmap(p, size);
	vas_destroy(vas);
	return ns / NR_TOUCHES;
}

/* ---- the table ---------------------------------------------------------------------------- */

static const struct subject {
	const char *bcase, *name;
	uint64_t (*run)(uint32_t flags);
	uint32_t flags;
} subjects[] = {
	{ "first-access", "limit", limit, 0 },
	{ "first-access", "vas-private", first_access, VAS_RESTORE_PRIVATE },
	{ "first-access", "vas-lazy", first_access, VAS_RESTORE_LAZY },
	{ "first-access", "vas-lazy-kvm", first_touch, VAS_RESTORE_LAZY },
	{ "first-access", "vas-lazy-guest", first_instruction, VAS_RESTORE_LAZY },
	{ "first-access", "vas-clone", first_access, VAS_RESTORE_CLONE },
	{ "complete", "limit", plain_copy, 0 },
	{ "complete", "vas-eager", complete, 0 },
	{ "complete", "vas-lazy", complete, VAS_RESTORE_LAZY },
	{ "touch", "vas-clone", touch, VAS_RESTORE_CLONE },
	{ "touch", "vas-clone-kvm", touch_mapped, VAS_RESTORE_CLONE },
};

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

#define NR_SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

static double median_of(uint64_t *ns)
{
	qsort(ns, rounds, sizeof(*ns), compare);
	return (double)ns[rounds / 2] / 1e6;
}

static void report(const struct subject *s, uint64_t *ns, double limit_ms)
{
	double median = median_of(ns), min = (double)ns[0] / 1e6,
	       max = (double)ns[rounds - 1] / 1e6;

	if (!as_json) {
		printf("%-16s %-14s %12.3f %12.3f %12.3f ms", s->bcase, s->name, median, min, max);
		printf(limit_ms > 0 ? " %8.2f\n" : "\n", median / limit_ms);
	} else {
		printf("{\"bench\":\"restore\",\"case\":\"%s\",\"subject\":\"%s\",\"unit\":\"ms\","
		       "\"median\":%.4f,\"min\":%.4f,\"max\":%.4f,",
		       s->bcase, s->name, median, min, max);
		printf(limit_ms > 0 ? "\"ratio\":%.2f}\n" : "\"ratio\":null}\n", median / limit_ms);
	}
	fflush(stdout);
}

static bool can_run(const struct subject *s)
{
	if (s->run != first_instruction || !access("/dev/kvm", R_OK | W_OK))
		return true;
	fprintf(stderr, "restore: skipped %s: there is no /dev/kvm that may be used\n", s->name);
	return false;
}

/* The subjects of a case, which are in a row and whose first may be the limit, take turns. */
static void run_case(size_t first, size_t nr)
{
	static uint64_t ns[NR_SUBJECTS][MAX_ROUNDS];
	bool runs[NR_SUBJECTS];
	double limit_ms = 0;
	unsigned int round;
	size_t i;

	for (i = 0; i < nr; i++)
		runs[i] = can_run(&subjects[first + i]);
	for (round = 0; round < rounds; round++)
		for (i = 0; i < nr; i++)
			if (runs[i])
				ns[i][round] = subjects[first + i].run(subjects[first + i].flags);
	if (!strcmp(subjects[first].name, "limit"))
		limit_ms = median_of(ns[0]);
	for (i = 0; i < nr; i++)
		if (runs[i])
			report(&subjects[first + i], ns[i], limit_ms);
}

static void run(void)
{
	size_t i, nr;

	if (!as_json)
		printf("restore: %u rounds, a snapshot of %llu MiB in the page cache\n"
		       "%-16s %-14s %12s %12s %12s    %8s\n",
		       rounds, (unsigned long long)(size >> 20), "case", "subject", "median", "min",
		       "max", "ratio");
	for (i = 0; i < NR_SUBJECTS; i += nr) {
		for (nr = 1; i + nr < NR_SUBJECTS; nr++)
			if (strcmp(subjects[i + nr].bcase, subjects[i].bcase))
				break;
		if (!fnmatch(pattern, subjects[i].bcase, 0))
			run_case(i, nr);
	}
}

static int help(int code)
{
	fprintf(code ? stderr : stdout,
		"Usage: bench-restore [OPTION]...\n"
		"Restoring a snapshot lazily: the first byte, all of them, a page\n\n"
		"  --case PATTERN  only the cases that match this shell pattern\n"
		"  --mib N         of memory (64 or more; default: 4096), kept in $TMPDIR or /var/tmp\n"
		"  --rounds N      how often each subject is measured, 1 to %d (default: 5)\n"
		"  --json          one record a line instead of a table\n"
		"  --help          print this\n",
		MAX_ROUNDS);
	return code;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "case", required_argument, NULL, 'c' },   { "mib", required_argument, NULL, 'm' },
		{ "rounds", required_argument, NULL, 'r' }, { "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },	    { 0 },
	};
	const char *folder = getenv("TMPDIR");
	int c, fd;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
		if (c == 'c')
			pattern = optarg;
		else if (c == 'm')
			size = strtoull(optarg, NULL, 0) << 20;
		else if (c == 'r')
			rounds = (unsigned int)atoi(optarg);
		else if (c == 'j')
			as_json = true;
		else
			return help(c == 'h' ? 0 : 2);
	}
	if (optind < argc || !rounds || rounds > MAX_ROUNDS || size < 64 << 20)
		return help(2);
	snprintf(path, sizeof(path), "%s/bench-restore-XXXXXX", folder ? folder : "/var/tmp");
	fd = mkstemp(path);
	must(fd < 0 ? -errno : 0, path);
	close(fd);
	make_snapshot();
	read_all();
	run();
	unlink(path);
	return 0;
}
