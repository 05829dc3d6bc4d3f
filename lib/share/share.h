/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A share: a vas that has some files of a parent, and what is in them. docs/design/shares.md.
 *
 * The parent's change lock protects all of it. The share's own is taken below that, for the time of
 * one op: nobody else changes a share.
 */
#ifndef VAS_LIB_SHARE_H
#define VAS_LIB_SHARE_H

#include <vas/consumer.h>
#include <vas/share.h>

#include "lib/handle/pins.h"

/* A file of the parent's, and its number in the share. */
struct shared_file {
	uint64_t dev;
	uint64_t ino;
	uint32_t backing;
};

struct share {
	struct vas_consumer consumer; /* first: the ops cast */
	struct vas_cleanup cleanup;   /* of the share's handle */
	struct vas *vas;
	uint32_t flags; /* VAS_SHARE_* */
	struct shared_file files[VAS_MAX_BACKINGS];
	uint32_t nr_files;

	/* What the prepared change takes away, in ranges; and room for the layout after it. */
	struct vas_region *gone;
	size_t nr_gone;
	struct vas_region *next;

	/* The step that is under way: who is asked for what, when to look again, and who it was. */
	struct pin_set pins;
	const struct pin_set *asked; /* &pins, or NULL: only sections */
	enum vas_pin_request request;
	struct vas_blocker blocker;
	int timer_fd;

	uint32_t incomplete_seen; /* the share's log_incomplete, at the last harvest */
};

/* ---- share_layout.c ----------------------------------------------------------------------- */

/* The files of these regions become the share's; or a reason why not, in the error. */
int vas_share_add_files(struct share *share, const struct vas *parent, const uint64_t *ids,
			size_t nr);

/*
 * The share's part of a change: first without what is gone, then as it is to be. prepare may fail;
 * then commit or abort, which need no memory but perhaps a table's. commit works without prepare.
 */
int vas_share_prepare(struct share *share, const struct vas_delta *delta);
int vas_share_commit(struct share *share, const struct vas_delta *delta);
void vas_share_abort(struct share *share, const struct vas_delta *delta);

/* All that the parent now has in the share's files. */
int vas_share_follow(struct share *share);

/* ---- share_log.c -------------------------------------------------------------------------- */

/* Move what peers have marked into the parent's log. */
int vas_share_harvest(struct share *share);

#endif
