/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* /dev/vas */
#ifndef VAS_KERNEL_DEVICE_FILE_H
#define VAS_KERNEL_DEVICE_FILE_H

int vas_device_file_init(void);
void vas_device_file_exit(void);

#endif
