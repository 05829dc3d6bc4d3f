/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The handle: create a vas, bind to one, adopt it, ask about it, pass it on, be told of changes.
 */
#ifndef VAS_HANDLE_H
#define VAS_HANDLE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <vas/format.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A function or object of the library. */
#define VAS_API __attribute__((visibility("default")))

/*
 * A function that compilers inline when they optimize. The library has it as a symbol too, for
 * calls that are not inlined, for programs that load the library at run time and for other
 * languages. No copy is emitted in the program.
 */
#ifndef VAS_INLINE
#ifdef __OPTIMIZE__
#define VAS_INLINE extern inline __attribute__((gnu_inline, always_inline))
#else
#define VAS_INLINE extern inline __attribute__((gnu_inline))
#endif
#endif

struct vas; /* a handle: this process's use of one vas, as owner, binder or observer */

/* A range of guest-physical addresses. */
struct vas_range {
	uint64_t gpa;
	uint64_t len;
};

/*
 * A sentence about this thread's last failed call: what was wrong, and what to do. "" before the
 * first failure. Never NULL. The string is the thread's, and valid until its next failing call.
 */
VAS_API const char *vas_error(void);

/* The library's version, "major.minor.patch". A static string. */
VAS_API const char *vas_version(void);

/* ---- create, bind, adopt ------------------------------------------------------------------ */

/* Flags of struct vas_options. */
#define VAS_CREATE_HUGETLB 1u  /* 2 MiB hugetlb pages; regions are aligned to them */
#define VAS_CREATE_THP	   2u  /* advise transparent huge pages for every mapping of the file */
#define VAS_CREATE_RESERVE 4u  /* allocate a region's memory when it is added: ENOMEM then */
#define VAS_CREATE_FENCE   8u  /* no membarrier: every section costs a full memory fence */
#define VAS_CREATE_DUMP	   16u /* core dumps of this process hold guest memory */
/*
 * RAM is a file of its own, without the control area: backing 0, whose fd is vas_backing_fd(vas, 0)
 * and not vas_fd(). vas_send_fds() passes both; a peer that binds by vas_fd() alone needs
 * vas_backing_offer(). The RAM's file is sealed against a change of its size only, so that
 * vas_ram_seal() can make a template of it. The control area takes no huge pages then. vas.ko does
 * not know this form.
 */
#define VAS_CREATE_RAM_APART 32u

/* What to create. 0 means the default in every field. Reserved fields must be 0. */
struct vas_options {
	uint64_t limit;	      /* no gpa is at or above it; multiple of the page size */
	uint64_t ram_size;    /* file bytes for RAM; 0: limit, and file offset = gpa */
	const char *name;     /* up to 63 bytes, informational; NULL: none */
	uint32_t flags;	      /* VAS_CREATE_* */
	uint32_t max_regions; /* 0: 32768, or 4096 with hugetlb */
	uint32_t nr_slots;    /* threads in all processes that may use it at once; 0: 4096 */
	uint32_t reserved[7];
};

/*
 * Create a vas and own it. The caller owns *vas and ends it with vas_unbind() or vas_destroy(). The
 * vas itself lives as long as any process has an fd or a mapping of it.
 *
 * -EINVAL: an option, and vas_error() says which. -ENOMEM, -EMFILE, -EFBIG (RLIMIT_FSIZE): as from
 * memfd_create() and ftruncate().
 */
VAS_API int vas_create(const struct vas_options *options, struct vas **vas);

/* Flags of vas_bind(). */
#define VAS_BIND_OBSERVE     1u	 /* read only, nothing is stored; implied by a read-only fd */
#define VAS_BIND_ADOPT	     2u	 /* become the owner, if the owner is gone; -EBUSY if it is not */
#define VAS_BIND_NO_WINDOW   4u	 /* reserve no address space: translate by the sorted map only */
#define VAS_BIND_NO_SIGBUS   8u	 /* install no SIGBUS handler; see vas_handle_sigbus() */
#define VAS_BIND_FENCE	     16u /* sections of this process cost a full fence, not a membarrier */
#define VAS_BIND_DUMP	     32u /* core dumps of this process hold guest memory */
#define VAS_BIND_PLAIN_FILES 64u /* take backings in any file system: vas_backing_offer() */

/*
 * Bind to the vas behind fd. Seals, size, superblock and layout are checked first. The caller keeps
 * fd and may close it at once: the handle opens the file again. Regions in further backings cannot
 * be accessed (-ENXIO) until vas_backing_offer() or vas_recv_fds() brings the backing's fd.
 *
 * -EINVAL: flags. -EPERM: seals are missing, as of any file that is no memfd. -EPROTO: not a vas,
 * or a damaged one. -EOPNOTSUPP: the vas needs a version or feature that this library does not
 * know, or VAS_BIND_ADOPT in a process that may not use membarrier. -EAGAIN: no binder slot is
 * free. -ENOMEM.
 */
VAS_API int vas_bind(int fd, uint32_t flags, struct vas **vas);

/*
 * Own the vas that this handle is bound to, if its owner is gone: as VAS_BIND_ADOPT, for a process
 * that is bound already, such as a standby. No observer can keep it from that. No other thread may
 * be in a call on the handle. -EBUSY: the owner lives, or another process was quicker. -EPERM: an
 * observer. Else as vas_bind() with VAS_BIND_ADOPT.
 */
VAS_API int vas_adopt(struct vas *vas);

/*
 * Close the handle: all its mappings of the vas go, its slots and pins are free. Before, every
 * vas_mapping must be destroyed; no other thread may be in a call on the handle. NULL is allowed.
 *
 * vas_destroy() is for the owner: it removes every region first, so that binders see an empty
 * layout and not one without an owner. An owner that calls vas_unbind() instead leaves a vas that
 * another process can adopt.
 */
VAS_API void vas_unbind(struct vas *vas);
VAS_API void vas_destroy(struct vas *vas);

/*
 * The handle's fd: read-write, or read-only for an observer. It belongs to the handle; dup() it to
 * keep it longer.
 */
VAS_API int vas_fd(const struct vas *vas);

/*
 * The fd, the handle's own, whose open file description has the lock by which others know that the
 * handle lives. While anybody keeps that description open, the handle counts as alive, even if the
 * process dies: a kernel module that is given this fd, and serves a device for the process, does so
 * until it is done.
 */
VAS_API int vas_lock_fd(const struct vas *vas);

/* A new O_CLOEXEC fd that can only read: with it, a process observes. The caller closes it. */
VAS_API int vas_readonly_fd(const struct vas *vas);

enum vas_role { VAS_ROLE_OBSERVER, VAS_ROLE_BINDER, VAS_ROLE_OWNER };

struct vas_info {
	char name[VAS_NAME_LEN];
	uint8_t uuid[16];
	uint64_t file_size;
	uint64_t ram_size;
	uint64_t limit;
	uint64_t generation;
	uint64_t owner_epoch; /* how often it was adopted */
	uint32_t page_size;
	uint32_t nr_regions;
	uint32_t nr_backings;
	uint32_t nr_binders; /* alive, this one included */
	uint32_t nr_threads; /* slots in use */
	uint32_t nr_pins;
	uint32_t nr_events;
	uint32_t state_flags; /* VAS_STATE_* */
	uint32_t owner_pid;   /* as the owner reports it; 0: no living owner */
	/* Attached, as the owner reports: "kvm,module"; "kvm!": out of step, <vas/consumer.h>. */
	char consumers[VAS_CONSUMERS_LEN];
	enum vas_role role; /* of this handle */
	int has_window;	    /* 0: translations use the sorted map */
	uint64_t nr_lazy;   /* pages not filled yet: <vas/lazy.h> */
};

/* Facts about the vas, counted at the time of the call. Binders' own reports are informational. */
VAS_API int vas_info(struct vas *vas, struct vas_info *info);

/* ---- sharing ------------------------------------------------------------------------------ */

#define VAS_SEND_READONLY  1u /* read-only fds: the receiver observes */
#define VAS_SEND_NO_EVENTS 2u /* not the eventfds */

/*
 * Send the fds of the vas, its backings and its events over a Unix socket, in one message. -EAGAIN:
 * a non-blocking socket is full. -ETIMEDOUT: a blocking one has taken nothing for 5 s.
 */
VAS_API int vas_send_fds(struct vas *vas, int sock, uint32_t flags);

/*
 * Receive what vas_send_fds() sent, and bind; bind_flags and errors as for vas_bind(). -EPROTO:
 * something else came, and its fds are closed, in a thread of their own if that may take long.
 * -EPERM: a backing that vas_backing_offer() does not take. -ECONNRESET: the peer closed. -EAGAIN:
 * nothing there on a non-blocking socket.
 */
VAS_API int vas_recv_fds(int sock, uint32_t bind_flags, struct vas **vas);

/* ---- notification ------------------------------------------------------------------------- */

#define VAS_NOTIFY_LAYOUT   1u	/* the layout changed */
#define VAS_NOTIFY_TRACKING 2u	/* dirty tracking was switched on or off */
#define VAS_NOTIFY_FREEZE   4u	/* frozen or thawed */
#define VAS_NOTIFY_REQUEST  8u	/* one of this handle's mappings has a new request */
#define VAS_NOTIFY_OWNER    16u /* the owner is gone, or there is a new one */

/*
 * vas_notify_fd() is an fd that polls readable when something happened; it belongs to the handle.
 * vas_notifications() clears it, and returns the VAS_NOTIFY_* bits since the last call, 0 if none.
 * An owner must call it when the fd is readable: trackers of other processes need its help.
 */
VAS_API int vas_notify_fd(struct vas *vas);
VAS_API int vas_notifications(struct vas *vas);

/* ---- failing pages ------------------------------------------------------------------------ */

/*
 * For an application with a SIGBUS handler of its own, which calls this first, with its siginfo_t.
 * Returns 1 if the fault was in memory that this library maps, and has been handled; else 0. Safe
 * in a signal handler. The library's own handler is installed with the first bind, unless
 * VAS_BIND_NO_SIGBUS, and passes other faults on to the handler that it replaced.
 */
VAS_API int vas_handle_sigbus(const void *siginfo);

#ifdef __cplusplus
}
#endif

#endif
