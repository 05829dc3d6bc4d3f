/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The fields of what is shared entry by entry. Private to core/protocol, and to tests that forge
 * them: everybody else goes by the functions of core/protocol/protocol.h.
 */
#ifndef VAS_CORE_PROTOCOL_ENTRIES_H
#define VAS_CORE_PROTOCOL_ENTRIES_H

#include <vas/format.h>

#define VAS_TAG_INDEX_BITS 14 /* of VAS_MAX_BINDERS; the rest counts the claims of the index */
#define VAS_TAG_INDEX	   ((1u << VAS_TAG_INDEX_BITS) - 1)

/*
 * A thread's place for its sections; binders write. Only the thread stores generation. Of a slot
 * that is free (tag 0) it may be anything: whoever claims one stores 0 first.
 */
struct vas_slot {
	uint64_t
		generation; /* 0: outside any section, else the oldest generation it may be using */
	uint32_t tag;	    /* 0: free */
	uint32_t tid;
	uint64_t pad[6];
};

/* One bound handle. Alive as long as its open file description holds a write lock on its byte. */
struct vas_binder {
	uint32_t state; /* 0: free, 1: in use; a hint */
	uint32_t pid;	/* informational, as are the following, as the binder tells them */
	uint32_t flags;
	uint32_t claims; /* how often the index was claimed: only who has the lock counts up */
	char comm[16];
	char consumers[VAS_CONSUMERS_LEN]; /* what the owner has attached: "kvm,vhost" */
};

/* A long-lived map that everyone can see; binders write. */
struct vas_pin {
	uint32_t state;
	uint32_t tag; /* 0: free */
	uint64_t gpa;
	uint64_t size;
	uint32_t flags;
	uint32_t tid;
	uint64_t generation; /* whose layout the map shows; 0: the holder does not say */
	uint64_t pad[3];
};

/* A consumer of the dirty log; binders write. */
struct vas_tracker_entry {
	uint32_t state; /* 0: not started, 1: in use */
	uint32_t tag;	/* 0: free */
	uint64_t epoch; /* harvests committed */
	char name[VAS_REGION_NAME_LEN];
	uint64_t pad[3];
};

/*
 * Whose the entry is. Pairs with the release of the swap that stored it: a claimer's, whose count
 * of claims is seen then, so that it is not taken for dead; a reaper's, whose marks and counts for
 * the dead are seen by who finds the entry free. model/order.pml.
 */
static inline uint32_t vas_entry_tag(const uint32_t *tag)
{
	return __atomic_load_n(tag, __ATOMIC_ACQUIRE);
}

VAS_FORMAT_ASSERT(sizeof(struct vas_slot) == VAS_SLOT_SIZE);
VAS_FORMAT_ASSERT(sizeof(struct vas_binder) == VAS_BINDER_SIZE);
VAS_FORMAT_ASSERT(sizeof(struct vas_pin) == VAS_PIN_SIZE);
VAS_FORMAT_ASSERT(sizeof(struct vas_tracker_entry) == VAS_TRACKER_SIZE);
VAS_FORMAT_ASSERT(VAS_MAX_BINDERS == 1u << VAS_TAG_INDEX_BITS);

#endif
