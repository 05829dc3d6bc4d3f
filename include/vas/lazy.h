/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Memory that arrives as it is touched: what a lazy restore is made of. The owner commits a layout
 * whose pages a source has, and everyone may work at once:
 *
 *	who touches a page			how the page comes before it is touched
 *	libvas, in any process			asks the owner, and waits: in vas_translate(), vas_read(),
 *						vas_mapping_create() and so on
 *	an observer				cannot ask: waits for it to come by itself
 *	KVM and vhost of the owner's process	by userfaultfd: vas_lazy_register()
 *	vas.ko					does not bind before all is there: -EBUSY
 *	anyone else's mmap(), read(), write()	NOT AT ALL: finds zeros, and what is written is lost
 *	of the bare fd
 *
 * If the owner dies first, pages that had not come are -EIO to everyone who asks, not zeros. While
 * pages are to come the layout cannot change and the vas cannot be handed over; VAS_STATE_LAZY
 * in vas_info says that it is so.
 */
#ifndef VAS_LAZY_H
#define VAS_LAZY_H

#include <vas/vas.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Where the pages come from; embedded in the caller's own struct. fetch brings the 64 pages from gpa
 * on (256 KiB aligned): page n, if it has bytes, to pages + n * 4096, and bit n of *bits is set.
 * -errno: they cannot be had, which is for good. Called from any thread of the process, the library's
 * own too, one call at a time, and it must not use the vas. end is called once, when there will be no further call: with the last page, or with the
 * handle's end.
 */
struct vas_source {
	int (*fetch)(struct vas_source *source, uint64_t gpa, void *pages, uint64_t *bits);
	void (*end)(struct vas_source *source);
};

/* Nothing comes by itself: pages that nobody touches never take memory. */
#define VAS_LAZY_ON_TOUCH 1u

/*
 * Commit a layout, the vas's first, whose pages in `words` (sorted by gpa, each once) the source
 * has; all other pages are zero. The layout is freed and the source ends, whatever the result.
 * -EOPNOTSUPP: a region is not in the vas's own file, or its pages are not of 4 KiB; -EINVAL: not
 * the first layout; -ENOSPC: all trackers are in use; -EBUSY: a consumer pins memory; -ENOMEM; else
 * as vas_layout_commit().
 */
VAS_API int vas_layout_commit_lazy(struct vas_layout *layout, struct vas_source *source,
				   const struct vas_dirty_word *words, size_t nr, uint32_t flags);

/*
 * Wait until all pages are there; with ON_TOUCH they are made to come. 0; -EIO: some never will, or
 * the owner is gone; -ETIMEDOUT.
 */
VAS_API int vas_lazy_wait(struct vas *vas, uint64_t timeout_ns);

/*
 * The first page in [*gpa, end) that is still to come: 1, and *gpa is its address; 0, and *gpa is end:
 * none. What is not to come is in the file already, or zero: ask this before the file, for pages go
 * from the one to the other. -EPROTO: the control area is damaged.
 */
VAS_API int vas_lazy_next(struct vas *vas, uint64_t *gpa, uint64_t end);

/*
 * For a consumer that gives somebody addresses of its own mapping of the vas's file, who asks nobody
 * (KVM): faults there, in this process or in the kernel on its behalf, fetch the page. [hva, +size)
 * shows the file from `offset` on. Before it may be touched; and the reverse before it is unmapped.
 * Does nothing where all pages are there. -EPERM: userfaultfd is not to be had.
 */
VAS_API int vas_lazy_register(struct vas *vas, void *hva, uint64_t size, uint64_t offset);
VAS_API void vas_lazy_unregister(struct vas *vas, void *hva);

#ifdef __cplusplus
}
#endif

#endif
