/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copies by the kernel, which answers with an error where we would get a signal. */
#ifndef VAS_LIB_CHECKED_H
#define VAS_LIB_CHECKED_H

#include <stddef.h>

/* How many bytes could be copied, up to the first that could not. */
size_t vas_read_checked(char *buf, const char *hva, size_t len);
size_t vas_write_checked(char *hva, const char *buf, size_t len);

#endif
