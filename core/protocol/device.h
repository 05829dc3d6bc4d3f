/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The entry of a device of the bus: what its owner (the VMM) and its provider (who serves it) tell
 * each other. Each writes one half, and takes a private copy of the other's.
 *
 *	owner						provider
 *	told.grant, .provider: it is yours		a successor finds what is in flight
 *	told.change counts up with each change,
 *	then control.notify ------------------------->	copies `told`, does as it says,
 *	waits for that, or shows the guest		stores the change in `answered`
 *	that it has not happened yet <----------------	then control.answer
 *
 * Trust: the owner decides from its own copy of what it has told, never from this memory. What a
 * provider answers counts only with the number of the present grant. A provider believes addresses
 * as it believes those of a request: it translates them by the layout, or finds no memory there.
 */
#ifndef VAS_CORE_PROTOCOL_DEVICE_H
#define VAS_CORE_PROTOCOL_DEVICE_H

#include <vas/format.h>

#include "core/protocol/protocol.h"

/* vas_device_queue_told.flags */
#define VAS_DEVICE_QUEUE_ENABLED 1u
#define VAS_DEVICE_QUEUE_KEPT \
	2u /* it stopped without a provider: its next start is the same life */
#define VAS_DEVICE_QUEUE_KNOWN 3u

/* Where a queue is. */
struct vas_device_queue_told {
	uint64_t desc, driver, device; /* gpa */
	uint32_t size;
	uint32_t flags;
	/* Counts how often the driver has made it: with another life nothing is in flight. */
	uint32_t life;
	uint32_t base; /* where the ring stands when this life begins, as vhost-user encodes it */
	uint64_t pad[3];
};

/* The owner's half. */
struct vas_device_told {
	uint32_t state;	   /* enum vas_device_state */
	uint32_t kind;	   /* virtio's number of it; not 0 */
	uint32_t provider; /* tag; 0: none */
	uint32_t grant;	   /* counts: each time it is granted; behind an IOMMU, each owner */
	uint32_t change;   /* counts what the provider is to follow */
	uint32_t status;   /* virtio's, as the driver wrote it */
	uint32_t nr_queues;
	uint32_t queue_size; /* entries, at most */
	uint32_t resets;     /* counts how often the driver has reset it */
	/*
	 * Behind an IOMMU: the last of its unmaps, by their count, that has taken away all that the
	 * provider was told before.
	 */
	uint32_t gone;
	uint64_t offered; /* features */
	uint64_t accepted;
	char name[VAS_REGION_NAME_LEN];
	uint64_t pad1[6];
	struct vas_device_queue_told queues[VAS_DEVICE_MAX_QUEUES];
};

/*
 * What a provider tells of a queue; for the owner only `base` counts. Counters are of all providers
 * together, and wrap.
 */
struct vas_device_queue_answer {
	uint32_t state; /* enum vas_device_queue_state */
	uint32_t base;	/* where it stands, once it has stopped */
	struct vas_device_counters counters;
	/*
	 * Behind an IOMMU, of one of its threads: the unmaps, grant << 32 | count, before the
	 * section began that it is in; 0: it is in none.
	 */
	uint64_t section;
	uint64_t pad;
};

/* The provider's half. */
struct vas_device_answer {
	uint64_t answered; /* grant << 32 | change: all of that holds */
	uint32_t released; /* the grant that the provider has given back */
	uint32_t pad0;
	uint8_t kept[VAS_DEVICE_KEPT_SIZE]; /* the provider's own, for its successor */
	struct vas_device_queue_answer queues[VAS_DEVICE_MAX_QUEUES];
	uint64_t unmapped; /* grant << 32 | count: what these unmaps took away is used no more */
	uint32_t sections; /* the grant in which nothing is used but in these sections */
	uint32_t pad1[13];
};

struct vas_device_entry {
	/* One more at each change. Its lowest bit: which of told holds; the other is next. */
	uint32_t sequence;
	uint32_t pad0;
	uint64_t unmaps; /* the owner's: grant << 32 | count, of the last one */
	uint8_t pad3[48];
	struct vas_device_told told[2];
	uint8_t pad2[3 * 4096 - 64 - 2 * sizeof(struct vas_device_told)];
	struct vas_device_answer answer;
	uint8_t pad1[2 * 4096 - sizeof(struct vas_device_answer)];
	uint8_t inflight[VAS_DEVICE_MAX_QUEUES][VAS_DEVICE_INFLIGHT_SIZE];
};

VAS_FORMAT_ASSERT(sizeof(struct vas_device_queue_told) == 64);
VAS_FORMAT_ASSERT(sizeof(struct vas_device_told) == 128 + VAS_DEVICE_MAX_QUEUES * 64);
VAS_FORMAT_ASSERT(sizeof(struct vas_device_queue_answer) == 64);
VAS_FORMAT_ASSERT(sizeof(struct vas_device_entry) == VAS_DEVICE_SIZE);

/*
 * The owner's copy goes out: all of it, or, should the owner die meanwhile, nothing. Of the shared
 * half, only the sequence is looked at.
 */
void vas_device_publish(struct vas_device_entry *entry, const struct vas_device_told *told);

/*
 * A private copy of what the owner tells, whole and checked: 0. -ENOENT: the entry is free, or
 * makes no sense; -EAGAIN: it never stood still.
 */
int vas_device_copy(const struct vas_device_entry *entry, struct vas_device_told *told);

/* What the owner tells makes sense by itself. */
bool vas_device_told_is_valid(const struct vas_device_told *told);

/* The change is in effect; earlier ones are, too. The caller wakes `answer`. */
void vas_device_answer_change(struct vas_device_entry *entry, uint32_t grant, uint32_t change);

/* The provider serves no more, though it lives. The caller wakes `answer`. */
void vas_device_release(struct vas_device_entry *entry, uint32_t grant);
bool vas_device_is_released(const struct vas_device_entry *entry, uint32_t grant);

/* Has the provider of this grant answered this change, or a later one? */
bool vas_device_has_answered(const struct vas_device_entry *entry, uint32_t grant, uint32_t change);

/* The same of unmaps, by their count. */
void vas_device_answer_unmap(struct vas_device_entry *entry, uint32_t grant, uint32_t count);
bool vas_device_has_unmapped(const struct vas_device_entry *entry, uint32_t grant, uint32_t count);

/*
 * What is behind an IOMMU without a message. The owner counts its unmaps in `unmaps`, and a section
 * begins only where all of them were done: lib/iommu/view.c: vas_iommu_enter(). Each looks at the
 * other's after a full fence: the owner sees the section, or whoever begins it sees the count.
 */
#define VAS_DEVICE_UNMAPS(grant, count) ((uint64_t)(grant) << 32 | (count))

/* `seen` is of the same grant, and as far. */
static inline bool vas_device_unmaps_reach(uint64_t seen, uint64_t unmaps)
{
	return seen >> 32 == unmaps >> 32 && (int32_t)((uint32_t)seen - (uint32_t)unmaps) >= 0;
}

void vas_device_tell_unmaps(struct vas_device_entry *entry, uint64_t unmaps);

/* Nobody uses what these took away. False: an answer will say so, or a death. */
bool vas_device_has_no_section(const struct vas_device_entry *entry, uint64_t unmaps);

/* From now on, in this grant, sections are told. */
void vas_device_share_sections(struct vas_device_entry *entry, uint32_t grant);

#endif
