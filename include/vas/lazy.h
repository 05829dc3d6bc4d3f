/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Lazy memory: pages that are filled when they are touched, as in post-copy; what a lazy restore is
 * made of. The owner commits a layout whose pages a source has, and everyone may work at once:
 *
 *	who touches a page			how the page is filled first
 *	libvas, in any process			asks the owner, and waits: in vas_translate(),
 *						vas_read(), vas_mapping_create() and so on
 *	an observer				cannot ask: waits until it is filled anyway
 *	KVM and vhost of the owner's process	by userfaultfd: vas_lazy_register()
 *	vas.ko					does not bind before all are filled: -EBUSY
 *	mmap(), read(), write() of the bare fd	NOT AT ALL: finds zeros, and a write is lost
 *
 * If the owner dies first, pages that are not filled are -EIO for everyone, not zeros. Until all
 * are filled the layout cannot change and the vas cannot be handed over; vas_info shows
 * VAS_STATE_LAZY.
 */
#ifndef VAS_LAZY_H
#define VAS_LAZY_H

#include <vas/vas.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Where the pages come from; embedded in the caller's own struct, and alive until `end` is called.
 */
struct vas_source {
	/*
	 * Fetch the 64 pages from gpa on, which is 256 KiB aligned: page n goes to pages + n * 4096
	 * and sets bit n of *bits; a page without the bit is zero. A negative errno means that they
	 * failed, for good. Called from any thread of the process, the library's own too, one call
	 * at a time. It must not use the vas.
	 */
	int (*fetch)(struct vas_source *source, uint64_t gpa, void *pages, uint64_t *bits);
	/* There will be no further call: all pages are filled, or the handle ends. Called once. */
	void (*end)(struct vas_source *source);
};

#define VAS_LAZY_ON_TOUCH 1u /* fill only what is touched: other pages never take memory */

/*
 * Commit a layout, the vas's first. The source has the pages in `words`, which are sorted by gpa,
 * each once; all other pages are zero. The layout is freed in any case; on an error the source is
 * ended.
 *
 * -EINVAL: not the first layout, the words, or VAS_CREATE_RESERVE. -EOPNOTSUPP: a region is not in
 * the vas's own file, or its pages are not of 4 KiB. -ENOSPC: all trackers are in use. -EBUSY: a
 * consumer pins memory. -ENOMEM. Else as vas_layout_commit().
 */
VAS_API int vas_layout_commit_lazy(struct vas_layout *layout, struct vas_source *source,
				   const struct vas_dirty_word *words, size_t nr, uint32_t flags);

/*
 * Wait, at most timeout_ns, until all pages are filled; with VAS_LAZY_ON_TOUCH, fill them all.
 * -EIO: some failed, or the owner is gone. -ETIMEDOUT.
 */
VAS_API int vas_lazy_wait(struct vas *vas, uint64_t timeout_ns);

/*
 * The first page in [*gpa, end) that is not filled yet: returns 1, and *gpa is its address; or 0,
 * and *gpa is end. A page that is filled is in the file, or zero: ask this before the file, for
 * pages go from the one to the other. -EPROTO: the control area is damaged.
 */
VAS_API int vas_lazy_next(struct vas *vas, uint64_t *gpa, uint64_t end);

/*
 * For a consumer with a mapping of the vas's file of its own, whose user cannot ask for pages
 * (KVM): faults there, in this process or in the kernel on its behalf, fill the page. [hva, hva +
 * size) shows the file from `offset` on. Register before anybody touches it, unregister before it
 * is unmapped. Does nothing if all pages are filled. -EPERM: this process may not use userfaultfd.
 */
VAS_API int vas_lazy_register(struct vas *vas, void *hva, uint64_t size, uint64_t offset);
VAS_API void vas_lazy_unregister(struct vas *vas, void *hva);

#ifdef __cplusplus
}
#endif

#endif
