// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Who serves a device. The lock on its binder's byte is a provider's life: it ends with the last of
 * its I/O, whatever way the process dies, and nobody takes over before. The pidfd only says when to
 * look.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/cancel.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/bus/bus.h"
#include "lib/handle/notify.h"

#define DEATH_NS 5000000000ull /* from SIGKILL to the end of the process's I/O */
#define NAP_MS	 1

#define IOMMU_FEATURE (1ull << VIRTIO_F_ACCESS_PLATFORM)

/* ---- death -------------------------------------------------------------------------------- */

static bool provider_lives(struct vas_bus_device *device)
{
	struct vas_scan scan;

	if (device->told.provider == VAS_NO_TAG ||
	    vas_device_is_released(device->entry, device->told.grant))
		return false;
	vas_scan_begin(&scan, &device->vas->proto, 0);
	return vas_tag_is_alive(&scan, device->told.provider);
}

static void forget_peer(struct vas_bus_device *device)
{
	if (device->pidfd >= 0)
		close(device->pidfd);
	device->pidfd = device->sock = -1;
	device->pid = 0;
}

bool bus_is_served(struct vas_bus_device *device)
{
	if (device->told.provider == VAS_NO_TAG)
		return false;
	if (provider_lives(device))
		return true;
	forget_peer(device);
	device->is_revoked = false;
	device->told.provider = VAS_NO_TAG;
	device->told.state = VAS_DEVICE_ORPHANED;
	bus_publish_change(device);
	vas_notify_answer(device->vas);
	return false;
}

/* By the fd of the process, so that no other is hit. */
static int send_kill(struct vas_bus_device *device)
{
	struct vas *vas = device->vas;
	int err = 0;

	pthread_mutex_lock(&vas->lock);
	if (!bus_is_served(device))
		err = -ESRCH;
	else if (device->pidfd < 0 || device->pid == getpid())
		err = -EPERM;
	else if (syscall(SYS_pidfd_send_signal, device->pidfd, SIGKILL, NULL, 0))
		err = -errno;
	pthread_mutex_unlock(&vas->lock);
	return err;
}

static int wait_for_death(struct vas_bus_device *device)
{
	uint64_t deadline_ns = vas_deadline_ns(DEATH_NS);
	struct vas *vas = device->vas;
	bool is_served;

	for (;;) {
		pthread_mutex_lock(&vas->lock);
		is_served = bus_is_served(device);
		pthread_mutex_unlock(&vas->lock);
		if (!is_served)
			return 0;
		if (vas_now_ns() >= deadline_ns)
			return -ETIMEDOUT;
		poll(NULL, 0, NAP_MS);
	}
}

int vas_device_kill(struct vas_bus_device *device)
{
	NO_CANCEL;
	int err = send_kill(device);

	if (!err)
		err = wait_for_death(device);
	if (err == -ESRCH)
		return vas_error_set(err, "nobody serves device %s", device->told.name);
	return err ? vas_error_set(err, "who serves device %s cannot be killed: %s",
				   device->told.name, strerror(-err)) :
		     0;
}

void bus_end_provider(struct vas_bus_device *device)
{
	struct vas *vas = device->vas;
	int err = send_kill(device);

	if (!err)
		err = wait_for_death(device);
	if (!err || err == -ESRCH)
		return;
	pthread_mutex_lock(&vas->lock);
	device->is_revoked = true;
	pthread_mutex_unlock(&vas->lock);
	vas_virtio_broken(&device->server);
}

/* ---- offers ------------------------------------------------------------------------------- */

static struct vas_bus_device *find_device(struct vas *vas, const char *name)
{
	uint32_t i;

	for (i = 0; vas->bus && i < VAS_MAX_DEVICES; i++)
		if (vas->bus->devices[i] && !strcmp(vas->bus->devices[i]->told.name, name))
			return vas->bus->devices[i];
	return NULL;
}

static int refuse(const struct vas_bus_device *device, const char *why)
{
	return vas_error_set(-EINVAL, "device %s: %s", device->told.name, why);
}

/* The message is a private copy. */
static int check_offer(const struct vas_bus_device *device, const struct bus_message *offer)
{
	const struct vas_device_told *told = &device->told;

	if (offer->offer.kind != told->kind)
		return refuse(device, "the guest's device is of another kind");
	if (!offer->offer.nr_queues || offer->offer.nr_queues > VAS_DEVICE_MAX_QUEUES ||
	    !offer->offer.queue_size || offer->offer.queue_size > VAS_DEVICE_QUEUE_SIZE ||
	    offer->offer.config_size > VAS_DEVICE_CONFIG_SIZE)
		return refuse(device, "the offer's sizes make no sense");
	if (offer->offer.nr_queues < told->nr_queues || offer->offer.queue_size < told->queue_size)
		return refuse(device,
			      "the guest's device has more queues, or longer ones, than the "
			      "offer");
	if (offer->offer.flags & ~VAS_OFFER_TAKE_OVER)
		return refuse(device, "the offer has flags that are none");
	if (!(offer->offer.features & 1ull << VIRTIO_F_VERSION_1))
		return refuse(device, "the offer has no VIRTIO_F_VERSION_1");
	if (device->iommu.miss && !(offer->offer.features & IOMMU_FEATURE))
		return vas_error_set(-EOPNOTSUPP,
				     "device %s is behind an IOMMU, and who offers knows of none",
				     told->name);
	if (told->state != VAS_DEVICE_NEW && told->offered & ~offer->offer.features)
		return refuse(device, "the guest may use features that the offer has not");
	if (device->is_offered && offer->offer.config_size != device->server.config_size)
		return refuse(device, "the config space has another size than that of the first "
				      "offer");
	return 0;
}

/* The first offer to this owner says what the device is. */
static void take_first_offer(struct vas_bus_device *device, const struct bus_message *offer)
{
	struct vas_device_told *told = &device->told;

	if (told->state == VAS_DEVICE_NEW)
		told->offered = offer->offer.features & ~(device->iommu.miss ? 0 : IOMMU_FEATURE);
	if (!told->nr_queues)
		told->nr_queues = offer->offer.nr_queues;
	if (!told->queue_size)
		told->queue_size = offer->offer.queue_size;
	device->server.name = told->name;
	device->server.device_id = told->kind;
	device->server.nr_queues = told->nr_queues;
	device->server.queue_size = told->queue_size;
	device->server.config_size = offer->offer.config_size;
	device->server.features = told->offered;
	device->is_offered = true;
}

static void set_config(struct vas_bus_device *device, const uint8_t *config)
{
	if (!memcmp(device->config, config, sizeof(device->config)))
		return;
	memcpy(device->config, config, sizeof(device->config));
	__atomic_store_n(&device->config_generation, device->config_generation + 1,
			 __ATOMIC_RELEASE);
}

static void set_peer(struct vas_bus_device *device, const struct bus_peer *peer)
{
	forget_peer(device);
	device->sock = peer->sock;
	device->pid = peer->pid;
	if (peer->pidfd >= 0)
		device->pidfd = fcntl(peer->pidfd, F_DUPFD_CLOEXEC, 3);
}

static void send_all_queues(struct vas_bus_device *device)
{
	uint32_t i;

	for (i = 0; i < device->told.nr_queues; i++)
		if (device->told.queues[i].flags & VAS_DEVICE_QUEUE_ENABLED)
			bus_send_queue(device, i);
}

static void grant(struct vas_bus_device *device, const struct bus_message *offer,
		  const struct bus_peer *peer)
{
	struct bus_message message = { .grant = { .device = device->index } };

	if (device->told.provider == offer->offer.tag)
		bus_iommu_lose(device);
	else
		bus_iommu_begin(device);
	if (!device->is_offered)
		take_first_offer(device, offer);
	set_config(device, offer->offer.config);
	set_peer(device, peer);
	device->told.provider = offer->offer.tag;
	device->told.state = VAS_DEVICE_SERVED;
	message.grant.grant = ++device->told.grant;
	message.grant.gone = device->told.gone;
	bus_publish_change(device);
	if (bus_send(device->sock, BUS_GRANT, &message, NULL, 0))
		bus_cut_connection(device);
	else
		send_all_queues(device);
	vas_notify_answer(device->vas);
}

/* Once. Who does not follow stays: nobody is made to go by another's wish. */
static void ask_to_leave(struct vas_bus_device *device)
{
	struct bus_message message = { 0 };

	if (device->asked == device->told.grant)
		return;
	device->asked = device->told.grant;
	bus_send(device->sock, BUS_LEAVE, &message, NULL, 0);
}

/* The lock is held. Nobody takes over from who lives, but the same one may come again. */
static int offer_locked(struct vas *vas, const struct bus_message *offer,
			const struct bus_peer *peer, uint32_t *index)
{
	struct vas_bus_device *device = find_device(vas, offer->offer.name), *other;
	struct vas_scan scan;
	int err;

	if (!device)
		return vas_error_set(-ENOENT, "the guest has no device %s", offer->offer.name);
	err = check_offer(device, offer);
	if (err)
		return err;
	/* It ends for one device: another would keep its number, which is a stranger's then. */
	other = bus_find_by_sock(vas, peer->sock);
	if (other && other != device)
		return refuse(device, "this connection serves another device");
	vas_scan_begin(&scan, &vas->proto, 0);
	if (offer->offer.tag == vas->proto.tag || !vas_tag_is_alive(&scan, offer->offer.tag))
		return refuse(device, "who offers is not bound to this vas");
	*index = device->index;
	if (bus_is_served(device) &&
	    (device->told.provider != offer->offer.tag || device->is_revoked)) {
		if (offer->offer.flags & VAS_OFFER_TAKE_OVER && device->sock >= 0)
			ask_to_leave(device);
		return -EBUSY;
	}
	grant(device, offer, peer);
	return 0;
}

int bus_offer(struct vas *vas, const struct bus_message *offer, const struct bus_peer *peer,
	      uint32_t *index)
{
	int err;

	if (!memchr(offer->offer.name, 0, sizeof(offer->offer.name)))
		return vas_error_set(-EINVAL, "the device's name does not end");
	pthread_mutex_lock(&vas->lock);
	err = offer_locked(vas, offer, peer, index);
	pthread_mutex_unlock(&vas->lock);
	if (!err)
		bus_tell(vas, peer->sock, vas_virtio_changed);
	return err;
}

/* ---- peers -------------------------------------------------------------------------------- */

struct vas_bus_device *bus_find_by_sock(struct vas *vas, int sock)
{
	uint32_t i;

	for (i = 0; vas->bus && i < VAS_MAX_DEVICES; i++)
		if (vas->bus->devices[i] && vas->bus->devices[i]->sock == sock)
			return vas->bus->devices[i];
	return NULL;
}

void bus_forget(struct vas *vas, int sock)
{
	struct vas_bus_device *device;

	pthread_mutex_lock(&vas->lock);
	device = bus_find_by_sock(vas, sock);
	if (device) {
		device->sock = -1;
		/* What was sent last may not have been received. */
		if (bus_is_served(device))
			bus_iommu_disconnect(device);
	}
	pthread_mutex_unlock(&vas->lock);
}

void bus_tell(struct vas *vas, int sock, void (*tell)(struct vas_virtio_server *server))
{
	struct vas_bus_device *device;

	if (!vas->bus)
		return;
	pthread_mutex_lock(&vas->bus->telling);
	pthread_mutex_lock(&vas->lock);
	device = bus_find_by_sock(vas, sock);
	pthread_mutex_unlock(&vas->lock);
	if (device)
		tell(&device->server);
	pthread_mutex_unlock(&vas->bus->telling);
}

void bus_set_config(struct vas *vas, int sock, const uint8_t config[VAS_DEVICE_CONFIG_SIZE])
{
	struct vas_bus_device *device;

	pthread_mutex_lock(&vas->lock);
	device = bus_find_by_sock(vas, sock);
	if (device)
		set_config(device, config);
	pthread_mutex_unlock(&vas->lock);
	bus_tell(vas, sock, vas_virtio_changed);
}
