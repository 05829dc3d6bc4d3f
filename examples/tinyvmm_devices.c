// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* With HAVE_DEVICE, as where this is built: devices that threads of this process serve. */
#include "tinyvmm_devices.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vas/device.h>

#include "tinyvmm_acpi.h"
#include "tinyvmm_front.h"
#include "tinyvmm_iommu.h"
#include "tinyvmm_vhost.h"

#ifdef HAVE_DEVICE
#include "device/blk/blk.h"
#include "device/thread/server.h"
#endif

struct device {
	char name[64];
	unsigned int slot;
	void (*close)(struct device *device);
	struct vas_vfio_device physical;
	struct vhost_device vhost;
	struct front_device front;
	struct endpoint endpoint;	  /* of the IOMMU, or of none */
	struct vas_bus_device *bus;	  /* or NULL */
	struct vas_virtio_server *server; /* NULL: it is a physical one */
#ifdef HAVE_DEVICE
	struct blk blk;
	struct thread_server *thread;
#endif
};

/* ---- words of an option -------------------------------------------------------------------- */

/* "kind,name=value,...": the value of a name, or NULL. The text is cut up. */
struct words {
	char *text;
	const char *kind;
	const char *path;
	const char *host;
	const char *name;
	const char *tap;
	uint64_t cid;
	unsigned int nr_queues;
	unsigned int slot;
};

static int words_parse(struct words *words, const char *spec)
{
	char *at, *word;

	*words = (struct words){ .text = strdup(spec), .nr_queues = 1 };
	if (!words->text)
		return -ENOMEM;
	at = words->text;
	words->kind = strsep(&at, ",");
	while ((word = strsep(&at, ","))) {
		if (!strncmp(word, "path=", 5))
			words->path = word + 5;
		else if (!strncmp(word, "host=", 5))
			words->host = word + 5;
		else if (!strncmp(word, "name=", 5))
			words->name = word + 5;
		else if (!strncmp(word, "tap=", 4))
			words->tap = word + 4;
		else if (!strncmp(word, "cid=", 4))
			words->cid = strtoull(word + 4, NULL, 0);
		else if (!strncmp(word, "queues=", 7))
			words->nr_queues = (unsigned int)atoi(word + 7);
		else if (!strncmp(word, "slot=", 5))
			words->slot = (unsigned int)atoi(word + 5);
		else
			return vas_error_set(-EINVAL, "a device has no option \"%s\"", word);
	}
	return 0;
}

/* ---- a disk -------------------------------------------------------------------------------- */

#ifdef HAVE_DEVICE
static void block_close(struct device *device)
{
	thread_server_destroy(device->thread);
	endpoint_close(&device->endpoint);
	blk_close(&device->blk);
}

/* The disk is there; with an IOMMU, threads see memory through a view. */
static int block_serve(struct devices *devices, struct device *device)
{
	struct thread_server_options thread = { .name = "blk",
						.device_id = VIRTIO_ID_BLOCK,
						.config_size = 64 };
	int err = 0;

	if (devices->iommu)
		err = endpoint_open_view(&device->endpoint, devices->iommu,
					 device->blk.device.max_queues);
	thread.view = device->endpoint.view;
	if (!err)
		err = thread_server_create(devices->vas, &device->blk.device, &thread,
					   &device->thread);
	if (err)
		endpoint_close(&device->endpoint);
	return err;
}

static int block_open(struct devices *devices, struct device *device, const struct words *words,
		      struct vas_virtio_server **server)
{
	const struct blk_options options = {
		.disk = { .kind = DISK_FILE, .path = words->path },
		.nr_queues = words->nr_queues,
		.queue_size = 256,
	};
	int err;

	if (!words->path || !words->nr_queues || words->nr_queues > BLK_MAX_QUEUES)
		return vas_error_set(-EINVAL, "blk wants path=FILE, and 1 to %u queues",
				     BLK_MAX_QUEUES);
	err = blk_open(&device->blk, &options);
	if (err)
		return err;
	err = block_serve(devices, device);
	if (err) {
		blk_close(&device->blk);
		return err;
	}
	device->close = block_close;
	*server = thread_server_virtio(device->thread);
	return 0;
}
#else
static int block_open(struct devices *devices, struct device *device, const struct words *words,
		      struct vas_virtio_server **server)
{
	(void)devices, (void)device, (void)words, (void)server;
	return vas_error_set(-ENOTSUP, "this tinyvmm was built without a disk of its own");
}
#endif

/* ---- on the bus ---------------------------------------------------------------------------- */

#define OFFER_NS (60 * 1000000000ull) /* how long a first provider is waited for */
#define STEP_NS	 100000000ull

static const struct {
	const char *word;
	uint32_t id;
} bus_kinds[] = {
	{ "bus-blk", VIRTIO_ID_BLOCK },	  { "bus-console", VIRTIO_ID_CONSOLE },
	{ "bus-net", VIRTIO_ID_NET },	  { "bus-rng", VIRTIO_ID_RNG },
	{ "bus-vsock", VIRTIO_ID_VSOCK },
};

/* virtio's number of the kind, or 0: it is none of the bus. */
static uint32_t bus_kind(const char *word)
{
	size_t i;

	for (i = 0; i < sizeof(bus_kinds) / sizeof(*bus_kinds); i++)
		if (!strcmp(word, bus_kinds[i].word))
			return bus_kinds[i].id;
	return 0;
}

static void bus_close(struct device *device)
{
	vas_device_remove(device->bus);
}

/* Some process will serve it that connects to the guest's socket. */
static int bus_open(struct devices *devices, struct device *device, const struct words *words,
		    struct vas_virtio_server **server)
{
	struct vas_device_options options = {
		.name = words->name,
		.kind = bus_kind(words->kind),
	};
	int err;

	if (!words->name)
		return vas_error_set(-EINVAL, "%s wants name=NAME", words->kind);
	if (devices->iommu) {
		err = endpoint_open_bus(&device->endpoint, devices->iommu, devices->vas, &options);
		device->bus = device->endpoint.bus;
	} else {
		err = vas_device_add(devices->vas, &options, &device->bus);
	}
	if (err)
		return err;
	device->close = bus_close;
	*server = vas_device_server(device->bus);
	return 0;
}

/* ---- the kernel's own ---------------------------------------------------------------------- */

static void vhost_close(struct device *device)
{
	vhost_device_close(&device->vhost);
}

static int vhost_open(struct device *device, struct vas *vas, const struct words *words,
		      struct vas_virtio_server **server)
{
	int is_net = !strcmp(words->kind, "vhost-net"), err;

	if (is_net && !words->tap)
		return vas_error_set(-EINVAL, "vhost-net wants tap=NAME");
	err = is_net ? vhost_net_open(&device->vhost, vas, words->tap) :
		       vhost_vsock_open(&device->vhost, vas, words->cid);
	if (err)
		return err;
	device->close = vhost_close;
	*server = &device->vhost.server;
	return 0;
}

/* ---- another program's --------------------------------------------------------------------- */

static void front_close(struct device *device)
{
	front_device_close(&device->front);
}

static int front_open(struct device *device, struct vas *vas, const struct words *words,
		      struct vas_virtio_server **server)
{
	int err = front_device_open(&device->front, vas, words->kind, words->path, words->name);

	if (err)
		return err;
	device->close = front_close;
	*server = vas_vhost_user_server(device->front.front);
	return 0;
}

/* ---- a physical device --------------------------------------------------------------------- */

static void physical_close(struct device *device)
{
	vas_vfio_device_close(&device->physical);
}

/* The first one's container has all of them. */
static int physical_open(struct devices *devices, struct device *device, const struct words *words)
{
	int err;

	if (!words->host)
		return vas_error_set(-EINVAL, "vfio wants host=ADDRESS");
	err = vas_vfio_device_open(words->host, devices->container_fd, &device->physical);
	if (err)
		return err;
	device->close = physical_close;
	if (devices->container_fd < 0)
		devices->container_fd = fcntl(device->physical.container_fd, F_DUPFD_CLOEXEC, 0);
	if (devices->container_fd >= 0)
		return 0;
	physical_close(device);
	return vas_error_set(-EMFILE, "no further fd");
}

static int physical_add(struct devices *devices, const struct device *device, unsigned int slot)
{
	const struct vas_pci_vfio_options options = {
		.name = device->physical.name,
		.device_fd = device->physical.device_fd,
		.gsi = DEVICES_GSI(slot),
	};

	return vas_pci_add_vfio(devices->pci, slot, &options);
}

/* Their DMA reaches the guest's memory from here on. */
static int physical_attach(struct devices *devices, struct vas *vas)
{
	int fds[DEVICES_MAX];
	uint32_t ids[DEVICES_MAX];
	struct vas_vfio_options options = { .device_fds = fds, .device_ids = ids };
	const struct vas_vfio_device *physical;
	unsigned int i;

	if (devices->container_fd < 0)
		return 0;
	for (i = 0; i < devices->nr; i++) {
		if (devices->all[i]->close != physical_close)
			continue;
		physical = &devices->all[i]->physical;
		options.name = options.nr_device_fds ? "vfio" : physical->name;
		ids[options.nr_device_fds] = physical->device_id;
		fds[options.nr_device_fds++] = physical->device_fd;
	}
	return vas_vfio_attach(vas, devices->container_fd, &options, &devices->vfio);
}

static int nr_physical(const struct devices *devices)
{
	unsigned int i;
	int nr = 0;

	for (i = 0; i < devices->nr; i++)
		nr += devices->all[i]->close == physical_close;
	return nr;
}

/* Nothing that the last one does reaches the guest's memory from here on. */
static void physical_detach(struct devices *devices)
{
	vas_vfio_detach(devices->vfio);
	devices->vfio = NULL;
	if (devices->container_fd >= 0)
		close(devices->container_fd);
	devices->container_fd = -1;
}

/* ---- all of them --------------------------------------------------------------------------- */

static const char *name_of(const struct words *words)
{
	if (words->host)
		return words->host;
	if (words->name)
		return words->name;
	return words->tap ? words->tap : words->kind;
}

static int device_open(struct devices *devices, struct device *device, struct vas *vas,
		       const char *spec, struct vas_virtio_server **server)
{
	struct words words;
	int err = words_parse(&words, spec);

	if (!err && !strcmp(words.kind, "blk"))
		err = block_open(devices, device, &words, server);
	else if (!err && (!strcmp(words.kind, "vhost-net") || !strcmp(words.kind, "vhost-vsock")))
		err = vhost_open(device, vas, &words, server);
	else if (!err && front_kind(words.kind))
		err = front_open(device, vas, &words, server);
	else if (!err && bus_kind(words.kind))
		err = bus_open(devices, device, &words, server);
	else if (!err && !strcmp(words.kind, "vfio"))
		err = physical_open(devices, device, &words);
	else if (!err)
		err = vas_error_set(
			-EINVAL,
			"there is no device \"%s\"; there are: blk, bus-blk, bus-console, bus-net, "
			"bus-rng, bus-vsock, vfio, vhost-net, vhost-user-blk, vhost-user-fs, "
			"vhost-user-net, vhost-user-rng, vhost-vsock",
			words.kind);
	if (!err)
		snprintf(device->name, sizeof(device->name), "%s", name_of(&words));
	device->slot = words.slot;
	free(words.text);
	return err;
}

static int device_add(struct devices *devices, const char *spec)
{
	struct device *device = calloc(1, sizeof(*device));
	int err;

	if (!device)
		return -ENOMEM;
	err = device_open(devices, device, devices->vas, spec, &device->server);
	if (err)
		free(device);
	else
		devices->all[devices->nr++] = device;
	return err;
}

#define IOMMU_SLOT (VAS_PCI_SLOTS - 1)

static int iommu_create(struct devices *devices, struct vas *vas)
{
	if (!devices->has_iommu)
		return 0;
	if (devices->nr_ports)
		return vas_error_set(-EINVAL, "there are no root ports beside an IOMMU");
	return guest_iommu_create(vas, &devices->iommu);
}

static uint16_t function_of(uint32_t slot)
{
	return (uint16_t)(slot << 3);
}

int devices_create(struct devices *devices, struct machine *machine, const char *const *specs,
		   unsigned int nr)
{
	const struct vas_pci_options options = {
		.kvm = machine->kvm,
		.window = DEVICES_WINDOW,
		.window_size = DEVICES_WINDOW_SIZE,
		.first_event = DEVICES_FIRST_EVENT,
		.hotplug_port = DEVICES_HOTPLUG,
	};
	unsigned int i;
	int err = vas_pci_create(machine->vas, &options, &devices->pci);

	if (!err)
		err = iommu_create(devices, machine->vas);
	devices->vas = machine->vas;
	devices->container_fd = -1;
	pthread_mutex_init(&devices->lock, NULL);
	for (i = 0; i < devices->nr_ports && err >= 0; i++)
		err = vas_pci_add_port(devices->pci, VAS_PCI_SLOTS - 1 - i);
	for (i = 0; i < nr && err >= 0; i++)
		err = device_add(devices, specs[i]);
	return err < 0 ? err : 0;
}

/* The slot, or -errno. */
static int device_plug(struct devices *devices, struct device *device, unsigned int slot)
{
	int result = endpoint_join(&device->endpoint, function_of(slot));

	if (!result)
		result = device->server ? vas_pci_add_virtio(devices->pci, slot, device->server) :
					  physical_add(devices, device, slot);
	device->slot = result < 0 ? 0 : (unsigned int)result;
	return result;
}

int devices_plug(struct devices *devices, struct machine *machine)
{
	unsigned int i;
	int err = 0;

	if (devices->iommu)
		err = vas_pci_add_virtio(devices->pci, IOMMU_SLOT,
					 guest_iommu_server(devices->iommu));
	for (i = 0; i < devices->nr && err >= 0; i++) {
		struct device *device = devices->all[i];

		err = device->bus ? vas_device_wait(device->bus, OFFER_NS) : 0;
		if (!err)
			err = device_plug(devices, device, device->slot ? device->slot : i + 1);
	}
	return err < 0 ? err : physical_attach(devices, machine->vas);
}

void devices_topology(const struct devices *devices, struct acpi_topology *topology,
		      uint16_t *endpoints)
{
	unsigned int i;

	topology->iommu = function_of(IOMMU_SLOT);
	topology->endpoints = endpoints;
	for (i = 0; i < devices->nr; i++)
		if (devices->all[i]->endpoint.has_joined)
			endpoints[topology->nr_endpoints++] = function_of(devices->all[i]->slot);
}

/* ---- one change at a time, and none on the way --------------------------------------------- */

static int begin_change(struct devices *devices)
{
	int err = 0;

	pthread_mutex_lock(&devices->lock);
	if (devices->is_paused || devices->is_changing)
		err = vas_error_set(-EBUSY, devices->is_paused ?
						    "the guest is on its way elsewhere" :
						    "another device comes or goes");
	else
		devices->is_changing = 1;
	pthread_mutex_unlock(&devices->lock);
	return err;
}

static void end_change(struct devices *devices)
{
	pthread_mutex_lock(&devices->lock);
	devices->is_changing = 0;
	pthread_mutex_unlock(&devices->lock);
}

static int is_over(struct devices *devices)
{
	int is_over;

	pthread_mutex_lock(&devices->lock);
	is_over = devices->is_over;
	pthread_mutex_unlock(&devices->lock);
	return is_over;
}

/* ---- they go ------------------------------------------------------------------------------- */

/* It is off the bus. */
static void device_forget(struct devices *devices, unsigned int index)
{
	struct device *device = devices->all[index];

	devices->all[index] = devices->all[--devices->nr];
	if (!nr_physical(devices))
		physical_detach(devices);
	endpoint_leave(&device->endpoint);
	device->close(device);
	free(device);
}

static int find(const struct devices *devices, const char *name)
{
	unsigned int i;

	for (i = 0; i < devices->nr; i++)
		if (!strcmp(devices->all[i]->name, name))
			return (int)i;
	return vas_error_set(-ENOENT, "there is no device %s", name);
}

int devices_unplug(struct devices *devices, const char *name, uint64_t timeout_ns)
{
	int index = find(devices, name), err;

	if (index < 0)
		return index;
	err = begin_change(devices);
	if (err)
		return err;
	err = vas_pci_unplug(devices->pci, devices->all[index]->slot, timeout_ns);
	if (!err)
		device_forget(devices, (unsigned int)index);
	end_change(devices);
	return err;
}

int devices_remove(struct devices *devices, const char *name)
{
	int index = find(devices, name), err;

	if (index < 0)
		return index;
	err = begin_change(devices);
	if (err)
		return err;
	vas_pci_remove(devices->pci, devices->all[index]->slot);
	device_forget(devices, (unsigned int)index);
	end_change(devices);
	return 0;
}

void devices_remove_all(struct devices *devices)
{
	unsigned int slot;

	pthread_mutex_lock(&devices->lock);
	devices->is_over = 1;
	pthread_mutex_unlock(&devices->lock);
	for (slot = 1; slot < VAS_PCI_SLOTS; slot++)
		vas_pci_remove(devices->pci, slot);
}

/* ---- they come while the guest runs -------------------------------------------------------- */

/* In short steps, for the machine may stop meanwhile. */
static int await_offer(struct devices *devices, struct device *device, uint64_t timeout_ns)
{
	uint64_t waited = 0;
	int err = -ETIMEDOUT;

	if (!device->bus)
		return 0;
	for (; err == -ETIMEDOUT && waited < timeout_ns && !is_over(devices); waited += STEP_NS)
		err = vas_device_wait(device->bus, STEP_NS);
	return err == -ETIMEDOUT ?
		       vas_error_set(err, "nobody has offered to serve %s", device->name) :
		       err;
}

/* Where there is a port, and so a guest that is told; else any that is free. */
static int find_port(const struct devices *devices, unsigned int slot)
{
	if (slot && slot < VAS_PCI_SLOTS - devices->nr_ports)
		return vas_error_set(-EINVAL, "there is no root port in slot %u", slot);
	return 0;
}

static int device_come(struct devices *devices, struct device *device, uint64_t timeout_ns)
{
	int err = find_port(devices, device->slot);

	if (!err)
		err = await_offer(devices, device, timeout_ns);
	return err ? err :
		     device_plug(devices, device, device->slot ? device->slot : VAS_PCI_ANY_PORT);
}

static int add(struct devices *devices, const char *spec, uint64_t timeout_ns)
{
	struct device *device;
	int result;

	if (devices->nr == DEVICES_MAX)
		return vas_error_set(-ENOSPC, "there are %u devices", DEVICES_MAX);
	result = device_add(devices, spec);
	if (result)
		return result;
	device = devices->all[devices->nr - 1];
	if (find(devices, device->name) != (int)devices->nr - 1)
		result = vas_error_set(-EEXIST, "there is a device %s", device->name);
	else
		result = device_come(devices, device, timeout_ns);
	if (result < 0)
		device_forget(devices, devices->nr - 1);
	return result;
}

int devices_add(struct devices *devices, const char *spec, uint64_t timeout_ns)
{
	int result = begin_change(devices);

	if (result)
		return result;
	result = add(devices, spec, timeout_ns);
	end_change(devices);
	return result;
}

/* ---- elsewhere ----------------------------------------------------------------------------- */

int devices_pause(struct devices *devices)
{
	int err = 0;

	pthread_mutex_lock(&devices->lock);
	if (devices->is_changing)
		err = vas_error_set(-EBUSY, "a device comes or goes");
	else
		err = vas_pci_pause(devices->pci);
	devices->is_paused = !err;
	pthread_mutex_unlock(&devices->lock);
	return err;
}

void devices_resume(struct devices *devices)
{
	pthread_mutex_lock(&devices->lock);
	vas_pci_resume(devices->pci);
	devices->is_paused = 0;
	pthread_mutex_unlock(&devices->lock);
}

/* What comes first; then the IOMMU's tables, and the registers. */
struct state_head {
	uint64_t iommu_size; /* 0: there is none */
};

int devices_save(struct devices *devices, void **state, size_t *size)
{
	struct state_head head = { 0 };
	void *iommu = NULL, *pci = NULL;
	size_t iommu_size = 0, pci_size;
	int err = devices->iommu ? guest_iommu_save(devices->iommu, &iommu, &iommu_size) : 0;

	if (!err)
		err = vas_pci_save(devices->pci, &pci, &pci_size);
	if (!err) {
		head.iommu_size = iommu_size;
		*size = sizeof(head) + iommu_size + pci_size;
		*state = malloc(*size);
		err = *state ? 0 : -ENOMEM;
	}
	if (!err)
		mempcpy(mempcpy(mempcpy(*state, &head, sizeof(head)), iommu, iommu_size), pci,
			pci_size);
	free(iommu);
	free(pci);
	return err;
}

/* What the devices may use is there before they go on. */
static int load(struct devices *devices, const char *state, size_t size)
{
	struct state_head head;
	int err = 0;

	if (size < sizeof(head))
		return vas_error_set(-EPROTO, "devices of %zu bytes", size);
	memcpy(&head, state, sizeof(head));
	size -= sizeof(head);
	if (head.iommu_size > size)
		return vas_error_set(-EPROTO, "what is to be devices is none");
	if (!head.iommu_size != !devices->iommu)
		return vas_error_set(-EINVAL, "the guest has %s IOMMU: --iommu",
				     devices->iommu ? "no" : "an");
	if (devices->iommu)
		err = guest_iommu_load(devices->iommu, state + sizeof(head), head.iommu_size);
	return err ? err :
		     vas_pci_load(devices->pci, state + sizeof(head) + head.iommu_size,
				  size - head.iommu_size);
}

int devices_load(struct devices *devices, const void *state, size_t size)
{
	int err = load(devices, state, size);

	pthread_mutex_lock(&devices->lock);
	devices->is_paused = !err;
	pthread_mutex_unlock(&devices->lock);
	return err;
}

/* ---- the end ------------------------------------------------------------------------------- */

void devices_destroy(struct devices *devices)
{
	vas_pci_destroy(devices->pci);
	while (devices->nr)
		device_forget(devices, devices->nr - 1);
	guest_iommu_destroy(devices->iommu);
	devices->iommu = NULL;
}

/* ---- accesses ------------------------------------------------------------------------------ */

int devices_io(struct devices *devices, const struct machine_io *io)
{
	const struct vas_io access = {
		.addr = io->addr,
		.len = io->len,
		.flags = (io->is_port ? VAS_IO_PORT : 0) | (io->is_write ? VAS_IO_WRITE : 0),
		.data = io->data,
	};

	return vas_pci_io(devices->pci, &access);
}
