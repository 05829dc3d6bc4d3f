// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What the guest may change is fetched once: the ring's pages are not accessible, each access to
 * them faults, is noted, and is let through by one step of the processor.
 */
#include "core/virtqueue/split.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "tests/harness.h"
#include "tests/kernel/virtqueue.h"

#if defined(__x86_64__) && !TEST_SANITIZED

#define SIZE	  8u
#define RAM	  0x10000ull
#define QUEUE	  0x1000ull
#define TABLE	  0x8000ull /* after the ring's pages */
#define TRAP_FLAG (1 << 8)

static char *ram;
static uintptr_t accesses[64];
static volatile uint32_t nr_accesses;

static void protect(int prot)
{
	mprotect(ram + QUEUE, 2 * 4096, prot);
}

static void on_access(int signal, siginfo_t *info, void *context)
{
	ucontext_t *machine = context;

	(void)signal;
	if (nr_accesses < 64)
		accesses[nr_accesses] = (uintptr_t)info->si_addr - (uintptr_t)ram - QUEUE;
	nr_accesses++;
	protect(PROT_READ | PROT_WRITE);
	machine->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void on_step(int signal, siginfo_t *info, void *context)
{
	ucontext_t *machine = context;

	(void)signal;
	(void)info;
	machine->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
	protect(PROT_NONE);
}

static int read_guest(void *user, uint64_t gpa, void *to, uint32_t len)
{
	(void)user;
	memcpy(to, ram + gpa, len);
	return 0;
}

static void watch(void)
{
	struct sigaction access = { .sa_sigaction = on_access, .sa_flags = SA_SIGINFO };
	struct sigaction step = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO };

	CHECK_OK(sigaction(SIGSEGV, &access, NULL));
	CHECK_OK(sigaction(SIGTRAP, &step, NULL));
	nr_accesses = 0;
	protect(PROT_NONE);
}

static void each_once(uint32_t nr)
{
	CHECK_EQ(nr_accesses, nr);
	for (uint32_t i = 0; i < nr; i++)
		for (uint32_t j = 0; j < i; j++)
			CHECK(accesses[i] != accesses[j]);
}

static struct vas_split_queue queue_with(struct virtqueue *driver)
{
	static struct vas_virtq_desc table[SIZE];

	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(ram != MAP_FAILED);
	virtqueue_init(driver, ram, QUEUE, SIZE);
	return (struct vas_split_queue){
		.desc = (void *)driver->desc,
		.avail = (void *)driver->avail,
		.used = (void *)driver->used,
		.size = SIZE,
		.flags = VAS_SPLIT_EVENT_IDX | VAS_SPLIT_INDIRECT,
		.read = read_guest,
		.table = table,
		.max_table = SIZE,
	};
}

/* The available ring's index and entry, and a descriptor's four fields. */
TEST(each_field_of_a_chain_is_fetched_once)
{
	static const struct part parts[] = { { 0, 16, 0 }, { 64, 512, 1 }, { 32, 1, 1 } };
	struct vas_virtq_segment segments[SIZE];
	struct vas_virtq_chain chain = { .segments = segments, .max_segments = SIZE };
	struct virtqueue driver;
	struct vas_split_queue queue = queue_with(&driver);
	int direct, indirect;

	virtqueue_add(&driver, parts, 3, 0);
	virtqueue_add(&driver, parts, 3, TABLE);
	watch();
	direct = vas_split_queue_peek(&queue, &chain);
	protect(PROT_READ | PROT_WRITE);
	CHECK_EQ(direct, 1);
	each_once(2 + 3 * 4);
	vas_split_queue_take(&queue);
	watch();
	indirect = vas_split_queue_peek(&queue, &chain);
	protect(PROT_READ | PROT_WRITE);
	CHECK_EQ(indirect, 1);
	each_once(2 + 4);
}

/* Nothing of the used ring is read: its index is the device's own. */
TEST(an_answer_is_three_stores_and_an_event_one_look)
{
	struct virtqueue driver;
	struct vas_split_queue queue = queue_with(&driver);

	watch();
	vas_split_queue_give(&queue, 1, 2);
	protect(PROT_READ | PROT_WRITE);
	each_once(3);
	watch();
	vas_split_queue_wants_interrupt(&queue);
	protect(PROT_READ | PROT_WRITE);
	each_once(1);
	watch();
	vas_split_queue_enable_kick(&queue);
	protect(PROT_READ | PROT_WRITE);
	each_once(2);
}

#else

TEST(each_field_of_a_chain_is_fetched_once)
{
	test_skip("needs single steps of x86, and signals that no sanitizer takes");
}

#endif
