/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What an unmodified QEMU does by its monitor for those who save and move its guest. All return 0
 * or -errno, with vas_error() set; errors beside those that are named are qmp_command()'s.
 *
 * The state of the devices is QEMU's own migration stream, without the RAM: with the capability
 * x-ignore-shared it leaves out what lies in a shared file, which the vas is.
 *
 *	save	stop;  migrate "fd:" to a socket that we read;		cont
 *	load	-incoming defer;  migrate-incoming "fd:", we write;	cont
 *	hand over	both, with a socket between the two QEMUs, of one memory
 *
 * Both come in steps, so that of a guest's pause no more than the state itself is a part: what is
 * prepared is prepared before it, and one QEMU loads what another one is still saving.
 */
#ifndef QEMU_STATE_H
#define QEMU_STATE_H

#include <stddef.h>

#include "qemu/qmp.h"

#define QEMU_MAX_STATE (256u << 20)

/* 1 if the guest runs, 0 if it stands and can go on. -EBUSY: neither, it is being loaded, say. */
int qemu_is_running(struct qmp *qmp);

/* 1 if it was started with -incoming, and has no guest yet. */
int qemu_is_waiting(struct qmp *qmp);

/*
 * -EOPNOTSUPP, with its name, if the guest has a physical device (VFIO): that stays on this host,
 * and writes to the memory by itself.
 */
int qemu_check_devices(struct qmp *qmp);

/*
 * A device of another process (vhost-user) that is killed has requests that it took and did not
 * end. The next process ends them, as QEMU tells it which they are; but a guest that is saved in
 * between would lose them, since QEMU does not save that.
 *
 * await: until each has its process, 10 s at most. check: of a guest that stands, that they had
 * them when it stopped. -ENOTCONN: one had not, and vas_error() names it.
 */
int qemu_await_served(struct qmp *qmp);
int qemu_check_served(struct qmp *qmp);

/*
 * Its vCPUs stand, and its disks are flushed, when stop returns. It awaits that its devices are
 * served.
 */
int qemu_stop(struct qmp *qmp);
int qemu_cont(struct qmp *qmp);
int qemu_quit(struct qmp *qmp);

/* Quit, and wait until its guest can run no more. QEMU itself takes longer to give memory back. */
int qemu_end(struct qmp *qmp);

/*
 * Somebody died who had stopped the guest, or was saving its state: end that, and let it run. For
 * up to 20 s.
 */
int qemu_recover(struct qmp *qmp);

/*
 * The state of a guest that stands, malloced. It stands afterwards, and may go on or quit, but is
 * not saved again before it has run: -EBUSY. -EFBIG: more than QEMU_MAX_STATE.
 */
int qemu_save(struct qmp *qmp, void **state, size_t *size);

/*
 * The same in steps. begin: the guest may still run. pass: it stands, and each piece of its state
 * is given to take(), which may end this by an error of its own. end: after begin, whatever came of
 * it: QEMU is as it was, and the first error is passed on. Without it QEMU can only quit.
 */
struct qemu_save {
	struct qmp *qmp;
	int sock;
	uint64_t rate;
};
int qemu_save_begin(struct qmp *qmp, struct qemu_save *save);
int qemu_save_pass(struct qemu_save *save, int (*take)(void *arg, const void *bytes, size_t size),
		   void *arg);
int qemu_save_end(struct qemu_save *save, int err);
/* pass and end at once, as qemu_save() does. */
int qemu_save_take(struct qemu_save *save, void **state, size_t *size);

/*
 * Into a QEMU that was started with "-incoming defer". The guest stands afterwards. with_ram: the
 * state is of a stream that had the RAM in it, whose pages are left out (ram_stream.h).
 */
int qemu_load(struct qmp *qmp, const void *state, size_t size, int with_ram);

/* The same in steps: a socket to write the state to, in any pieces. end() closes it. */
int qemu_load_begin(struct qmp *qmp, int with_ram, int *sock);
int qemu_load_write(int sock, const void *bytes, size_t size);
int qemu_load_end(struct qmp *qmp, int with_ram, int sock);

/*
 * The state with the RAM before it, while the guest runs: as a stream, *sock, for who reads it all.
 * QEMU stops the guest by itself, when what is left is a matter of downtime_ms, and the stream
 * ends. While QEMU waits for the reader its monitor may not answer, so nobody waits for that.
 * ended: then, QEMU has saved it all, and the devices of other processes were served. end: in any
 * case, after it or to break it off, err being what for; QEMU is as it was, and the guest may go
 * on.
 */
struct qemu_stream {
	struct qemu_save save;
	uint64_t downtime_ms; /* what it was limited to */
	int64_t measured_at;  /* when somebody had QEMU measure what is written; -1: now */
	enum { QEMU_MEASURE_ASKED, QEMU_ASKED_NOTHING, QEMU_MARKS_ASKED, QEMU_IS_UNSURE } asked;
};
int qemu_stream_begin(struct qmp *qmp, struct qemu_stream *stream, uint64_t downtime_ms, int *sock);
int qemu_stream_ended(struct qemu_stream *stream);
int qemu_stream_end(struct qemu_stream *stream, int err);

/* How long the guest may stand for the end of it. The longer, the sooner that comes. Or now. */
int qemu_stream_set_downtime(struct qemu_stream *stream, uint64_t ms);
int qemu_stream_stop(struct qemu_stream *stream);

/*
 * 1: QEMU knows of every write to a page since it sent it. 0: it may miss some, since it emulates
 * the CPUs (TCG): when QEMU takes the marks of what was written, vCPUs go on writing to these pages
 * as to marked ones, until their TLBs have forgotten them. From 9.0 on they are made to forget, but
 * for the page that a vCPU is just about to enter as marked.
 */
int qemu_sees_all_writes(struct qmp *qmp);

/*
 * It has missed none in this stream yet? As it begins, TLBs are emptied, and QEMU takes marks again
 * when it has sent nearly all of the RAM, or all: what it sent before, and does not send again, was
 * not written. ask: 1, it is asked now; 0: not yet, or nobody will know. answer: 1, it had not, as
 * it was asked; 0: no answer yet; -ENODATA: it may have.
 */
int qemu_stream_ask(struct qemu_stream *stream);
int qemu_stream_answer(struct qemu_stream *stream);

/*
 * The state of the guest of `from`, which is stopped if it runs, into `to`, which was started with
 * "-incoming defer" on the same memory. It stands in both afterwards, and may go on in one of them:
 * in `from`, after an error too, once `to` has ended and qemu_save_end() has made `from` as it was.
 * *stopped_ns: when it was told to stop, CLOCK_MONOTONIC.
 */
int qemu_hand_over(struct qmp *from, struct qmp *to, struct qemu_save *save, uint64_t *stopped_ns);
/* It goes on in `to`, which is like one that nothing was handed over to. */
int qemu_handed_over(struct qmp *to);

/* What another QEMU has to be like to load the state. */
struct qemu_kind {
	char version[32]; /* "7.2.22" */
	char machine[64]; /* what -machine takes: "pc-q35-7.2" */
};
int qemu_kind(struct qmp *qmp, struct qemu_kind *kind);

/* The UUID of the guest's generation, by its device vmgenid; "": it has no such device. */
int qemu_genid(struct qmp *qmp, char genid[37]);

/* -EBUSY: the guest has a disk that it may write to, and vas_error() says which. */
int qemu_check_disks(struct qmp *qmp);

#endif
