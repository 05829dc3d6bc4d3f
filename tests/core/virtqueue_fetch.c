// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What the guest may change is fetched once: the ring's pages are not accessible, each access to
 * them faults, is noted, and is let through by one step of the processor.
 */
#include "core/virtqueue/packed.h"
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
		.flags = VAS_VIRTQ_EVENT_IDX | VAS_VIRTQ_INDIRECT,
		.tables = { .read = read_guest, .room = table, .max = SIZE },
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

/* The same of all chains of a burst, for one look at the index. */
TEST(each_field_of_a_burst_is_fetched_once)
{
	static const struct part parts[] = { { 0, 16, 0 }, { 64, 512, 1 }, { 32, 1, 1 } };
	struct vas_virtq_segment segments[SIZE];
	struct vas_virtq_chain chains[2];
	struct vas_virtq_burst burst = { chains, segments, 2, SIZE, 0 };
	struct virtqueue driver;
	struct vas_split_queue queue = queue_with(&driver);
	int nr;

	virtqueue_add(&driver, parts, 3, 0);
	virtqueue_add(&driver, parts, 3, 0);
	watch();
	nr = vas_split_queue_peek_burst(&queue, &burst);
	protect(PROT_READ | PROT_WRITE);
	CHECK_EQ(nr, 2);
	each_once(1 + 2 + 2 * 3 * 4);
}

/* Nothing of the used ring is read: its index is the device's own. */
TEST(an_answer_is_three_stores_and_an_event_one_look)
{
	struct virtqueue driver;
	struct vas_split_queue queue = queue_with(&driver);
	struct vas_virtq_answer answer = { .head = 1, .len = 2 };

	watch();
	vas_split_queue_give(&queue, &answer, 1);
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

static struct vas_packed_queue packed_queue(void)
{
	static struct vas_packed_desc table[SIZE];
	struct vas_packed_queue queue = {
		.size = SIZE,
		.flags = VAS_VIRTQ_EVENT_IDX | VAS_VIRTQ_INDIRECT,
		.tables = { .read = read_guest, .room = table, .max = SIZE },
	};

	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(ram != MAP_FAILED);
	queue.desc = (void *)(ram + QUEUE);
	queue.driver = (void *)(ram + QUEUE + 4096);
	queue.device = (void *)(ram + QUEUE + 4096 + 8);
	CHECK_OK(vas_packed_queue_start(&queue, VAS_PACKED_BASE));
	return queue;
}

/* A packed descriptor's four fields, and its flags are the first of all. */
TEST(each_field_of_a_packed_chain_is_fetched_once)
{
	struct vas_virtq_segment segments[SIZE];
	struct vas_virtq_chain chain = { .segments = segments, .max_segments = SIZE };
	struct vas_packed_queue queue = packed_queue();
	struct vas_packed_desc *inner = (void *)(ram + TABLE);
	int direct, indirect;

	for (uint32_t i = 0; i < 3; i++)
		queue.desc[i].flags = VAS_PACKED_DESC_AVAIL | (i < 2 ? VAS_VIRTQ_DESC_NEXT : 0);
	queue.desc[3] = (struct vas_packed_desc){
		.gpa = TABLE,
		.len = sizeof(*inner),
		.flags = VAS_PACKED_DESC_AVAIL | VAS_VIRTQ_DESC_INDIRECT,
	};
	watch();
	direct = vas_packed_queue_peek(&queue, &chain);
	protect(PROT_READ | PROT_WRITE);
	CHECK_EQ(direct, 1);
	each_once(3 * 4);
	CHECK_EQ(accesses[0], offsetof(struct vas_packed_desc, flags));
	vas_packed_queue_take(&queue, &chain);
	watch();
	indirect = vas_packed_queue_peek(&queue, &chain);
	protect(PROT_READ | PROT_WRITE);
	CHECK_EQ(indirect, 1);
	each_once(4);
}

/* Two answers, each in its place; the flags of the first come last. */
TEST(packed_answers_are_three_stores_each_and_the_last_publishes)
{
	static const struct vas_virtq_answer answers[] = { { 1, 2, 3 }, { 2, 1, 0 } };
	struct vas_packed_queue queue = packed_queue();

	queue.nr_taken = 3;
	watch();
	vas_packed_queue_give(&queue, answers, 2);
	protect(PROT_READ | PROT_WRITE);
	each_once(2 * 3);
	CHECK_EQ(accesses[5], offsetof(struct vas_packed_desc, flags));
	CHECK_EQ(queue.desc[0].flags, 0x8082);
	CHECK_EQ(queue.desc[2].flags, 0x8080);
	watch();
	vas_packed_queue_wants_interrupt(&queue);
	protect(PROT_READ | PROT_WRITE);
	each_once(1);
	((struct vas_packed_event *)(ram + QUEUE + 4096))->flags = VAS_PACKED_EVENT_DESC;
	watch();
	vas_packed_queue_wants_interrupt(&queue);
	protect(PROT_READ | PROT_WRITE);
	each_once(2);
	watch();
	vas_packed_queue_enable_kick(&queue);
	protect(PROT_READ | PROT_WRITE);
	each_once(3);
}

#else

TEST(each_field_of_a_chain_is_fetched_once)
{
	test_skip("needs single steps of x86, and signals that no sanitizer takes");
}

#endif
