/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Memory for what is as large as somebody says: if there is none, the caller is told, not the log.
 */
#ifndef VAS_KERNEL_ALLOC_H
#define VAS_KERNEL_ALLOC_H

#include <linux/gfp.h>

#define VAS_GFP_LARGE (GFP_KERNEL_ACCOUNT | __GFP_NOWARN)

#endif
