// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Fuzz the devices by a hostile driver: any chains, any bytes, which change behind the device's
 * back once they were read. No socket, no other thread: a device's queue is served by the caller,
 * and each time that it would sleep the driver goes on. So an input takes microseconds, and does
 * the same each time.
 *
 * The device writes within the guest's memory, which the address sanitizer knows the end of, and
 * what it has written is in the log.
 *
 * The input: which device, flags, which queue, the ring's size, which features the driver refuses
 * (two bytes); then what the driver does, as do_next() has it.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <fcntl.h>
#include <unistd.h>

#include "device/blk/blk.h"
#include "device/console/console.h"
#include "device/iommu/domain.h"
#include "device/net/receive.h"
#include "device/queue.h"
#include "device/rng/rng.h"
#include "device/vsock/vsock.h"
#include "harness.h"

#define HEAD	    6u
#define RAM	    (4 * MEMORY_LOG_PAGE)
#define RING	    0x800u /* a queue's parts, one queue's behind another's */
#define DRIVER	    0x400u
#define DEVICE	    0x600u
#define MAX_SIZE    16u
#define NR_QUEUES   3u
#define MAX_GPA	    (RAM + MEMORY_LOG_PAGE) /* of what a driver may ask for, and not get */
#define INFLIGHT    4096u
#define DISK_SIZE   (32u << 10)
#define NR_SWITCHES 8u
#define MAX_FRAMES  24u
#define QUEUE_EPOLL (1 << 30) /* an fd that there is not */

/* Of the driver no path is of interest: the fuzzer is not told of any. */
#define NOT_TRACED __attribute__((no_sanitize("coverage")))

enum flags { PACKED = 1, EVENT_IDX = 2, INDIRECT = 4, LOGS = 8, CHANGES = 16, KEEPS = 32 };
enum { WAIT, SWITCH, WRITE, WRITE_TOO }; /* and all others post a chain */

static struct blk blk, read_only;
static struct console console;
static struct iommu iommu;
static struct net loopback, null;
static struct rng rng;
static struct vsock vsock;
static struct vas_device *const devices[] = {
	&blk.device, &read_only.device, &loopback.device, &null.device,
	&rng.device, &vsock.device,	&console.device,  &iommu.device,
};

/* What one input is served by. */
static struct memory memory;
static uint8_t *ram, *shadow; /* shadow: what the driver has made of it */
static uint8_t *log_bytes;
static struct device_queue queues[NR_QUEUES], *running;
static void *inflight[NR_QUEUES];
static struct {
	uint16_t next; /* of its ring: the next index, or descriptor */
	bool wrap;
} drivers[NR_QUEUES];
static const uint8_t *at;
static size_t left;
static uint8_t flags;
static bool switches, nests;
static uint32_t nr_frames;

static int starting; /* threads of devices, and none of the fuzzer's, are calls */
static void *(*started)(void *);
static void *started_with;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fail(const char *what)
{
	fprintf(stderr, "device: %s\n", what);
	abort();
}

/* ---- the driver --------------------------------------------------------------------------- */

static NOT_TRACED void take(void *to, size_t len)
{
	size_t nr = len < left ? len : left;

	memset(to, 0, len);
	memcpy(to, at, nr);
	at += nr;
	left -= nr;
}

static NOT_TRACED void put(uint64_t gpa, const void *bytes, size_t len)
{
	if (gpa >= RAM)
		return;
	if (len > RAM - gpa)
		len = RAM - gpa;
	memcpy(ram + gpa, bytes, len);
	memcpy(shadow + gpa, bytes, len);
}

static NOT_TRACED void write_bytes(void)
{
	struct {
		uint16_t gpa;
		uint8_t len;
	} __attribute__((packed)) head;
	uint8_t bytes[256];

	take(&head, sizeof(head));
	take(bytes, head.len);
	put(head.gpa % RAM, bytes, head.len);
}

struct part {
	uint16_t gpa, len;
	uint8_t flags;
} __attribute__((packed));

static uint64_t ring_of(const struct device_queue *queue)
{
	return queue->place.desc;
}

static NOT_TRACED void put_split(const struct device_queue *queue, const struct part *parts,
				 uint32_t nr)
{
	uint16_t *next = &drivers[queue - queues].next, first = *next % queue->size, i;
	uint64_t ring = ring_of(queue);

	for (i = 0; i < nr; i++) {
		struct vas_virtq_desc desc = {
			.gpa = parts[i].gpa % MAX_GPA,
			.len = parts[i].len,
			.flags = (uint16_t)((parts[i].flags & 7 & ~VAS_VIRTQ_DESC_NEXT) |
					    (i + 1u < nr ? VAS_VIRTQ_DESC_NEXT : 0)),
			.next = (uint16_t)((first + i + 1u) % queue->size),
		};

		put(ring + (first + i) % queue->size * sizeof(desc), &desc, sizeof(desc));
	}
	put(ring + DRIVER + 4 + first * 2u, &first, 2);
	++*next;
	put(ring + DRIVER + 2, next, 2);
}

static NOT_TRACED void put_packed(const struct device_queue *queue, const struct part *parts,
				  uint32_t nr)
{
	uint16_t *next = &drivers[queue - queues].next, id = *next;
	bool *wrap = &drivers[queue - queues].wrap;
	uint32_t i;

	for (i = 0; i < nr; i++) {
		struct vas_packed_desc desc = {
			.gpa = parts[i].gpa % MAX_GPA,
			.len = parts[i].len,
			.id = id,
			.flags = (uint16_t)((parts[i].flags & 7 & ~VAS_VIRTQ_DESC_NEXT) |
					    (i + 1u < nr ? VAS_VIRTQ_DESC_NEXT : 0) |
					    (*wrap ? VAS_PACKED_DESC_USED : VAS_PACKED_DESC_AVAIL)),
		};

		put(ring_of(queue) + *next * sizeof(desc), &desc, sizeof(desc));
		if (++*next == queue->size) {
			*next = 0;
			*wrap = !*wrap;
		}
	}
}

static void post(const struct device_queue *queue, uint32_t nr)
{
	struct part parts[8];

	if (nr > queue->size)
		nr = queue->size;
	take(parts, nr * sizeof(parts[0]));
	if (queue->format == VAS_VIRTQ_PACKED)
		put_packed(queue, parts, nr);
	else
		put_split(queue, parts, nr);
}

/* The low three bits say what, the next three how much of it. False: the device goes on. */
static bool do_next(void)
{
	uint8_t op;

	take(&op, 1);
	switch (op & 7) {
	case WAIT:
		return false;
	case SWITCH:
		switches = true;
		running->is_stopping = true;
		return false;
	case WRITE:
	case WRITE_TOO:
		write_bytes();
		return true;
	default:
		post(running, 1 + (op >> 3 & 7));
		return true;
	}
}

/* What two devices behind the IOMMU may use, as they are told; a byte each, of one in a domain. */
#define ENDPOINTS 2u

static struct {
	uint64_t first, last;
	bool has; /* it was told of this, and not that it is gone */
} ranges[ENDPOINTS];

static void endpoint_map(void *user, uint64_t iova, uint64_t size, uint64_t gpa, uint32_t prot)
{
	const uintptr_t index = (uintptr_t)user;

	if (!size || iova + (size - 1) < iova || gpa + (size - 1) < gpa || !prot)
		fail("a device is told of a mapping that cannot be");
	ranges[index].first = iova;
	ranges[index].last = iova + (size - 1);
	ranges[index].has = true;
}

static void endpoint_refuse(void *user, uint64_t iova)
{
	const uintptr_t index = (uintptr_t)user;

	if (ranges[index].has && ranges[index].first <= iova && iova <= ranges[index].last &&
	    iommu.endpoints[index].domain && iommu.endpoints[index].domain->is_bypass)
		fail("a device is refused what it was told of");
}

static void endpoint_unmap(void *user, uint64_t iova, uint64_t size)
{
	const uintptr_t index = (uintptr_t)user;
	uint64_t last = size ? iova + (size - 1) : UINT64_MAX;

	if (iova <= ranges[index].last && ranges[index].first <= last)
		ranges[index].has = false;
}

static int endpoint_wait(void *user)
{
	(void)user;
	return 0;
}

/* Meanwhile one of them asks. */
static void ask(void)
{
	struct {
		uint8_t endpoint, prot;
		uint16_t page;
	} question;

	take(&question, sizeof(question));
	iommu_miss(&iommu, question.endpoint % 4, question.page * 4096ull, question.prot);
}

static void go_on(void)
{
	if (running->device == &iommu.device)
		ask();
	while (left)
		if (!do_next())
			return;
	running->is_stopping = true;
}

/* ---- what the device calls ---------------------------------------------------------------- */

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg);
int __wrap_poll(struct pollfd *fds, nfds_t nr, int timeout);
int __real_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);
int __real_epoll_create1(int how);
int __wrap_epoll_create1(int how);
int __real_epoll_ctl(int fd, int op, int what, struct epoll_event *event);
int __wrap_epoll_ctl(int fd, int op, int what, struct epoll_event *event);
int __real_memory_read(const struct memory *from, uint64_t gpa, void *to, uint32_t len);
int __wrap_memory_read(const struct memory *from, uint64_t gpa, void *to, uint32_t len);
int __real_net_receive(struct net_receiver *receiver, const struct net_frame *frame);
int __wrap_net_receive(struct net_receiver *receiver, const struct net_frame *frame);
ssize_t __wrap_getrandom(void *to, size_t len, unsigned int how);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len);

static void serve(uint32_t index);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg)
{
	if (!starting)
		return __real_pthread_create(thread, attr, fn, arg);
	started = fn;
	started_with = arg;
	return 0;
}

/* Of a loopback the queue that receives only lends itself to the one that sends. */
static void sleep_once(void)
{
	struct device_queue *outer = running;

	if (nests && running == &queues[0]) {
		nests = false;
		serve(1);
		running = outer;
		running->is_stopping = true;
		return;
	}
	go_on();
}

NOT_TRACED int __wrap_poll(struct pollfd *fds, nfds_t nr, int timeout)
{
	nfds_t i;

	for (i = 0; i < nr; i++)
		fds[i].revents = 0;
	if (timeout)
		sleep_once();
	return 0;
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
	if (!timeout)
		return __real_epoll_wait(fd, events, max, 0);
	sleep_once();
	return 0;
}

/* A queue's, in which it sleeps: that is never asked. */
int __wrap_epoll_create1(int how)
{
	return starting ? QUEUE_EPOLL : __real_epoll_create1(how);
}

int __wrap_epoll_ctl(int fd, int op, int what, struct epoll_event *event)
{
	return fd == QUEUE_EPOLL ? 0 : __real_epoll_ctl(fd, op, what, event);
}

/* What was read once is something else from then on. */
int __wrap_memory_read(const struct memory *from, uint64_t gpa, void *to, uint32_t len)
{
	int err = __real_memory_read(from, gpa, to, len);

	if (!err && flags & CHANGES) {
		memset(ram + gpa, ram[gpa] ^ 0xff, len);
		memcpy(shadow + gpa, ram + gpa, len);
	}
	return err;
}

/* There are frames without end for a guest whose buffers are too small for any. */
int __wrap_net_receive(struct net_receiver *receiver, const struct net_frame *frame)
{
	if (++nr_frames > MAX_FRAMES)
		running->is_stopping = true;
	return __real_net_receive(receiver, frame);
}

ssize_t __wrap_getrandom(void *to, size_t len, unsigned int how)
{
	(void)how;
	memset(to, 0x5a, len);
	return (ssize_t)len;
}

/* To a program that has gone at once. */
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len)
{
	int pair[2];

	(void)address, (void)len;
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair));
	CHECK(dup3(pair[0], fd, O_CLOEXEC) == fd);
	close(pair[0]);
	close(pair[1]);
	return 0;
}

/*
 * What two numbers were compared is of little use here, where seeds have all that is magic, and
 * would take a third of the time.
 */
#define NO_TRACE(name, type)                                                 \
	NOT_TRACED void __wrap___sanitizer_cov_trace_##name(type a, type b); \
	void __wrap___sanitizer_cov_trace_##name(type a, type b)             \
	{                                                                    \
		(void)a, (void)b;                                            \
	}

NO_TRACE(cmp1, uint8_t)
NO_TRACE(cmp2, uint16_t)
NO_TRACE(cmp4, uint32_t)
NO_TRACE(cmp8, uint64_t)
NO_TRACE(const_cmp1, uint8_t)
NO_TRACE(const_cmp2, uint16_t)
NO_TRACE(const_cmp4, uint32_t)
NO_TRACE(const_cmp8, uint64_t)

/* ---- the device --------------------------------------------------------------------------- */

static void open_disks(void)
{
	struct blk_options options = {
		.disk = { .kind = DISK_MEMORY, .size = DISK_SIZE },
		.serial = "fuzz",
		.nr_queues = 1,
		.queue_size = MAX_SIZE,
	};

	CHECK_OK(blk_open(&blk, &options));
	options.disk.read_only = true;
	CHECK_OK(blk_open(&read_only, &options));
}

static void open_nets(void)
{
	static const uint8_t mac[NET_MAC_LEN] = { 2, 0, 0, 0, 0, 1 };
	struct net_options options = {
		.kind = NET_LOOPBACK,
		.nr_pairs = 1,
		.queue_size = MAX_SIZE,
		.mac = mac,
	};

	CHECK_OK(net_open(&loopback, &options));
	options.kind = NET_NULL;
	options.generate = 64;
	CHECK_OK(net_open(&null, &options));
}

static void open_iommu(void)
{
	static const struct iommu_endpoint_ops ops = { endpoint_map, endpoint_refuse,
						       endpoint_unmap, endpoint_wait };
	static const struct iommu_options options = { false, MAX_SIZE };
	uintptr_t i;

	CHECK_OK(iommu_open(&iommu, &options));
	for (i = 0; i < ENDPOINTS; i++)
		CHECK_OK(iommu_add_endpoint(&iommu, (uint32_t)i, &ops, (void *)i));
}

static void open_others(void)
{
	static const struct console_options file = {
		.peer = { .kind = CONSOLE_FILE, .path = "/dev/zero" },
		.queue_size = MAX_SIZE,
	};
	static char path[64];
	const struct vsock_options sockets = { path, 3, MAX_SIZE };

	rng_open(&rng, MAX_SIZE);
	open_iommu();
	CHECK_OK(console_open(&console, &file));
	snprintf(path, sizeof(path), "fuzz-device.%d", getpid());
	CHECK_OK(vsock_open(&vsock, &sockets));
	unlink(path);
}

static uint8_t *allocate(size_t size)
{
	uint8_t *bytes = calloc(1, size);

	CHECK(bytes);
	return bytes;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	open_disks();
	open_nets();
	open_others();
	ram = allocate(RAM);
	shadow = allocate(RAM);
	log_bytes = allocate(RAM / MEMORY_LOG_PAGE / 8 + 1);
	memory.regions[0] = (struct memory_region){ .size = RAM, .bytes = ram };
	memory.nr = 1;
	memory.log.bytes = log_bytes;
	memory.log.size = 1;
	for (uint32_t i = 0; i < NR_QUEUES; i++) {
		CHECK_OK(device_queue_init(&queues[i]));
		queues[i].index = i;
		queues[i].memory = &memory;
		inflight[i] = allocate(INFLIGHT);
	}
	return 0;
}

static NOT_TRACED void set_up(struct device_queue *queue, struct vas_device *device, uint32_t size)
{
	uint64_t gpa = RING * queue->index;

	queue->device = device;
	queue->format = flags & PACKED ? VAS_VIRTQ_PACKED : VAS_VIRTQ_SPLIT;
	queue->flags = (flags & EVENT_IDX ? VAS_VIRTQ_EVENT_IDX : 0) |
		       (flags & INDIRECT ? VAS_VIRTQ_INDIRECT : 0);
	queue->size = flags & PACKED ? 1 + size % MAX_SIZE : 1u << size % 5;
	queue->base = flags & PACKED ? VAS_PACKED_BASE : 0;
	queue->place = (struct device_ring_place){ gpa, gpa + DRIVER, gpa + DEVICE };
	queue->is_broken = queue->is_inherited = false;
	queue->inflight = NULL;
	drivers[queue->index].next = 0;
	drivers[queue->index].wrap = false;
	if (!(flags & KEEPS))
		return;
	queue->inflight = inflight[queue->index];
	memset(queue->inflight, 0, INFLIGHT);
	if (flags & PACKED)
		inflight_packed_init(queue->inflight, 1, (uint16_t)queue->size);
	else
		inflight_init(queue->inflight, 1, (uint16_t)queue->size);
}

/* As the thread of the queue would, to its end. */
static void serve(uint32_t index)
{
	struct device_queue *queue = &queues[index];
	int err;

	running = queue;
	starting = 1;
	err = device_queue_start(queue);
	starting = 0;
	if (err)
		return;
	started(started_with);
	queue->is_running = false;
	queue->base = queue->format == VAS_VIRTQ_PACKED ?
			      vas_packed_queue_base(&queue->ring.packed) :
			      queue->ring.split.next_avail;
}

/* What a device writes and does not mark is lost in a migration. */
static NOT_TRACED void check_log(void)
{
	uint32_t page;

	if (!(flags & LOGS))
		return;
	for (page = 0; page < RAM / MEMORY_LOG_PAGE; page++)
		if (!(log_bytes[0] >> page & 1) &&
		    memcmp(ram + page * MEMORY_LOG_PAGE, shadow + page * MEMORY_LOG_PAGE,
			   MEMORY_LOG_PAGE))
			fail("a page was written, and is not in the log");
}

/* All that is offered, without those of it that the bits refuse; the highest one: virtio 1. */
static NOT_TRACED uint64_t accepted(const struct vas_device *device, uint16_t refused)
{
	uint64_t offered, features = device->features;

	if (!(refused >> 15))
		features |= 1ull << VIRTIO_F_VERSION_1;
	for (offered = device->features; offered && refused; refused >>= 1, offered &= offered - 1)
		if (refused & 1)
			features &= ~(offered & -offered);
	return features;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vas_device *device;
	uint32_t index, i;

	if (size < HEAD)
		return 0;
	device = devices[data[0] % (sizeof(devices) / sizeof(devices[0]))];
	flags = data[1];
	index = data[2] % (device->max_queues < NR_QUEUES ? device->max_queues : NR_QUEUES);
	at = data + HEAD;
	left = size - HEAD;
	memset(ram, 0, RAM);
	memset(shadow, 0, RAM);
	log_bytes[0] = 0;
	memory.is_logging = flags & LOGS;
	nr_frames = 0;
	nests = device == &loopback.device;
	if (device == &iommu.device)
		CHECK_OK(iommu_attach(&iommu, 0, 0, 0));
	for (i = 0; i < NR_QUEUES; i++)
		set_up(&queues[i], device, data[3]);
	CHECK_OK(device->ops->start(device, accepted(device, (uint16_t)(data[4] | data[5] << 8))));
	for (i = 0, switches = true; i < NR_SWITCHES && switches; i++) {
		switches = false;
		serve(index);
		if ((index ^ 1) < device->max_queues)
			index ^= 1;
	}
	device->ops->stop(device);
	device->ops->reset(device);
	check_log();
	return 0;
}
