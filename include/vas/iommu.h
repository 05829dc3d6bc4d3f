/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What one device sees of guest memory through an IOMMU: a *view*, which says for an iova which gpa
 * it stands for, and whether the device may read and write there. It lies over the layout: the gpa
 * is translated as any other, by a vas or by whatever memory there is.
 *
 *	owner						device, a slot for each thread
 *	vas_iommu_view_create()				vas_iommu_slot_claim()
 *	vas_iommu_map(view, iova, size, gpa, prot)	vas_iommu_enter(slot)
 *	vas_iommu_unmap(view, iova, size)		vas_iommu_translate(slot, iova, prot, ...)
 *	vas_iommu_invalidate(view, timeout_ns)		... reaches memory ...
 *							vas_iommu_leave(slot)
 *
 * The owner is whoever knows the guest's page tables: an emulated IOMMU, or a front end that has
 * one. A view holds what the device was told of them, as a TLB does: what is not there is a miss,
 * which the device asks the owner for. An entry may go at any time, and is asked for again.
 *
 * A device reaches memory by an iova in a section of its slot only. vas_iommu_invalidate() waits
 * for the sections of this view, and for nobody else's. When it has returned 0, nothing that was
 * unmapped before is used any more. A section that goes on for long makes the owner, and with it
 * the guest, wait: vas_iommu_has_moved() tells that it should end.
 *
 * All of it is in one process. Owner's calls may come from any thread, and from several at once. A
 * slot is used by one thread at a time.
 */
#ifndef VAS_IOMMU_H
#define VAS_IOMMU_H

#include <vas/handle.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vas_iommu_view;
struct vas_iommu_slot;

/* What a device may do, or wants to. */
#define VAS_IOMMU_READ	1u
#define VAS_IOMMU_WRITE 2u

/* With these, in the prot that miss() is given: more questions follow, to be sent together. */
#define VAS_IOMMU_MORE 4u

#define VAS_IOMMU_MAX_ENTRIES 65536u
#define VAS_IOMMU_MAX_SLOTS   4096u

struct vas_iommu_options {
	uint32_t max_entries; /* 1 to VAS_IOMMU_MAX_ENTRIES; each takes 150 bytes */
	uint32_t nr_slots;    /* 1 to VAS_IOMMU_MAX_SLOTS */
	uint64_t miss_ns;     /* how long a device waits for the answer to a miss */

	/*
	 * A device wants to use `iova`, and may not, or not in this way. Have it mapped, before
	 * this returns or later, by any thread; or say vas_iommu_refuse(). Called in the device's
	 * thread, inside or outside of a section: it must not wait for one. -EAGAIN: the owner
	 * cannot be asked now. -EALREADY: it is being asked for that iova, for somebody else; if
	 * that is refused this is called again. Any other error: the answer is no. NULL: it is
	 * always no. With VAS_IOMMU_MORE in prot nobody waits for it yet: vas_iommu_ask_ahead().
	 */
	int (*miss)(void *owner, uint64_t iova, uint32_t prot);
	void *owner;
};

/*
 * A view with no entries. -EINVAL: an option is out of bounds. -ENOMEM. Before its end all slots
 * are released; NULL is allowed.
 */
VAS_API int vas_iommu_view_create(const struct vas_iommu_options *options,
				  struct vas_iommu_view **view);
VAS_API void vas_iommu_view_destroy(struct vas_iommu_view *view);

/* ---- for the owner ------------------------------------------------------------------------ */

/*
 * Let the device use [iova, iova + size), which may end with the address space, as [gpa, gpa +
 * size). There is no alignment to keep. Where there is a map already nothing changes; it is no
 * error if that says the same. A device that has asked for some of the range is woken.
 *
 * A change of what is mapped is an unmap, an invalidation, and a map. Who answers a miss from
 * tables that others change sees to it that maps and unmaps come in the order of those changes.
 *
 * -EINVAL: size is 0, a range wraps, or prot is none. -EEXIST: another map is in the way. -ENOSPC:
 * all entries are in use: unmap some.
 */
VAS_API int vas_iommu_map(struct vas_iommu_view *view, uint64_t iova, uint64_t size, uint64_t gpa,
			  uint32_t prot);

/*
 * From now on no translation finds the range, up to the end of the address space where it is longer
 * or size is 0. Maps go as a whole, also those of which a part is outside of it. What was
 * translated before may still be in use: see vas_iommu_invalidate(). Never fails.
 */
VAS_API void vas_iommu_unmap(struct vas_iommu_view *view, uint64_t iova, uint64_t size);

/*
 * Wait until each section has ended that may use what was unmapped before this call; where that is
 * nothing, there is nothing to wait for. Not to be called inside of one. -ETIMEDOUT: a slot's
 * section has not ended in timeout_ns, and may still reach what was unmapped.
 */
VAS_API int vas_iommu_invalidate(struct vas_iommu_view *view, uint64_t timeout_ns);

/* Misses of this iova that are not answered yet are answered: there is no such memory. */
VAS_API void vas_iommu_refuse(struct vas_iommu_view *view, uint64_t iova);

/* ---- for the device ----------------------------------------------------------------------- */

/* -EBUSY: all slots are claimed. -EMFILE, -ENOMEM: no eventfd could be had. */
VAS_API int vas_iommu_slot_claim(struct vas_iommu_view *view, struct vas_iommu_slot **slot);
VAS_API void vas_iommu_slot_release(struct vas_iommu_slot *slot); /* outside of a section */

/*
 * Begin and end a section, in which translations hold. Sections of one slot do not nest. -EAGAIN,
 * only with a view of vas_provider_view(): it has waited for a millisecond, and
 * vas_provider_look() comes first.
 */
VAS_API int vas_iommu_enter(struct vas_iommu_slot *slot);
VAS_API void vas_iommu_leave(struct vas_iommu_slot *slot);

/* 1: somebody waits for the section to end, or could. 0: nothing was invalidated since it began. */
VAS_API int vas_iommu_has_moved(const struct vas_iommu_slot *slot);

/* A number of the section: between two with the same one nothing was invalidated. Never 0. */
VAS_API uint64_t vas_iommu_generation(const struct vas_iommu_slot *slot);

/*
 * In a section: the gpa of an iova, and in *len, which says how much is wanted and is not 0, how
 * much of that is contiguous there by one entry. -EFAULT: it is not mapped. -EACCES: it is, but not
 * for all of prot. Both are misses.
 */
VAS_API int vas_iommu_translate(struct vas_iommu_slot *slot, uint64_t iova, uint32_t prot,
				uint64_t *len, uint64_t *gpa);

/*
 * Ask the owner for what was a miss, without waiting. A slot has one question at a time; the next
 * one, for another iova or prot, is put in its place. 0: it was answered: translate again.
 * -EINPROGRESS: it is not yet, and vas_iommu_slot_fd() will be readable when it is: ask again then,
 * or after a while. -EAGAIN: the owner cannot be asked now. -EFAULT: the owner says no, or its
 * answers are none. -ETIMEDOUT: it has not answered in miss_ns.
 */
VAS_API int vas_iommu_ask(struct vas_iommu_slot *slot, uint64_t iova, uint32_t prot);

/* A question that is worth putting. */
struct vas_iommu_want {
	uint64_t iova;
	uint32_t prot;
};

/*
 * Have the owner asked for those of nr wants that are not mapped, all at once: they will be
 * translated soon. Nobody is told of the answers: who needs one asks, and waits. 0, or what the
 * owner has said of the last one, but not -EALREADY.
 */
VAS_API int vas_iommu_ask_ahead(struct vas_iommu_slot *slot, const struct vas_iommu_want *wants,
				uint32_t nr);

/* An eventfd, the slot's, to be polled and not to be read. */
VAS_API int vas_iommu_slot_fd(const struct vas_iommu_slot *slot);

/* Outside of sections: ask, and wait for the answer. 0, -EFAULT or -ETIMEDOUT. */
VAS_API int vas_iommu_fault(struct vas_iommu_slot *slot, uint64_t iova, uint32_t prot);

#ifdef __cplusplus
}
#endif

#endif
