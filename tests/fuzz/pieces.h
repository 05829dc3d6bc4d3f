/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A vas's superblock and control area as one short input: the first bytes of each part, side by side
 * in the order of the extents, put where the victim (tests/hostile) has them. The input's first two
 * bytes choose how to bind.
 */
#ifndef TESTS_FUZZ_PIECES_H
#define TESTS_FUZZ_PIECES_H

#include "tests/hostile/victim.h"

#define PIECES_SUPERBLOCK 512u
#define PIECES_UUID	  0x5a /* every byte of it, so that a message can be made beforehand */

/* Bytes of a part that are in the input. */
size_t segments_size(enum vas_extent_id id);

/* Write the input over the victim's bytes; what it is too short for stays. */
void segments_apply(struct victim *v, const uint8_t *data, size_t size);

/* The victim's bytes as an input: its size. buf has room for 8 KiB. */
size_t segments_collect(const struct victim *v, uint8_t *buf);

/* A victim that nobody owns, so that it can be adopted, and a copy of its control area: its fd. */
int pieces_make_orphan(struct victim *v, char **control);

/* Add a region and remove the first. */
void pieces_change_layout(struct vas *vas);

/* Send bytes and fds over a socket, as one message; without bytes nothing is. */
#define PIECES_MAX_FDS 16u
void pieces_post(int sock, const uint8_t *bytes, size_t size, const int *fds, uint32_t nr_fds);

/* Wait for, ring and raise the victim's events, whatever their fds are. */
void pieces_use_events(struct vas *vas);

/* The first call counts the fds; later ones abort, with a list, if there are more or fewer. */
void segments_count_fds(void);

#endif
