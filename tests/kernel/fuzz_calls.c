// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Every ioctl of every module, results ignored: what counts is what the kernel says of it. */
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "examples/echo.h"
#include "fuzz.h"
#include "include/uapi/linux/vas.h"
#include "include/uapi/linux/vas_blk.h"
#include "include/uapi/linux/vas_net.h"
#include "kernel/modules/example/vas_example.h"
#include "kernel/modules/test/vas_test.h"

static uint64_t below(struct fuzz *f, uint64_t limit)
{
	return test_random_below(&f->random, limit);
}

static int session(struct fuzz *f)
{
	int *session = &f->sessions[below(f, NR_SESSIONS)];

	if (*session < 0)
		*session = open("/dev/vas_test", O_RDWR | (below(f, 2) ? O_CLOEXEC : 0));
	return *session;
}

static void reopen(struct fuzz *f)
{
	int *session = &f->sessions[below(f, NR_SESSIONS)];

	close(*session);
	*session = -1;
}

static void do_bind(struct fuzz *f)
{
	int32_t fd = fuzz_file(f);

	ioctl(session(f), VAS_TEST_BIND, &fd);
}

static void do_unbind(struct fuzz *f)
{
	ioctl(session(f), VAS_TEST_UNBIND);
}

static void do_copy(struct fuzz *f)
{
	struct vas_test_copy copy = {
		.gpa = fuzz_number(f),
		.buf = (uintptr_t)f->buf,
		.len = below(f, MIB),
		.flags = (uint32_t)below(f, 8),
		.context = (uint32_t)below(f, 6),
	};

	if (below(f, 2))
		copy.len = below(f, 2 * PAGE);
	ioctl(session(f), VAS_TEST_COPY, &copy);
}

static void do_map(struct fuzz *f)
{
	struct vas_test_map map = {
		.gpa = fuzz_number(f),
		.len = below(f, 8) ? below(f, 64 * PAGE) : fuzz_number(f),
		.flags = (uint32_t)below(f, 9),
	};

	if (below(f, 4))
		map.gpa = below(f, FUZZ_RAM);
	ioctl(session(f), VAS_TEST_MAP, &map);
}

static void do_unmap(struct fuzz *f)
{
	uint32_t id = (uint32_t)below(f, 6);

	ioctl(session(f), VAS_TEST_UNMAP_ID, &id);
}

static void do_access(struct fuzz *f)
{
	struct vas_test_map_access access = {
		.id = (uint32_t)below(f, 6),
		.flags = (uint32_t)below(f, 2),
		.offset = below(f, 2) ? 0 : fuzz_number(f),
		.buf = (uintptr_t)f->buf,
		.len = below(f, PAGE),
	};

	ioctl(session(f), VAS_TEST_MAP_ACCESS, &access);
	ioctl(session(f), VAS_TEST_ATTACHED, &access.id);
}

static void do_mark(struct fuzz *f)
{
	struct vas_test_range range = { fuzz_number(f), below(f, MIB) };

	ioctl(session(f), VAS_TEST_MARK, &range);
}

static void do_offer(struct fuzz *f)
{
	int32_t fd = below(f, 2) ? f->backing : fuzz_file(f);
	struct vas_test_hva hva = { .gpa = 32 * MIB,
				    .size = MIB,
				    .hva = below(f, 4) ? (uintptr_t)f->buf : fuzz_number(f) };

	ioctl(session(f), VAS_TEST_OFFER, &fd);
	ioctl(session(f), VAS_TEST_HVA, &hva);
}

static void do_policy(struct fuzz *f)
{
	uint32_t policy = (uint32_t)below(f, 4);
	struct vas_test_counts counts;

	ioctl(session(f), VAS_TEST_POLICY, &policy);
	ioctl(session(f), VAS_TEST_COUNTS, &counts);
}

static void do_load(struct fuzz *f)
{
	struct vas_test_load load = {
		.gpa = fuzz_number(f),
		.len = below(f, MIB),
		.kind = (uint32_t)below(f, 3),
		.seed = (uint32_t)below(f, ~0u) | 1,
	};
	struct vas_test_load_result result;

	if (below(f, 2))
		ioctl(session(f), VAS_TEST_LOAD, &load);
	else
		ioctl(session(f), VAS_TEST_LOAD_STOP, &result);
}

static void do_list(struct fuzz *f)
{
	struct vas_test_range ranges[4];
	struct vas_test_sg sg = {
		.ranges = (uintptr_t)ranges,
		.nr = (uint32_t)below(f, 5),
		.flags = (uint32_t)below(f, 9),
		.max_segment = (uint32_t)below(f, 4) * 4096,
	};
	struct vas_test_sg_access access = {
		.offset = below(f, MIB),
		.buf = (uintptr_t)f->buf,
		.len = below(f, 64 * 1024),
		.flags = (uint32_t)below(f, 2),
	};
	int fd = session(f);

	for (int i = 0; i < 4; i++)
		ranges[i] = (struct vas_test_range){ fuzz_number(f), below(f, MIB) };
	ioctl(fd, VAS_TEST_SG_MAP, &sg);
	ioctl(fd, VAS_TEST_SG_ACCESS, &access);
	if (below(f, 2))
		ioctl(fd, VAS_TEST_SG_UNMAP);
}

static void do_doorbell(struct fuzz *f)
{
	struct vas_test_doorbell bell = { .doorbell_fd = fuzz_event(f),
					  .irq_fd = fuzz_event(f),
					  .flags = (uint32_t)below(f, 4) };
	uint64_t one = 1, nr;

	/* Not the same twice: an interrupt that rings its own doorbell goes on for ever. */
	if (bell.doorbell_fd == bell.irq_fd)
		return;
	if (below(f, 3))
		ioctl(session(f), VAS_TEST_DOORBELL, &bell);
	else
		ioctl(session(f), VAS_TEST_DOORBELL_STOP, &nr);
	if (write(f->events[0], &one, sizeof(one)) < 0)
		return; /* it is full: nobody reads it */
}

static void do_look(struct fuzz *f)
{
	struct vas_test_event event = { .id = (uint32_t)below(f, 4) };
	struct vas_test_regions regions = {
		.gpa = fuzz_number(f),
		.regions = (uintptr_t)f->buf,
		.nr = (uint32_t)below(f, 64),
		.at_gpa = (uint32_t)below(f, 2),
	};
	struct vas_test_info info;

	ioctl(session(f), VAS_TEST_EVENT, &event);
	ioctl(session(f), VAS_TEST_REGIONS, &regions);
	ioctl(session(f), VAS_TEST_INFO, &info);
}

static void do_field(struct fuzz *f)
{
	struct vas_test_field field = {
		.gpa = fuzz_number(f),
		.value = below(f, ~0ull),
		.width = 1u << below(f, 5),
		.op = (uint32_t)below(f, 8),
	};

	ioctl(session(f), VAS_TEST_FIELD, &field);
}

/* ---- the owner's device ------------------------------------------------------------------- */

static void do_attach(struct fuzz *f)
{
	struct vas_ko_attach attach = { .fd = fuzz_file(f), .flags = below(f, 8) == 0 };

	if (f->drive >= 0 && below(f, 4) == 0) {
		close(f->drive);
		f->drive = -1;
	}
	if (f->drive < 0)
		f->drive = open("/dev/vas", O_RDWR | O_CLOEXEC);
	ioctl(f->drive, VAS_KO_ATTACH, &attach);
}

static void do_drive(struct fuzz *f)
{
	struct vas_ko_range ranges[3];
	struct vas_ko_prepare prepare = {
		.ranges = (uintptr_t)ranges,
		.nr = (uint32_t)below(f, 4),
		.flags = (uint32_t)below(f, 3),
		.timeout_ns = below(f, 50000000),
	};
	struct vas_ko_freeze freeze = { .flags = (uint32_t)below(f, 3),
					.timeout_ns = below(f, 50000000) };
	struct pollfd poll_fd = { .fd = f->drive, .events = POLLIN };
	struct vas_ko_finish finish;
	struct vas_ko_info info;

	for (uint64_t i = 0; i < 3; i++)
		ranges[i] = (struct vas_ko_range){ i * MIB + below(f, MIB), below(f, MIB) };
	switch (below(f, 8)) {
	case 6:
		poll(&poll_fd, 1, (int)below(f, 50));
		break;
	case 7:
		ioctl(f->drive, VAS_KO_FINISH, &finish);
		break;
	case 0:
		ioctl(f->drive, VAS_KO_PREPARE, &prepare);
		break;
	case 1:
		ioctl(f->drive, VAS_KO_FREEZE, &freeze);
		break;
	case 2:
		ioctl(f->drive, VAS_KO_INFO, &info);
		break;
	case 3:
		ioctl(f->drive, VAS_KO_COMMIT);
		break;
	default:
		ioctl(f->drive, VAS_KO_THAW);
		break;
	}
}

void fuzz_drive(struct fuzz *f)
{
	if (f->drive < 0 || below(f, 16) == 0)
		do_attach(f);
	do_drive(f);
}

/* ---- consumers ---------------------------------------------------------------------------- */

static void do_foo(struct fuzz *f)
{
	struct foo_serve serve = {
		.vas_fd = fuzz_file(f),
		.doorbell_fd = f->events[1],
		.irq_fd = f->events[2],
		.flags = (uint32_t)below(f, 3),
		.gpa = below(f, 2) ? ECHO_GPA : fuzz_number(f),
	};
	uint64_t one = 1;

	if (f->foo >= 0 && below(f, 2)) {
		close(f->foo);
		f->foo = -1;
	}
	if (f->foo < 0)
		f->foo = open("/dev/foo", O_RDWR | O_CLOEXEC);
	ioctl(f->foo, FOO_SERVE, &serve);
	if (write(f->events[1], &one, sizeof(one)) < 0)
		return; /* as above */
}

static void do_view(struct fuzz *f, int fd)
{
	struct vas_queue_view view = { .max_entries = (uint32_t)below(f, 64),
				       .flags = (uint32_t)below(f, 3) };
	struct vas_queue_map map = {
		.iova = below(f, 2) ? below(f, 64) * 4096 : fuzz_number(f),
		.size = below(f, 4) ? 4096 : fuzz_number(f),
		.gpa = below(f, 4) ? below(f, 64) * 4096 : fuzz_number(f),
		.prot = (uint32_t)below(f, 4),
	};
	struct vas_queue_maps maps = { .maps = (uintptr_t)&map, .nr = (uint32_t)below(f, 2) };
	int of_all = !below(f, 8);
	struct vas_queue_unmap unmap = { .iova = of_all ? 0 : below(f, 64) * 4096,
					 .size = of_all	     ? 0 :
						 below(f, 2) ? 4096 :
							       fuzz_number(f),
					 .timeout_ms = (uint32_t)below(f, 20) };
	struct vas_queue_misses misses = { .misses = (uintptr_t)f->buf,
					   .nr = (uint32_t)below(f, 300) };
	struct vas_queue_count count = { .index = (uint32_t)below(f, 80) };
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	uint64_t iova = below(f, 64) * 4096;

	ioctl(fd, VAS_QUEUE_VIEW, &view);
	for (uint64_t nr = below(f, 8); nr; nr--) {
		map.iova += 4096;
		ioctl(fd, VAS_QUEUE_MAP, &maps);
	}
	if (below(f, 2))
		ioctl(fd, VAS_QUEUE_UNMAP, &unmap);
	if (below(f, 4) == 0)
		ioctl(fd, VAS_QUEUE_REFUSE, &iova);
	if (poll(&poll_fd, 1, 0) == 1)
		ioctl(fd, VAS_QUEUE_MISSES, &misses);
	ioctl(fd, VAS_QUEUE_COUNT, &count);
}

static void do_disk(struct fuzz *f)
{
	struct vas_blk_open open_arg = {
		.vas_fd = fuzz_file(f),
		.file_fd = f->backing,
		.capacity = below(f, 4) * MIB,
		.features = VAS_BLK_FEATURES & below(f, ~0ull),
	};
	struct vas_queue_start queue = {
		.index = (uint32_t)below(f, 3),
		.size = 1u << below(f, 8),
		.parts = { below(f, 64) * 4096, below(f, 64) * 4096, below(f, 64) * 4096 },
		.kick_fd = f->events[1],
		.call_fd = f->events[2],
		.err_fd = -1,
		.base = (uint32_t)below(f, 4) | (below(f, 2) ? VAS_QUEUE_NEW_PACKED : 0),
	};
	struct vas_queue_stopped stopped = { .index = (uint32_t)below(f, 3) };
	struct vas_queue_keep keep = {
		.index = queue.index,
		.place = below(f, 4) ? (uintptr_t)f->buf + below(f, 64) : fuzz_number(f),
	};
	uint64_t capacity = below(f, 2) ? below(f, 4) * MIB : fuzz_number(f);

	if (f->blk >= 0 && below(f, 4) == 0) {
		close(f->blk);
		f->blk = -1;
	}
	if (f->blk < 0)
		f->blk = open("/dev/vas_blk", O_RDWR | O_CLOEXEC);
	ioctl(f->blk, VAS_BLK_OPEN, &open_arg);
	do_view(f, f->blk);
	if (below(f, 8) == 0)
		ioctl(f->blk, VAS_BLK_SET_FEATURES, &open_arg.features);
	if (below(f, 4) == 0)
		ioctl(f->blk, VAS_BLK_KEEP, &keep);
	ioctl(f->blk, VAS_BLK_START, &queue);
	if (below(f, 8) == 0)
		ioctl(f->blk, VAS_BLK_SET_CAPACITY, &capacity);
	if (below(f, 3) == 0)
		ioctl(f->blk, VAS_BLK_STOP, &stopped);
}

static void do_network(struct fuzz *f)
{
	struct vas_net_open open_arg = {
		.vas_fd = fuzz_file(f),
		.nr_pairs = (uint16_t)below(f, 3),
		.features = 1ull << 32 | below(f, ~0ull),
	};
	struct vas_queue_start queue = {
		.index = (uint32_t)below(f, 5),
		.size = 1u << below(f, 8),
		.parts = { below(f, 64) * 4096, below(f, 64) * 4096, below(f, 64) * 4096 },
		.kick_fd = f->events[1],
		.call_fd = f->events[2],
		.err_fd = -1,
		.base = (uint32_t)below(f, 4) | (below(f, 2) ? VAS_QUEUE_NEW_PACKED : 0),
	};
	struct vas_queue_stopped stopped = { .index = (uint32_t)below(f, 5) };
	struct vas_queue_keep keep = {
		.index = queue.index,
		.place = below(f, 4) ? (uintptr_t)f->buf + below(f, 64) : fuzz_number(f),
	};
	uint64_t features = 0;
	uint32_t nr = (uint32_t)below(f, 4);

	if (f->net >= 0 && below(f, 16) == 0) {
		close(f->net);
		f->net = -1;
	}
	if (f->net < 0)
		f->net = open("/dev/vas_net", O_RDWR | O_CLOEXEC);
	ioctl(f->net, VAS_NET_GET_FEATURES, &features);
	open_arg.features &= features;
	ioctl(f->net, VAS_NET_OPEN, &open_arg);
	if (below(f, 8) == 0)
		ioctl(f->net, VAS_NET_SET_FEATURES, &open_arg.features);
	if (below(f, 4) == 0)
		ioctl(f->net, VAS_NET_KEEP, &keep);
	do_view(f, f->net);
	ioctl(f->net, VAS_NET_START, &queue);
	if (below(f, 3) == 0)
		ioctl(f->net, VAS_NET_STOP, &stopped);
	if (below(f, 8) == 0)
		ioctl(f->net, VAS_NET_SET_PAIRS, &nr);
	if (below(f, 8) == 0)
		ioctl(f->net, VAS_NET_SET_OFFLOADS, &features);
	if (below(f, 8) == 0)
		ioctl(f->net, VAS_NET_SET_LINK, &nr);
	if (below(f, 8) == 0)
		ioctl(f->net, VAS_NET_OFFER, &open_arg.vas_fd);
}

/* Nonsense for every device: commands that there are not, addresses that are not. */
static void do_nonsense(struct fuzz *f)
{
	int fds[] = { session(f), f->drive, f->foo, f->blk, f->net };
	int fd = fds[below(f, 5)];
	unsigned int type = below(f, 4) ? VAS_KO_MAGIC : (unsigned int)below(f, 256);

	ioctl(fd, _IOC(below(f, 4), type, below(f, 192), below(f, 128)),
	      below(f, 2) ? (uintptr_t)f->buf : fuzz_number(f));
}

void fuzz_call(struct fuzz *f)
{
	static void (*const calls[])(struct fuzz * f) = {
		do_bind,  do_bind, do_bind,	do_unbind,  do_copy,	 do_copy,   do_copy,
		do_map,	  do_map,  do_unmap,	do_access,  do_mark,	 do_offer,  do_policy,
		do_load,  do_list, do_doorbell, do_look,    do_field,	 do_attach, do_drive,
		do_drive, do_foo,  do_disk,	do_network, do_nonsense, reopen,
	};

	calls[below(f, sizeof(calls) / sizeof(calls[0]))](f);
}
