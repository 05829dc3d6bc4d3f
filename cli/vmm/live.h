/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Who copies a guest's memory while it runs in a QEMU is told by QEMU which pages it has to copy,
 * once more if need be: QEMU sends its RAM as for a migration, and tracks what the guest writes
 * meanwhile. What it sends is only looked at (qemu/ram_stream.h).
 */
#ifndef CLI_LIVE_H
#define CLI_LIVE_H

#include <sys/types.h>

#include "cli/target/regions.h"
#include "cli/vmm/guest.h"
#include "qemu/ram_stream.h"

struct live {
	struct guest *guest;
	struct regions regions;
	uint64_t memory;	   /* bytes of QEMU's RAM, from the start of the file on */
	struct ram_stream *stream; /* NULL: it has not begun, or is over */
	struct qemu_stream qemu;
	uint64_t downtime_ms;
	uint64_t gpa; /* of the regions that are not QEMU's, so far is told */
	enum { LIVE_AIMS_LOWEST, LIVE_AIMS_LOWER, LIVE_CONVERGES, LIVE_HURRIES, LIVE_STOPS } haste;
	int is_saved;		   /* QEMU has come to an end, and live_state() has it */
	uint64_t asks_at;	   /* when so many pages are told, live_is_sure() asks QEMU */
	int asks;		   /* and waits for the answer */
	struct qemu_record record; /* but for the state */
};

/*
 * The guest runs, and its QEMU has a monitor. It may stand for downtime_ms for the end of QEMU's
 * stream, as QEMU estimates it; less is tried first, as more rounds cost the guest nothing. 1; or
 * 0: it has to stand all the time, and the user is told; or -errno. live_end() is due in any case.
 * It has to stand because QEMU looks at all of its RAM, which takes memory then, also where it was
 * never touched, and the host has not as much; memory is plugged into it; or its RAM is not one
 * block that we have named.
 */
int live_begin(struct live *live, struct guest *guest, uint64_t downtime_ms);

/*
 * The next pages to be copied: how many words, at most nr, which must be LIVE_WORDS at least. 0:
 * the guest stands (guest->is_stopped), and all is told. As vas_snapshot_options.told().
 */
#define LIVE_WORDS 1024
ssize_t live_next(struct live *live, struct vas_dirty_word *words, size_t nr);

/* QEMU has said that the guest stands, and there may be more pages to tell of. */
int live_stands(const struct live *live);

/* As vas_migrate_ops.is_sure(): of a QEMU that may miss writes. */
int live_is_sure(struct live *live);

/* After all of them: guest_save() by what QEMU sends behind its RAM. */
int live_state(struct live *live, void **record, size_t *size);

/* Whatever has happened; before all was told, the guest runs on. */
void live_end(struct live *live);

#endif
