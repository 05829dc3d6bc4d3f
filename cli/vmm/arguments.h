/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* QEMU's way to write arguments: options, and values of parts such as "q35,accel=tcg". */
#ifndef CLI_ARGUMENTS_H
#define CLI_ARGUMENTS_H

#include <stddef.h>

/* True for the option, with one dash or with two; -M is -machine. */
int argument_is(const char *arg, const char *option);

/* What is behind a part's name, such as "accel=", and how long it is; NULL: there is no such part. */
const char *argument_part(const char *value, const char *name, size_t *len);

/* The same, or the part that comes first without a name. */
const char *argument_first(const char *value, const char *name, size_t *len);

#endif
