/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The ways to restore a snapshot. */
#ifndef MIGRATE_RESTORE_H
#define MIGRATE_RESTORE_H

#include <vas/migrate.h>

/* As private mappings of the file: memory of this process alone. */
int restore_privately(const char *path, struct vas **vas);

#endif
