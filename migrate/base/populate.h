/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef MIGRATE_POPULATE_H
#define MIGRATE_POPULATE_H

#include <stddef.h>

/*
 * Let the kernel make these pages of a mapping now, on all processors. Pages come at their first touch
 * if it cannot (before Linux 5.14). -ENOMEM: there is no memory for them, and some are made.
 */
int populate(char *p, size_t size);

#endif
