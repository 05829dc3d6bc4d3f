// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The two halves of a device's entry. model/device.pml.
 *
 * Order: the owner's half is two copies of which a sequence says which holds, so that an owner may
 * die while it writes the other. An answer is stored (release) after what it says was done; who
 * loads it (acquire) sees that.
 */
#include <linux/errno.h>

#include "core/protocol/device.h"

#define MAX_TRIES 100

/* ---- words that others write -------------------------------------------------------------- */

static void words_fetch(void *to, const void *shared, uint64_t size)
{
	const uint64_t *from = (const uint64_t *)shared;
	uint64_t *words = (uint64_t *)to, i;

	for (i = 0; i < size / sizeof(*words); i++)
		words[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

static void words_store(void *shared, const void *from, uint64_t size)
{
	const uint64_t *words = (const uint64_t *)from;
	uint64_t *to = (uint64_t *)shared, i;

	for (i = 0; i < size / sizeof(*words); i++)
		__atomic_store_n(&to[i], words[i], __ATOMIC_RELAXED);
}

/* ---- the owner's half --------------------------------------------------------------------- */

static bool queue_is_valid(const struct vas_device_told *told,
			   const struct vas_device_queue_told *queue)
{
	return queue->size <= told->queue_size && !(queue->flags & ~VAS_DEVICE_QUEUE_KNOWN);
}

bool vas_device_told_is_valid(const struct vas_device_told *told)
{
	uint32_t i;

	if (told->state == VAS_DEVICE_NONE || told->state > VAS_DEVICE_ORPHANED || !told->kind ||
	    !told->name[0] || told->name[VAS_REGION_NAME_LEN - 1] ||
	    told->accepted & ~told->offered)
		return false;
	if (told->nr_queues > VAS_DEVICE_MAX_QUEUES || told->queue_size > VAS_DEVICE_QUEUE_SIZE)
		return false;
	for (i = 0; i < told->nr_queues; i++)
		if (!queue_is_valid(told, &told->queues[i]))
			return false;
	return true;
}

void vas_device_publish(struct vas_device_entry *entry, const struct vas_device_told *told)
{
	uint32_t next = __atomic_load_n(&entry->sequence, __ATOMIC_RELAXED) + 1;

	/* The last change before this one is written: pairs with the fence in vas_device_copy(). */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	words_store(&entry->told[next & 1], told, sizeof(*told));
	__atomic_store_n(&entry->sequence, next, __ATOMIC_RELEASE);
}

int vas_device_copy(const struct vas_device_entry *entry, struct vas_device_told *told)
{
	int tries;

	for (tries = 0; tries < MAX_TRIES; tries++) {
		uint32_t sequence = __atomic_load_n(&entry->sequence, __ATOMIC_ACQUIRE);

		words_fetch(told, &entry->told[sequence & 1], sizeof(*told));
		/* The copy before the second look: pairs with the fence in vas_device_publish(). */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&entry->sequence, __ATOMIC_RELAXED) == sequence)
			return vas_device_told_is_valid(told) ? 0 : -ENOENT;
	}
	return -EAGAIN;
}

/* ---- the provider's half ------------------------------------------------------------------ */

static void answer(uint64_t *word, uint32_t grant, uint32_t count)
{
	__atomic_store_n(word, VAS_DEVICE_UNMAPS(grant, count), __ATOMIC_RELEASE);
}

static bool has_answered(const uint64_t *word, uint32_t grant, uint32_t count)
{
	return vas_device_unmaps_reach(__atomic_load_n(word, __ATOMIC_ACQUIRE),
				       VAS_DEVICE_UNMAPS(grant, count));
}

void vas_device_answer_change(struct vas_device_entry *entry, uint32_t grant, uint32_t change)
{
	answer(&entry->answer.answered, grant, change);
}

void vas_device_release(struct vas_device_entry *entry, uint32_t grant)
{
	__atomic_store_n(&entry->answer.released, grant, __ATOMIC_RELEASE);
}

bool vas_device_is_released(const struct vas_device_entry *entry, uint32_t grant)
{
	return __atomic_load_n(&entry->answer.released, __ATOMIC_ACQUIRE) == grant;
}

bool vas_device_has_answered(const struct vas_device_entry *entry, uint32_t grant, uint32_t change)
{
	return has_answered(&entry->answer.answered, grant, change);
}

void vas_device_answer_unmap(struct vas_device_entry *entry, uint32_t grant, uint32_t count)
{
	answer(&entry->answer.unmapped, grant, count);
}

bool vas_device_has_unmapped(const struct vas_device_entry *entry, uint32_t grant, uint32_t count)
{
	return has_answered(&entry->answer.unmapped, grant, count);
}

/* ---- sections ----------------------------------------------------------------------------- */

void vas_device_tell_unmaps(struct vas_device_entry *entry, uint64_t unmaps)
{
	__atomic_store_n(&entry->unmaps, unmaps, __ATOMIC_RELEASE);
}

void vas_device_share_sections(struct vas_device_entry *entry, uint32_t grant)
{
	__atomic_store_n(&entry->answer.sections, grant, __ATOMIC_RELEASE);
}

/*
 * The count, then the sections: partner of the fence is lib/iommu/view.c: try_enter(). Acquire:
 * what a section did that has ended is seen.
 */
bool vas_device_has_no_section(const struct vas_device_entry *entry, uint64_t unmaps)
{
	uint32_t i;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&entry->answer.sections, __ATOMIC_ACQUIRE) != unmaps >> 32)
		return false;
	for (i = 0; i < VAS_DEVICE_MAX_QUEUES; i++) {
		uint64_t section =
			__atomic_load_n(&entry->answer.queues[i].section, __ATOMIC_ACQUIRE);

		if (section && !vas_device_unmaps_reach(section, unmaps))
			return false;
	}
	return true;
}
