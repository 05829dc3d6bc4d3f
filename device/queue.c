// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/queue.h"

#include <errno.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/range.h"
#include <vas/mapping.h>

#include "device/queue_iommu.h"
#include "lib/base/deadline.h"

#define TABLE_DESCS    1024u
#define RETRY_STOP_NS  20000000
#define RETRY_ENTER_MS 5 /* of memory that is frozen: nobody wakes us when it is not any more */

/* ---- the ring in memory ------------------------------------------------------------------- */

static int read_memory(void *user, uint64_t gpa, void *to, uint32_t len)
{
	return memory_read(user, gpa, to, len);
}

/* Of a ring behind an IOMMU, in a section: for as long as that. */
static void *part_at(struct device_queue *queue, uint64_t gpa, uint64_t size, uint32_t flags,
		     int *err)
{
	enum memory_access access = flags & VAS_MAPPING_WRITE ? MEMORY_WRITE : MEMORY_READ;
	uint64_t there = size;
	void *bytes = memory_at(queue->memory, gpa, &there, access);

	*err = bytes && there == size ? 0 : -ENXIO;
	return *err ? NULL : bytes;
}

static void *map_part(struct device_queue *queue, int part, uint64_t gpa, uint64_t size,
		      uint32_t flags, int *err)
{
	if (queue->slot)
		return part_at(queue, gpa, size, flags, err);
	if (queue->memory->nr || !queue->memory->vas) {
		void *bytes = memory_range(queue->memory, gpa, size);

		*err = bytes ? 0 : -EFAULT;
		return bytes;
	}
	*err = vas_mapping_create(queue->memory->vas, gpa, size, flags, &queue->maps[part]);
	return *err ? NULL : vas_mapping_addr(queue->maps[part]);
}

static int find_part(struct device_queue *queue, int part, uint64_t size, uint64_t align,
		     uint32_t flags, void *to)
{
	const struct device_ring_place *place = &queue->place;
	uint64_t at[] = { place->desc, place->driver, place->device }, gpa = at[part];
	uint64_t *gpas[] = { &queue->gpas.desc, &queue->gpas.driver, &queue->gpas.device };
	void *bytes;
	int err;

	if (queue->slot) {
		/* What is written is read as well: descriptors; answers, after a death. */
		err = queue_iommu_range(queue, at[part], size, flags & VAS_MAPPING_WRITE, &gpa);
		if (err)
			return err;
	}
	bytes = map_part(queue, part, gpa, size, flags, &err);
	if (err)
		return err;
	*gpas[part] = gpa;
	/* In the guest and here: a file's offset need not be aligned as the gpa is. */
	if (!vas_is_aligned(gpa | (uintptr_t)bytes, align))
		return -EINVAL;
	memcpy(to, &bytes, sizeof(bytes));
	return 0;
}

/* Of what the device writes, it marks what it has written. */
static uint32_t flags_of(bool is_written)
{
	return is_written ? VAS_MAPPING_WRITE | VAS_MAPPING_MARKS : 0;
}

static int map_split(struct device_queue *queue, struct vas_split_queue *split)
{
	void *parts[] = { &split->desc, &split->avail, &split->used };
	int part, err;

	if (!vas_split_size_is_valid(queue->size))
		return -EINVAL;
	for (part = 0; part < VAS_SPLIT_NR_PARTS; part++) {
		err = find_part(queue, part, vas_split_part_size(part, queue->size),
				vas_split_part_align(part), flags_of(part == VAS_SPLIT_USED),
				parts[part]);
		if (err)
			return err;
	}
	return 0;
}

static int map_packed(struct device_queue *queue, struct vas_packed_queue *packed)
{
	void *parts[] = { &packed->desc, &packed->driver, &packed->device };
	int part, err;

	if (!vas_packed_size_is_valid(queue->size))
		return -EINVAL;
	for (part = 0; part < VAS_PACKED_NR_PARTS; part++) {
		err = find_part(queue, part, vas_packed_part_size(part, queue->size),
				vas_packed_part_align(part), flags_of(part != VAS_PACKED_DRIVER),
				parts[part]);
		if (err)
			return err;
	}
	return 0;
}

static void unmap_ring(struct device_queue *queue)
{
	int part;

	for (part = 0; part < 3; part++) {
		vas_mapping_destroy(queue->maps[part]);
		queue->maps[part] = NULL;
	}
}

/* What a dead device had taken is taken already, so the ring stands behind it. */
static void start_again(struct device_queue *queue, struct vas_split_queue *split)
{
	split->next_used = __atomic_load_n(&split->used->idx, __ATOMIC_RELAXED);
	queue->nr_again = inflight_recover(queue->inflight, queue->size, split->next_used,
					   queue->again, &queue->counter);
	split->next_avail = (uint16_t)(split->next_used + queue->nr_again);
}

static int init_split(struct device_queue *queue, const struct vas_virtq_tables *tables)
{
	struct vas_split_queue *split = &queue->ring.split;
	int err;

	*split = (struct vas_split_queue){ .size = queue->size, .flags = queue->flags };
	split->tables = *tables;
	err = map_split(queue, split);
	if (err)
		return err;
	split->next_avail = split->next_used = (uint16_t)queue->base;
	if (queue->inflight)
		start_again(queue, split);
	return 0;
}

static int start_packed_again(struct device_queue *queue, const struct vas_packed_queue *packed,
			      uint32_t *base)
{
	int nr;

	queue->packed.part = queue->inflight;
	queue->packed.size = queue->size;
	inflight_packed_begin(queue->packed.part, *base);
	nr = inflight_packed_recover(&queue->packed, packed->desc, queue->again, base);
	if (nr < 0)
		return nr;
	queue->nr_again = (uint32_t)nr;
	return 0;
}

static int init_packed(struct device_queue *queue, const struct vas_virtq_tables *tables)
{
	struct vas_packed_queue *packed = &queue->ring.packed;
	uint32_t base = queue->base;
	int err;

	*packed = (struct vas_packed_queue){ .size = queue->size, .flags = queue->flags };
	packed->tables = *tables;
	err = map_packed(queue, packed);
	if (!err && queue->inflight)
		err = start_packed_again(queue, packed, &base);
	return err ? err : vas_packed_queue_start(packed, base);
}

static int init_ring(struct device_queue *queue)
{
	const struct vas_virtq_tables tables = {
		.read = queue->slot ? queue_iommu_read : read_memory,
		.user = queue->slot ? (void *)queue : (void *)queue->memory,
		.room = queue->table,
		.max = TABLE_DESCS,
	};
	int err;

	queue->ring.format = queue->format;
	err = queue->format == VAS_VIRTQ_PACKED ? init_packed(queue, &tables) :
						  init_split(queue, &tables);
	if (err)
		return err;
	/* What is in flight was counted by who took it. */
	__atomic_store_n(&queue->counters->taken, queue->counters->answered + queue->nr_again,
			 __ATOMIC_RELAXED);
	return 0;
}

/*
 * Behind an IOMMU the ring is looked for by the queue's thread, which can wait for it, in sections,
 * and without maps: those are for the thread that starts and stops the queue, which looks at them.
 */
static int begin_ring(struct device_queue *queue)
{
	int err;

	queue->nr_again = queue->at_again = queue->nr_taken = 0;
	if (queue->view)
		return queue_iommu_begin(queue);
	err = init_ring(queue);
	if (err)
		unmap_ring(queue);
	return err;
}

static void end_ring(struct device_queue *queue)
{
	unmap_ring(queue);
	queue_iommu_end(queue);
}

/* Of a vas: what was there may come back, as a ring without an IOMMU. */
static bool may_come_back(const struct device_queue *queue, int err)
{
	return err == -ENXIO && queue->is_ready && queue->memory->vas && !queue->memory->nr;
}

/*
 * In a section after an invalidation, or with other addresses of the memory. -EAGAIN: there was a
 * miss, which has been asked for.
 */
static int find_ring_again(struct device_queue *queue)
{
	int err;

	queue->has_missed = false;
	if (!queue->is_ready)
		err = init_ring(queue);
	else
		err = queue->format == VAS_VIRTQ_PACKED ? map_packed(queue, &queue->ring.packed) :
							  map_split(queue, &queue->ring.split);
	if (!err) {
		queue->is_ready = true;
		queue->ring_generation = vas_iommu_generation(queue->slot);
		queue->ring_serial = memory_serial(queue->memory);
	} else if (queue->has_missed) {
		queue_iommu_ask(queue);
	} else if (!may_come_back(queue, err)) {
		device_queue_break(queue);
	}
	return err;
}

/* Partner of the acquire: pin_ring(). */
bool device_queue_is_requested(const struct device_queue *queue)
{
	int part;

	for (part = 0; part < 3; part++) {
		const struct vas_mapping *map =
			__atomic_load_n(&queue->maps[part], __ATOMIC_ACQUIRE);

		if (map && vas_mapping_request(map) != VAS_REQUEST_NONE)
			return true;
	}
	return false;
}

/* ---- starting and stopping ---------------------------------------------------------------- */

int device_queue_init(struct device_queue *queue)
{
	memset(queue, 0, sizeof(*queue));
	queue->kick_fd = queue->call_fd = queue->err_fd = -1;
	queue->table = aligned_alloc(16, TABLE_DESCS * 16);
	queue->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->table && queue->wake_fd >= 0)
		return 0;
	device_queue_clean(queue);
	return -ENOMEM;
}

void device_queue_clean(struct device_queue *queue)
{
	device_queue_stop(queue);
	free(queue->table);
	if (queue->wake_fd >= 0)
		close(queue->wake_fd);
}

/* A write to an eventfd sleeps while its count is as high as it goes. */
static void wake_from_write(int signal)
{
	(void)signal;
}

static void tell_broken(const struct device_queue *queue)
{
	if (queue->err_fd >= 0)
		eventfd_write(queue->err_fd, 1);
}

void device_queue_leave(struct device_queue *queue)
{
	if (queue->is_inside && queue->slot)
		vas_iommu_leave(queue->slot);
	if (queue->is_inside)
		memory_leave(queue->memory);
	queue->is_inside = false;
}

/* Behind an IOMMU, what the ring needs may have to be asked for first. */
static bool wait_for_ring(struct device_queue *queue)
{
	while (queue->slot && !queue->is_ready) {
		if (device_queue_is_stopping(queue) || queue->is_broken)
			return false;
		if (!device_queue_enter(queue))
			device_queue_idle(queue, -1);
	}
	return true;
}

static void *serve(void *arg)
{
	struct device_queue *queue = arg;

	/*
	 * Whoever listens now may not have been told: answers went to the eventfd that was there
	 * before, or to none, and a driver waits for ever for an interrupt that was lost.
	 */
	if (queue->call_fd >= 0)
		eventfd_write(queue->call_fd, 1);
	if (queue->is_broken)
		tell_broken(queue);
	if (wait_for_ring(queue) && queue->device->ops->queue(queue->device, queue))
		device_queue_break(queue);
	device_queue_leave(queue);
	return NULL;
}

static int watch(const struct device_queue *queue, int fd, uint32_t how)
{
	struct epoll_event event = { .events = EPOLLIN | how, .data.fd = fd };

	return fd >= 0 && epoll_ctl(queue->sleep_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

/* Each kick is told once, so none has to be read: of its count nobody is interested. */
static int begin_sleep(struct device_queue *queue)
{
	int err;

	queue->other_fd = -1;
	queue->sleep_fd = epoll_create1(EPOLL_CLOEXEC);
	if (queue->sleep_fd < 0)
		return -errno;
	err = watch(queue, queue->wake_fd, 0) ?: watch(queue, queue->kick_fd, EPOLLET);
	if (err)
		close(queue->sleep_fd);
	return err;
}

int device_queue_start(struct device_queue *queue)
{
	struct sigaction action = { .sa_handler = wake_from_write };
	int err;

	if (!queue->counters)
		queue->counters = &queue->own_counters;
	err = begin_ring(queue);
	if (err)
		return err;
	err = begin_sleep(queue);
	if (err)
		goto err_ring;
	sigaction(SIGURG, &action, NULL);
	queue->is_stopping = false;
	queue->wants_kicks = true;
	queue->busy_ns = monotonic_ns();
	err = -pthread_create(&queue->thread, NULL, serve, queue);
	queue->is_running = !err;
	if (!err)
		return 0;
	close(queue->sleep_fd);
err_ring:
	end_ring(queue);
	return err;
}

/* Until it ends: the front end may hold it up in a write to an eventfd that is full, each time. */
static void join(struct device_queue *queue)
{
	struct timespec until;

	for (;;) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += RETRY_STOP_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		if (pthread_timedjoin_np(queue->thread, NULL, &until) != ETIMEDOUT)
			return;
		pthread_kill(queue->thread, SIGURG);
	}
}

/* What was not served, because the queue broke, is not taken: whoever goes on finds it again. */
static uint32_t base_of(const struct device_queue *queue)
{
	return queue->format == VAS_VIRTQ_PACKED ? vas_packed_queue_base(&queue->ring.packed) :
						   queue->ring.split.next_avail;
}

void device_queue_stop(struct device_queue *queue)
{
	uint64_t count;

	if (!queue->is_running)
		return;
	__atomic_store_n(&queue->is_stopping, true, __ATOMIC_RELEASE);
	eventfd_write(queue->wake_fd, 1);
	join(queue);
	queue->is_running = false;
	while (read(queue->wake_fd, &count, sizeof(count)) > 0)
		;
	if (!queue->slot || queue->is_ready)
		queue->base = base_of(queue);
	close(queue->sleep_fd);
	end_ring(queue);
}

/* ---- for the device ----------------------------------------------------------------------- */

void device_queue_break(struct device_queue *queue)
{
	if (!__atomic_exchange_n(&queue->is_broken, true, __ATOMIC_RELAXED))
		tell_broken(queue);
}

void device_queue_abandon(struct device_queue *queue)
{
	queue->nr_taken--;
	device_queue_break(queue);
}

static bool has_moved(const struct device_queue *queue)
{
	return memory_has_moved(queue->memory, queue->generation) ||
	       (queue->slot && vas_iommu_has_moved(queue->slot));
}

static bool is_ring_found(const struct device_queue *queue)
{
	return queue->ring_generation == vas_iommu_generation(queue->slot) &&
	       queue->ring_serial == memory_serial(queue->memory);
}

static bool enter(struct device_queue *queue)
{
	if (queue->slot && vas_iommu_enter(queue->slot))
		return false;
	if (!memory_enter(queue->memory, &queue->generation)) {
		if (!queue->slot || is_ring_found(queue) || !find_ring_again(queue))
			return true;
		memory_leave(queue->memory);
	}
	if (queue->slot)
		vas_iommu_leave(queue->slot);
	return false;
}

/*
 * Requests are served in a section: addresses hold until all of them are answered. When the memory
 * has moved, no more are taken before that, and it is entered anew.
 */
bool device_queue_enter(struct device_queue *queue)
{
	if (queue->is_inside && has_moved(queue)) {
		if (queue->nr_taken)
			return false;
		device_queue_leave(queue);
	}
	if (!queue->is_inside)
		queue->is_inside = enter(queue);
	return queue->is_inside;
}

static int peek_packed_again(struct device_queue *queue, struct vas_virtq_chain *chain)
{
	struct vas_packed_desc descs[INFLIGHT_MAX_DESCS];
	int nr = inflight_packed_chain(&queue->packed, queue->again[queue->at_again], descs);

	if (nr < 0)
		return nr;
	return vas_packed_queue_chain_of(&queue->ring.packed, descs, (uint32_t)nr, chain);
}

static int peek_again(struct device_queue *queue, struct vas_virtq_chain *chain)
{
	if (queue->format == VAS_VIRTQ_PACKED)
		return peek_packed_again(queue, chain);
	return vas_split_queue_chain_at(&queue->ring.split, queue->again[queue->at_again], chain);
}

static int peek_again_burst(struct device_queue *queue, struct vas_virtq_burst *burst)
{
	int result;

	burst->chains[0].segments = burst->segments;
	burst->chains[0].max_segments = burst->max_segments;
	result = peek_again(queue, &burst->chains[0]);
	burst->nr = result > 0;
	return result;
}

static inline int peek(struct device_queue *queue, struct vas_virtq_chain *chain)
{
	return device_queue_has_again(queue) ? peek_again(queue, chain) :
					       vas_virtq_peek(&queue->ring, queue->format, chain);
}

static inline int peek_burst(struct device_queue *queue, struct vas_virtq_burst *burst)
{
	return device_queue_has_again(queue) ?
		       peek_again_burst(queue, burst) :
		       vas_virtq_peek_burst(&queue->ring, queue->format, burst);
}

/* Of an event index, or of flags, that were written: the part, or both ends of it. */
static void log_event(const struct device_queue *queue)
{
	uint64_t gpa = queue->gpas.device;

	if (queue->format == VAS_VIRTQ_PACKED) {
		memory_mark(queue->memory, gpa, sizeof(struct vas_packed_event));
		return;
	}
	memory_mark(queue->memory, gpa, sizeof(struct vas_virtq_used));
	gpa += vas_split_part_size(VAS_SPLIT_USED, queue->size) - sizeof(uint16_t);
	memory_mark(queue->memory, gpa, sizeof(uint16_t));
}

/* There is something to do: for a while kicks are of no use. */
static void get_busy(struct device_queue *queue)
{
	queue->busy_ns = 0;
	if (!queue->wants_kicks)
		return;
	queue->wants_kicks = false;
	vas_virtq_disable_kick(&queue->ring, queue->format);
	log_event(queue);
}

static bool may_serve(struct device_queue *queue)
{
	if (__atomic_load_n(&queue->is_broken, __ATOMIC_RELAXED) || !device_queue_enter(queue))
		return false;
	return device_queue_has_again(queue) || !device_queue_is_stopping(queue);
}

/* Where the memory was there are zeros, of the ring or of data: nothing of it means anything. */
static bool has_failed_memory(struct device_queue *queue)
{
	if (!memory_has_failed(queue->memory))
		return false;
	device_queue_break(queue);
	return true;
}

/* What a peek has returned: how many there are. */
static uint32_t check_peek(struct device_queue *queue, int result)
{
	if (has_failed_memory(queue))
		return 0;
	if (result > 0) {
		get_busy(queue);
		return (uint32_t)result;
	}
	if (result < 0 && !queue->has_missed)
		device_queue_break(queue);
	return 0;
}

uint32_t device_queue_peek(struct device_queue *queue, struct vas_virtq_burst *burst)
{
	int result;

	burst->nr = 0;
	if (!may_serve(queue))
		return 0;
	result = queue->slot ? queue_iommu_peek_burst(queue, burst, peek_burst) :
			       peek_burst(queue, burst);
	burst->nr = check_peek(queue, result);
	return burst->nr;
}

/* Before it is taken. Where nothing can be kept, the queue breaks, and this one is still served. */
static void keep(struct device_queue *queue, const struct vas_virtq_chain *chain)
{
	if (queue->format == VAS_VIRTQ_SPLIT)
		inflight_take(queue->inflight, chain->head, queue->counter++);
	else if (inflight_packed_take(&queue->packed, &queue->ring.packed, chain))
		device_queue_break(queue);
}

void device_queue_take(struct device_queue *queue, const struct vas_virtq_chain *chains,
		       uint32_t nr)
{
	uint32_t i;

	queue->nr_taken += nr;
	if (device_queue_has_again(queue)) {
		queue->at_again += nr;
		return;
	}
	device_queue_count(&queue->counters->taken, nr);
	if (!queue->inflight) {
		vas_virtq_take_burst(&queue->ring, queue->format, chains, nr);
		return;
	}
	for (i = 0; i < nr; i++) {
		keep(queue, &chains[i]);
		vas_virtq_take(&queue->ring, queue->format, &chains[i]);
	}
}

int device_queue_next(struct device_queue *queue, struct vas_virtq_chain *chain)
{
	if (!may_serve(queue) ||
	    !check_peek(queue,
			queue->slot ? queue_iommu_peek(queue, chain, peek) : peek(queue, chain)))
		return 0;
	device_queue_take(queue, chain, 1);
	return 1;
}

/* Answers of a packed ring lie anywhere in it; it is a few pages. */
static void log_answers(const struct device_queue *queue, uint32_t first, uint32_t nr)
{
	const struct device_ring_place *gpas = &queue->gpas;
	uint32_t i;

	if (queue->format == VAS_VIRTQ_PACKED) {
		memory_mark(queue->memory, gpas->desc,
			    vas_packed_part_size(VAS_PACKED_DESC, queue->size));
		return;
	}
	for (i = 0; i < nr; i++) {
		uint64_t at = (first + i) & (queue->size - 1);

		memory_mark(queue->memory, gpas->device + offsetof(struct vas_virtq_used, ring[at]),
			    sizeof(struct vas_virtq_used_elem));
	}
	memory_mark(queue->memory, gpas->device, sizeof(struct vas_virtq_used));
}

static void call(struct device_queue *queue)
{
	if (!vas_virtq_wants_interrupt(&queue->ring, queue->format) || queue->call_fd < 0)
		return;
	device_queue_count(&queue->counters->calls, 1);
	eventfd_write(queue->call_fd, 1);
}

static int before_give(struct device_queue *queue, const struct vas_virtq_answer *answers,
		       uint32_t nr)
{
	if (!queue->inflight)
		return 0;
	if (queue->format == VAS_VIRTQ_PACKED)
		return inflight_packed_before_give(&queue->packed, answers, nr);
	inflight_before_give(queue->inflight, answers, nr);
	return 0;
}

static void after_give(struct device_queue *queue, const struct vas_virtq_answer *answers,
		       uint32_t nr)
{
	if (!queue->inflight)
		return;
	if (queue->format == VAS_VIRTQ_PACKED)
		inflight_packed_after_give(&queue->packed, answers, nr);
	else
		inflight_after_give(queue->inflight, answers, nr, queue->ring.split.next_used);
}

static void answer(struct device_queue *queue, const struct vas_virtq_answer *answers, uint32_t nr,
		   bool in_order)
{
	uint32_t first = queue->ring.split.next_used;

	queue->nr_taken -= nr;
	if (has_failed_memory(queue))
		return;
	if (before_give(queue, answers, nr)) {
		device_queue_break(queue);
		return;
	}
	if (in_order)
		vas_virtq_give_in_order(&queue->ring, queue->format, answers, nr);
	else
		vas_virtq_give(&queue->ring, queue->format, answers, nr);
	after_give(queue, answers, nr);
	device_queue_count(&queue->counters->answered, nr);
	if (memory_is_logging(queue->memory))
		log_answers(queue, first, nr);
	queue->busy_ns = 0;
	call(queue);
}

void device_queue_answer(struct device_queue *queue, const struct vas_virtq_answer *answers,
			 uint32_t nr)
{
	answer(queue, answers, nr, false);
}

void device_queue_give_back(struct device_queue *queue, struct vas_virtq_chain *room)
{
	struct vas_virtq_answer none = { 0 };

	while (device_queue_has_again(queue) &&
	       !__atomic_load_n(&queue->is_broken, __ATOMIC_RELAXED)) {
		if (device_queue_next(queue, room)) {
			none.head = room->head;
			none.nr_descs = room->nr_descs;
			device_queue_answer(queue, &none, 1);
		} else if (device_queue_is_stopping(queue)) {
			break;
		} else {
			device_queue_idle(queue, -1);
		}
	}
	device_queue_leave(queue);
}

static int pin_part(struct device_queue *queue, int part, uint64_t gpa)
{
	bool is_packed = queue->format == VAS_VIRTQ_PACKED;
	bool is_written = is_packed ? part != VAS_PACKED_DRIVER : part == VAS_SPLIT_USED;
	uint64_t size = is_packed ? vas_packed_part_size(part, queue->size) :
				    vas_split_part_size(part, queue->size);
	struct vas_mapping *map;
	int err;

	if (queue->maps[part])
		return 0;
	err = vas_mapping_create(queue->memory->vas, gpa, size, flags_of(is_written), &map);
	if (!err)
		__atomic_store_n(&queue->maps[part], map, __ATOMIC_RELEASE);
	return err;
}

/*
 * Of a ring behind an IOMMU, where it is now: nobody uses these maps, but who has lent the queue
 * has to hear of a freeze and of memory that goes. They stay until it stops, wherever the ring is
 * then.
 */
static bool pin_ring(struct device_queue *queue)
{
	const struct device_ring_place *gpas = &queue->gpas;
	bool is_there = device_queue_enter(queue);

	device_queue_leave(queue);
	return is_there && !pin_part(queue, 0, gpas->desc) && !pin_part(queue, 1, gpas->driver) &&
	       !pin_part(queue, 2, gpas->device);
}

static bool is_leaving(const struct device_queue *queue)
{
	return device_queue_is_stopping(queue) ||
	       __atomic_load_n(&queue->is_broken, __ATOMIC_RELAXED);
}

/* Its memory may be frozen, or gone for now. */
static void wait_for_pins(struct device_queue *queue)
{
	struct pollfd end = { .fd = queue->wake_fd, .events = POLLIN };

	while (!is_leaving(queue) && !pin_ring(queue)) {
		if (queue->has_missed)
			device_queue_idle(queue, -1);
		else
			poll(&end, 1, RETRY_ENTER_MS);
	}
}

bool device_queue_lend(struct device_queue *queue, uint32_t *base)
{
	device_queue_leave(queue);
	if (queue->slot)
		wait_for_pins(queue);
	*base = base_of(queue);
	return !queue->nr_taken && !device_queue_has_again(queue) && !is_leaving(queue);
}

int device_queue_take_back(struct device_queue *queue, uint32_t base)
{
	if (queue->format == VAS_VIRTQ_PACKED)
		return vas_packed_queue_start(&queue->ring.packed, base);
	if (base > UINT16_MAX)
		return -EINVAL;
	queue->ring.split.next_avail = queue->ring.split.next_used = (uint16_t)base;
	return 0;
}

void device_queue_answer_in_order(struct device_queue *queue,
				  const struct vas_virtq_answer *answers, uint32_t nr)
{
	answer(queue, answers, nr, true);
}

/* Until one of these, as far as they are there, is readable. */
static void sleep_until(struct device_queue *queue, int wake_fd, int fd)
{
	struct pollfd fds[] = {
		{ .fd = wake_fd, .events = POLLIN },
		{ .fd = fd, .events = POLLIN },
	};

	if (!queue->nr_taken)
		device_queue_leave(queue);
	poll(fds, 2, -1);
}

/* What else a device waits for is the same each time. */
static int watch_other(struct device_queue *queue, int fd)
{
	int err;

	if (fd == queue->other_fd)
		return 0;
	if (queue->other_fd >= 0)
		epoll_ctl(queue->sleep_fd, EPOLL_CTL_DEL, queue->other_fd, NULL);
	err = watch(queue, fd, 0);
	queue->other_fd = err ? -1 : fd;
	return err;
}

/* Until it is kicked, or fd is readable, or the queue is to do something else. */
static void sleep_for_kick(struct device_queue *queue, int fd, int timeout_ms)
{
	struct epoll_event events[3];
	int i, nr;

	if (!queue->nr_taken)
		device_queue_leave(queue);
	if (watch_other(queue, fd))
		timeout_ms = 1; /* the system is short of memory */
	nr = epoll_wait(queue->sleep_fd, events, 3, timeout_ms);
	for (i = 0; i < nr; i++)
		if (events[i].data.fd == queue->kick_fd)
			device_queue_count(&queue->counters->kicks, 1);
}

static void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

/* It is not idle for long enough yet to sleep. */
static bool should_look_again(struct device_queue *queue)
{
	uint64_t now = queue->poll_ns ? monotonic_ns() : 0;

	if (!queue->busy_ns)
		queue->busy_ns = now;
	if (!queue->poll_ns || now - queue->busy_ns >= queue->poll_ns ||
	    device_queue_is_stopping(queue))
		return false;
	relax();
	return true;
}

static bool enable_kick(struct device_queue *queue)
{
	bool is_there = vas_virtq_enable_kick(&queue->ring, queue->format);

	queue->wants_kicks = true;
	log_event(queue);
	return is_there;
}

/* For the answer to a miss, or what wakes the queue otherwise; kicks are of no interest. */
static void wait_for_answer(struct device_queue *queue, int fd)
{
	int timeout_ms = queue_iommu_wait_ms(queue);
	struct pollfd fds[] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = queue->wake_fd, .events = POLLIN },
		{ .fd = vas_iommu_slot_fd(queue->slot), .events = POLLIN },
	};

	if (!queue->nr_taken)
		device_queue_leave(queue);
	if (timeout_ms)
		poll(fds, device_queue_is_stopping(queue) && fd >= 0 ? 1 : 3, timeout_ms);
}

void device_queue_idle(struct device_queue *queue, int fd)
{
	int timeout_ms = -1;

	if (queue->has_missed) {
		wait_for_answer(queue, fd);
		return;
	}
	if (should_look_again(queue))
		return;
	if (!queue->is_broken && !device_queue_is_stopping(queue)) {
		if (device_queue_enter(queue) ? enable_kick(queue) : queue->has_missed)
			return;
		timeout_ms = queue->is_inside ? -1 : RETRY_ENTER_MS;
	}
	/* Who ends waits for what it has in flight only, which is behind fd. */
	if (device_queue_is_stopping(queue) && fd >= 0)
		sleep_until(queue, -1, fd);
	else
		sleep_for_kick(queue, fd, timeout_ms);
}

void device_queue_wait(struct device_queue *queue, int fd)
{
	struct pollfd end = { .fd = queue->wake_fd, .events = POLLIN };

	/* Others have the queue: nothing of it is touched. */
	if (fd < 0)
		poll(&end, 1, -1);
	else if (!should_look_again(queue))
		sleep_until(queue, queue->wake_fd, fd);
}

int device_queue_rest(struct device_queue *queue)
{
	int timeout_ms = -1;

	if (!queue->is_broken && !device_queue_is_stopping(queue) &&
	    (!device_queue_enter(queue) || enable_kick(queue)))
		timeout_ms = RETRY_ENTER_MS;
	device_queue_leave(queue);
	return timeout_ms;
}

void device_queue_sleep(const struct device_queue *queue, int timeout_ms)
{
	struct epoll_event events[2];

	epoll_wait(queue->sleep_fd, events, 2, timeout_ms);
}
