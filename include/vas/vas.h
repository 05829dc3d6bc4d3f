/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * vas: a guest's address space as a file descriptor.
 *
 * A vas is a sealed memfd that holds guest RAM and a table of regions; vas-format(5) has its bytes.
 * One process owns it (makes the layout), any number bind to it by fd, and whoever has only a
 * read-only fd observes.
 *
 * Throughout: gpa is a guest-physical address, len and size are bytes, *_ns nanoseconds on
 * CLOCK_MONOTONIC. Functions return 0 (or a count, where said) or a negative errno, never touch
 * errno, never print, never exit; vas_error() has the last failure's story. Every function may be
 * called from any thread, on one handle at once, unless its comment says otherwise; none is safe in
 * a signal handler.
 */
#ifndef VAS_VAS_H
#define VAS_VAS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <vas/format.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VAS_API __attribute__((visibility("default")))

struct vas;	    /* a handle: one process's tie to one vas, as owner, binder or observer */
struct vas_layout;  /* a change of the layout that is being put together */
struct vas_mapping; /* a long-lived map of a range */

/*
 * The story of this thread's last failed call: one sentence that says what was wrong and what to
 * do, "" before the first. Valid until the thread's next failing call. Never NULL.
 */
VAS_API const char *vas_error(void);

/* The library's version, "major.minor.patch". */
VAS_API const char *vas_version(void);

/* ---- create, bind, adopt ------------------------------------------------------------------ */

#define VAS_CREATE_HUGETLB 1u /* 2 MiB hugetlb pages: regions are aligned to them */
#define VAS_CREATE_THP	   2u /* advise transparent huge pages on every map of the file */
#define VAS_CREATE_RESERVE \
	4u		    /* allocate a region's memory as it is added: ENOMEM there, not later */
#define VAS_CREATE_FENCE 8u /* do without membarrier: sections cost a full fence */

/* What to create. Zero means the default throughout, and reserved fields must be zero. */
struct vas_options {
	uint64_t limit;	   /* the first gpa that can never be used; multiple of the page size */
	uint64_t ram_size; /* file bytes for RAM; 0: limit, the file is sparse and offset = gpa */
	const char *name;  /* up to 63 bytes, for people; NULL: none */
	uint32_t flags;	   /* VAS_CREATE_* */
	uint32_t max_regions; /* 0: 32768, or 4096 on hugetlb */
	uint32_t nr_slots;    /* threads in all processes that may be bound at once; 0: 4096 */
	uint32_t reserved[7];
};

/*
 * Make a vas and own it. *vas is the handle; the vas itself lives as long as any fd or map of it
 * does, in any process.
 * -EINVAL: options; -ENOMEM, -EMFILE, -EFBIG (RLIMIT_FSIZE): as from memfd_create and ftruncate.
 */
VAS_API int vas_create(const struct vas_options *options, struct vas **vas);

#define VAS_BIND_OBSERVE   1u  /* read only, leaves no trace; implied by a read-only fd */
#define VAS_BIND_ADOPT	   2u  /* own it, if its owner is gone; -EBUSY if not */
#define VAS_BIND_NO_WINDOW 4u  /* do not reserve address space: sorted map only */
#define VAS_BIND_NO_SIGBUS 8u  /* install no SIGBUS handler; see vas_handle_sigbus() */
#define VAS_BIND_FENCE	   16u /* this process's sections cost a full fence, not a membarrier */

/*
 * Bind to the vas behind fd, checking its seals, size, superblock and layout first. The fd is not
 * kept: the handle has an open file description of its own, and the caller closes fd when it likes.
 * Regions in further backings are out of reach (-ENXIO on access) until vas_backing_offer() or
 * vas_recv_fds() brings their fds.
 * -EPERM: seals are missing; -EPROTO: not a vas, or a damaged one; -EOPNOTSUPP: a required feature
 * or version that is not known, or VAS_BIND_ADOPT in a process that membarrier is forbidden to;
 * -EAGAIN: no binder slot free; -ENOMEM.
 */
VAS_API int vas_bind(int fd, uint32_t flags, struct vas **vas);

/*
 * Own the vas that this handle is bound to, if its owner is gone: VAS_BIND_ADOPT for who is bound already,
 * such as a standby. Whoever was bound stays bound, and an observer cannot keep it from happening. No
 * other thread may be in a call on this handle. -EBUSY: the owner lives, or another was quicker; -EPERM:
 * an observer; else as vas_bind() with VAS_BIND_ADOPT.
 */
VAS_API int vas_adopt(struct vas *vas);

/*
 * Let go of the handle: unmaps everything, frees its slots and pins. No other thread may be in a
 * call on it, and every vas_mapping must be unmapped before. NULL is allowed. vas_destroy is the
 * owner's: it first withdraws every region, so that binders see an empty layout instead of an
 * ownerless one. An owner that calls vas_unbind leaves an ownerless vas that can be adopted.
 */
VAS_API void vas_unbind(struct vas *vas);
VAS_API void vas_destroy(struct vas *vas);

/* The handle's fd: read-write or read-only as the role is. Owned by the handle; dup() to keep it. */
VAS_API int vas_fd(const struct vas *vas);

/* A new O_CLOEXEC fd that can only read; an observer's ticket. The caller closes it. */
VAS_API int vas_readonly_fd(const struct vas *vas);

enum vas_role { VAS_ROLE_OBSERVER, VAS_ROLE_BINDER, VAS_ROLE_OWNER };

struct vas_info {
	char name[VAS_NAME_LEN];
	uint8_t uuid[16];
	uint64_t file_size;
	uint64_t ram_size;
	uint64_t limit;
	uint64_t generation;
	uint64_t owner_epoch;
	uint32_t page_size;
	uint32_t nr_regions;
	uint32_t nr_backings;
	uint32_t nr_binders; /* alive, this one included */
	uint32_t nr_threads; /* slots in use */
	uint32_t nr_pins;
	uint32_t nr_events;
	uint32_t state_flags; /* VAS_STATE_* */
	uint32_t owner_pid;   /* as the owner says; 0 if the vas has no living owner */
	/*
	 * Attached by the owner, as it says: "kvm,module"; "kvm!": it is out of step,
	 * <vas/consumer.h>.
	 */
	char consumers[VAS_CONSUMERS_LEN];
	enum vas_role role; /* of this handle */
	int has_window;
	uint64_t nr_lazy; /* pages that are still to come: <vas/lazy.h> */
};

/* A snapshot of facts, counted at the time of the call. */
VAS_API int vas_info(struct vas *vas, struct vas_info *info);

/* ---- layout ------------------------------------------------------------------------------- */

struct vas_region {
	uint64_t gpa;	  /* page aligned (to the backing's page size) */
	uint64_t size;	  /* page aligned, not 0 */
	uint64_t offset;  /* in the backing, page aligned */
	uint32_t backing; /* 0: the vas's file */
	uint32_t flags;	  /* VAS_REGION_* */
	uint64_t id;	  /* chosen by the library: ignored on add */
	void *hva; /* VAS_REGION_LOCAL: the memory, which must outlive the region. Else NULL */
	char name[VAS_REGION_NAME_LEN];
};

/*
 * The layout as this handle sees it now, sorted by gpa: up to nr regions are stored, and the number
 * that there are is returned. Regions of other processes' local memory have hva NULL.
 */
VAS_API ssize_t vas_regions(struct vas *vas, struct vas_region *regions, size_t nr);

/* The region that holds gpa, or with the id: 0 or -ENOENT. */
VAS_API int vas_region_at(struct vas *vas, uint64_t gpa, struct vas_region *region);
VAS_API int vas_region_by_id(struct vas *vas, uint64_t id, struct vas_region *region);

/*
 * Changes are transactions, for the owner only (-EPERM): begin, any number of changes, then commit
 * or abort in the same thread, both of which free the layout. One at a time: another thread's begin
 * waits for the end. Not inside a section (-EDEADLK), nor while pages are to come (-EAGAIN).
 * Each change is checked when it is made: -EINVAL (alignment, size, flags, beyond limit or backing),
 * -EEXIST (overlap with what the layout then holds), -ENOSPC (max_regions), -ENOENT (id), -EBADF
 * (backing). A failed change leaves the layout as it was before that change.
 */
VAS_API int vas_layout_begin(struct vas *vas, struct vas_layout **layout);
VAS_API int vas_layout_add(struct vas_layout *layout, const struct vas_region *region,
			   uint64_t *id);
VAS_API int vas_layout_remove(struct vas_layout *layout, uint64_t id);
VAS_API int vas_layout_resize(struct vas_layout *layout, uint64_t id, uint64_t size);
VAS_API int vas_layout_move(struct vas_layout *layout, uint64_t id, uint64_t gpa);
VAS_API void vas_layout_abort(struct vas_layout *layout);

/* Who was in the way of a change. */
struct vas_blocker {
	enum { VAS_BLOCKER_NONE, VAS_BLOCKER_SECTION, VAS_BLOCKER_PIN, VAS_BLOCKER_CONSUMER } kind;
	uint32_t pid; /* as it says */
	uint32_t tid;
	uint64_t gpa; /* the range that it holds: a pin's, or what the change takes away */
	uint64_t size;
	/* The process's; the consumer's, or of whom that was waiting for, a kernel module say. */
	char name[VAS_REGION_NAME_LEN];
};

#define VAS_TIMEOUT_DEFAULT_NS 1000000000ull

/*
 * Make the change real, for everyone or for no one. Consumers are asked first; then the new layout
 * is published, holders of long-lived maps in ranges that go away are asked to let go, and the call
 * waits until no section is inside the old one. All of that takes at most timeout_ns. Memory of the
 * vas's own file that no region holds any more is given back to the system.
 * -EBUSY: the deadline passed; the old layout stands again, and *blocker (may be NULL) says who. Memory
 * that the failed one brought may be in use still, until a commit succeeds; one that changes nothing will
 * do. Any other error is a consumer's refusal. The layout is freed whatever the result.
 */
VAS_API int vas_layout_commit(struct vas_layout *layout, uint64_t timeout_ns,
			      struct vas_blocker *blocker);

/*
 * Give the memory of a range back to the system, for the owner: it reads as zeros from then on,
 * which counts as written. What a balloon device does. Page aligned, to the backing's pages;
 * regions that hold some of it are not local, and holes are an error. -EPERM: not the owner;
 * -EINVAL: not aligned; -EFAULT: a hole; -EBUSY: a consumer pins memory, *blocker (may be NULL)
 * says which; -EAGAIN: frozen, or pages are still to come; -EOPNOTSUPP: a backing that cannot, or
 * local memory.
 */
VAS_API int vas_discard(struct vas *vas, uint64_t gpa, uint64_t len, struct vas_blocker *blocker);

/* One change, begun and committed with the default timeout. */
VAS_API int vas_region_add(struct vas *vas, const struct vas_region *region, uint64_t *id);
VAS_API int vas_region_remove(struct vas *vas, uint64_t id);
VAS_API int vas_region_resize(struct vas *vas, uint64_t id, uint64_t size);
VAS_API int vas_region_move(struct vas *vas, uint64_t id, uint64_t gpa);

/*
 * Make a further file usable as a backing: returns its number, 1 to 63. The fd is duplicated. A
 * memfd sealed against shrinking is best; any other file is taken with VAS_BACKING_UNSEALED set, and
 * its pages may fail. -EPERM: not the owner; -ENOSPC: the table is full.
 */
VAS_API int vas_backing_add(struct vas *vas, int fd);

/* Forget a backing; its number may come again. -EBUSY: regions lie in it; -ENOENT; -EPERM. */
VAS_API int vas_backing_remove(struct vas *vas, uint32_t backing);

/* A backing's fd: owned by the handle; -ENXIO if it is not at hand. */
VAS_API int vas_backing_fd(const struct vas *vas, uint32_t backing);

/*
 * Bring the fd of a backing that the layout names: device, inode, size and seals are compared with
 * the table, and the number of the backing is returned, or -ENOENT. The fd is duplicated.
 */
VAS_API int vas_backing_offer(struct vas *vas, int fd);

/* ---- access ------------------------------------------------------------------------------- */

/*
 * Fill; vas_read() and vas_write(), which are inlined (access.h), behave in the same way:
 * each call reads or writes across regions and never crosses a hole. When it stops early, *done (may
 * be NULL) has the bytes done, gpa + *done is where it stopped, and the result says why: -EFAULT: a
 * hole; -EACCES: a write to a read-only region or by an observer; -EIO: the page failed (no memory,
 * truncated backing, bad memory), or was to arrive and cannot (<vas/lazy.h>; -ETIMEDOUT: it does not
 * in 10 s); -ENXIO: the backing's fd is not at hand or the region is local to another process; -EAGAIN:
 * frozen for writers. Copies have the width of memcpy: for fields that a guest changes meanwhile use
 * the loads and stores of <vas/access.h>. Not atomic as a whole, and overlap of buf with guest memory
 * is undefined.
 */
VAS_API int vas_fill(struct vas *vas, uint64_t gpa, uint8_t byte, size_t len, size_t *done);

/*
 * vas_read() for those who only look, at much of it: memory that was never touched reads as zeros and
 * takes no memory for that, in huge pages too. Pages that are to arrive do come, no others. Slower
 * where little is in memory: it is read from the files.
 */
VAS_API int vas_peek(struct vas *vas, uint64_t gpa, void *buf, size_t len, size_t *done);

/*
 * Compare with buf as memcmp does: *order (not NULL) is < 0, 0 or > 0, and *done is then the length
 * of the equal part.
 */
VAS_API int vas_compare(struct vas *vas, uint64_t gpa, const void *buf, size_t len, int *order,
			size_t *done);

struct vas_pattern {
	const void *bytes;
	const void *mask; /* NULL, or len bytes: only bits set here count */
	size_t len;	  /* 1 to 4096 */
};

/*
 * The first match that lies in [gpa, gpa + len), in *found; -ENOENT if there is none. Holes in the
 * layout end a candidate and are skipped, as is memory that was never touched, which holds only
 * zeros, unless the pattern itself can match zeros. A failing page is skipped.
 */
VAS_API int vas_search(struct vas *vas, uint64_t gpa, uint64_t len,
		       const struct vas_pattern *pattern, uint64_t *found);

/*
 * The range as up to nr iovecs, each contiguous in this process: their number is returned. For
 * writev() into it, prot is VAS_PROT_WRITE. The pointers hold until vas_leave() of the section
 * that the caller is in; call it inside one. -E2BIG: more than nr are needed; else as vas_read.
 */
VAS_API int vas_iov(struct vas *vas, uint64_t gpa, uint64_t len, uint32_t prot, struct iovec *iov,
		    int nr);

/*
 * A long-lived map of a range: contiguous in this process, across regions, and recorded as a pin
 * that everyone sees, until vas_mapping_destroy. Use it without a section. The owner may ask for the range
 * back: see vas_notify_fd(). With VAS_MAPPING_WRITE all of it counts as dirty in each round while it
 * lives and once more at unmap, unless VAS_MAPPING_MARKS promises vas_mark() calls.
 * -EFAULT, -EACCES, -ENXIO, -EAGAIN: as vas_read, nothing is mapped; -ENOSPC: no pin free.
 * An observer's map has no pin: it goes stale in silence when the layout changes.
 */
#define VAS_MAPPING_WRITE 1u
#define VAS_MAPPING_MARKS 2u
VAS_API int vas_mapping_create(struct vas *vas, uint64_t gpa, uint64_t len, uint32_t flags,
			       struct vas_mapping **mapping);
VAS_API void *vas_mapping_addr(const struct vas_mapping *mapping);
VAS_API void vas_mapping_destroy(struct vas_mapping *mapping);

/*
 * What the owner wants of the mapping, and the holder's answer. VAS_REQUEST_NONE: keep it;
 * VAS_REQUEST_UNMAP: the range goes away, unmap it; VAS_REQUEST_QUIESCE: stop writing, then call
 * vas_mapping_quiesce(); writing may go on when the question is VAS_REQUEST_NONE again.
 */
enum vas_request { VAS_REQUEST_NONE, VAS_REQUEST_UNMAP, VAS_REQUEST_QUIESCE };
VAS_API enum vas_request vas_mapping_request(const struct vas_mapping *mapping);
VAS_API int vas_mapping_quiesce(struct vas_mapping *mapping);

/*
 * If the application has a SIGBUS handler of its own, call this from it first: true (1) if the fault
 * was in a window of libvas and has been dealt with. The library's own handler, installed with the
 * first bind unless VAS_BIND_NO_SIGBUS, passes what is not its own on to the handler it found.
 */
VAS_API int vas_handle_sigbus(const void *siginfo);

/* ---- sharing ------------------------------------------------------------------------------ */

#define VAS_SEND_READONLY 1u /* the receiver observes: read-only fds */

/*
 * Send the vas, its backings and its events over a connected Unix socket, in one message. -EAGAIN:
 * a non-blocking socket is full; -ETIMEDOUT: any other takes nothing for 5 s.
 */
VAS_API int vas_send_fds(struct vas *vas, int sock, uint32_t flags);

/*
 * Receive and bind what vas_send_fds() sent. bind_flags as for vas_bind(). Whatever else arrives is
 * closed: -EPROTO. -ECONNRESET: the peer closed; -EAGAIN: nothing there on a non-blocking socket.
 */
VAS_API int vas_recv_fds(int sock, uint32_t bind_flags, struct vas **vas);

/* ---- notification ------------------------------------------------------------------------- */

#define VAS_NOTIFY_LAYOUT   1u	/* the layout changed */
#define VAS_NOTIFY_TRACKING 2u	/* dirty tracking went on or off */
#define VAS_NOTIFY_FREEZE   4u	/* frozen or thawed */
#define VAS_NOTIFY_REQUEST  8u	/* one of this handle's mappings is wanted back */
#define VAS_NOTIFY_OWNER    16u /* the owner is gone, or a new one is there */

/*
 * An fd that polls readable when something happened; owned by the handle. vas_notifications()
 * clears it and returns the VAS_NOTIFY_* bits that came since the last call, 0 if none.
 */
VAS_API int vas_notify_fd(struct vas *vas);
VAS_API int vas_notifications(struct vas *vas);

#ifdef __cplusplus
}
#endif

#include <vas/access.h>

#endif
