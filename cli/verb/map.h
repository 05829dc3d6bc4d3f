/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef CLI_VERB_MAP_H
#define CLI_VERB_MAP_H

#include "cli/target/cells.h"

/* How many cells are side by side in a drawing. */
#define MAP_SVG_WIDTH 128

/* What lies where, by backing, and how much of it is resident: a drawing, on stdout. */
void map_print_svg(const char *name, const struct cells *cells, const struct regions *regions);

#endif
