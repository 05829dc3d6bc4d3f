// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The owner's devices: on and off the bus, and what their transports want. model/device.pml. */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/cancel.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/futex.h"
#include "lib/bus/bus.h"
#include "lib/handle/file.h"
#include "lib/handle/lock.h"
#include "lib/handle/notify.h"

#define ANSWER_NS  2000000000ull /* if its owner does not say another */
#define SLICE_NS   5000000ull	 /* between two looks at whether a silent one still lives */
#define STOPPED_NS 1000000000ull /* nothing that runs is as late as that */

int bus_check(const struct vas *vas)
{
	if (vas_has_devices(&vas->sb))
		return 0;
	return vas_error_set(-EOPNOTSUPP, "this vas has no bus: it %s",
			     vas->sb.page_size > VAS_PAGE_SIZE ?
				     "is in huge pages" :
				     "was made by a libvas that has none");
}

static uint64_t extent_offset(const struct vas_bus_device *device, const void *part)
{
	const struct vas *vas = device->vas;

	return vas_control_start(&vas->sb) + (uint64_t)((const char *)part - vas->control);
}

/* ---- telling ------------------------------------------------------------------------------ */

void bus_publish_change(struct vas_bus_device *device)
{
	device->told.change++;
	if (!bus_is_ours(device))
		return;
	bus_tell_unmaps(device);
	vas_device_publish(device->entry, &device->told);
	vas_notify_everyone(device->vas);
}

/* Its own thread finds it ended, and closes it. */
void bus_cut_connection(struct vas_bus_device *device)
{
	shutdown(device->sock, SHUT_RDWR);
	device->sock = -1;
}

/* One that takes no more of them has lost its connection, and has to come again. */
void bus_send_queue(struct vas_bus_device *device, uint32_t index)
{
	struct bus_message message = {
		.queue = { .index = index, .life = device->told.queues[index].life },
	};
	int fds[] = { device->fds[index].kick, device->fds[index].call };

	if (device->sock >= 0 &&
	    bus_send(device->sock, BUS_QUEUE, &message, fds, fds[1] < 0 ? 1 : 2))
		bus_cut_connection(device);
}

static uint32_t provider_of(struct vas_bus_device *device)
{
	uint32_t provider;

	pthread_mutex_lock(&device->vas->lock);
	provider = device->told.provider;
	pthread_mutex_unlock(&device->vas->lock);
	return provider;
}

/*
 * What has passed since, as far as it is the provider's: where we were late it may have been, too.
 * A fifth of it at least, or it could stretch the wait by keeping us from the processors; but who
 * was late by a second was stopped.
 */
static uint64_t counted_ns(uint64_t *since_ns)
{
	uint64_t now_ns = vas_now_ns(), passed_ns = now_ns - *since_ns;

	*since_ns = now_ns;
	if (passed_ns < SLICE_NS)
		return passed_ns;
	return passed_ns < 5 * SLICE_NS || passed_ns > STOPPED_NS ? SLICE_NS : passed_ns / 5;
}

/*
 * Who serves it now is waited for, and not who comes after that one is gone: it has begun with what
 * is told by now.
 */
static int wait_for_answer(struct vas_bus_device *device, uint32_t count,
			   bool (*has_answered)(const struct vas_device_entry *entry,
						uint32_t grant, uint32_t count))
{
	uint64_t since_ns = vas_now_ns(), waited_ns = 0;
	uint32_t provider = provider_of(device);
	struct vas *vas = device->vas;

	for (;;) {
		uint32_t seen = __atomic_load_n(&vas->ctl->answer, __ATOMIC_ACQUIRE);
		bool is_served, is_done;

		pthread_mutex_lock(&vas->lock);
		is_done = has_answered(device->entry, device->told.grant, count);
		is_served = is_done || (bus_is_served(device) && device->told.provider == provider);
		pthread_mutex_unlock(&vas->lock);
		if (is_done || !is_served)
			return is_done ? 0 : -ENOENT;
		if (waited_ns >= device->answer_ns)
			return -ETIMEDOUT;
		vas_futex_wait(&vas->ctl->answer, seen, since_ns + SLICE_NS);
		waited_ns += counted_ns(&since_ns);
	}
}

int bus_wait_for_answer(struct vas_bus_device *device, uint32_t count,
			bool (*has_answered)(const struct vas_device_entry *entry, uint32_t grant,
					     uint32_t count))
{
	int err = wait_for_answer(device, count, has_answered);

	if (err == -ETIMEDOUT)
		bus_end_provider(device);
	return err;
}

/* The change is in effect. False: nobody is there. */
static bool have_answer(struct vas_bus_device *device, uint32_t change)
{
	return !bus_wait_for_answer(device, change, vas_device_has_answered);
}

/* ---- the ops of a transport --------------------------------------------------------------- */

static struct vas_bus_device *device_of(struct vas_virtio_server *server)
{
	return (struct vas_bus_device *)server;
}

static void config_read(struct vas_virtio_server *server, uint32_t offset, void *to, uint32_t len)
{
	struct vas_bus_device *device = device_of(server);
	uint32_t there = offset < server->config_size ? server->config_size - offset : 0;

	memset(to, 0, len);
	pthread_mutex_lock(&device->vas->lock);
	memcpy(to, device->config + (there ? offset : 0), there < len ? there : len);
	pthread_mutex_unlock(&device->vas->lock);
}

static uint32_t config_generation(struct vas_virtio_server *server)
{
	return __atomic_load_n(&device_of(server)->config_generation, __ATOMIC_ACQUIRE);
}

/* Without it a driver would have the device use gpas, past the IOMMU. */
static int accept_features(struct vas_virtio_server *server, uint64_t features)
{
	const uint64_t iommu = 1ull << VIRTIO_F_ACCESS_PLATFORM;

	return server->features & iommu && !(features & iommu) ? -EINVAL : 0;
}

static int start(struct vas_virtio_server *server, uint64_t features)
{
	struct vas_bus_device *device = device_of(server);

	pthread_mutex_lock(&device->vas->lock);
	device->told.accepted = features & device->told.offered;
	bus_publish_change(device);
	pthread_mutex_unlock(&device->vas->lock);
	return 0;
}

static void close_fds(struct vas_bus_device *device, uint32_t index)
{
	if (device->fds[index].kick >= 0)
		close(device->fds[index].kick);
	if (device->fds[index].call >= 0)
		close(device->fds[index].call);
	device->fds[index].kick = device->fds[index].call = -1;
}

static int take_fds(struct vas_bus_device *device, uint32_t index,
		    const struct vas_virtio_queue *queue)
{
	close_fds(device, index);
	device->fds[index].kick = fcntl(queue->kick_fd, F_DUPFD_CLOEXEC, 3);
	if (queue->call_fd >= 0)
		device->fds[index].call = fcntl(queue->call_fd, F_DUPFD_CLOEXEC, 3);
	if (device->fds[index].kick >= 0 && (queue->call_fd < 0 || device->fds[index].call >= 0))
		return 0;
	close_fds(device, index);
	return vas_error_set(-EMFILE, "no fd for an event of device %s", device->told.name);
}

/* What a dead provider has left in flight is of this queue, and not of one that was reset since. */
static bool goes_on(const struct vas_device_queue_told *told, const struct vas_virtio_queue *queue)
{
	return told->flags & VAS_DEVICE_QUEUE_KEPT && !(queue->flags & VAS_VIRTIO_QUEUE_NEW);
}

/* The lock is held. */
static int enable_queue(struct vas_bus_device *device, uint32_t index,
			const struct vas_virtio_queue *queue)
{
	struct vas_device_queue_told *told = &device->told.queues[index];
	int err;

	if (index >= device->told.nr_queues || !queue->size ||
	    queue->size > device->told.queue_size)
		return vas_error_set(-EINVAL, "device %s has %u queues of up to %u entries",
				     device->told.name, device->told.nr_queues,
				     device->told.queue_size);
	if (device->is_revoked && bus_is_served(device))
		return vas_error_set(-EBUSY, "who served device %s does not stop, and lives",
				     device->told.name);
	err = vas_file_allocate(device->vas->fd,
				extent_offset(device, device->entry->inflight[index]),
				VAS_DEVICE_INFLIGHT_SIZE);
	if (err)
		return vas_error_set(err, "no memory for requests in flight of device %s",
				     device->told.name);
	err = take_fds(device, index, queue);
	if (err)
		return err;
	*told = (struct vas_device_queue_told){
		.desc = queue->desc,
		.driver = queue->driver,
		.device = queue->device,
		.size = queue->size,
		.flags = VAS_DEVICE_QUEUE_ENABLED,
		.life = goes_on(told, queue) ? told->life : told->life + 1,
		.base = queue->base,
	};
	bus_publish_change(device);
	bus_send_queue(device, index);
	return 0;
}

static int queue_start(struct vas_virtio_server *server, uint32_t index,
		       const struct vas_virtio_queue *queue)
{
	NO_CANCEL;
	struct vas_bus_device *device = device_of(server);
	int err;

	pthread_mutex_lock(&device->vas->lock);
	err = enable_queue(device, index, queue);
	pthread_mutex_unlock(&device->vas->lock);
	return err;
}

/* Two positions in a packed ring, or an index. */
static bool can_stand_at(const struct vas_bus_device *device,
			 const struct vas_device_queue_told *queue, uint32_t base)
{
	if (!(device->told.accepted & 1ull << VIRTIO_F_RING_PACKED))
		return base <= UINT16_MAX;
	return (base & 0x7fff) < queue->size && (base >> 16 & 0x7fff) < queue->size;
}

/* Where the provider says that it stands. If it cannot be there, nobody can go on from there. */
static uint32_t take_base(struct vas_bus_device *device, uint32_t index)
{
	const struct vas_device_queue_told *queue = &device->told.queues[index];
	uint32_t base =
		__atomic_load_n(&device->entry->answer.queues[index].base, __ATOMIC_RELAXED);

	if (can_stand_at(device, queue, base))
		return base;
	vas_virtio_broken(&device->server);
	return queue->base;
}

/*
 * Without a provider, what the dead one had taken stays in flight, and the life goes on with the
 * next start.
 */
static void queue_stop(struct vas_virtio_server *server, uint32_t index, uint32_t *base)
{
	NO_CANCEL;
	struct vas_bus_device *device = device_of(server);
	struct vas_device_queue_told *queue = &device->told.queues[index];
	uint32_t change;

	if (index >= device->told.nr_queues)
		return;
	pthread_mutex_lock(&device->vas->lock);
	if (!(queue->flags & VAS_DEVICE_QUEUE_ENABLED)) {
		pthread_mutex_unlock(&device->vas->lock);
		return;
	}
	queue->flags = 0;
	bus_publish_change(device);
	change = device->told.change;
	pthread_mutex_unlock(&device->vas->lock);

	*base = queue->base;
	if (have_answer(device, change)) {
		*base = take_base(device, index);
	} else {
		pthread_mutex_lock(&device->vas->lock);
		queue->flags = VAS_DEVICE_QUEUE_KEPT;
		vas_device_publish(device->entry, &device->told);
		pthread_mutex_unlock(&device->vas->lock);
	}
	close_fds(device, index);
}

static void stop_all(struct vas_bus_device *device)
{
	uint32_t i;

	device->told.accepted = 0;
	for (i = 0; i < device->told.nr_queues; i++)
		device->told.queues[i].flags = 0;
}

static void reset(struct vas_virtio_server *server)
{
	NO_CANCEL;
	struct vas_bus_device *device = device_of(server);
	uint32_t i, change;

	/* The serving thread may be telling. */
	pthread_mutex_lock(&device->vas->bus->telling);
	pthread_mutex_lock(&device->vas->lock);
	pthread_mutex_unlock(&device->vas->bus->telling);
	stop_all(device);
	device->told.status = 0;
	device->told.resets++;
	bus_publish_change(device);
	change = device->told.change;
	pthread_mutex_unlock(&device->vas->lock);

	have_answer(device, change);
	for (i = 0; i < device->told.nr_queues; i++)
		close_fds(device, i);
}

static void set_status(struct vas_virtio_server *server, uint8_t status)
{
	struct vas_bus_device *device = device_of(server);

	pthread_mutex_lock(&device->vas->lock);
	device->told.status = status;
	vas_device_publish(device->entry, &device->told);
	pthread_mutex_unlock(&device->vas->lock);
}

static const struct vas_virtio_ops ops = {
	.config_read = config_read,
	.config_generation = config_generation,
	.accept = accept_features,
	.start = start,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.reset = reset,
	.status = set_status,
};

struct vas_virtio_server *vas_device_server(struct vas_bus_device *device)
{
	return &device->server;
}

int vas_device_wait(struct vas_bus_device *device, uint64_t timeout_ns)
{
	NO_CANCEL;
	uint64_t deadline_ns = vas_deadline_ns(timeout_ns);
	struct vas *vas = device->vas;

	for (;;) {
		uint32_t seen = __atomic_load_n(&vas->ctl->answer, __ATOMIC_ACQUIRE);
		bool is_offered;

		pthread_mutex_lock(&vas->lock);
		is_offered = device->is_offered;
		pthread_mutex_unlock(&vas->lock);
		if (is_offered)
			return 0;
		if (vas_now_ns() >= deadline_ns)
			return vas_error_set(-ETIMEDOUT, "nobody offers to serve device %s",
					     device->told.name);
		vas_futex_wait(&vas->ctl->answer, seen, deadline_ns);
	}
}

/* ---- on and off the bus ------------------------------------------------------------------- */

static int check_options(const struct vas_device_options *options)
{
	size_t len = options->name ? strlen(options->name) : 0;

	if (!len || len >= VAS_REGION_NAME_LEN)
		return vas_error_set(-EINVAL, "a device's name has 1 to %d bytes",
				     VAS_REGION_NAME_LEN - 1);
	if (!options->kind || options->nr_queues > VAS_DEVICE_MAX_QUEUES ||
	    options->queue_size > VAS_DEVICE_QUEUE_SIZE)
		return vas_error_set(
			-EINVAL,
			"device %s: a kind that is not 0, up to %u queues, and up to %u "
			"entries in each",
			options->name, VAS_DEVICE_MAX_QUEUES, VAS_DEVICE_QUEUE_SIZE);
	return 0;
}

/*
 * The place of what an earlier owner has left under this name; else one that is free; else one of a
 * device that no owner has any more. The lock is held.
 */
static int find_place(struct vas *vas, const char *name)
{
	int free_place = -ENOSPC, left_place = -ENOSPC;
	struct vas_device_told told;
	uint32_t i;

	for (i = 0; i < vas->sb.nr_devices; i++) {
		const struct vas_bus_device *own = vas->bus->devices[i];

		if (own && !strcmp(own->told.name, name))
			return vas_error_set(-EEXIST, "there is a device %s already", name);
		if (own)
			continue;
		if (bus_read_told(vas, i, &told))
			free_place = free_place < 0 ? (int)i : free_place;
		else if (!strcmp(told.name, name))
			return (int)i;
		else
			left_place = (int)i;
	}
	if (free_place < 0 && left_place < 0)
		return vas_error_set(-ENOSPC, "all %u places on the bus are taken",
				     vas->sb.nr_devices);
	return free_place < 0 ? left_place : free_place;
}

static struct vas_bus_device *new_device(struct vas *vas, uint32_t index)
{
	struct vas_bus_device *device = calloc(1, sizeof(*device));
	uint32_t i;

	if (!device)
		return NULL;
	device->vas = vas;
	device->index = index;
	device->entry = bus_entry(vas, index);
	device->server.ops = &ops;
	device->sock = device->pidfd = -1;
	for (i = 0; i < VAS_DEVICE_MAX_QUEUES; i++)
		device->fds[i].kick = device->fds[i].call = -1;
	return device;
}

/* After what was here before: counts go on, so that no answer to it is taken for one to us. */
static void begin_told(struct vas_device_told *told, const struct vas_device_options *options)
{
	*told = (struct vas_device_told){
		.state = VAS_DEVICE_NEW,
		.kind = options->kind,
		.nr_queues = options->nr_queues,
		.queue_size = options->queue_size,
		.gone = told->gone,
		.grant = told->grant + 1,
		.change = told->change,
		.resets = told->resets + 1,
	};
	strcpy(told->name, options->name);
}

/* Whether addresses are iovas is no matter of who owns it. */
static bool is_same_iommu(const struct vas_device_told *told,
			  const struct vas_device_options *options)
{
	bool has_iommu = told->offered & 1ull << VIRTIO_F_ACCESS_PLATFORM;

	return told->state == VAS_DEVICE_NEW || has_iommu == (options->miss != NULL);
}

/*
 * An earlier owner's device goes on, as far as a hostile peer has left it as it was. A queue that
 * was served stands where its provider has kept it: its next start is the same life.
 */
static void inherit_told(struct vas_bus_device *device, const struct vas_device_options *options)
{
	struct vas_device_told *told = &device->told;
	uint32_t i;

	if (vas_device_copy(device->entry, told) || strcmp(told->name, options->name) ||
	    told->kind != options->kind || !is_same_iommu(told, options))
		begin_told(told, options);
	told->accepted = 0;
	for (i = 0; i < told->nr_queues; i++)
		told->queues[i].flags = told->queues[i].flags ? VAS_DEVICE_QUEUE_KEPT : 0;
	if (told->provider == device->vas->proto.tag)
		told->provider = VAS_NO_TAG;
}

static int add(struct vas *vas, const struct vas_device_options *options,
	       struct vas_bus_device **out)
{
	struct vas_bus_device *device;
	int index, err;

	if (!vas->bus) {
		vas->bus = calloc(1, sizeof(*vas->bus));
		if (!vas->bus)
			return vas_error_set(-ENOMEM, "no memory for a bus");
		pthread_mutex_init(&vas->bus->telling, NULL);
		pthread_cond_init(&vas->bus->asked, NULL);
	}
	index = find_place(vas, options->name);
	if (index < 0)
		return index;
	device = new_device(vas, (uint32_t)index);
	if (!device)
		return vas_error_set(-ENOMEM, "no memory for a device");
	err = vas_file_allocate(vas->fd, extent_offset(device, device->entry),
				offsetof(struct vas_device_entry, inflight));
	if (err) {
		free(device);
		return vas_error_set(err, "no memory for a device");
	}
	device->answer_ns = options->answer_ns ? options->answer_ns : ANSWER_NS;
	inherit_told(device, options);
	bus_iommu_init(device, options);
	bus_publish_change(device);
	vas->bus->devices[index] = device;
	*out = device;
	return 0;
}

int vas_device_add(struct vas *vas, const struct vas_device_options *options,
		   struct vas_bus_device **device)
{
	NO_CANCEL;
	int err = vas_owner_check(vas, "has devices on its bus");

	if (!err)
		err = bus_check(vas);
	if (!err)
		err = check_options(options);
	if (err)
		return err;
	pthread_mutex_lock(&vas->lock);
	err = add(vas, options, device);
	pthread_mutex_unlock(&vas->lock);
	return err;
}

static void free_device(struct vas_bus_device *device)
{
	uint32_t i;

	for (i = 0; i < VAS_DEVICE_MAX_QUEUES; i++)
		close_fds(device, i);
	if (device->pidfd >= 0)
		close(device->pidfd);
	free(device);
}

/*
 * Its queues have stopped, or nobody serves them; nothing is in flight. Who is granted it from now
 * on has nothing to do, and finds with the others that it is gone.
 */
static void empty(struct vas_bus_device *device)
{
	reset(&device->server);
	fallocate(device->vas->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		  (off_t)extent_offset(device, device->entry->inflight),
		  sizeof(device->entry->inflight));
}

/* The lock is held: nobody is granted it between the two. */
static void take_off(struct vas_bus_device *device, bool is_owner)
{
	if (is_owner) {
		device->told.state = VAS_DEVICE_NONE;
		device->told.provider = VAS_NO_TAG;
		bus_publish_change(device);
	}
	device->vas->bus->devices[device->index] = NULL;
}

/* Of a vas that was handed over, the entry is another's to remove. */
void vas_device_remove(struct vas_bus_device *device)
{
	NO_CANCEL;
	struct vas *vas;
	bool is_owner;

	if (!device)
		return;
	vas = device->vas;
	is_owner = vas->role == VAS_ROLE_OWNER;
	if (is_owner)
		empty(device);
	pthread_mutex_lock(&vas->bus->telling);
	pthread_mutex_lock(&vas->lock);
	take_off(device, is_owner);
	pthread_mutex_unlock(&vas->lock);
	pthread_mutex_unlock(&vas->bus->telling);
	bus_iommu_wait(device);
	free_device(device);
}

void bus_free(struct vas *vas)
{
	uint32_t i;

	if (!vas->bus)
		return;
	for (i = 0; i < VAS_MAX_DEVICES; i++)
		if (vas->bus->devices[i])
			free_device(vas->bus->devices[i]);
	pthread_mutex_destroy(&vas->bus->telling);
	pthread_cond_destroy(&vas->bus->asked);
	free(vas->bus);
}
