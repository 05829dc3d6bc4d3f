/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A step of the run that is not a program. It begins with report("run %s"). */
#ifndef GUEST_STAGE_H
#define GUEST_STAGE_H

#include <stdbool.h>

/*
 * Report the step as failed if err (0 or -errno) says so or the kernel logged something alarming.
 * True if all is well; then nothing has been reported yet.
 */
bool stage_end(const char *name, int err);

#endif
