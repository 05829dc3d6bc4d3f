// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A request to a device in another process and back, through a split ring: kick, chain, answer,
 * interrupt. The device fills 64 bytes from a header. The limit is the same ring code on a plain
 * shared mapping, with two eventfds, and nothing else; the other subject serves the device on the
 * bus of a vas: sections, translation, marks, what is in flight. Neither looks before it sleeps.
 * A third is behind an IOMMU of the owner's, whose iovas are gpas: its maps last, or are gone after
 * each round, as a driver of Linux has it with iommu.strict=1.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <vas/device.h>
#include <vas/serve.h>
#include <vas/vas.h>

#include "core/virtqueue/split.h"
#include "device/bus/bus.h"
#include "device/queue.h"
#include "device/stream.h"
#include "harness.h"
#include "tests/device/front_end.h"

#define RAM	 (4ull << 20)
#define DRIVER	 16384u
#define DEVICE	 32768u
#define HEADERS	 (1u << 20)
#define DATA	 (2u << 20)
#define STATUSES (3u << 20)
#define KIND	 42u /* of no driver's */
#define HEADER	 16u
#define BYTES	 64u
#define SEGMENTS 8u
#define OFFER_NS 10000000000ull
#define PAGE	 4096ull

/* A guest, and the process of its device. */
struct guest {
	pid_t device;
	int begins[2]; /* a pipe: the device's process may begin */
	uint8_t *ram;
	struct front_ring ring;
	uint32_t burst;
	/* Of the bus. */
	char path[64];
	bool has_iommu;
	bool maps;   /* before each round; else it is asked for what is missed */
	bool unmaps; /* after each round */
	struct vas *vas;
	struct vas_serve *serve;
	struct vas_bus_device *on_bus;
};

static void fill(const uint8_t *header, uint8_t *bytes)
{
	for (uint32_t i = 0; i < BYTES; i += HEADER)
		memcpy(bytes + i, header, HEADER);
}

/* ---- the limit ---------------------------------------------------------------------------- */

static int read_table(void *user, uint64_t gpa, void *to, uint32_t len)
{
	(void)user, (void)gpa, (void)to, (void)len;
	return -EFAULT; /* no driver here has one */
}

static uint8_t *at(struct guest *guest, const struct vas_virtq_segment *segment, uint32_t len)
{
	if (segment->len != len || segment->gpa > RAM - len)
		_exit(1);
	return guest->ram + segment->gpa;
}

static void answer_plainly(struct guest *guest, struct vas_split_queue *queue,
			   struct vas_virtq_chain *chain)
{
	struct vas_virtq_answer answer = { chain->head, chain->nr_descs, BYTES + 1 };

	if (chain->nr_out != 1 || chain->nr_in != 2)
		_exit(1);
	vas_split_queue_take(queue);
	fill(at(guest, &chain->segments[0], HEADER), at(guest, &chain->segments[1], BYTES));
	*at(guest, &chain->segments[2], 1) = 0;
	vas_split_queue_give(queue, &answer, 1);
	if (vas_split_queue_wants_interrupt(queue))
		eventfd_write(guest->ring.call_fd, 1);
}

static void serve_plainly(struct guest *guest)
{
	struct vas_virtq_segment segments[SEGMENTS];
	struct vas_virtq_chain chain = { .segments = segments, .max_segments = SEGMENTS };
	struct vas_split_queue queue = {
		.size = FRONT_RING_SIZE,
		.flags = VAS_VIRTQ_EVENT_IDX,
		.desc = (void *)guest->ram,
		.avail = (void *)(guest->ram + DRIVER),
		.used = (void *)(guest->ram + DEVICE),
		.tables = { .read = read_table },
	};
	eventfd_t count;

	for (;;)
		if (vas_split_queue_peek(&queue, &chain) > 0)
			answer_plainly(guest, &queue, &chain);
		else if (!vas_split_queue_enable_kick(&queue))
			eventfd_read(guest->ring.kick_fd, &count);
}

/* ---- on the bus --------------------------------------------------------------------------- */

static int answer_request(struct device_queue *queue, const struct vas_virtq_chain *chain)
{
	struct vas_virtq_answer answer = { chain->head, chain->nr_descs, BYTES + 1 };
	struct stream out = stream_out(chain), in = stream_in(chain);
	uint8_t header[HEADER], bytes[BYTES + 1] = { 0 };

	if (stream_read(&out, queue->memory, header, HEADER))
		return -EPROTO;
	fill(header, bytes);
	if (stream_write(&in, queue->memory, bytes, sizeof(bytes)))
		return -EPROTO;
	device_queue_answer(queue, &answer, 1);
	return 0;
}

static int serve_queue(struct vas_device *device, struct device_queue *queue)
{
	struct vas_virtq_segment segments[SEGMENTS];
	struct vas_virtq_chain chain = { .segments = segments, .max_segments = SEGMENTS };

	(void)device;
	while (!device_queue_is_stopping(queue))
		if (!device_queue_next(queue, &chain))
			device_queue_idle(queue, -1);
		else if (answer_request(queue, &chain))
			device_queue_abandon(queue);
	return 0;
}

static int start_device(struct vas_device *device, uint64_t features)
{
	(void)device, (void)features;
	return 0;
}

static void do_nothing(struct vas_device *device)
{
	(void)device;
}

static void no_config(struct vas_device *device, uint32_t offset, void *to, uint32_t len)
{
	(void)device;
	vas_device_copy_config(NULL, 0, offset, to, len);
}

static void serve_on_bus(const struct guest *guest)
{
	static const struct vas_device_ops ops = {
		.start = start_device,
		.stop = do_nothing,
		.reset = do_nothing,
		.config = no_config,
		.queue = serve_queue,
	};
	struct vas_device device = {
		.ops = &ops,
		.kind = KIND,
		.max_queues = 1,
		.queue_size = FRONT_RING_SIZE,
	};
	const struct bus_options options = { .path = guest->path, .name = "echo", .look_fd = -1 };

	bus_serve(&device, -1, &options);
}

/* ---- the driver --------------------------------------------------------------------------- */

/* Its requests, then sleep until all of them are answered. */
static bool round_trip(struct guest *guest)
{
	struct front_ring *ring = &guest->ring;
	uint32_t i;
	eventfd_t count;

	for (i = 0; i < guest->burst; i++)
		front_ring_post(ring, (uint16_t)i, HEADERS + i * HEADER, DATA + i * BYTES, BYTES, 1,
				STATUSES + i);
	/* An interrupt for the last one only. */
	ring->avail->ring[FRONT_RING_SIZE] = (uint16_t)(ring->next_avail - 1);
	front_ring_kick(ring);
	for (i = 0; i < guest->burst;)
		if (front_ring_take(ring) >= 0)
			i++;
		else if (eventfd_read(ring->call_fd, &count))
			return false;
	return true;
}

static int map_page(struct vas_bus_device *device, uint64_t page)
{
	return vas_device_map(device, page, PAGE, page, VAS_IOMMU_READ | VAS_IOMMU_WRITE);
}

/* A VMM that is told by its guest's driver tells it at once. */
static void map_pages(struct guest *guest)
{
	map_page(guest->on_bus, HEADERS);
	map_page(guest->on_bus, DATA);
	map_page(guest->on_bus, STATUSES);
}

/* What a driver had mapped for them is not any more. */
static void unmap(struct guest *guest)
{
	vas_device_unmap(guest->on_bus, HEADERS, PAGE);
	vas_device_unmap(guest->on_bus, DATA, PAGE);
	vas_device_unmap(guest->on_bus, STATUSES, PAGE);
	if (vas_device_invalidate(guest->on_bus))
		exit(1);
}

static uint64_t run(void *ctx, uint64_t nr)
{
	struct guest *guest = ctx;
	uint64_t i;

	for (i = 0; i < nr; i++) {
		if (guest->maps)
			map_pages(guest);
		if (!round_trip(guest)) {
			fprintf(stderr, "bus: a device has ended\n");
			exit(1);
		}
		if (guest->unmaps)
			unmap(guest);
	}
	return guest->ram[DATA];
}

/* ---- beginning and end -------------------------------------------------------------------- */

static void make_ring(struct guest *guest)
{
	guest->ring = (struct front_ring){
		.desc = (void *)guest->ram,
		.avail = (void *)(guest->ram + DRIVER),
		.used = (void *)(guest->ram + DEVICE),
		.kick_fd = guest->ring.kick_fd,
		.call_fd = guest->ring.call_fd,
	};
}

static int map(struct guest *guest, int fd)
{
	guest->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return guest->ram == MAP_FAILED ? -errno : 0;
}

static pid_t fork_device(void)
{
	pid_t pid = fork();

	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

static int start_limit(struct guest *guest)
{
	int fd = memfd_create("bench-bus", MFD_CLOEXEC), err;

	if (fd < 0 || ftruncate(fd, RAM))
		return -errno;
	err = map(guest, fd);
	close(fd);
	if (err)
		return err;
	make_ring(guest);
	guest->device = fork_device();
	if (!guest->device)
		serve_plainly(guest);
	return guest->device < 0 ? -errno : 0;
}

/* Before this process has a vas: the device's has nothing of it but what it connects to. */
static int fork_provider(struct guest *guest)
{
	char byte;

	if (pipe(guest->begins))
		return -errno;
	guest->device = fork_device();
	if (guest->device)
		return guest->device < 0 ? -errno : 0;
	if (read(guest->begins[0], &byte, 1) == 1)
		serve_on_bus(guest);
	_exit(1);
}

/* Each page is mapped. */
static int answer_miss(struct vas_bus_device *device, void *user, uint64_t iova, uint32_t prot)
{
	(void)user;
	(void)prot;
	return map_page(device, iova & ~(PAGE - 1));
}

static int make_vas(struct guest *guest)
{
	const struct vas_options options = { .limit = RAM, .name = "bench" };
	const struct vas_device_options echo = {
		.name = "echo",
		.kind = KIND,
		.miss = guest->has_iommu ? answer_miss : NULL,
	};
	const struct vas_region ram = { .size = RAM, .name = "ram" };
	int err = vas_create(&options, &guest->vas);

	if (!err)
		err = vas_region_add(guest->vas, &ram, NULL);
	if (!err)
		err = map(guest, vas_fd(guest->vas));
	if (!err)
		err = vas_device_add(guest->vas, &echo, &guest->on_bus);
	if (!err)
		err = vas_serve(guest->vas, guest->path, 0600, &guest->serve);
	return err;
}

static int start_bus(struct guest *guest)
{
	struct vas_virtio_queue queue = {
		.size = FRONT_RING_SIZE,
		.driver = DRIVER,
		.device = DEVICE,
		.kick_fd = guest->ring.kick_fd,
		.call_fd = guest->ring.call_fd,
	};
	struct vas_virtio_server *server;
	int err = make_vas(guest);

	if (err)
		return err;
	make_ring(guest);
	if (write(guest->begins[1], "", 1) != 1)
		return -errno;
	err = vas_device_wait(guest->on_bus, OFFER_NS);
	if (err)
		return err;
	server = vas_device_server(guest->on_bus);
	err = server->ops->start(server,
				 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX |
					 (uint64_t)guest->has_iommu << VIRTIO_F_ACCESS_PLATFORM);
	return err ? err : server->ops->queue_start(server, 0, &queue);
}

static void end(struct guest *guest)
{
	if (guest->device > 0)
		kill(guest->device, SIGKILL);
	vas_device_remove(guest->on_bus);
	if (guest->serve)
		vas_serve_end(guest->serve);
	vas_destroy(guest->vas);
}

static int make_events(struct guest *guest)
{
	guest->ring.kick_fd = eventfd(0, EFD_CLOEXEC);
	guest->ring.call_fd = eventfd(0, EFD_CLOEXEC);
	return guest->ring.kick_fd < 0 || guest->ring.call_fd < 0 ? -errno : 0;
}

static int measure(struct bench_session *session, struct guest *limit, struct guest *bus,
		   struct guest *iommu)
{
	static const struct {
		const char *name;
		uint32_t burst;
		bool maps, unmaps;
	} cases[] = {
		{ "round-trip", 1, false, false },	   { "burst-32", 32, false, false },
		{ "round-trip-unmapped", 1, false, true }, { "burst-32-unmapped", 32, false, true },
		{ "round-trip-mapped", 1, true, true },	   { "burst-32-mapped", 32, true, true },
	};
	int err = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]) && !err; i++) {
		struct bench_case bcase = { .name = cases[i].name };

		if (!bench_wants(session, bcase.name))
			continue;
		limit->burst = bus->burst = iommu->burst = cases[i].burst;
		iommu->maps = cases[i].maps;
		iommu->unmaps = cases[i].unmaps;
		bench_case_add(&bcase, BENCH_LIMIT, run, limit);
		bench_case_add(&bcase, "bus", run, bus);
		bench_case_add(&bcase, "iommu", run, iommu);
		err = bench_measure(session, &bcase);
	}
	return err;
}

static int run_all(struct bench_session *session)
{
	struct guest limit = { 0 }, bus = { 0 }, iommu = { .has_iommu = true };
	int err = make_events(&limit) ?: make_events(&bus) ?: make_events(&iommu);

	snprintf(bus.path, sizeof(bus.path), "/tmp/vas-bench-bus.%d", getpid());
	snprintf(iommu.path, sizeof(iommu.path), "/tmp/vas-bench-iommu.%d", getpid());
	if (!err)
		err = fork_provider(&bus) ?: fork_provider(&iommu);
	if (!err)
		err = start_limit(&limit);
	if (!err)
		err = start_bus(&bus) ?: start_bus(&iommu);
	if (!err)
		err = measure(session, &limit, &bus, &iommu);
	end(&limit);
	end(&bus);
	end(&iommu);
	return err;
}

static const struct bench bench = {
	.name = "bus",
	.summary = "A request to a device in another process and back, through a ring.",
	.run = run_all,
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, &bench);
}
