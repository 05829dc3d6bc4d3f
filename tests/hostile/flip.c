// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A peer that changes the control area while it is read, as fast as it can, in a process of its own
 * and for as long as the test looks: values are checked in one place and used in another only if
 * somebody made a mistake.
 */
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "field.h"
#include "victim.h"

#define LOOK_NS 700000000ull

struct order {
	uint64_t seed;
	uint32_t extent;  /* which part is flipped */
	uint32_t publish; /* and whether generations go on meanwhile */
	uint64_t ram_size;
	uint64_t file_size;
};

static int recv_order(int sock, struct order *order, int *fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { order, sizeof(*order) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	msg.msg_control = control.bytes;
	msg.msg_controllen = sizeof(control.bytes);
	if (recvmsg(sock, &msg, 0) != sizeof(*order))
		return -1;
	memcpy(fd, CMSG_DATA(&control.align), sizeof(int));
	return 0;
}

/* Two versions of each of a few words: what was there, and something else. */
static void flip_words(uint64_t *part, uint64_t nr, const struct order *order,
		       struct vas_control *ctl)
{
	struct test_random random = { order->seed };
	uint64_t old[64];

	for (uint64_t i = 0; i < nr; i++)
		old[i] = part[i];
	for (uint64_t k = 0;; k++) {
		uint64_t i = test_random_below(&random, nr), r = test_random_next(&random);
		uint64_t val = r & 1 ? old[i] + 4096 : r & 2 ? r : r & 4 ? 0 : ~old[i];

		__atomic_store_n(&part[i], val, __ATOMIC_RELAXED);
		if (order->publish && k % 8 == 0) {
			uint64_t next = ctl->generation + 1;

			ctl->state[next & 1] = ctl->state[(next - 1) & 1];
			ctl->state[next & 1].generation = next;
			ctl->state[next & 1].regions_generation = next;
			__atomic_store_n(&ctl->generation, next, __ATOMIC_RELEASE);
		}
		__atomic_store_n(&part[i], old[i], __ATOMIC_RELAXED);
	}
}

ROLE(flipper)
{
	struct vas_superblock *sb;
	struct order order;
	uint64_t nr;
	char *control;
	int fd;

	if (recv_order(sock, &order, &fd))
		return 1;
	control = mmap(NULL, order.file_size - order.ram_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		       fd, (off_t)order.ram_size);
	if (control == MAP_FAILED || write(sock, "x", 1) != 1)
		return 1;
	sb = (struct vas_superblock *)(control + (order.file_size - order.ram_size)) - 1;
	nr = sb->extents[order.extent].size / 8;
	flip_words((uint64_t *)(control + (sb->extents[order.extent].offset - order.ram_size)),
		   nr < 64 ? nr : 64, &order,
		   (void *)(control + (sb->extents[VAS_EXT_CONTROL].offset - order.ram_size)));
	return 0;
}

static void send_order(int sock, struct order *order, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec iov = { order, sizeof(*order) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	msg.msg_control = control.bytes;
	msg.msg_controllen = sizeof(control.bytes);
	control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	control.align.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.align), &fd, sizeof(int));
	CHECK_EQ(sendmsg(sock, &msg, 0), sizeof(*order));
}

static pid_t start_flipper(struct victim *v, uint32_t extent, uint32_t publish, int *sock)
{
	struct order order = {
		.seed = test_seed(),
		.extent = extent,
		.publish = publish,
		.ram_size = v->ram_size,
		.file_size = v->sb->file_size,
	};
	pid_t pid = test_spawn("flipper", sock);
	char byte;

	send_order(*sock, &order, vas_fd(v->owner));
	CHECK_EQ(read(*sock, &byte, 1), 1);
	return pid;
}

static void look(struct victim *v, struct vas *bound)
{
	const uint64_t end = test_now_ns() + LOOK_NS;
	int binds = 0, refused = 0;

	do {
		int err = victim_try_bind(vas_fd(v->owner), binds & 1 ? VAS_BIND_OBSERVE : 0);

		binds++;
		refused += !!err;
		victim_exercise(bound);
	} while (test_now_ns() < end);
	test_note("%d binds, %d refused", binds, refused);
}

static void flip(uint32_t extent, uint32_t publish)
{
	struct vas *bound;
	struct victim v;
	int sock, status;
	pid_t pid;

	victim_make(&v);
	CHECK_OK(vas_bind(vas_fd(v.owner), 0, &bound));
	pid = start_flipper(&v, extent, publish, &sock);
	look(&v, bound);
	victim_exercise_owner(&v);
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); /* it was at it to the end */
	close(sock);
	vas_unbind(bound);
	victim_free(&v);
}

#define FLIP(name, extent)                   \
	TEST(flipping_##name)                \
	{                                    \
		flip(extent, 0);             \
	}                                    \
	TEST(publishing_and_flipping_##name) \
	{                                    \
		flip(extent, 1);             \
	}

FLIP(control, VAS_EXT_CONTROL)
FLIP(slots, VAS_EXT_SLOTS)
FLIP(binders, VAS_EXT_BINDERS)
FLIP(pins, VAS_EXT_PINS)
FLIP(events, VAS_EXT_EVENTS)
FLIP(backings, VAS_EXT_BACKINGS)
FLIP(table0, VAS_EXT_TABLE0)
FLIP(table1, VAS_EXT_TABLE1)
FLIP(trackers, VAS_EXT_TRACKERS)
FLIP(log, VAS_EXT_LOG)
