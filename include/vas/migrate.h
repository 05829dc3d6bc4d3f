/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Moving a vas: to another process or host by a stream (vas-stream(5)), to a file and back by
 * snapshots. Library: -lvas-migrate. <vas/handover.h> moves only the ownership.
 *
 *	source						destination
 *	layout, all that was ever touched ------>	allocates, checks every chunk
 *	rounds of what was written meanwhile --->
 *	pause, freeze, last round, state, end -->	publishes the layout as a whole
 *		<------------------------------ done	from here on it is a vas
 *
 * It is the pre-copy of QEMU and of Xen before it.
 */
#ifndef VAS_MIGRATE_H
#define VAS_MIGRATE_H

#include <vas/handover.h>
#include <vas/vas.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VAS_MIGRATE_MAX_CHANNELS 8u

struct vas_migrate_progress {
	uint32_t round;	     /* 0: all that was ever touched */
	uint32_t frozen;     /* the last round */
	uint64_t pages_sent; /* in all rounds, pages of zeros included */
	uint64_t pages_zero;
	uint64_t pages_left; /* in this round */
	uint64_t bytes_sent; /* on the wire */
	uint64_t rate;	     /* bytes of memory a second, this round */
	uint64_t elapsed_ns;
	uint64_t left_ns; /* of this round, at that rate */
};

/* What the sender's VMM does. Called in the caller's thread, with the arg of the options. */
struct vas_migrate_ops {
	/* Stop the vCPUs. NULL, with resume: there are none, or a consumer's freeze stops them. */
	int (*pause)(void *arg);
	/* Let them run again: the migration failed after pause. */
	void (*resume)(void *arg);
	/*
	 * The vas is frozen: give the state beside memory (vCPUs, devices), from malloc(). The
	 * library frees it. May be NULL.
	 */
	int (*save)(void *arg, void **state, size_t *size);
	/* Called ten times a second. Not 0 cancels the migration (-ECANCELED). May be NULL. */
	int (*progress)(void *arg, const struct vas_migrate_progress *progress);
	/*
	 * For a VMM that knows what its guest writes but does not mark it. Wait until there are
	 * pages that were not told yet, or may have been written since they were told last; store
	 * up to nr words of them, and return how many. They are copied soon after this returns, so
	 * it is called no faster than they are sent. -errno ends the migration.
	 *
	 * 0: the guest stands. Then pause() is called, the vas is frozen, and this is called again
	 * for what is left, until it returns 0 once more. What others mark is sent as ever; what is
	 * never told and not marked is not sent. The migration fails with -EINVAL if pages are told
	 * that cannot be, and with -EOVERFLOW if, in all, max_rounds + 1 times as many are told as
	 * there are. May be NULL; not together with VAS_MIGRATE_STOP_FIRST.
	 */
	ssize_t (*told)(void *arg, struct vas_dirty_word *words, size_t nr);
	/*
	 * What a destination has to know to make ready for the guest while its memory comes, up to
	 * 16 MiB from malloc(): for its begin(). The library frees it. Called first of all. May be
	 * NULL.
	 */
	int (*describe)(void *arg, void **description, size_t *size);
	/*
	 * With VAS_MIGRATE_COMPARE_TOLD, for a VMM that can check whether it has begun to miss
	 * writes. Called after each told() until the guest stands, and does not wait.
	 * VAS_MIGRATE_ASKS: such a check begins now. VAS_MIGRATE_SURE: when the last check began,
	 * none had been missed. So no write is missed to pages that were told before that check,
	 * and they are not compared, unless they are told again. 0: neither. May be NULL.
	 */
	int (*is_sure)(void *arg);
};

/* What is_sure() returns. */
#define VAS_MIGRATE_ASKS 1
#define VAS_MIGRATE_SURE 2

/* Flags of struct vas_migrate_options. */
#define VAS_MIGRATE_LZ4	 1u
#define VAS_MIGRATE_ZSTD 2u
#define VAS_MIGRATE_STOP_FIRST \
	4u		       /* freeze, then send all in one round: the guest is paused anyway */
#define VAS_MIGRATE_ONE_WAY 8u /* nobody answers: a pipe, a file */
/*
 * What told() says of pages that were written again may be incomplete. So a sum of each page that
 * was sent is kept, and compared when the vas is frozen: it takes as long as reading all that were
 * told, but for those that is_sure() speaks of, and that were told again after pause().
 */
#define VAS_MIGRATE_COMPARE_TOLD 16u

/* 0 means the default in every field. */
struct vas_migrate_options {
	const int *
		fds; /* one a channel: a connected socket, a pipe, a file; the caller closes them */
	uint32_t nr_fds;
	uint32_t flags;
	uint64_t rate;	      /* bytes a second at most, all channels together; 0: no limit */
	uint64_t downtime_ns; /* how long the last round may take; 0: 300 ms */
	uint64_t freeze_ns;   /* how long writers have to stop; 0: 1 s */
	/*
	 * How long the peer may make no progress: no chunk is complete on any channel, however many
	 * bytes of one come or go. A chunk of more than 256 KiB gets so long for each 256 KiB. 0:
	 * 30 s; over a pipe, whose reader cannot say that it lives, for ever.
	 */
	uint64_t stall_ns;
	uint32_t max_rounds; /* after so many the last one comes, however much is left; 0: 30 */
	/*
	 * From the call of pause() on, how long all that is left may take, the destination's
	 * accept() included; then -ETIMEDOUT, and this vas goes on. What pause(), save() and the
	 * freeze take counts, but is not cut short. 0: 30 s; with VAS_MIGRATE_STOP_FIRST for ever.
	 */
	uint64_t max_downtime_ns;
	const struct vas_migrate_ops *ops;
	void *arg;
};

/*
 * Send the vas, as its owner. 0: the destination has all of it and has said so; this vas stays
 * frozen, to be destroyed (with VAS_MIGRATE_ONE_WAY: all is written). An error: this vas goes on as
 * before, the destination has nothing, and sockets among the fds are shut down. *report (may be
 * NULL) is the last progress. Waits for the peer up to stall_ns without progress.
 *
 * -EINVAL: options. -EBUSY: writers did not freeze. -ECANCELED: by progress(). -ESTALE: the layout
 * changed meanwhile. -ETIMEDOUT, -ECONNRESET: the peer. -EOPNOTSUPP, before anything is sent: a
 * region is local memory or a device's, or a consumer does not log, or cannot be stopped
 * (vas_freeze_check()). Else from the fds or a consumer.
 */
VAS_API int vas_migrate_send(struct vas *vas, const struct vas_migrate_options *options,
			     struct vas_migrate_progress *report);

/* What the receiver's VMM does. Called in the caller's thread, with the arg of the target. */
struct vas_migrate_target_ops {
	/*
	 * The memory exists, and is filled from now on: start the VMM that is to run in it. That
	 * may map the memory, and must neither read nor write it. The vas has no regions yet, and
	 * is the library's: it is gone if anything fails. Called if the source describes its guest
	 * and all memory is in the vas's own file. Not 0 refuses, and the source goes on. NULL: all
	 * that is done in accept.
	 */
	int (*begin)(void *arg, struct vas *vas, const void *description, size_t size);
	/*
	 * All is received and verified, and the source does not know yet: do now what may fail (a
	 * VM, vCPUs, devices, with this state). Not 0 refuses: the source goes on, and
	 * vas_migrate_recv() returns it. Nothing may run in the vas yet. The source is frozen
	 * meanwhile, and waits no longer than its stall_ns and max_downtime_ns. state is the
	 * library's.
	 */
	int (*accept)(void *arg, struct vas *vas, const void *state, size_t size);
	/*
	 * Undo begin, and accept if it was called and did not refuse: the stream has failed, or the
	 * source has given up. May be NULL.
	 */
	void (*withdraw)(void *arg);
	/* Called ten times a second while memory comes. Not 0: -ECANCELED. May be NULL. */
	int (*progress)(void *arg);
};

#define VAS_MIGRATE_POPULATE 1u /* allocate all memory of the regions first */

struct vas_migrate_target {
	const int *fds; /* in the sender's order; the caller closes them */
	uint32_t nr_fds;
	uint32_t flags;
	uint32_t create_flags;			  /* VAS_CREATE_* in addition to the source's */
	uint64_t max_ram;			  /* refuse a vas with more; 0: no limit */
	uint64_t stall_ns;			  /* as the source's */
	const struct vas_migrate_target_ops *ops; /* may be NULL */
	void *arg;
};

struct vas_migrate_result {
	void *state; /* from the source's save(), or NULL; the caller frees it */
	size_t state_size;
	uint32_t rounds;
	uint64_t pages;
	/*
	 * 1: all is received and verified, but the source could not be told: it or the link is
	 * dead. The caller decides whether to run.
	 */
	int source_gone;
};

/*
 * Receive a vas: complete, verified, not frozen, and owned by the caller. On an error there is
 * none.
 *
 * -EINVAL: target. -EPROTO: the stream is damaged, short, reordered, or no stream. -EOPNOTSUPP: it
 * is of a newer version. -E2BIG: more RAM than max_ram. -ECONNRESET: the source gave up.
 * -ETIMEDOUT: no progress for stall_ns. -ENOMEM. Or what accept() returned.
 */
VAS_API int vas_migrate_recv(const struct vas_migrate_target *target, struct vas **vas,
			     struct vas_migrate_result *result);

/* The beginning of a channel: which it is, of how many that have one session. */
struct vas_migrate_hello {
	uint32_t channel;
	uint32_t nr_channels;
	uint8_t session[16];
};

/*
 * For those who listen: is this connection the channel of a stream, and which? Takes nothing from
 * the socket and waits for nothing. Anybody can say hello: it does not tell who it is. -EAGAIN: too
 * few bytes to tell. -ECONNRESET: closed. -EPROTO: no stream begins so. -EOPNOTSUPP: one of a newer
 * version.
 */
VAS_API int vas_migrate_peek(int sock, struct vas_migrate_hello *hello);

struct vas_tracker; /* <vas/dirty.h> */

/*
 * Save a snapshot: a sparse file with checksums, mode 0600, which appears under its name whole or
 * not at all. It has no name while it is written (O_TMPFILE), then, synced, "<path>.unfinished" for
 * a moment, then its own: a saver that is killed leaves nothing but, seldom, that, which the next
 * save to the same path removes. -EBUSY: another save to it is going on. The vas is frozen
 * meanwhile, unless it is frozen already; that fails as vas_freeze() does.
 *
 * Memory that was never touched is not read, and stays so. -EIO: a region's file was truncated, or
 * one of its pages failed: nothing is saved then, for what is lost is not zeros.
 *
 * With a parent, only what differs from it is written. parent is a path and is stored as it is; one
 * without a leading slash is relative to the snapshot's own folder. With a slash in it, be it
 * "./name", the parent's own parents may lie in other folders: VAS_RESTORE_ANY_FOLDER. With a
 * tracker, which was attached before the parent was saved and has an open epoch, the pages of that
 * epoch are written: no other memory is read, and a writer that does not mark is missed. With
 * tracker NULL every page that was ever touched is compared with the parent's: no history is
 * needed, and no write is missed.
 *
 * The parent and its ancestors are opened and checked first. -ENOENT: one is not there. -EPROTO:
 * damaged, no regular file, or replaced by another snapshot. -EXDEV: one further on is in another
 * folder. -EINVAL: with a tracker: no parent, or one of another
 * vas. -EEXIST: path is one of them. -ELOOP: there are more than 64.
 */
VAS_API int vas_snapshot_save(struct vas *vas, const char *path, const char *parent,
			      struct vas_tracker *tracker);

/* 0 and NULL mean the default in every field. */
struct vas_snapshot_options {
	const char *parent;	     /* as of vas_snapshot_save() */
	struct vas_tracker *tracker; /* likewise */
	const void *state;	     /* what the saver has beside memory: vCPUs, devices */
	size_t state_size;	     /* up to 256 MiB */
	/*
	 * All is written, and neither synced nor under its name: from here on the guest may run
	 * again. A vas that was frozen before the call still is, and may be thawed. Not 0: there is
	 * to be no file, and vas_snapshot_save_with() returns it.
	 */
	int (*written)(void *arg);
	void *arg;
	/*
	 * For a guest that runs while it is saved, and whose VMM knows what it writes but does not
	 * mark it. Called in the caller's thread, while the vas is not frozen. Wait until there are
	 * pages that were not told yet, or may have been written since they were told last; store
	 * up to nr words of them, and return how many: they are copied after this returns. -errno
	 * ends the saving. 0: the guest stands and all is told; `state` may be set by then. Now the
	 * vas is frozen for what others have marked, and written() is called. What is never told
	 * and not marked is not in the file. Not together with `tracker`. NULL: the guest stands.
	 */
	ssize_t (*told)(void *arg, struct vas_dirty_word *words, size_t nr);
	/*
	 * Not 0: what told() says of pages that were written again may be incomplete. So when the
	 * guest stands, and the vas is frozen, all pages that were told are compared with the file:
	 * it takes as long as reading both.
	 */
	int compare_told;
	/*
	 * Not NULL: the file never gets a name, so that nothing is left of it, whoever is killed.
	 * `path` is the folder that it lies in. It is the caller's, by this fd, and not synced;
	 * it is restored from as /proc/self/fd/N. Not together with `parent`.
	 */
	int *fd;
};

/*
 * vas_snapshot_save(), which is this without a state and written(). -EFBIG: the state is too large.
 */
VAS_API int vas_snapshot_save_with(struct vas *vas, const char *path,
				   const struct vas_snapshot_options *options);

/*
 * The state that was saved in a snapshot beside its memory, which the caller frees; NULL and size 0
 * if there is none. Errors as of vas_snapshot_restore().
 */
VAS_API int vas_snapshot_state(const char *path, void **state, size_t *size);

/* Flags of vas_snapshot_restore(): at most one. */
#define VAS_RESTORE_LAZY    1u /* fill pages when they are touched, and the others meanwhile */
#define VAS_RESTORE_CLONE   2u /* fill pages when they are touched, and no others */
#define VAS_RESTORE_PRIVATE 4u /* map the file privately */

/*
 * A snapshot names its parent, so who made the file says what else is read. Without this flag,
 * which goes with any of those above, that is only a regular file in the same folder, by a name
 * without a slash; else -EXDEV, or -EPROTO for a symbolic link.
 */
#define VAS_RESTORE_ANY_FOLDER 8u

/*
 * RAM becomes a file of its own, as with VAS_CREATE_RAM_APART, so that vas_ram_seal() can make a
 * template of it. Not with LAZY, CLONE or PRIVATE.
 */
#define VAS_RESTORE_RAM_APART 16u

/*
 * Restore a snapshot: a new vas with its layout and bytes, owned by the caller. At most one of
 * the first three flags; without one all is read, parents first, and every page is checked. What a
 * damaged file costs is bounded by the bytes that it has, not by what it claims. -EINVAL: flags.
 * -ENOENT. -EPROTO: damaged, no regular file, or a parent was replaced. -EXDEV: a parent is in
 * another folder. -ELOOP: more than 64.
 *
 * VAS_RESTORE_LAZY returns at once, however large the snapshot. <vas/lazy.h> says who may touch the
 * vas before vas_lazy_wait() has returned 0; after that it is like any other. Pages are checked
 * when they are filled: a damaged one is -EIO, for vas_lazy_wait() too. The snapshot and its
 * parents stay open.
 *
 * VAS_RESTORE_CLONE does the same, but untouched pages never take memory: many clones of a snapshot
 * share its pages in the page cache. A page that is touched, even to read it, is copied.
 *
 * VAS_RESTORE_PRIVATE returns at once, and pages that are read but not written are shared as well.
 * The regions are local memory of this process, though: only it and its KVM see the bytes, others
 * get -ENXIO. Checksums are not verified and the file must not change. -EOPNOTSUPP: it has a
 * parent.
 *
 * LAZY and CLONE: -EOPNOTSUPP: the memory is in huge pages or further backings, or the host makes
 * shared memory huge by itself.
 */
VAS_API int vas_snapshot_restore(const char *path, uint32_t flags, struct vas **vas);

/* Zero what is not wanted. */
struct vas_restore_options {
	uint32_t flags; /* VAS_RESTORE_* */
	/*
	 * Called once, in the calling thread, when the memory exists but is not filled: other
	 * threads fill it meanwhile, and all is there when the restore returns. A VMM can be
	 * started here, which may map the file, and must not read or write it before. The vas has
	 * no regions yet, and is the restore's: it is gone if that fails. Not 0: the restore ends,
	 * and returns it. If there is memory in further backings, this is called last, when bytes
	 * and regions are there.
	 */
	int (*begun)(void *arg, struct vas *vas);
	void *arg;
};

/* vas_snapshot_restore() with more options. -EINVAL also: begun with LAZY, CLONE or PRIVATE. */
VAS_API int vas_snapshot_restore_with(const char *path, const struct vas_restore_options *options,
				      struct vas **vas);

/*
 * What the file at path, and its parents, are to their file system: inodes, sizes, times of
 * change. A program that keeps a restored vas finds out by it whether a restore would still give
 * the same. No pages are read. flags: 0 or VAS_RESTORE_ANY_FOLDER.
 *
 * 1: the same stamp before and after a restore, and once more later, says that nobody has changed a
 * byte by write() or truncate(), nor put other files in their place. 0: one of them was changed in
 * the last two seconds, so that a later change may not show in its times: such a stamp is no use to
 * keep. It is no proof against somebody who can set the clock back. Errors as of
 * vas_snapshot_restore().
 */
VAS_API int vas_snapshot_stamp(const char *path, uint32_t flags, uint8_t stamp[16]);

#ifdef __cplusplus
}
#endif

#endif
