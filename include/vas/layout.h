/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The layout: which ranges of guest-physical addresses have memory, and where its bytes are.
 * Everyone reads it; the owner changes it.
 */
#ifndef VAS_LAYOUT_H
#define VAS_LAYOUT_H

#include <vas/handle.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vas_layout; /* a change of the layout that is being put together */

/* For vas_layout_add(): offset = gpa. */
#define VAS_OFFSET_GPA UINT64_MAX

/*
 * A range of guest memory, and where its bytes are. A byte of a backing is in one region, or all of
 * them but one say VAS_REGION_ALIAS: so an offset that was forgotten is no second name of other
 * memory. The dirty log is by gpa: what is written by one name is marked under that name alone.
 */
struct vas_region {
	uint64_t gpa;	  /* aligned to the backing's page size */
	uint64_t size;	  /* aligned likewise, not 0 */
	uint64_t offset;  /* in the backing, aligned likewise; or VAS_OFFSET_GPA */
	uint32_t backing; /* 0: the vas's RAM */
	uint32_t flags;	  /* VAS_REGION_* */
	uint64_t id;	  /* chosen by the library; ignored by vas_layout_add() */
	void *hva; /* VAS_REGION_LOCAL: the memory, which must outlive the region; else NULL */
	char name[VAS_REGION_NAME_LEN];
};

/*
 * The layout as this handle sees it now, sorted by gpa. Stores up to nr regions and returns how
 * many there are. Regions of another process's local memory have hva NULL.
 */
VAS_API ssize_t vas_regions(struct vas *vas, struct vas_region *regions, size_t nr);

/* The region that holds gpa, or that has the id. -ENOENT: there is none. */
VAS_API int vas_region_at(struct vas *vas, uint64_t gpa, struct vas_region *region);
VAS_API int vas_region_by_id(struct vas *vas, uint64_t id, struct vas_region *region);

/*
 * A change of the layout is a transaction of the owner: begin, any number of changes, then commit
 * or abort in the same thread. Both free the layout. One transaction at a time: begin of another
 * thread waits for the end.
 *
 * vas_layout_begin: -EPERM: not the owner. -EDEADLK: the thread is in a section. -EAGAIN: lazy
 * pages are not all filled.
 *
 * Each change is checked when it is made. One that fails changes nothing; vas_error() says which
 * argument it is, and why. -EINVAL: alignment, size, flags, or not below the limit or within the
 * backing. -EEXIST: overlaps a region, or has bytes of a backing that another has and neither says
 * VAS_REGION_ALIAS. -ENOSPC: max_regions are there. -ENOENT: no such id. -EBADF: no such backing.
 * vas_layout_add() stores the new region's id in *id, which may be NULL.
 */
VAS_API int vas_layout_begin(struct vas *vas, struct vas_layout **layout);
VAS_API int vas_layout_add(struct vas_layout *layout, const struct vas_region *region,
			   uint64_t *id);
VAS_API int vas_layout_remove(struct vas_layout *layout, uint64_t id);
VAS_API int vas_layout_resize(struct vas_layout *layout, uint64_t id, uint64_t size);
VAS_API int vas_layout_move(struct vas_layout *layout, uint64_t id, uint64_t gpa);
VAS_API void vas_layout_abort(struct vas_layout *layout);

enum vas_blocker_kind {
	VAS_BLOCKER_NONE,
	VAS_BLOCKER_SECTION,
	VAS_BLOCKER_PIN,
	VAS_BLOCKER_CONSUMER,
	VAS_BLOCKER_BINDER /* vas_ram_seal() */
};

/* Who kept a change, a freeze or a seal from happening. */
struct vas_blocker {
	enum vas_blocker_kind kind;
	uint32_t pid; /* as it reports */
	uint32_t tid;
	uint64_t gpa; /* the range: a pin's, or what the change takes away */
	uint64_t size;
	/* Of the process; of the consumer, or of whom it waited for: a kernel module, say. */
	char name[VAS_REGION_NAME_LEN];
};

#define VAS_TIMEOUT_DEFAULT_NS 1000000000ull

/*
 * Make the change, for everyone or for no one. Consumers are asked first. Then the new layout is
 * published, holders of mappings in ranges that go away are asked to destroy them, and the call
 * waits up to timeout_ns until no section uses the old layout. Memory of the vas's own file that no
 * region names any more is given back to the system.
 *
 * -EBUSY: the time is over. The old layout is in force again, and *blocker (may be NULL) says who
 * was in the way. Memory that the failed change added may still be in use until a later commit
 * succeeds; one without changes will do. Any other error is a consumer's refusal. The layout is
 * always freed.
 */
VAS_API int vas_layout_commit(struct vas_layout *layout, uint64_t timeout_ns,
			      struct vas_blocker *blocker);

/*
 * Give the memory of a range back to the system, as the owner: it reads as zeros from then on,
 * which counts as written. What a balloon device does. The range is aligned to the backing's pages.
 *
 * -EPERM: not the owner. -EINVAL: not aligned. -EFAULT: a hole. -EBUSY: a consumer pins memory, and
 * *blocker (may be NULL) says which. -EAGAIN: frozen, or lazy pages are not all filled.
 * -EOPNOTSUPP: local memory, or a backing that cannot.
 */
VAS_API int vas_discard(struct vas *vas, uint64_t gpa, uint64_t len, struct vas_blocker *blocker);

/*
 * Make a template of a vas whose RAM is apart (VAS_CREATE_RAM_APART), as the owner: nobody can ever
 * write the RAM again, by whatever fd or map. All its regions are read-only from then on, here and
 * for who binds later. It can be done while nobody has the RAM mapped for writing: so binders have
 * to unbind first. Observers may stay. A peer with a map of its own, or one that has sealed the
 * file already, can keep it from happening, and no more.
 *
 * -EBUSY: somebody may have it mapped, and *blocker (may be NULL) says who as far as binders and
 * pins tell. -EPERM: not the owner, or sealed already. -EOPNOTSUPP: RAM is not apart. -EAGAIN: lazy
 * pages are not all filled. -ENXIO: an adopter without the RAM's fd.
 */
VAS_API int vas_ram_seal(struct vas *vas, struct vas_blocker *blocker);

/* One change: begin, change, and commit with VAS_TIMEOUT_DEFAULT_NS. Errors as in the three. */
VAS_API int vas_region_add(struct vas *vas, const struct vas_region *region, uint64_t *id);
VAS_API int vas_region_remove(struct vas *vas, uint64_t id);
VAS_API int vas_region_resize(struct vas *vas, uint64_t id, uint64_t size);
VAS_API int vas_region_move(struct vas *vas, uint64_t id, uint64_t gpa);

/* ---- backings ----------------------------------------------------------------------------- */

/*
 * Make a further file usable as a backing; returns its number, 1 to 63. The fd is duplicated. A
 * memfd sealed against shrinking is best. Any other file is accepted and marked
 * VAS_BACKING_UNSEALED: its pages may fail, which is then an error of the access. The file is the
 * owner's choice, and waited for: of an fd from somebody else, ask F_GET_SEALS first. -EPERM: not
 * the owner. -ENOSPC: the table of backings is full.
 */
VAS_API int vas_backing_add(struct vas *vas, int fd);

/*
 * The same with a new memfd of `size` bytes, sealed against any change of that: memory in a file of
 * its own, which is what vas_share() can give to a peer that is to see nothing else. name is
 * informational (NULL: none); flags: 0 or VAS_CREATE_HUGETLB. Nothing is allocated before it is
 * touched.
 *
 * -EINVAL: flags or size. -EPERM: not the owner. -ENOSPC: the table of backings is full. -ENOMEM,
 * -EMFILE, -EFBIG: as vas_create().
 */
VAS_API int vas_backing_create(struct vas *vas, const char *name, uint64_t size, uint32_t flags);

/*
 * Remove a backing; its number may be used again. -EBUSY: regions lie in it. -ENOENT: no such
 * backing. -EPERM: not the owner.
 */
VAS_API int vas_backing_remove(struct vas *vas, uint32_t backing);

/*
 * A backing's fd, which belongs to the handle; of 0, the file with the RAM. -ENXIO: this process
 * does not have it.
 */
VAS_API int vas_backing_fd(const struct vas *vas, uint32_t backing);

/*
 * Give this handle the fd of a backing that the layout names; of 0, if the RAM is apart. Device,
 * inode, size and seals are compared with the table; returns the backing's number, or -ENOENT. The
 * fd is duplicated.
 *
 * -EPERM: it is no memfd and in no tmpfs or hugetlbfs. Whoever chose it may serve its file system
 * (FUSE), where any call may wait for ever; VAS_BIND_PLAIN_FILES trusts peers with that.
 */
VAS_API int vas_backing_offer(struct vas *vas, int fd);

#ifdef __cplusplus
}
#endif

#endif
