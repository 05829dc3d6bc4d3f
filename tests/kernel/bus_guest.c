// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "bus_guest.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uapi/linux/vas_blk.h>
#include <uapi/linux/vas_net.h>

#include "core/protocol/device.h"
#include "device/bus/bus.h"
#include "device/inflight_packed.h"
#include "lib/handle/handle.h"
#include "tests/device/bus_iommu.h"

#define DRIVER 16384u /* of a ring, behind its descriptors */
#define DEVICE 32768u

struct bus_guest bus;

/* ---- who serves --------------------------------------------------------------------------- */

static uint32_t no_memory;

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, ...);

/* Of a module without memory. */
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if ((request != VAS_NET_START && request != VAS_BLK_START) ||
	    !__atomic_load_n(&no_memory, __ATOMIC_RELAXED))
		return __real_ioctl(fd, request, arg);
	__atomic_fetch_sub(&no_memory, 1, __ATOMIC_RELAXED);
	errno = ENOMEM;
	return -1;
}

int bus_role_serve(struct vas_device *device, const struct bus_role *role, int look_fd)
{
	struct bus_options options = {
		.path = role->socket,
		.name = "device",
		.takes_over = role->takes_over,
		.look_fd = look_fd,
	};
	int err;

	no_memory = role->no_memory;
	err = bus_serve(device, -1, &options);

	if (err == -ESHUTDOWN)
		return 0;
	fprintf(stderr, "# %s\n", vas_error());
	return 1;
}

void bus_provide(bool by_module, bool takes_over)
{
	int sock;

	bus.role.is_module = by_module;
	bus.role.takes_over = takes_over;
	bus.pid = test_spawn(bus.name, &sock);
	CHECK_EQ(write(sock, &bus.role, sizeof(bus.role)), sizeof(bus.role));
	close(sock);
}

static int has_ended(void *pid)
{
	int status;

	bus.look();
	if (waitpid(*(pid_t *)pid, &status, WNOHANG) != *(pid_t *)pid)
		return 0;
	CHECK_EQ(status, 0);
	return 1;
}

void bus_take_over(bool by_module)
{
	pid_t old = bus.pid;

	bus_provide(by_module, true);
	test_wait(has_ended, &old, TEST_HANG_MS);
}

void bus_kill(void)
{
	CHECK_OK(kill(bus.pid, SIGKILL));
	CHECK_EQ(waitpid(bus.pid, NULL, 0), bus.pid);
	bus.pid = 0;
}

/* ---- rings -------------------------------------------------------------------------------- */

static void init_packed(struct bus_ring *ring, uint64_t at)
{
	packed_driver_init(&ring->packed, (char *)bus.ram, BUS_SIZE, 0, true);
	free(ring->packed.desc);
	free(ring->packed.driver);
	free(ring->packed.device);
	ring->packed.desc = (void *)(bus.ram + at);
	ring->packed.driver = (void *)(bus.ram + at + DRIVER);
	ring->packed.device = (void *)(bus.ram + at + DEVICE);
	ring->kick = ring->packed.kick;
	ring->call = ring->packed.call;
}

static void init_split(struct bus_ring *ring, uint64_t at)
{
	*ring = (struct bus_ring){
		.desc = (void *)(bus.ram + at),
		.avail = (void *)(bus.ram + at + DRIVER),
		.used = (void *)(bus.ram + at + DEVICE),
		.kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
}

static void start_ring(uint32_t index)
{
	uint64_t at = index * BUS_SPACE;
	struct bus_ring *ring = &bus.rings[index];
	struct vas_virtio_queue queue = {
		.size = BUS_SIZE,
		.base = bus.is_packed ? VAS_VIRTIO_BASE_PACKED : VAS_VIRTIO_BASE_SPLIT,
		.desc = bus_iommu_iova(at),
		.driver = bus_iommu_iova(at + DRIVER),
		.device = bus_iommu_iova(at + DEVICE),
	};

	memset(bus.ram + at, 0, BUS_SPACE);
	if (bus.is_packed)
		init_packed(ring, at);
	else
		init_split(ring, at);
	queue.kick_fd = ring->kick;
	queue.call_fd = bus.uncalled & 1u << index ? -1 : ring->call;
	CHECK_OK(bus.server->ops->queue_start(bus.server, index, &queue));
}

void bus_kick(uint32_t index)
{
	eventfd_write(bus.rings[index].kick, 1);
}

static void post_split(struct bus_ring *ring, uint32_t at, const struct part *parts, uint32_t nr)
{
	uint32_t i, head = at * bus.stride;

	for (i = 0; i < nr; i++)
		ring->desc[head + i] = (struct vas_virtq_desc){
			.gpa = parts[i].gpa,
			.len = parts[i].len,
			.flags = (uint16_t)((parts[i].in ? VAS_VIRTQ_DESC_WRITE : 0) |
					    (i + 1 < nr ? VAS_VIRTQ_DESC_NEXT : 0)),
			.next = (uint16_t)(head + i + 1),
		};
	ring->avail->ring[ring->next_avail++ % BUS_SIZE] = (uint16_t)head;
	__atomic_store_n(&ring->avail->idx, ring->next_avail, __ATOMIC_RELEASE);
}

void bus_post(uint32_t index, uint32_t at, const struct part *parts, uint32_t nr)
{
	struct bus_ring *ring = &bus.rings[index];
	struct part written[BUS_MAX_PARTS];
	uint32_t i;

	for (i = 0; i < nr; i++) {
		written[i] = parts[i];
		written[i].gpa = bus_iommu_iova(parts[i].gpa);
	}
	if (bus.is_packed)
		ring->slot_of_id[packed_driver_add(&ring->packed, written, nr, 0)] = (uint16_t)at;
	else
		post_split(ring, at, written, nr);
}

static bool take_packed(struct bus_ring *ring, uint32_t *at, uint32_t *len)
{
	uint16_t id;

	if (!packed_driver_get(&ring->packed, &id, len))
		return false;
	*at = ring->slot_of_id[id];
	return true;
}

bool bus_take(uint32_t index, uint32_t *at, uint32_t *len)
{
	struct bus_ring *ring = &bus.rings[index];
	const struct vas_virtq_used_elem *elem;

	if (bus.is_packed)
		return take_packed(ring, at, len);
	if (__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE) == ring->next_used)
		return false;
	elem = &ring->used->ring[ring->next_used++ % BUS_SIZE];
	CHECK_EQ(elem->head % bus.stride, 0);
	*at = elem->head / bus.stride;
	*len = elem->len;
	return true;
}

/* ---- beginning and end -------------------------------------------------------------------- */

static void told(struct vas_virtio_server *of, uint32_t what)
{
	(void)of;
	if (what & VAS_VIRTIO_NEEDS_RESET)
		__atomic_fetch_add(&bus.times_broken, 1, __ATOMIC_SEQ_CST);
}

static void serve_vas(void)
{
	CHECK_OK(vas_serve(bus.vas, bus.role.socket, 0600, &bus.serve));
}

void bus_disconnect(void)
{
	vas_serve_end(bus.serve);
	serve_vas();
}

void bus_move_page(uint64_t gpa, uint64_t to)
{
	bus_iommu_move(bus.device, gpa, to);
}

static void make_vas(void)
{
	struct vas_options options = { .limit = 2 * BUS_RAM, .name = "guest" };
	struct vas_region region = { .size = BUS_RAM, .name = "ram" };
	struct vas_device_options device = {
		.name = "device",
		.kind = bus.kind,
		.answer_ns = bus.answer_ns ? bus.answer_ns : TEST_HANG_NS,
	};

	CHECK_OK(vas_create(&options, &bus.vas));
	CHECK_OK(vas_region_add(bus.vas, &region, NULL));
	snprintf(bus.role.socket, sizeof(bus.role.socket), "/tmp/vas-bus.%d", getpid());
	serve_vas();
	bus_iommu_options(&device, BUS_RAM);
	CHECK_OK(vas_device_add(bus.vas, &device, &bus.device));
	bus.ram = mmap(NULL, BUS_RAM, PROT_READ | PROT_WRITE, MAP_SHARED, vas_fd(bus.vas), 0);
	CHECK(bus.ram != MAP_FAILED);
}

void bus_begin(const char *module_device)
{
	if (access(module_device, F_OK))
		test_skip("there is no %s: its module is not loaded", module_device);
	if (bus.iommu)
		CHECK_OK(setenv("TEST_IOMMU", "1", 1)); /* for tests/device/bus_iommu.h */
	make_vas();
	bus_provide(false, false); /* offers the guest what both have */
	CHECK_OK(vas_device_wait(bus.device, TEST_HANG_NS));
	bus.server = vas_device_server(bus.device);
	__atomic_store_n(&bus.server->told, told, __ATOMIC_RELEASE);
	bus_start_driver();
	if (bus.iommu == BUS_IOMMU_TAKES)
		bus_iommu_begin(bus.device);
}

void bus_start_driver(void)
{
	uint64_t refused = bus.refused | 1ull << VIRTIO_F_IN_ORDER;

	if (!bus.is_packed)
		refused |= 1ull << VIRTIO_F_RING_PACKED;
	CHECK_OK(bus.server->ops->start(bus.server, bus.server->features & ~refused));
	for (uint32_t i = 0; i < bus.nr_rings; i++)
		start_ring(i);
}

void bus_end(void)
{
	bus_iommu_end();
	bus_iommu_was_used();
	bus_kill();
	CHECK_EQ(bus.times_broken, 0);
	vas_device_remove(bus.device);
	vas_serve_end(bus.serve);
	vas_destroy(bus.vas);
}

/* ---- what is seen of it ------------------------------------------------------------------- */

uint32_t bus_state(uint32_t index)
{
	struct vas_device_info info;

	CHECK_EQ(vas_devices(bus.vas, &info, 1), 1);
	return info.queues[index].state;
}

/* Where the answers end. */
static uint32_t end_of_answers(const struct packed_driver *driver, bool *wrap)
{
	const uint16_t avail = 1u << VRING_PACKED_DESC_F_AVAIL;
	const uint16_t used = 1u << VRING_PACKED_DESC_F_USED;
	uint32_t at = driver->used;

	*wrap = driver->used_wrap;
	for (;;) {
		const struct vring_packed_desc *desc = &driver->desc[at];

		if (!(desc->flags & avail) == *wrap || !(desc->flags & used) == *wrap)
			return at;
		CHECK(desc->id < driver->size && driver->nr_descs[desc->id]);
		at += driver->nr_descs[desc->id];
		if (at < driver->size)
			continue;
		at -= driver->size;
		*wrap = !*wrap;
	}
}

static int is_stopped(void *index)
{
	return bus_state((uint32_t)(uintptr_t)index) == VAS_DEVICE_QUEUE_STOPPED;
}

void bus_check_frozen(uint32_t index)
{
	const struct vas_device_entry *entry = vas_extent(bus.vas, VAS_EXT_DEVICES);
	const struct inflight_packed_part *part = (const void *)entry->inflight[index];
	bool wrap;

	/*
	 * Its provider says so once it has let go of the ring. Behind an IOMMU the ring is looked for
	 * again, which waits for the thaw.
	 */
	if (!bus.iommu)
		test_wait(is_stopped, (void *)(uintptr_t)index, TEST_HANG_MS);
	if (!bus.is_packed)
		return;
	CHECK_EQ(part->used_idx, end_of_answers(&bus.rings[index].packed, &wrap));
	CHECK_EQ(part->used_wrap, wrap);
	CHECK_EQ(part->old_used_idx, part->used_idx);
}

static int is_told_broken(void *unused)
{
	(void)unused;
	return __atomic_load_n(&bus.times_broken, __ATOMIC_SEQ_CST) != 0;
}

void bus_await_broken(void)
{
	test_wait(is_told_broken, NULL, TEST_HANG_MS);
	__atomic_store_n(&bus.times_broken, 0, __ATOMIC_SEQ_CST);
}

uint32_t bus_rounds(uint32_t usual)
{
	const char *text = getenv("TEST_BUS_ROUNDS");
	uint32_t most = text ? (uint32_t)strtoul(text, NULL, 0) : usual;

	return most < usual ? most : usual;
}
