/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The sentence about a failure, for vas_error(). Fast paths set none. */
#ifndef VAS_LIB_ERROR_H
#define VAS_LIB_ERROR_H

#include <vas/consumer.h> /* vas_error_set(), which consumers use as well */

#endif
