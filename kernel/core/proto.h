/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* core/protocol for a binding: its locks belong to the binding's own open file description. */
#ifndef VAS_KERNEL_PROTO_H
#define VAS_KERNEL_PROTO_H

#include <linux/types.h>

struct file;
struct vas;

void vas_proto_init(struct vas *vas);
int vas_proto_join(struct vas *vas);
bool vas_current_owns(struct file *file, u64 superblock_offset);

#endif
