/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Who has a vas open, as the verbs tell it. */
#ifndef CLI_HOLDERS_H
#define CLI_HOLDERS_H

#include "cli/target/scan.h"

#define HOLDERS_TEXT 512

/* "1234 vas, 1240 qemu-system-x86", and how many more there are. */
void holders_describe(const struct found *found, char text[HOLDERS_TEXT]);

/* "pid" and "fd", which name it, and "holders", into the object at hand. */
void holders_print_json(const struct found *found);

#endif
