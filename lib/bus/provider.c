// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The provider's side: offering, what is demanded, what it tells of itself. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/base/cancel.h"
#include "lib/base/error.h"
#include "lib/base/foreign.h"
#include "lib/bus/bus.h"
#include "lib/bus/view.h"
#include "lib/handle/notify.h"
#include "lib/iommu/view.h"

#define MAX_MESSAGES 256 /* that one look receives */

struct queue_fds {
	uint32_t life; /* of the queue that they belong to */
	int kick, call;
};

struct vas_provider {
	struct vas *vas;
	int sock; /* -1: lost */
	int epoll_fd;
	struct bus_message offer;
	bool is_granted;
	uint32_t grant;
	uint32_t heard; /* the grant of this connection's message: its maps are of that one */
	struct vas_device_entry *entry;
	struct bus_view view;
	bool is_shared;	  /* the owner sees the view's sections, in this entry */
	int iotlb_fd;	  /* of the view's other TLB; -1: there is none */
	bool is_iotlb_on; /* it is watched */
	bool needs_room;  /* so is the socket, for that */
	struct queue_fds fds[VAS_DEVICE_MAX_QUEUES];
	struct queue_fds old[VAS_DEVICE_MAX_QUEUES]; /* in use until the next answer */
};

/* ---- eventfds ----------------------------------------------------------------------------- */

static void close_fds(struct queue_fds *fds)
{
	if (fds->kick >= 0)
		close(fds->kick);
	if (fds->call >= 0)
		close(fds->call);
	*fds = (struct queue_fds){ .kick = -1, .call = -1 };
}

static int take_queue(struct vas_provider *provider, const struct bus_message *message,
		      const int *fds, uint32_t nr_fds)
{
	uint32_t index = message->queue.index;
	struct queue_fds *own, *old;

	if (index >= VAS_DEVICE_MAX_QUEUES || !nr_fds)
		return vas_error_set(-EPROTO, "the owner sends no eventfds of any queue");
	own = &provider->fds[index];
	old = &provider->old[index];
	/* Those of the same life are the same. */
	if (own->kick >= 0 && own->life == message->queue.life) {
		vas_foreign_discard(fds, nr_fds);
		return 0;
	}
	if (old->kick < 0)
		*old = *own;
	else
		close_fds(own);
	*own = (struct queue_fds){ message->queue.life, fds[0], nr_fds > 1 ? fds[1] : -1 };
	return 0;
}

/* ---- messages ----------------------------------------------------------------------------- */

/*
 * A grant is seen in the entry or by its message, whichever is first, and begins once: the count of
 * unmaps is never that of another grant, and does not go back in one.
 */
static void begin_grant(struct vas_provider *provider, uint32_t grant, uint32_t gone)
{
	if (provider->is_granted && provider->grant == grant)
		return;
	provider->grant = grant;
	bus_view_begin(&provider->view, gone);
}

/* Another place of the bus: the view's sections are told in the first one only. */
static void share_no_more(struct vas_provider *provider)
{
	if (provider->is_shared)
		vas_iommu_unshare(provider->view.view);
	provider->is_shared = false;
}

static int take_grant(struct vas_provider *provider, const struct bus_message *message)
{
	struct vas_device_entry *entry;

	if (message->grant.device >= provider->vas->sb.nr_devices)
		return vas_error_set(-EPROTO, "the owner speaks of a device that there is not");
	entry = bus_entry(provider->vas, message->grant.device);
	provider->is_granted &= provider->entry == entry;
	if (provider->entry != entry)
		share_no_more(provider);
	provider->entry = entry;
	begin_grant(provider, message->grant.grant, message->grant.gone);
	provider->is_granted = true;
	provider->heard = message->grant.grant;
	provider->offer.offer.flags = 0;
	bus_view_connect(&provider->view, provider->sock);
	return 0;
}

static int take_refusal(const struct bus_message *message)
{
	const char *text = message->refused.text;
	int err = message->refused.err;

	if (err != -ENOENT && err != -EOPNOTSUPP)
		err = -ECONNREFUSED;

	return vas_error_set(err, "%.*s", (int)strnlen(text, sizeof(message->refused.text)), text);
}

static int take_message(struct vas_provider *provider, const struct bus_message *message,
			const int *fds, uint32_t nr_fds)
{
	if (message->type == BUS_QUEUE)
		return take_queue(provider, message, fds, nr_fds);
	vas_foreign_discard(fds, nr_fds);
	switch (message->type) {
	case BUS_GRANT:
		return take_grant(provider, message);
	case BUS_REFUSED:
		return take_refusal(message);
	case BUS_MAPS:
		if (provider->heard != provider->grant ||
		    !bus_view_take_maps(&provider->view, message))
			return 0;
		return vas_error_set(-EPROTO, "the owner maps what cannot be");
	case BUS_UNMAP:
		if (provider->heard == provider->grant)
			bus_view_take_unmap(&provider->view, message);
		return 0;
	case BUS_LEAVE:
		return vas_error_set(-ESHUTDOWN, "device %s: another process takes over",
				     provider->offer.offer.name);
	default:
		return vas_error_set(-EPROTO, "the owner says what only a provider does");
	}
}

static void lose_connection(struct vas_provider *provider)
{
	bus_view_disconnect(&provider->view);
	close(provider->sock);
	provider->sock = -1;
}

static int receive_all(struct vas_provider *provider)
{
	struct bus_message message;
	int fds[BUS_MAX_FDS], err, i;
	uint32_t nr_fds;

	for (i = 0; i < MAX_MESSAGES && provider->sock >= 0; i++) {
		err = bus_receive(provider->sock, &message, fds, &nr_fds);
		if (err == -EAGAIN)
			return 0;
		if (err == -EPROTO)
			return vas_error_set(err, "what the owner sends makes no sense");
		if (err)
			lose_connection(provider);
		else
			err = take_message(provider, &message, fds, nr_fds);
		if (err && provider->sock >= 0)
			return err;
	}
	return 0;
}

static int send_message(struct vas_provider *provider, enum bus_message_type type,
			struct bus_message *message)
{
	int err = provider->sock < 0 ? -ENOTCONN : bus_send(provider->sock, type, message, NULL, 0);

	if (err && err != -ENOTCONN)
		lose_connection(provider);
	return err ? -ENOTCONN : 0;
}

/* ---- offering ----------------------------------------------------------------------------- */

static int watch(struct vas_provider *provider, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return fd >= 0 && !epoll_ctl(provider->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? 0 : -errno;
}

/* The socket is the provider's. */
static int connect_by(struct vas_provider *provider, int sock)
{
	struct bus_message message = provider->offer;
	int err;

	if (provider->sock >= 0)
		lose_connection(provider);
	provider->sock = sock;
	provider->needs_room = false;
	err = watch(provider, sock);
	if (!err)
		err = bus_send(sock, BUS_OFFER, &message, NULL, 0);
	if (!err)
		return 0;
	lose_connection(provider);
	return vas_error_set(err, "cannot offer device %s: %s", provider->offer.offer.name,
			     strerror(-err));
}

static int check_offer(const struct vas *vas, const struct vas_offer *offer)
{
	size_t len = offer->name ? strlen(offer->name) : 0;

	if (vas->role == VAS_ROLE_OBSERVER)
		return vas_error_set(-EPERM, "an observer serves no device");
	if (!len || len >= VAS_REGION_NAME_LEN || !offer->kind || !offer->nr_queues ||
	    offer->nr_queues > VAS_DEVICE_MAX_QUEUES || !offer->queue_size ||
	    offer->queue_size > VAS_DEVICE_QUEUE_SIZE ||
	    offer->config_size > VAS_DEVICE_CONFIG_SIZE || offer->flags & ~VAS_OFFER_TAKE_OVER)
		return vas_error_set(
			-EINVAL,
			"an offer has a name of up to %d bytes, a kind, up to %u queues, "
			"up to %u entries in each, and VAS_OFFER_* as flags",
			VAS_REGION_NAME_LEN - 1, VAS_DEVICE_MAX_QUEUES, VAS_DEVICE_QUEUE_SIZE);
	return bus_check(vas);
}

static void describe(struct vas_provider *provider, const struct vas_offer *offer)
{
	provider->offer = (struct bus_message){
		.offer = {
			.features = offer->features,
			.tag = provider->vas->proto.tag,
			.kind = offer->kind,
			.nr_queues = offer->nr_queues,
			.queue_size = offer->queue_size,
			.config_size = offer->config_size,
			.flags = offer->flags,
		},
	};
	strcpy(provider->offer.offer.name, offer->name);
	memcpy(provider->offer.offer.config, offer->config, sizeof(offer->config));
}

static struct vas_provider *new_provider(struct vas *vas)
{
	struct vas_provider *provider = calloc(1, sizeof(*provider));
	uint32_t i;

	if (!provider)
		return NULL;
	provider->vas = vas;
	provider->sock = provider->iotlb_fd = -1;
	bus_view_init(&provider->view);
	for (i = 0; i < VAS_DEVICE_MAX_QUEUES; i++)
		provider->fds[i].kick = provider->fds[i].call = provider->old[i].kick =
			provider->old[i].call = -1;
	provider->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return provider;
}

static void free_provider(struct vas_provider *provider)
{
	uint32_t i;

	bus_view_set_other(&provider->view, NULL);
	for (i = 0; i < VAS_DEVICE_MAX_QUEUES; i++) {
		close_fds(&provider->fds[i]);
		close_fds(&provider->old[i]);
	}
	if (provider->sock >= 0)
		lose_connection(provider);
	if (provider->epoll_fd >= 0)
		close(provider->epoll_fd);
	bus_view_clean(&provider->view);
	free(provider);
}

int vas_device_offer(struct vas *vas, int sock, const struct vas_offer *offer,
		     struct vas_provider **out)
{
	NO_CANCEL;
	int err = check_offer(vas, offer);
	struct vas_provider *provider = err ? NULL : new_provider(vas);

	if (!provider) {
		close(sock);
		return err ? err : vas_error_set(-ENOMEM, "no memory for a provider");
	}
	describe(provider, offer);
	err = watch(provider, vas_notify_fd(vas));
	if (err) {
		close(sock);
		vas_error_set(err, "cannot watch the vas: %s", strerror(-err));
	} else {
		err = connect_by(provider, sock);
	}
	if (err)
		free_provider(provider);
	else
		*out = provider;
	return err;
}

int vas_provider_resume(struct vas_provider *provider, int sock)
{
	NO_CANCEL;
	return connect_by(provider, sock);
}

/* Who never had it, or lost it, has nothing to give back. */
void vas_provider_close(struct vas_provider *provider)
{
	NO_CANCEL;
	if (!provider)
		return;
	if (provider->is_granted) {
		vas_device_release(provider->entry, provider->grant);
		vas_notify_answer(provider->vas);
	}
	free_provider(provider);
}

int vas_provider_fd(struct vas_provider *provider)
{
	return provider->epoll_fd;
}

/* ---- what is to be done ------------------------------------------------------------------- */

static void demand_queue(const struct vas_provider *provider, uint32_t index,
			 const struct vas_device_queue_told *told, struct vas_provider_queue *queue)
{
	const struct queue_fds *fds = &provider->fds[index];
	bool has_fds = fds->kick >= 0 && fds->life == told->life;

	*queue = (struct vas_provider_queue){
		.size = told->size,
		.life = told->life,
		.base = told->base,
		.enabled = has_fds && told->flags & VAS_DEVICE_QUEUE_ENABLED,
		.desc = told->desc,
		.driver = told->driver,
		.device = told->device,
		.kick_fd = has_fds ? fds->kick : -1,
		.call_fd = has_fds ? fds->call : -1,
	};
}

/* The provider has it by its tag; the message of this grant may be under way. */
static int demand(struct vas_provider *provider, const struct vas_device_told *told,
		  struct vas_demand *to)
{
	uint32_t i;

	if (told->provider != provider->vas->proto.tag)
		return vas_error_set(-ESTALE, "device %s is served by another by now", told->name);
	begin_grant(provider, told->grant, told->gone);
	bus_view_lose(&provider->view, told->gone);
	to->is_granted = 1;
	to->grant = told->grant;
	to->change = told->change;
	to->resets = told->resets;
	to->features = told->accepted;
	to->nr_queues = told->nr_queues;
	for (i = 0; i < told->nr_queues; i++)
		demand_queue(provider, i, &told->queues[i], &to->queues[i]);
	return 0;
}

static void set_events(const struct vas_provider *provider, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events };

	epoll_ctl(provider->epoll_fd, EPOLL_CTL_MOD, fd, &event);
}

/* What it misses waits with it until it can be asked for: then there is something to look at. */
static void look_at_iotlb(struct vas_provider *provider)
{
	enum bus_lack lack;

	if (provider->iotlb_fd < 0)
		return;
	lack = bus_view_ask_for_other(&provider->view);
	if (provider->is_iotlb_on != !lack)
		set_events(provider, provider->iotlb_fd, lack ? 0 : EPOLLIN);
	provider->is_iotlb_on = !lack;
	if (provider->sock < 0 || provider->needs_room == (lack == BUS_NEEDS_ROOM))
		return;
	provider->needs_room = lack == BUS_NEEDS_ROOM;
	set_events(provider, provider->sock, EPOLLIN | (provider->needs_room ? EPOLLOUT : 0));
}

int vas_provider_look(struct vas_provider *provider, struct vas_demand *to)
{
	NO_CANCEL;
	struct vas_device_told told;
	int err = receive_all(provider);

	look_at_iotlb(provider);
	memset(to, 0, sizeof(*to));
	to->is_disconnected = provider->sock < 0;
	if (err || !provider->is_granted)
		return err;
	err = vas_device_copy(provider->entry, &told);
	if (err == -ENOENT || (!err && strcmp(told.name, provider->offer.offer.name)))
		err = vas_error_set(-ENODEV, "device %s was removed", provider->offer.offer.name);
	else if (!err)
		err = demand(provider, &told, to);
	else
		vas_error_set(err, "the owner's half of device %s never stands still",
			      provider->offer.offer.name);
	if (err == -ENODEV || err == -ESTALE)
		provider->is_granted = false;
	return err;
}

void vas_provider_answer(struct vas_provider *provider, uint32_t change)
{
	uint32_t i;

	if (!provider->is_granted)
		return;
	for (i = 0; i < VAS_DEVICE_MAX_QUEUES; i++)
		close_fds(&provider->old[i]);
	/* Nobody waits for what was said already. */
	if (vas_device_has_answered(provider->entry, provider->grant, change))
		return;
	vas_device_answer_change(provider->entry, provider->grant, change);
	vas_notify_answer(provider->vas);
}

static uint64_t unmaps_of(const struct vas_provider *provider)
{
	return VAS_DEVICE_UNMAPS(provider->grant, provider->view.count);
}

/* In it there is nothing yet that could be taken away. */
static void share(struct vas_provider *provider)
{
	vas_iommu_share(provider->view.view, provider->entry, unmaps_of(provider));
	vas_device_share_sections(provider->entry, provider->grant);
	provider->is_shared = true;
}

/* It was looked at, and what was unmapped is found no more. */
static void tell_sections(struct vas_provider *provider)
{
	if (!provider->is_shared || !provider->is_granted)
		return;
	vas_iommu_took_unmaps(provider->view.view, unmaps_of(provider));
	vas_device_share_sections(provider->entry, provider->grant);
}

int vas_provider_view(struct vas_provider *provider, uint32_t max_entries, uint32_t nr_slots,
		      struct vas_iommu_view **view)
{
	NO_CANCEL;
	bool is_new = !provider->view.view;
	int err = bus_view_make(&provider->view, max_entries, nr_slots);

	if (err)
		return err;
	*view = provider->view.view;
	/* What others use by a TLB of theirs the owner does not see. */
	if (is_new && provider->is_granted && provider->iotlb_fd < 0 &&
	    nr_slots <= VAS_DEVICE_MAX_QUEUES)
		share(provider);
	return 0;
}

int vas_provider_set_iotlb(struct vas_provider *provider, const struct vas_iotlb *iotlb)
{
	NO_CANCEL;
	int err;

	if (provider->is_shared && iotlb)
		return vas_error_set(-EBUSY, "a TLB comes before vas_provider_view()");
	if (provider->iotlb_fd >= 0)
		epoll_ctl(provider->epoll_fd, EPOLL_CTL_DEL, provider->iotlb_fd, NULL);
	provider->iotlb_fd = -1;
	bus_view_set_other(&provider->view, NULL);
	if (!iotlb)
		return 0;
	err = watch(provider, iotlb->fd);
	if (err)
		return vas_error_set(err, "cannot watch a TLB: %s", strerror(-err));
	provider->iotlb_fd = iotlb->fd;
	provider->is_iotlb_on = true;
	bus_view_set_other(&provider->view, iotlb);
	return 0;
}

int vas_provider_settle(struct vas_provider *provider, uint64_t timeout_ns)
{
	NO_CANCEL;
	int result;

	if (provider->view.is_unsettled)
		tell_sections(provider);
	result = bus_view_settle(&provider->view, timeout_ns);
	if (result <= 0)
		return result;
	if (provider->is_granted) {
		vas_device_answer_unmap(provider->entry, provider->grant, provider->view.count);
		vas_notify_answer(provider->vas);
	}
	return 0;
}

/* ---- what it tells ------------------------------------------------------------------------ */

static bool is_queue(const struct vas_provider *provider, uint32_t index)
{
	return provider->entry && index < VAS_DEVICE_MAX_QUEUES;
}

void *vas_provider_inflight(struct vas_provider *provider, uint32_t index)
{
	return is_queue(provider, index) ? provider->entry->inflight[index] : NULL;
}

void *vas_provider_kept(struct vas_provider *provider)
{
	return provider->entry ? provider->entry->answer.kept : NULL;
}

struct vas_device_counters *vas_provider_counters(struct vas_provider *provider, uint32_t index)
{
	if (!is_queue(provider, index))
		return NULL;
	return &provider->entry->answer.queues[index].counters;
}

/* Before the answer to the change that has stopped it: pairs with the acquire of who waits. */
void vas_provider_tell(struct vas_provider *provider, uint32_t index,
		       enum vas_device_queue_state state, uint32_t base)
{
	struct vas_device_queue_answer *queue;

	if (!is_queue(provider, index))
		return;
	queue = &provider->entry->answer.queues[index];
	__atomic_store_n(&queue->base, base, __ATOMIC_RELAXED);
	__atomic_store_n(&queue->state, state, __ATOMIC_RELAXED);
}

int vas_provider_config(struct vas_provider *provider, const uint8_t config[VAS_DEVICE_CONFIG_SIZE])
{
	NO_CANCEL;
	struct bus_message message = { 0 };

	/* For the next owner, too. */
	memcpy(provider->offer.offer.config, config, VAS_DEVICE_CONFIG_SIZE);
	memcpy(message.config, config, VAS_DEVICE_CONFIG_SIZE);
	return send_message(provider, BUS_CONFIG, &message);
}

int vas_provider_broken(struct vas_provider *provider)
{
	NO_CANCEL;
	struct bus_message message = { 0 };

	return send_message(provider, BUS_BROKEN, &message);
}
