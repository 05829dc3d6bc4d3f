/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Where all of vas.ko's deferred work runs; emptied before the module goes. */
#ifndef VAS_KERNEL_WORKQUEUE_H
#define VAS_KERNEL_WORKQUEUE_H

struct workqueue_struct;

extern struct workqueue_struct *vas_workqueue;

#endif
