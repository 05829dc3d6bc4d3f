/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Moving a vas: to another process or host by a stream (vas-stream(5)), to a new owner on this host
 * by hand-over, to a file and back by snapshots. Library: -lvas-migrate.
 *
 *	source					destination
 *	layout, all that was ever touched -->	makes the memory, checks every chunk
 *	rounds of what was written meanwhile ->
 *	pause, freeze, last round, state, end ->	publishes the layout, all in one
 *		<-- done			now, and only now, it is a vas
 */
#ifndef VAS_MIGRATE_H
#define VAS_MIGRATE_H

#include <vas/vas.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VAS_MIGRATE_MAX_CHANNELS 8u

struct vas_migrate_progress {
	uint32_t round;	     /* 0: all that was touched */
	uint32_t frozen;     /* the last round */
	uint64_t pages_sent; /* in all rounds, pages of zeros included */
	uint64_t pages_zero;
	uint64_t pages_left; /* in this round */
	uint64_t bytes_sent; /* on the wire */
	uint64_t rate;	     /* bytes of memory a second, this round */
	uint64_t elapsed_ns;
	uint64_t left_ns; /* of this round, at that rate */
};

struct vas_migrate_ops {
	/*
	 * The VMM stops its vCPUs; and lets them run again, if the migration fails after that. NULL:
	 * there are none, or a consumer's freeze does it.
	 */
	int (*pause)(void *arg);
	void (*resume)(void *arg);
	/* Frozen: the state beside memory (vCPUs, devices), malloced; the library frees it. May be NULL. */
	int (*save)(void *arg, void **state, size_t *size);
	/* Called ten times a second in the caller's thread; other than 0 cancels (-ECANCELED). May be NULL. */
	int (*progress)(void *arg, const struct vas_migrate_progress *progress);
};

#define VAS_MIGRATE_LZ4	 1u
#define VAS_MIGRATE_ZSTD 2u
#define VAS_MIGRATE_STOP_FIRST \
	4u /* freeze first and send all in one round: the guest is paused anyway */
#define VAS_MIGRATE_ONE_WAY 8u /* nobody answers: a pipe, a file */

/* Zero means the default throughout. */
struct vas_migrate_options {
	const int *fds; /* a connected socket, a pipe, a file: one a channel; the caller's */
	uint32_t nr_fds;
	uint32_t flags;
	uint64_t rate;	      /* bytes a second at most, all channels together; 0: as it goes */
	uint64_t downtime_ns; /* the last round may take so long; 0: 300 ms */
	uint64_t freeze_ns;   /* what writers get to stop; 0: 1 s */
	/*
	 * The peer may make no progress for so long: no chunk is complete on any channel, however
	 * many bytes of one come or go. (A chunk of more than 256 KiB gets so long for each 256
	 * KiB.) 0: 30 s, but over a pipe, whose reader cannot say that it lives, for ever.
	 */
	uint64_t stall_ns;
	uint32_t max_rounds; /* then the last round comes however much is left; 0: 30 */
	/*
	 * From the call of pause() on, all that is left, the destination's accept() included, takes
	 * so long at most, whatever the peer does; then -ETIMEDOUT, and this vas runs on. 0: 30 s,
	 * with STILL for ever. The time that pause(), save() and the freeze take counts; they are
	 * not cut short.
	 */
	uint64_t max_downtime_ns;
	const struct vas_migrate_ops *ops;
	void *arg;
};

/*
 * Send the vas that the caller owns. 0: the destination has all of it and has said so; this vas stays
 * frozen, to be destroyed (with ONE_WAY: all is written; thaw it or not). Any error: this vas runs on as
 * before, the destination has nothing, and sockets among fds are shut down.
 * -EBUSY: writers did not freeze; -ECANCELED; -ESTALE: the layout changed meanwhile; -ETIMEDOUT;
 * -ECONNRESET; -EOPNOTSUPP: it has regions of local memory or of devices, or a consumer
 * that does not log; else from the fds or a consumer.
 * report (may be NULL) is the last progress.
 */
VAS_API int vas_migrate_send(struct vas *vas, const struct vas_migrate_options *options,
			     struct vas_migrate_progress *report);

struct vas_migrate_target_ops {
	/*
	 * All has arrived and is verified, and the source does not know yet: what a VMM may fail to do (a
	 * VM, vCPUs, devices, with this state) it does now. Other than 0 refuses: the source runs on, and
	 * that is what vas_migrate_recv() returns. Nothing may run in the vas yet. The source is frozen
	 * meanwhile, and waits no longer than its stall_ns and max_downtime_ns.
	 */
	int (*accept)(void *arg, struct vas *vas, const void *state, size_t size);
	/* The reverse, for a source that has given up since: vas_migrate_recv() fails. May be NULL. */
	void (*withdraw)(void *arg);
};

#define VAS_MIGRATE_POPULATE 1u /* allocate all memory of the regions before any arrives */

struct vas_migrate_target {
	const int *fds; /* in the order that the sender has them */
	uint32_t nr_fds;
	uint32_t flags;
	uint32_t create_flags;			  /* VAS_CREATE_* in addition to the source's */
	uint64_t max_ram;			  /* refuse a vas with more; 0: no bound */
	uint64_t stall_ns;			  /* as the source's */
	const struct vas_migrate_target_ops *ops; /* may be NULL */
	void *arg;
};

struct vas_migrate_result {
	void *state; /* what the source's save() gave; the caller frees it */
	size_t state_size;
	uint32_t rounds;
	uint64_t pages;
	/*
	 * All has arrived and is verified, but the source could not be told: it is dead, or the link
	 * is. The caller decides whether to run.
	 */
	int source_gone;
};

/*
 * Receive: a vas of which the caller is the owner, complete, verified and not frozen; or an error, and
 * nothing. -EPROTO: the stream is damaged, short, reordered, or not a stream; -EOPNOTSUPP: of a newer
 * version; -E2BIG: more RAM than max_ram; -ECONNRESET: the source gave up; -ETIMEDOUT; -ENOMEM; or what
 * accept() said.
 */
VAS_API int vas_migrate_recv(const struct vas_migrate_target *target, struct vas **vas,
			     struct vas_migrate_result *result);

/*
 * The beginning of a channel: which it is, of a stream with how many, all of which have one
 * session.
 */
struct vas_migrate_hello {
	uint32_t channel;
	uint32_t nr_channels;
	uint8_t session[16];
};

/*
 * For those who listen: is this connection the channel of a stream, and which? Nothing is taken
 * from the socket, and nothing is waited for. -EAGAIN: too little has come to tell; -ECONNRESET: it
 * is closed; -EPROTO: a stream does not begin so; -EOPNOTSUPP: one of a newer version. Everybody
 * can say hello: nothing tells who it is.
 */
VAS_API int vas_migrate_peek(int sock, struct vas_migrate_hello *hello);

/*
 * Hand ownership to another process on this host, over a connected Unix socket; nothing is copied,
 * binders and guest memory stay as they are. The old owner calls give, the new one take. At no time
 * are there two owners; if either dies half way, the other owns the vas, or it can be adopted.
 * Consumers (KVM) must be detached before: -EBUSY. After give has returned 0 the handle is a
 * binder's. On an error the caller is the owner still. state as in migration: may be NULL and 0.
 *
 * Neither waits for ever, whatever the socket's flags are: for give to begin 30 s, for each message
 * 5 s from its beginning, and 1 s more for each 16 MiB of state. Then -ETIMEDOUT. Layout changes of
 * other threads wait as long.
 */
VAS_API int vas_handover_give(struct vas *vas, int sock, const void *state, size_t size);
VAS_API int vas_handover_take(int sock, uint32_t bind_flags, struct vas **vas, void **state,
			      size_t *size);

/*
 * Snapshots: a file that appears under its name whole or not at all. Sparse; checksummed; mode 0600.
 * It has no name while it is written (O_TMPFILE), then, synced, "<path>.unfinished" for a moment, then
 * its own: a saver that is killed leaves nothing but, seldom, that, which the next save to the same path
 * removes. (Where the file system has no nameless files, it has the second name from the beginning.)
 * -EBUSY: another save to the same path is going on. The vas is frozen while it is written, which fails
 * as vas_freeze() does, unless it is frozen already.
 *
 * Memory that was never touched is not read, and stays so. -EIO: a region's file was cut, or one of its
 * pages failed: nothing is saved then, for what is lost is not zeros.
 *
 * With a parent, only what differs from it is written. `parent` is a path, stored as it is: from the
 * snapshot's own folder if it does not begin with a slash. With a slash in it, be it "./name", the
 * parent's own parents may lie in other folders too; see VAS_RESTORE_ANY_FOLDER.
 *
 * Which pages differ is found in one of two ways. With a tracker that has been attached since before the
 * parent was saved, and whose epoch is open, that epoch's pages are: memory is not read beyond them, and
 * who writes without marking is missed. Without one, each page that was ever touched is compared with
 * the parent's bytes, which needs no history and misses nobody.
 *
 * The parent and those before it are opened and checked first: -ENOENT: one is not there; -EPROTO:
 * damaged, no regular file, or another snapshot has taken its place; -EINVAL: with a tracker, a snapshot
 * of another vas, or a tracker without a parent; -EEXIST: path is one of them; -EXDEV: one further on is
 * in another folder; -ELOOP: 64 of them are the most.
 */
struct vas_tracker;
VAS_API int vas_snapshot_save(struct vas *vas, const char *path, const char *parent,
			      struct vas_tracker *dirty);

#define VAS_RESTORE_LAZY    1u /* pages come as they are touched, and the rest meanwhile */
#define VAS_RESTORE_CLONE   2u /* pages come as they are touched, and no others */
#define VAS_RESTORE_PRIVATE 4u /* a private mapping of the file */

/*
 * A snapshot names its parent, so whoever made the file says what else is read. Without this flag, which
 * goes with any of those above, that is only a regular file in the same folder, by a name without a
 * slash, and no symbolic link; else -EXDEV (-EPROTO for a link).
 */
#define VAS_RESTORE_ANY_FOLDER 8u

/*
 * A new vas, owned, with the snapshot's layout and bytes; at most one of the first three flags. Without
 * them: parents first, every page checked. -EPROTO: damaged, no regular file, or a parent is not what it
 * was; -ENOENT; -EXDEV: a parent in another folder; -ELOOP. What it takes to find that out is bounded by
 * the bytes that the files really have, not by what they claim.
 *
 * LAZY: at once, however large. It is a vas as any other, for whoever binds to it, once
 * vas_lazy_wait() says that all is there; <vas/lazy.h> tells who may touch it before. Pages are
 * checked as they come: one that is damaged is -EIO, and vas_lazy_wait() is. The snapshot and its
 * parents are kept open.
 *
 * CLONE: the same, but what nobody touches never takes memory, so that many vas of one snapshot
 * share its pages in the page cache. What is touched, be it for reading, is a copy of this vas's own.
 *
 * PRIVATE: at once, and pages that are read but not written are shared too. But the regions are local
 * memory of this process: only it and its KVM see the bytes, others get -ENXIO. Sums are not looked
 * at, the file must stay as it is, and one with a parent is in more than one piece: -EOPNOTSUPP.
 *
 * The first two: -EOPNOTSUPP for memory in huge pages or in further backings, or where the host gives
 * shared memory huge pages by itself.
 */
VAS_API int vas_snapshot_restore(const char *path, uint32_t flags, struct vas **vas);

#ifdef __cplusplus
}
#endif

#endif
