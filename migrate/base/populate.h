/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef MIGRATE_POPULATE_H
#define MIGRATE_POPULATE_H

#include <stddef.h>

/*
 * Let the kernel allocate these pages of a mapping now, on all processors. If it cannot (before
 * Linux 5.14), pages are allocated at their first touch. -ENOMEM: there is no memory for them, and
 * some are made.
 */
int populate(char *p, size_t size);

#endif
