/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef VAS_LIB_NAME_H
#define VAS_LIB_NAME_H

#include <string.h>

/* A name that goes to others: what the caller had behind its NUL stays here. */
static inline void vas_name_clean(char *name, size_t size)
{
	size_t len = strnlen(name, size);

	memset(name + len, 0, size - len);
}

#endif
