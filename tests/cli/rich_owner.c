// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A vas with all that the vas command itself makes none of: a further backing, memory local to this
 * process, doorbells and interrupts, a consumer, and one that is out of step. Prints PID/FD and holds it until stdin ends.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vas/consumer.h>
#include <vas/event.h>

#define MIB (1u << 20)

static char local[MIB] __attribute__((aligned(4096)));

static void must(int err, const char *what)
{
	if (err >= 0)
		return;
	fprintf(stderr, "%s: %s\n", what, vas_error());
	exit(1);
}

static void add_regions(struct vas *vas)
{
	struct vas_region ram = { .size = MIB, .name = "ram" };
	struct vas_region other = { .gpa = 2 * MIB, .size = MIB, .name = "other" };
	struct vas_region mine = { .gpa = 4 * MIB, .size = MIB, .name = "mine" };
	int fd = memfd_create("other", MFD_CLOEXEC);
	int backing;

	if (fd < 0 || ftruncate(fd, MIB))
		exit(1);
	backing = vas_backing_add(vas, fd);
	must(backing, "backing");
	other.backing = (uint32_t)backing;
	mine.flags = VAS_REGION_LOCAL;
	mine.hva = local;
	must(vas_region_add(vas, &ram, NULL), "ram");
	must(vas_region_add(vas, &other, NULL), "other");
	must(vas_region_add(vas, &mine, NULL), "mine");
	must(vas_write(vas, other.gpa, "from afar", 9, NULL), "write");
}

static void add_events(struct vas *vas)
{
	struct vas_event bell = { .kind = VAS_EVENT_DOORBELL,
				  .id = 1,
				  .addr = 0xfe003000,
				  .len = 4,
				  .flags = VAS_EVENT_DATAMATCH,
				  .data = 7,
				  .name = "queue0" };
	struct vas_event irq = { .kind = VAS_EVENT_IRQ,
				 .id = 2,
				 .gsi = 24,
				 .flags = VAS_EVENT_RESAMPLE,
				 .name = "irq0" };

	must(vas_event_add(vas, &bell), "doorbell");
	must(vas_event_add(vas, &irq), "irq");
}

static int prepare(struct vas_consumer *consumer, const struct vas_delta *delta,
		   uint64_t deadline_ns)
{
	(void)consumer, (void)delta, (void)deadline_ns;
	return 0;
}

static void forget(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	(void)consumer, (void)delta;
}

static int follow(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	(void)consumer, (void)delta;
	return 0;
}

static int fall_behind(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	(void)consumer, (void)delta;
	return -ENOSPC;
}

static int stay_behind(struct vas_consumer *consumer)
{
	(void)consumer;
	return -ENOSPC;
}

static void add_consumers(struct vas *vas)
{
	static const struct vas_consumer_ops good = {
		.name = "good", .prepare = prepare, .commit = follow, .abort = forget
	};
	static const struct vas_consumer_ops late = { .name = "late",
						      .prepare = prepare,
						      .commit = fall_behind,
						      .abort = forget,
						      .retry = stay_behind };
	static struct vas_consumer consumers[] = { { .ops = &good }, { .ops = &late } };

	must(vas_consumer_attach(vas, &consumers[0], VAS_TIMEOUT_DEFAULT_NS, NULL), "good");
	must(vas_consumer_attach(vas, &consumers[1], VAS_TIMEOUT_DEFAULT_NS, NULL), "late");
}

int main(int argc, char **argv)
{
	struct vas_options options = { .limit = 64 * MIB, .name = argc > 1 ? argv[1] : NULL };
	struct vas *vas;

	must(vas_create(&options, &vas), "create");
	add_regions(vas);
	add_events(vas);
	add_consumers(vas);
	printf("%d/%d\n", getpid(), vas_fd(vas));
	fflush(stdout);
	while (getchar() != EOF)
		;
	vas_destroy(vas);
	return 0;
}
