// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Here the functions that headers inline are ordinary ones: their symbols, for whoever loads them.
 */
#define VAS_INLINE VAS_API

#include <vas/access.h>
#include <vas/field.h>
