// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What a provider is told of the IOMMU that its device is behind: maps, and what of them is taken
 * away. docs/design/iommu.md, "A device on the bus".
 *
 * Messages go in order. Each says how many unmaps there were before it, so one that is older than
 * what its reader has done is left out. What cannot be said by a message, because the socket is
 * full or there is none, becomes an unmap of everything, which is said in the entry (told.gone).
 * The provider puts its questions again then; so an answer that is lost is asked for once more.
 */
#include <errno.h>
#include <string.h>

#include "lib/base/cancel.h"
#include "lib/base/error.h"
#include "lib/bus/bus.h"

#define PROT_ALL (VAS_IOMMU_READ | VAS_IOMMU_WRITE)

static void forget(struct bus_iommu *iommu)
{
	iommu->first = UINT64_MAX;
	iommu->last = 0;
	iommu->nr_held = 0;
}

void bus_iommu_lose(struct vas_bus_device *device)
{
	struct bus_iommu *iommu = &device->iommu;

	forget(iommu);
	device->told.gone = ++iommu->count;
	iommu->is_due = true;
}

void bus_iommu_begin(struct vas_bus_device *device)
{
	bus_iommu_lose(device);
	device->iommu.is_due = false;
	device->iommu.number = 0;
}

void bus_iommu_disconnect(struct vas_bus_device *device)
{
	if (!device->iommu.miss)
		return;
	bus_iommu_lose(device);
	bus_publish_change(device);
}

void bus_iommu_init(struct vas_bus_device *device, const struct vas_device_options *options)
{
	device->iommu.miss = options->miss;
	device->iommu.user = options->miss_user;
	device->iommu.count = device->told.gone;
	/* An earlier owner's provider has counted further: it goes on with another grant. */
	if (options->miss)
		device->told.grant++;
	bus_iommu_lose(device);
}

/* ---- maps --------------------------------------------------------------------------------- */

/*
 * What was held could not be sent: its questions are put again. Also where all is gone already: the
 * provider puts them before it answers that.
 */
static void lose_held(struct vas_bus_device *device)
{
	bus_iommu_lose(device);
	bus_publish_change(device);
}

/* The lock is held. */
static void send_held(struct vas_bus_device *device)
{
	struct bus_iommu *iommu = &device->iommu;
	struct bus_message message = { .maps = { .count = iommu->count, .nr = iommu->nr_held } };

	if (!iommu->nr_held)
		return;
	memcpy(message.maps.at, iommu->held, iommu->nr_held * sizeof(iommu->held[0]));
	if (bus_send_if_room(device->sock, BUS_MAPS, &message))
		lose_held(device);
	iommu->nr_held = 0;
}

static void widen(struct bus_iommu *iommu, uint64_t first, uint64_t last)
{
	if (first < iommu->first)
		iommu->first = first;
	if (last > iommu->last)
		iommu->last = last;
}

/* The lock is held. Who has no connection is told nothing, and asks when there is one. */
static void hold(struct vas_bus_device *device, const struct bus_map *map)
{
	struct bus_iommu *iommu = &device->iommu;

	if (device->sock < 0 || !bus_is_ours(device))
		return;
	if (map->prot)
		widen(iommu, map->iova, map->iova + (map->size - 1));
	iommu->held[iommu->nr_held] = *map;
	iommu->held[iommu->nr_held++].number = iommu->number;
	if (!iommu->nr_asking || iommu->nr_held == BUS_MAX_MAPS)
		send_held(device);
}

static int check_map(const struct vas_bus_device *device, const struct bus_map *map)
{
	if (!device->iommu.miss)
		return vas_error_set(-EOPNOTSUPP, "device %s is behind no IOMMU",
				     device->told.name);
	if (map->size && map->iova + (map->size - 1) >= map->iova &&
	    map->gpa + (map->size - 1) >= map->gpa && map->prot && !(map->prot & ~PROT_ALL))
		return 0;
	return vas_error_set(-EINVAL, "iova %#llx, +%#llx cannot be gpa %#llx with permission %#x",
			     (unsigned long long)map->iova, (unsigned long long)map->size,
			     (unsigned long long)map->gpa, map->prot);
}

int vas_device_map(struct vas_bus_device *device, uint64_t iova, uint64_t size, uint64_t gpa,
		   uint32_t prot)
{
	NO_CANCEL;
	const struct bus_map map = { iova, size, gpa, prot, 0 };
	int err = check_map(device, &map);

	if (err)
		return err;
	pthread_mutex_lock(&device->vas->lock);
	hold(device, &map);
	pthread_mutex_unlock(&device->vas->lock);
	return 0;
}

void vas_device_refuse(struct vas_bus_device *device, uint64_t iova)
{
	NO_CANCEL;
	const struct bus_map refusal = { .iova = iova };

	pthread_mutex_lock(&device->vas->lock);
	hold(device, &refusal);
	pthread_mutex_unlock(&device->vas->lock);
}

/* ---- unmaps ------------------------------------------------------------------------------- */

static void send_unmap(struct vas_bus_device *device, uint64_t iova, uint64_t size)
{
	struct bus_iommu *iommu = &device->iommu;
	struct bus_message message = { .unmap = { iova, size, iommu->count + 1 } };

	iommu->is_due = true;
	if (device->sock >= 0 && !bus_send_if_room(device->sock, BUS_UNMAP, &message)) {
		iommu->count++;
		bus_tell_unmaps(device);
		return;
	}
	bus_iommu_lose(device);
	bus_publish_change(device);
}

static bool was_told(const struct bus_iommu *iommu, uint64_t first, uint64_t last)
{
	return iommu->first <= iommu->last && iommu->first <= last && first <= iommu->last;
}

void vas_device_unmap(struct vas_bus_device *device, uint64_t iova, uint64_t size)
{
	NO_CANCEL;
	struct bus_iommu *iommu = &device->iommu;
	uint64_t last = iova + (size - 1);

	if (!size || last < iova) {
		last = UINT64_MAX;
		size = 0;
	}
	pthread_mutex_lock(&device->vas->lock);
	/* What is held comes before it, or is lost with all else. */
	send_held(device);
	if (was_told(iommu, iova, last) && bus_is_ours(device))
		send_unmap(device, iova, size);
	if (iova <= iommu->first && iommu->last <= last)
		forget(iommu);
	pthread_mutex_unlock(&device->vas->lock);
}

/* Its provider need not do anything for that: it takes what it was told before it goes on. */
static bool is_in_no_section(struct vas_bus_device *device, uint32_t grant, uint32_t count)
{
	return vas_device_has_unmapped(device->entry, grant, count) ||
	       vas_device_has_no_section(device->entry, VAS_DEVICE_UNMAPS(grant, count));
}

int vas_device_invalidate(struct vas_bus_device *device)
{
	NO_CANCEL;
	struct vas *vas = device->vas;
	bool is_due, is_served;
	uint32_t count, grant;

	pthread_mutex_lock(&vas->lock);
	count = device->iommu.count;
	grant = device->told.grant;
	is_due = device->iommu.is_due && !device->is_revoked;
	pthread_mutex_unlock(&vas->lock);
	if (is_due && is_in_no_section(device, grant, count))
		return 0;
	if (is_due && bus_wait_for_answer(device, count, vas_device_has_unmapped) != -ETIMEDOUT)
		return 0;
	pthread_mutex_lock(&vas->lock);
	is_served = device->is_revoked && bus_is_served(device);
	pthread_mutex_unlock(&vas->lock);
	return is_served ?
		       vas_error_set(-ETIMEDOUT, "who serves device %s does not stop, and lives",
				     device->told.name) :
		       0;
}

/* ---- misses ------------------------------------------------------------------------------- */

/* Who asks: a provider by its grant, which another one does not have. */
struct asking {
	struct vas_bus_device *device;
	uint32_t grant;
};

/* The lock is held. A connection's thread is in here once. No device: it asks in vain. */
static struct asking begin_asking(struct vas *vas, int sock, uint32_t number)
{
	struct vas_bus_device *device = bus_find_by_sock(vas, sock);

	if (!device || !device->iommu.miss)
		return (struct asking){ 0 };
	device->iommu.number = number;
	device->iommu.nr_asking++;
	return (struct asking){ device, device->told.grant };
}

static void end_asking(struct vas_bus_device *device)
{
	struct vas *vas = device->vas;

	pthread_mutex_lock(&vas->lock);
	if (!--device->iommu.nr_asking)
		send_held(device);
	pthread_cond_broadcast(&vas->bus->asked);
	pthread_mutex_unlock(&vas->lock);
}

/* Of tables as they were a while ago: none to what another grant has asked since. */
static void refuse_own(const struct asking *asking, uint64_t iova)
{
	struct vas_bus_device *device = asking->device;
	const struct bus_map refusal = { .iova = iova };

	pthread_mutex_lock(&device->vas->lock);
	if (device->told.grant == asking->grant)
		hold(device, &refusal);
	pthread_mutex_unlock(&device->vas->lock);
}

static void ask(const struct asking *asking, const struct bus_miss *miss)
{
	struct vas_bus_device *device = asking->device;
	uint32_t prot = miss->prot & (PROT_ALL | VAS_IOMMU_MORE);

	if (!(prot & PROT_ALL) || device->iommu.miss(device, device->iommu.user, miss->iova, prot))
		refuse_own(asking, miss->iova);
}

/* The device stays meanwhile: vas_device_remove() waits. */
int bus_misses(struct vas *vas, int sock, const struct bus_message *message)
{
	struct asking asking;
	uint32_t i;

	if (message->misses.nr > BUS_MAX_MISSES)
		return -EPROTO;
	pthread_mutex_lock(&vas->lock);
	asking = begin_asking(vas, sock, message->misses.number);
	pthread_mutex_unlock(&vas->lock);
	if (!asking.device)
		return -EPROTO;
	for (i = 0; i < message->misses.nr; i++)
		ask(&asking, &message->misses.at[i]);
	end_asking(asking.device);
	return 0;
}

void bus_iommu_wait(struct vas_bus_device *device)
{
	struct vas *vas = device->vas;

	pthread_mutex_lock(&vas->lock);
	while (device->iommu.nr_asking)
		pthread_cond_wait(&vas->bus->asked, &vas->lock);
	pthread_mutex_unlock(&vas->lock);
}
