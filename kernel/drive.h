/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* /dev/vas */
#ifndef VAS_KERNEL_DRIVE_H
#define VAS_KERNEL_DRIVE_H

int vas_drive_init(void);
void vas_drive_exit(void);

#endif
