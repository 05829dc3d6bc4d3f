/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef VAS_LIB_CLEANUP_H
#define VAS_LIB_CLEANUP_H

struct vas;

/* End what was added by vas_cleanup_add(), the last first. The caller ends the handle. */
void vas_cleanups_run(struct vas *vas);

#endif
