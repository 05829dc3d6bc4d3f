/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The ways to restore a snapshot. */
#ifndef MIGRATE_RESTORE_H
#define MIGRATE_RESTORE_H

#include <vas/migrate.h>

#include "migrate/snapshot/image.h"

/* A vas without regions, as the snapshot's layout wants it, with its devices. */
int restore_create(const struct image *image, struct vas **vas);

/* Pages come as they are touched; lazy_flags: VAS_ARRIVE_*, chain_flags: CHAIN_*. */
int restore_lazily(const char *path, uint32_t lazy_flags, uint32_t chain_flags, struct vas **vas);

/* As private mappings of the file: memory of this process alone. */
int restore_privately(const char *path, struct vas **vas);

#endif
