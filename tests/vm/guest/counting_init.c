// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * PID 1 of a guest that is saved, cloned and moved: it counts, and checks its memory all the time.
 *
 *	count: 17, at gpa 0x2345000	a line for each number, ten a second
 *	count: BROKEN ...		its memory is not what it wrote
 *	fill: 200 MiB			what it was told by a line on the console: "fill 200"
 *	churn: 50 MiB/s			"churn 50": a process beside it writes so much from then on
 *	tick: every 2 ms		"tick": a process beside it writes a dot to the second port from then on
 *	take: 200 MiB			"take 200": the same, and it is kept until "give"
 *	memory: 243 MiB			"memory": what the kernel has to give
 *	agent: shutdown			what the host asked the guest's agent to do, by a virtio port
 *
 * Its memory is PAGES pages, each full of the number of the last round and of its own index: a
 * round of stores goes through all of them, and the next one checks what that left. So a page that is
 * older or newer than the others is found. vas_seed=N, on the kernel's command line, is in each page
 * too. Modules in /modules are loaded first, in the order of their names. Each round it looks at its disk,
 * its network and its clock as well (devices.h).
 */
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "console.h"
#include "devices.h"

enum {
	PAGE = 4096,
	WORDS = PAGE / 8,
	PAGES = 2048,
	PERIOD_NS = 100 * 1000 * 1000,
	CHURN_NS = 20 * 1000 * 1000,
	TICK_NS = 2 * 1000 * 1000
};

static void load_modules(void)
{
	struct dirent **names;
	char path[sizeof("/modules/") + sizeof(names[0]->d_name)];
	int nr = scandir("/modules", &names, NULL, alphasort);

	for (int i = 0; i < nr; i++) {
		int fd;

		snprintf(path, sizeof(path), "/modules/%s", names[i]->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (names[i]->d_name[0] != '.' && syscall(SYS_finit_module, fd, "", 0))
			perror(path);
		close(fd);
	}
}

static uint64_t gpa_of(const void *page)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (fd < 0 || pread(fd, &entry, sizeof(entry), (uintptr_t)page / PAGE * sizeof(entry)) !=
			      (ssize_t)sizeof(entry))
		entry = 0;
	if (fd >= 0)
		close(fd);
	return (entry & ((1ULL << 55) - 1)) * PAGE;
}

static uint64_t value(uint64_t seed, uint64_t round, uint64_t page, uint64_t word)
{
	return (seed << 48) ^ (round << 24) ^ (page << 9) ^ word;
}

/* One round's stores; before each, what the round before has left is looked at. */
static void go_round(volatile uint64_t *memory, uint64_t seed, uint64_t round)
{
	for (uint64_t page = 0; page < PAGES; page++)
		for (uint64_t word = 0; word < WORDS; word++) {
			volatile uint64_t *at = &memory[page * WORDS + word];

			if (round > 1 && *at != value(seed, round - 1, page, word))
				printf("count: BROKEN in round %llu: page %llu word %llu is %#llx\n",
				       (unsigned long long)round, (unsigned long long)page,
				       (unsigned long long)word, (unsigned long long)*at);
			*at = value(seed, round, page, word);
		}
}

static void *taken;
static size_t taken_size;

/* Write to so much memory, all of it other than what was there, and give it back, or keep it. */
static void fill(const char *word, size_t mib, int keeps)
{
	size_t size = mib << 20, wrong = 0;
	uint64_t *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED) {
		perror(word);
		return;
	}
	for (size_t i = 0; i < size / 8; i++)
		memory[i] = ~(uint64_t)i;
	for (size_t i = 0; i < size / 8; i++)
		wrong += ((volatile uint64_t *)memory)[i] != ~(uint64_t)i;
	if (!keeps)
		munmap(memory, size);
	else
		taken = memory, taken_size = size;
	printf("%s: %zu MiB%s\n", word, mib, wrong ? ", count: BROKEN" : "");
}

static void look_around(uint64_t round)
{
	const char *const wrong[] = { check_disk(round), check_network(), check_clock() };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (wrong[i])
			printf("count: BROKEN in round %llu: %s\n", (unsigned long long)round,
			       wrong[i]);
}

/* Write so much a second, again and again to the same memory, which is twice as large. */
static void churn(size_t mib)
{
	const struct timespec period = { .tv_nsec = CHURN_NS };
	const size_t step = (mib << 20) / (1000000000 / CHURN_NS) / WORDS * WORDS, size = mib << 21;
	uint64_t *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED) {
		perror("churn");
		_exit(1);
	}
	for (uint64_t at = 0;; at += step) {
		for (uint64_t i = 0; i < step; i += 8)
			memory[(at + i) % size / 8] = at;
		nanosleep(&period, NULL);
	}
}

/* Before whatever else runs, so that a time without a dot is one in which the guest stood. */
static void tick(void)
{
	const struct timespec period = { .tv_nsec = TICK_NS };
	const struct sched_param first = { .sched_priority = 1 };
	int fd = open("/dev/ttyS1", O_WRONLY | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || sched_setscheduler(0, SCHED_FIFO, &first))
		perror("tick");
	while (write(fd, ".", 1) == 1)
		nanosleep(&period, NULL);
	_exit(1);
}

static void listen_to_console(void)
{
	struct pollfd console = { .fd = STDIN_FILENO, .events = POLLIN };
	struct sysinfo info;
	char line[80];
	ssize_t nr = poll(&console, 1, 0) == 1 ? read(STDIN_FILENO, line, sizeof(line) - 1) : 0;

	if (nr <= 0)
		return;
	line[nr] = '\0';
	if (!strncmp(line, "fill ", 5))
		fill("fill", strtoul(line + 5, NULL, 10), 0);
	if (!strncmp(line, "take ", 5))
		fill("take", strtoul(line + 5, NULL, 10), 1);
	if (!strncmp(line, "churn ", 6)) {
		if (!fork())
			churn(strtoul(line + 6, NULL, 10));
		printf("churn: %lu MiB/s\n", strtoul(line + 6, NULL, 10));
	}
	if (!strncmp(line, "tick", 4)) {
		if (!fork())
			tick();
		printf("tick: every %d ms\n", TICK_NS / 1000000);
	}
	if (!strncmp(line, "give", 4))
		printf("give: %d\n", munmap(taken, taken_size));
	if (!strncmp(line, "memory", 6) && !sysinfo(&info))
		printf("memory: %llu MiB\n",
		       (unsigned long long)info.totalram * info.mem_unit >> 20);
}

static int open_agent_port(void)
{
	glob_t ports;
	int fd = -1;

	if (!glob("/dev/vport*", 0, NULL, &ports))
		fd = open(ports.gl_pathv[0], O_RDWR | O_NONBLOCK | O_CLOEXEC);
	globfree(&ports);
	return fd;
}

/* The little of the guest agent's protocol that it takes to be shut down. */
static void listen_to_agent_port(int fd)
{
	char line[512];
	ssize_t nr = fd < 0 ? 0 : read(fd, line, sizeof(line) - 1);
	const char *id;

	if (nr <= 0)
		return;
	line[nr] = '\0';
	id = strstr(line, "\"id\":");
	if (id && strstr(line, "guest-sync"))
		dprintf(fd, "{\"return\": %llu}\n", strtoull(id + 5, NULL, 10));
	if (strstr(line, "guest-shutdown")) {
		printf("agent: shutdown\n");
		reboot(RB_POWER_OFF);
	}
}

int main(void)
{
	const struct timespec period = { .tv_nsec = PERIOD_NS };
	const char *text = getenv("vas_seed");
	uint64_t seed = text ? strtoull(text, NULL, 10) : 0;
	uint64_t *memory;
	int agent;

	take_console();
	load_modules();
	agent = open_agent_port();
	printf("count: it has %s\n", found());
	memory = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED) {
		printf("count: BROKEN: no memory\n");
		for (;;)
			pause();
	}
	for (uint64_t round = 1;; round++) {
		go_round(memory, seed, round);
		look_around(round);
		printf("count: %llu, at gpa %#llx\n", (unsigned long long)round,
		       (unsigned long long)gpa_of(memory));
		listen_to_console();
		listen_to_agent_port(agent);
		nanosleep(&period, NULL);
	}
}
