// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/bus/view.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/deadline.h"
#include "lib/base/error.h"
#include "lib/iommu/view.h"

#define PAGE	    4096ull /* the smallest that an IOMMU has */
#define MAX_FETCHES 16	    /* messages of the other TLB's misses, at once */

/* ---- questions ---------------------------------------------------------------------------- */

/* Under the lock: one with the same bits of its iova. */
static bool is_asked(const struct bus_view *view, enum bus_tlb tlb, uint64_t iova, uint64_t mask)
{
	uint32_t i;

	for (i = 0; i < view->nr; i++)
		if (view->asked[i].tlb == tlb && !((view->asked[i].iova ^ iova) & mask))
			return true;
	return false;
}

/* Under the lock. A connection that has failed is ended by its own thread, which finds it ended. */
static int send_held(struct bus_view *view)
{
	struct bus_message *held = &view->held;
	int err = view->sock < 0 ? -EAGAIN : 0;

	if (err || !held->misses.nr)
		return err;
	err = bus_send_if_room(view->sock, BUS_MISSES, held);
	if (err && err != -EAGAIN)
		shutdown(view->sock, SHUT_RDWR);
	if (err)
		return -EAGAIN;
	held->misses.number++;
	held->misses.nr = 0;
	return 0;
}

static void hold(struct bus_view *view, enum bus_tlb tlb, uint64_t iova, uint32_t prot)
{
	struct bus_message *held = &view->held;

	held->misses.at[held->misses.nr++] = (struct bus_miss){ .iova = iova, .prot = prot };
	view->asked[view->nr++] = (struct bus_question){ iova, held->misses.number, tlb };
}

static void drop_last(struct bus_view *view)
{
	view->held.misses.nr--;
	view->nr--;
}

/* Under the lock. Others may have asked for the same, and it may be held still. */
static int ask(struct bus_view *view, uint64_t iova, uint32_t prot)
{
	int err;

	if (is_asked(view, BUS_OWN, iova, ~0ull)) {
		err = send_held(view);
		return err ? err : -EALREADY;
	}
	err = view->held.misses.nr == BUS_MAX_MISSES ? send_held(view) : 0;
	if (err || view->nr == BUS_MAX_ASKED)
		return -EAGAIN;
	hold(view, BUS_OWN, iova, prot);
	err = send_held(view);
	if (err)
		drop_last(view);
	return err;
}

/* Under the lock. Nobody waits for it, so one of each page is enough. */
static int ask_ahead(struct bus_view *view, uint64_t iova, uint32_t prot)
{
	int err;

	if (is_asked(view, BUS_OWN, iova, ~(PAGE - 1)))
		return -EALREADY;
	err = view->held.misses.nr == BUS_MAX_MISSES ? send_held(view) : 0;
	if (err || view->sock < 0 || view->nr >= BUS_MAX_AHEAD)
		return -EAGAIN;
	hold(view, BUS_OWN, iova, prot);
	return 0;
}

static int miss(void *user, uint64_t iova, uint32_t prot)
{
	struct bus_view *view = user;
	int err;

	pthread_mutex_lock(&view->lock);
	if (prot & VAS_IOMMU_MORE)
		err = ask_ahead(view, iova, prot);
	else
		err = ask(view, iova, prot);
	pthread_mutex_unlock(&view->lock);
	return err;
}

/*
 * Under the lock: those of one TLB from iova on, of messages up to this number, have their answer.
 * True: there were any. What is held has not reached the owner.
 */
static bool drop_asked(struct bus_view *view, enum bus_tlb tlb, uint64_t iova, uint64_t size,
		       uint32_t number)
{
	uint32_t i, left = 0, nr = view->nr, nr_sent = nr - view->held.misses.nr;

	for (i = 0; i < nr; i++) {
		const struct bus_question *question = &view->asked[i];

		if (i >= nr_sent || question->tlb != tlb || question->iova - iova >= size ||
		    (int32_t)(number - question->number) < 0)
			view->asked[left++] = *question;
	}
	view->nr = left;
	return left < nr;
}

/* Under the lock. What was missed once more is a new question: an older answer is none to it. */
static void hold_other(struct bus_view *view, const struct vas_iommu_want *want)
{
	drop_asked(view, BUS_OTHER, want->iova, 1, view->held.misses.number);
	if (!is_asked(view, BUS_OTHER, want->iova, ~0ull))
		hold(view, BUS_OTHER, want->iova, want->prot);
}

/* Under the lock, with nothing held. */
static uint32_t fetch_misses(struct bus_view *view)
{
	const struct vas_iotlb *other = &view->tlbs[BUS_OTHER];
	struct vas_iommu_want wants[BUS_MAX_MISSES];
	uint32_t i, nr = other->misses(other->user, wants, BUS_MAX_MISSES);

	for (i = 0; i < nr; i++)
		hold_other(view, &wants[i]);
	return nr;
}

enum bus_lack bus_view_ask_for_other(struct bus_view *view)
{
	enum bus_lack lack = BUS_NO_LACK;
	uint32_t i, nr = 1;

	if (!view->tlbs[BUS_OTHER].misses)
		return BUS_NO_LACK;
	pthread_mutex_lock(&view->lock);
	for (i = 0; i < MAX_FETCHES && nr && !lack; i++) {
		if (send_held(view))
			lack = BUS_NEEDS_ROOM;
		else if (view->nr + BUS_MAX_MISSES > BUS_MAX_AHEAD)
			lack = BUS_NEEDS_ANSWERS;
		else
			nr = fetch_misses(view);
	}
	/* Of the last ones. */
	if (send_held(view))
		lack = BUS_NEEDS_ROOM;
	pthread_mutex_unlock(&view->lock);
	return lack;
}

/* ---- the view ----------------------------------------------------------------------------- */

static int map_own(void *user, uint64_t iova, uint64_t size, uint64_t gpa, uint32_t prot)
{
	return vas_iommu_map(user, iova, size, gpa, prot);
}

static void refuse_own(void *user, uint64_t iova)
{
	vas_iommu_refuse(user, iova);
}

static void unmap_own(void *user, uint64_t iova, uint64_t size)
{
	vas_iommu_unmap(user, iova, size);
	if (!iova && !size)
		vas_iommu_ask_again(user);
}

static int invalidate_own(void *user, uint64_t timeout_ns)
{
	return vas_iommu_invalidate(user, timeout_ns);
}

void bus_view_init(struct bus_view *view)
{
	*view = (struct bus_view){ .sock = -1, .held.misses.number = 1 };
	pthread_mutex_init(&view->lock, NULL);
}

void bus_view_clean(struct bus_view *view)
{
	vas_iommu_view_destroy(view->view);
	pthread_mutex_destroy(&view->lock);
}

int bus_view_make(struct bus_view *view, uint32_t max_entries, uint32_t nr_slots)
{
	const struct vas_iommu_options options = {
		.max_entries = max_entries,
		.nr_slots = nr_slots,
		.miss_ns = UINT64_MAX,
		.miss = miss,
		.owner = view,
	};

	int err = view->view ? 0 : vas_iommu_view_create(&options, &view->view);

	if (!err)
		view->tlbs[BUS_OWN] = (struct vas_iotlb){
			.user = view->view,
			.map = map_own,
			.refuse = refuse_own,
			.unmap = unmap_own,
			.invalidate = invalidate_own,
		};
	return err;
}

void bus_view_set_other(struct bus_view *view, const struct vas_iotlb *iotlb)
{
	view->tlbs[BUS_OTHER] = iotlb ? *iotlb : (struct vas_iotlb){ 0 };
}

static void unmap(struct bus_view *view, uint64_t iova, uint64_t size)
{
	const struct vas_iotlb *tlb;

	view->is_unsettled = true;
	for (tlb = view->tlbs; tlb < view->tlbs + BUS_NR_TLBS; tlb++)
		if (tlb->unmap)
			tlb->unmap(tlb->user, iova, size);
}

/* What was asked by then is put again: in the list there is nothing that the owner may not know. */
static void forget(struct bus_view *view)
{
	pthread_mutex_lock(&view->lock);
	view->nr = view->held.misses.nr = 0;
	pthread_mutex_unlock(&view->lock);
	unmap(view, 0, 0);
}

void bus_view_begin(struct bus_view *view, uint32_t count)
{
	view->count = count;
	forget(view);
}

void bus_view_connect(struct bus_view *view, int sock)
{
	pthread_mutex_lock(&view->lock);
	view->sock = sock;
	pthread_mutex_unlock(&view->lock);
}

void bus_view_disconnect(struct bus_view *view)
{
	bus_view_connect(view, -1);
	forget(view);
}

void bus_view_lose(struct bus_view *view, uint32_t count)
{
	if ((int32_t)(count - view->count) <= 0)
		return;
	view->count = count;
	forget(view);
}

int bus_view_settle(struct bus_view *view, uint64_t timeout_ns)
{
	struct deadline deadline = deadline_in(timeout_ns);
	const struct vas_iotlb *tlb;
	int err = 0;

	if (!view->is_unsettled)
		return 0;
	for (tlb = view->tlbs; tlb < view->tlbs + BUS_NR_TLBS && !err; tlb++)
		if (tlb->invalidate)
			err = tlb->invalidate(tlb->user, deadline_left_ns(deadline));
	if (err)
		return err;
	view->is_unsettled = false;
	return 1;
}

/* ---- what the owner says ------------------------------------------------------------------ */

/*
 * Where the owner tells of a larger range than before, or of another one without having unmapped
 * it, what is there goes; where there is no room, all goes.
 */
static int map(const struct vas_iotlb *tlb, const struct bus_map *map)
{
	int err = tlb->map(tlb->user, map->iova, map->size, map->gpa, map->prot);

	if (err == -EEXIST)
		tlb->unmap(tlb->user, map->iova, map->size);
	else if (err == -ENOSPC)
		tlb->unmap(tlb->user, 0, 0);
	else
		return err;
	return tlb->map(tlb->user, map->iova, map->size, map->gpa, map->prot);
}

/* One step: between the two, another question could be put, and be taken for the one refused. */
static void take_refusal(struct bus_view *view, enum bus_tlb which, const struct bus_map *told)
{
	const struct vas_iotlb *tlb = &view->tlbs[which];

	pthread_mutex_lock(&view->lock);
	if (drop_asked(view, which, told->iova, 1, told->number))
		tlb->refuse(tlb->user, told->iova);
	pthread_mutex_unlock(&view->lock);
}

/* The question goes first: who misses the iova before it can be found asks anew. */
static int take_map(struct bus_view *view, enum bus_tlb which, const struct bus_map *told)
{
	const struct vas_iotlb *tlb = &view->tlbs[which];

	if (!tlb->map)
		return 0;
	if (!told->prot) {
		take_refusal(view, which, told);
		return 0;
	}
	pthread_mutex_lock(&view->lock);
	drop_asked(view, which, told->iova, told->size, told->number);
	pthread_mutex_unlock(&view->lock);
	return map(tlb, told);
}

int bus_view_take_maps(struct bus_view *view, const struct bus_message *message)
{
	uint32_t i;
	int err = 0;

	if (message->maps.nr > BUS_MAX_MAPS)
		return -EPROTO;
	if ((int32_t)(message->maps.count - view->count) < 0)
		return 0;
	/* An unmap before it was not seen. */
	bus_view_lose(view, message->maps.count);
	for (i = 0; i < message->maps.nr && !err; i++) {
		err = take_map(view, BUS_OWN, &message->maps.at[i]);
		if (!err)
			err = take_map(view, BUS_OTHER, &message->maps.at[i]);
	}
	return err ? -EPROTO : 0;
}

void bus_view_take_unmap(struct bus_view *view, const struct bus_message *message)
{
	int32_t ahead = (int32_t)(message->unmap.count - view->count);

	if (ahead <= 0)
		return;
	if (ahead > 1) {
		bus_view_lose(view, message->unmap.count);
		return;
	}
	view->count = message->unmap.count;
	unmap(view, message->unmap.iova, message->unmap.size);
}
