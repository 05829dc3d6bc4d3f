/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* For rules about files that must not be bound: the superblock, writable. */
#ifndef TESTS_CONTRACT_REBIND_H
#define TESTS_CONTRACT_REBIND_H

#include "subject.h"

struct vas_superblock *superblock_map(struct subject *s);
void superblock_unmap(struct subject *s, struct vas_superblock *sb);

#endif
