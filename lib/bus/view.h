/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a provider knows of the IOMMU that its device is behind: a view, filled by the owner's
 * messages, and questions of queues' threads, which are sent together, and of which each is put
 * once at a time. A question is in the list until a map has its iova, or it is refused by its
 * number: a refusal that is older than the question is none of it.
 *
 * There may be a second TLB, of whom queues were lent to (struct vas_iotlb). It is told the same.
 * Its misses are fetched as there is room for them here, so none is dropped but with all else. A
 * question is one TLB's: a refusal of the other's may be older.
 *
 * The provider's thread has all of it but vas_iommu_options.miss, which queues' threads call.
 */
#ifndef LIB_BUS_VIEW_H
#define LIB_BUS_VIEW_H

#include <pthread.h>
#include <stdbool.h>

#include "lib/bus/message.h"

#define BUS_MAX_ASKED 256u /* questions without an answer */
#define BUS_MAX_AHEAD 192u /* of which so many may be nobody's */

enum bus_tlb { BUS_OWN, BUS_OTHER, BUS_NR_TLBS };

struct bus_question {
	uint64_t iova;
	uint32_t number; /* of the message that it is in */
	enum bus_tlb tlb;
};

/* Why misses of the other TLB's are not fetched. */
enum bus_lack { BUS_NO_LACK, BUS_NEEDS_ANSWERS, BUS_NEEDS_ROOM /* in the socket, or one */ };

struct bus_view {
	struct vas_iommu_view *view;	    /* NULL: nobody wants one */
	struct vas_iotlb tlbs[BUS_NR_TLBS]; /* without calls: there is none */
	uint32_t count;			    /* of unmaps that were done */
	bool is_unsettled; /* some of them may still be in use, or are not answered */

	/* Under the lock. */
	pthread_mutex_t lock;
	int sock; /* the provider's; -1: nobody can be asked */
	uint32_t nr;
	struct bus_question asked[BUS_MAX_ASKED];
	struct bus_message held; /* the questions that are not sent yet, the last ones of these */
};

void bus_view_init(struct bus_view *view);
void bus_view_clean(struct bus_view *view);

int bus_view_make(struct bus_view *view, uint32_t max_entries, uint32_t nr_slots);

/* NULL: there is no other TLB any more. */
void bus_view_set_other(struct bus_view *view, const struct vas_iotlb *iotlb);

/* What the other TLB has missed is asked for. */
enum bus_lack bus_view_ask_for_other(struct bus_view *view);

/* Another grant: what was known is forgotten, unmaps are counted from here. */
void bus_view_begin(struct bus_view *view, uint32_t count);

/* It was granted by this connection, by which questions are sent from now on. */
void bus_view_connect(struct bus_view *view, int sock);

/* The connection is to be closed: what was known is forgotten. */
void bus_view_disconnect(struct bus_view *view);

/* All that was told before the unmap with this count is gone, unless that was done already. */
void bus_view_lose(struct bus_view *view, uint32_t count);

/* What the owner says. -EPROTO: it makes no sense. */
int bus_view_take_maps(struct bus_view *view, const struct bus_message *message);
void bus_view_take_unmap(struct bus_view *view, const struct bus_message *message);

/* 1: what was unmapped is used no more, which is not answered yet. 0: it is. -ETIMEDOUT. */
int bus_view_settle(struct bus_view *view, uint64_t timeout_ns);

#endif
