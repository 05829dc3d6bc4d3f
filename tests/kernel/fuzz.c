// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Processes that call every module with anything, on files that are damaged meanwhile, punched,
 * unmapped, closed, inherited, with allocations failing where the kernel can do that. In each
 * round a vas, some damaged copies, an owner that changes it, and a few such processes, which are killed
 * in the end. Then nothing may be left of them, and a new vas has to work.
 *
 * The kernel's log is the judge: the machine looks at it. TEST_FUZZ_SECONDS: how long, in all.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/dirty.h>

#include "device.h"
#include "faults.h"
#include "fuzz.h"

#define NR_PROCESSES 4
#define ROUND_MS     10000

static const uint64_t numbers[] = {
	0,
	1,
	7,
	8,
	PAGE - 1,
	PAGE,
	PAGE + 1,
	MIB - 1,
	MIB,
	FUZZ_RAM - 1,
	FUZZ_RAM,
	32 * MIB,
	32 * MIB + PAGE,
	40 * MIB,
	FUZZ_LIMIT - 1,
	FUZZ_LIMIT,
	1ull << 32,
	(1ull << 52) - 1,
	1ull << 52,
	1ull << 63,
	~0ull - PAGE,
	~0ull,
};

uint64_t fuzz_number(struct fuzz *f)
{
	uint64_t dice = test_random_below(&f->random, 8);

	if (dice < 5)
		return test_random_below(&f->random, FUZZ_RAM);
	if (dice < 7)
		return numbers[test_random_below(&f->random, sizeof(numbers) / sizeof(numbers[0]))];
	return test_random_next(&f->random);
}

int fuzz_file(struct fuzz *f)
{
	uint64_t dice = test_random_below(&f->random, 16);

	if (dice < 8)
		return f->files[0];
	if (dice < 14)
		return f->files[1 + test_random_below(&f->random, NR_FILES - 1)];
	return (int)test_random_below(&f->random, 40) - 1;
}

int fuzz_event(struct fuzz *f)
{
	return f->events[test_random_below(&f->random, NR_EVENTS)];
}

/* ---- a round's files ---------------------------------------------------------------------- */

/* Of the same size and seals as the vas, with some of its words damaged before anybody binds. */
static int damaged_copy(struct fuzz *f)
{
	int fd = memfd_create("damaged", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t control = f->size - FUZZ_LIMIT;
	char *copy;

	CHECK_OK(ftruncate(fd, (off_t)f->size));
	copy = mmap(NULL, control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, FUZZ_LIMIT);
	CHECK(copy != MAP_FAILED);
	/* The start, with state and tables; the logs are zeros; the superblock. */
	memcpy(copy, f->mapped + FUZZ_LIMIT, 2 * MIB < control ? 2 * MIB : control);
	memcpy(copy + control - PAGE, f->mapped + f->size - PAGE, PAGE);
	if (test_random_below(&f->random, 2))
		fuzz_damage(&f->random, copy, control);
	else
		fuzz_damage(&f->random, copy + control - PAGE, PAGE);
	munmap(copy, control);
	if (test_random_below(&f->random, 8))
		CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
	return fd;
}

static void add_regions(struct vas *vas, int backing)
{
	struct vas_region other = { .gpa = 40 * MIB, .size = MIB };
	struct vas_region rom = {
		.gpa = 48 * MIB, .size = MIB, .offset = 48 * MIB, .flags = VAS_REGION_READONLY
	};
	struct vas_region local = { .gpa = 32 * MIB, .size = MIB, .flags = VAS_REGION_LOCAL };
	uint64_t id;
	int nr = vas_backing_add(vas, backing);

	CHECK(nr > 0);
	other.backing = (uint32_t)nr;
	local.hva = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK_OK(vas_region_add(vas, &other, &id));
	CHECK_OK(vas_region_add(vas, &rom, &id));
	CHECK_OK(vas_region_add(vas, &local, &id));
}

static void fuzz_init(struct fuzz *f, struct vas *vas)
{
	struct stat stat;
	int i;

	f->drive = f->foo = f->blk = f->net = -1;
	for (i = 0; i < NR_SESSIONS; i++)
		f->sessions[i] = -1;
	for (i = 0; i < NR_EVENTS; i++)
		f->events[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->backing = memfd_create("more", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CHECK_OK(ftruncate(f->backing, MIB));
	CHECK_OK(fcntl(f->backing, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
	add_regions(vas, f->backing);
	f->files[0] = vas_fd(vas);
	f->files[1] = vas_readonly_fd(vas);
	CHECK_OK(fstat(f->files[0], &stat));
	f->size = (size_t)stat.st_size;
	f->mapped = mmap(NULL, f->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			 f->files[0], 0);
	f->buf = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(f->mapped != MAP_FAILED && f->buf != MAP_FAILED);
	memcpy(f->whole_control, f->mapped + FUZZ_LIMIT, PAGE);
	memcpy(f->whole_superblock, f->mapped + f->size - PAGE, PAGE);
	for (i = 2; i < NR_FILES; i++)
		f->files[i] = damaged_copy(f);
}

/* ---- a round's processes ------------------------------------------------------------------ */

static void change(struct fuzz *f, struct vas *vas, struct vas_tracker **dirty, uint64_t *id)
{
	uint64_t half = FUZZ_RAM / 2;
	struct vas_region region = { .gpa = half, .size = half, .offset = half };

	switch (test_random_below(&f->random, 12)) {
	case 0:
		if (!*id && vas_region_add(vas, &region, id))
			*id = 0;
		break;
	case 1:
		if (*id && !vas_region_remove(vas, *id))
			*id = 0;
		break;
	case 2:
		if (!*dirty && vas_tracker_attach(vas, "fuzz", 0, dirty))
			*dirty = NULL;
		break;
	case 3:
		vas_tracker_detach(*dirty);
		*dirty = NULL;
		break;
	case 4:
		vas_freeze(vas, 30000000, NULL);
		break;
	case 5:
		vas_thaw(vas);
		break;
	default:
		fuzz_drive(f);
	}
}

static void call_on_and_on(struct fuzz *f)
{
	int can_fail = !faults_init();

	for (;;) {
		if (test_random_below(&f->random, 16) == 0) {
			fuzz_chaos(f);
			continue;
		}
		if (can_fail && test_random_below(&f->random, 4) == 0)
			faults_arm(1 + (unsigned int)test_random_below(&f->random, 40));
		fuzz_call(f);
		if (can_fail)
			faults_arm(0);
	}
}

/* In a process group of its own, with whatever it forks. */
static pid_t start(struct fuzz *f)
{
	uint64_t seed = test_random_next(&f->random);
	pid_t pid = fork();

	if (pid) {
		setpgid(pid, pid);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	f->random.state = seed;
	call_on_and_on(f);
	_exit(0);
}

static void wait_for_child(const sigset_t *child, uint64_t end_ns)
{
	uint64_t now_ns = test_now_ns(), left_ns = end_ns > now_ns ? end_ns - now_ns : 0;
	struct timespec left = { (time_t)(left_ns / 1000000000), (long)(left_ns % 1000000000) };

	sigtimedwait(child, NULL, &left);
}

/* Keep as many alive as there should be; in the end none. */
static void supervise(struct fuzz *f)
{
	uint64_t end_ns = test_now_ns() + ROUND_MS * 1000000ull;
	pid_t pids[NR_PROCESSES], gone;
	sigset_t child;
	int i;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	for (i = 0; i < NR_PROCESSES; i++)
		pids[i] = start(f);
	while (test_now_ns() < end_ns) {
		wait_for_child(&child, end_ns);
		while ((gone = waitpid(-1, NULL, WNOHANG)) > 0)
			for (i = 0; i < NR_PROCESSES; i++)
				if (pids[i] == gone)
					pids[i] = start(f);
	}
	for (i = 0; i < NR_PROCESSES; i++)
		kill(-pids[i], SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

/* The owner's process: it makes the files, has the others started, and changes its vas until they end. */
static void lead(uint64_t seed)
{
	struct fuzz f = { .random = { seed } };
	struct vas_tracker *dirty = NULL;
	struct vas *vas;
	uint64_t id = 0;
	pid_t pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	vas = device_vas(FUZZ_LIMIT, FUZZ_RAM / 2, 0);
	fuzz_init(&f, vas);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		supervise(&f);
		_exit(0);
	}
	while (waitpid(pid, NULL, WNOHANG) == 0)
		change(&f, vas, &dirty, &id);
	_exit(0);
}

/* ---- the test ----------------------------------------------------------------------------- */

static int all_is_let_go(void *unused)
{
	(void)unused;
	return !device_counter("bindings") && !device_counter("maps") &&
	       !device_counter("pinned_folios") && !device_counter("log_pages") &&
	       !device_counter("cached_folios");
}

static void check_that_it_works(void)
{
	struct vas *vas = device_vas(FUZZ_LIMIT, FUZZ_RAM, 0);
	int device = device_bound(vas_fd(vas));
	uint64_t word = 7;

	CHECK_OK(device_write(device, PAGE - 4, &word, sizeof(word), NULL));
	CHECK_OK(vas_read(vas, PAGE - 4, &word, sizeof(word), NULL));
	CHECK_EQ(word, 7);
	close(device);
	vas_destroy(vas);
}

static void run_round(uint64_t seed)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		lead(seed);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	test_wait(all_is_let_go, NULL, TEST_HANG_MS);
	check_that_it_works();
}

TEST(nothing_that_anybody_does_harms_the_kernel)
{
	const char *seconds = getenv("TEST_FUZZ_SECONDS");
	uint64_t end_ns = test_now_ns() + (seconds ? strtoull(seconds, NULL, 0) : 30) * 1000000000;
	struct test_random random = { test_seed() };
	unsigned int rounds;

	/* These keep the modules from going while somebody tries to unload them. */
	device_open();
	CHECK(open("/dev/foo", O_RDWR | O_CLOEXEC) >= 0);
	CHECK(open("/dev/vas_blk", O_RDWR | O_CLOEXEC) >= 0);
	CHECK(open("/dev/vas_net", O_RDWR | O_CLOEXEC) >= 0);
	for (rounds = 0; test_now_ns() < end_ns; rounds++) {
		uint64_t seed = test_random_next(&random);

		test_note("round %u, its seed %#llx", rounds, (unsigned long long)seed);
		run_round(seed);
	}
	printf("# %u rounds, %ld bindings, %ld maps, %ld invalidates, %ld quiesces\n", rounds,
	       device_counter("total_binds"), device_counter("total_maps"),
	       device_counter("total_invalidates"), device_counter("total_quiesces"));
}
