/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What 'vas top' shows: every vas of the host, looked at again and again. sample.c looks, track.c
 * counts what is written, print.c and metrics.c print, screen.c is the terminal, serve.c answers
 * HTTP.
 */
#ifndef CLI_TOP_H
#define CLI_TOP_H

#include <stdio.h>
#include <vas/device.h>
#include <vas/dirty.h>

#include "cli/target/scan.h"
#include "cli/ui/text.h"

#define TOP_NONE UINT64_MAX /* not known */

/* Epochs whose pages are the working set. */
#define TOP_WINDOW 8

struct top_track; /* a tracker on one vas: track.c */

/* A vas from one look to the next. */
struct top_entry {
	dev_t dev;
	ino_t ino;
	struct vas_info info;
	int pid, fd;   /* a holder, to name it by */
	uint64_t size; /* bytes, as the next three */
	uint64_t resident;
	uint64_t dirty_rate;		 /* written in a second */
	uint64_t working_set;		 /* written in the last epochs */
	uint64_t migration_round;	 /* TOP_NONE: none is under way */
	struct vas_device_info *devices; /* on its bus */
	uint32_t nr_devices, nr_served;
	size_t nr_holders;
	struct top_track *track;
	uint64_t retry;	 /* the number of the look before which tracking is not tried again */
	uint64_t looked; /* the number of the look that saw it last */
};

enum top_order {
	TOP_BY_RESIDENT,
	TOP_BY_DIRTY,
	TOP_BY_WORKING_SET,
	TOP_BY_SIZE,
	TOP_BY_NAME,
	TOP_ORDERS
};

struct top {
	struct top_entry *entries;
	size_t nr;
	size_t nr_denied;
	uint64_t looks;
	char *const *names; /* only these: PID/FD, a name or uuid; none: all */
	int nr_names;
	enum top_order order;
	int reversed;
	struct shown shown; /* columns that were asked for */
	int tracks;	    /* count what is written: every writer has to mark then */
};

/* Look once: 0 or -errno. Those that are gone are left out, the others sorted. */
int top_look(struct top *top);
void top_sort(struct top *top);
void top_clean(struct top *top);

const char *top_order_name(enum top_order order);

/*
 * Count in this vas: the rate since the last call, and the working set; NULL: it cannot be tracked.
 */
struct top_track *top_track_new(const struct holder *holder);
int top_track_look(struct top_track *track, uint64_t *dirty_rate, uint64_t *working_set);
void top_track_free(struct top_track *track);

/* As text on stdout, or as a line of JSON. 0 or -errno. */
int top_print(const struct top *top);
void top_print_json(const struct top *top);
void top_print_metrics(FILE *out, const struct top *top);

/*
 * Answer requests for metrics at this address (HOST:PORT, PORT, unix:PATH, ...) until a signal; a
 * look is never older than max_age_ns. An exit code.
 */
int top_serve(struct top *top, const char *address, uint64_t max_age_ns);

/* The cells of a row, as text that is fit for a terminal. */
#define TOP_COLUMNS   9
#define TOP_CELL_SIZE 192
extern const char *const top_heads[TOP_COLUMNS];
extern const char top_align[];
extern const char top_ranks[]; /* for shown_fit() */
void top_cells(const struct top_entry *entry, char cells[TOP_COLUMNS][TOP_CELL_SIZE]);

/* Until a key or a signal ends it. An exit code. */
int top_screen(struct top *top, uint64_t delay_ns);

#endif
