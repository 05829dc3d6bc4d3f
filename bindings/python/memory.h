/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef VAS_PYTHON_MEMORY_H
#define VAS_PYTHON_MEMORY_H

#include <stdbool.h>
#include <vas/vas.h>

/*
 * Is an access of len bytes to be made without the GIL: since it takes a while, or since pages may
 * have to be filled first?
 */
bool memory_may_wait(struct vas *vas, size_t len);

#endif
