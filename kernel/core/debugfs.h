/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef VAS_KERNEL_DEBUGFS_H
#define VAS_KERNEL_DEBUGFS_H

void vas_debugfs_init(void);
void vas_debugfs_exit(void);

#endif
