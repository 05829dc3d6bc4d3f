/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The file behind a vas: making it, opening it anew, checking what somebody handed us. */
#ifndef VAS_LIB_FILE_H
#define VAS_LIB_FILE_H

#include "lib/handle/handle.h"

/* Make and seal the file; the superblock's counts and sizes are planned already. Sets vas->fd. */
int vas_file_create(struct vas *vas);

/* The file of a RAM that is apart, which becomes backing 0. It may be sealed further. */
int vas_ram_create(struct vas *vas);

/*
 * A file for regions and nothing else, sealed likewise: its fd, or -errno. name: informational.
 * create_flags: VAS_CREATE_HUGETLB or 0.
 */
int vas_file_create_backing(const char *name, uint64_t size, uint32_t create_flags);

/* Seals, size and superblock of fd, into vas->sb. */
int vas_file_check(struct vas *vas, int fd);

/* A new open file description of the same file. -errno, with the error set. */
int vas_file_reopen(int fd, int open_flags);

/* Allocate [offset, offset + size): 0, -ENOMEM (which a full tmpfs is too) or -errno. */
int vas_file_allocate(int fd, uint64_t offset, uint64_t size);

/* Map the control area; read only for observers. */
int vas_control_map(struct vas *vas);
void vas_control_unmap(struct vas *vas);

/* What a backing's entry for this file has to be. -EINVAL if it cannot be one. */
int vas_file_describe(int fd, struct vas_backing_entry *entry);

/*
 * A duplicate of fd becomes the backing's; one that cannot write where nobody is to write by it, so
 * that maps by it keep nobody from sealing the file.
 */
int vas_backing_take(struct vas *vas, struct backing *backing, int fd);

/*
 * A duplicate of a backing's fd, which other threads may close when the layout changes; -1: not
 * available. The caller closes it, and does not hold vas->lock.
 */
int vas_backing_dup(struct vas *vas, uint32_t backing);

/* Give up a backing's fd. */
void vas_backing_close(struct backing *backing);

#endif
