/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The story of a failure, for vas_error(). Fast paths tell none. */
#ifndef VAS_LIB_ERROR_H
#define VAS_LIB_ERROR_H

/* Remember the sentence for this thread and return err, a negative errno. */
int vas_fail(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
