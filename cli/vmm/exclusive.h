/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What of QEMU's arguments stands for something of the host that two processes cannot have. */
#ifndef CLI_EXCLUSIVE_H
#define CLI_EXCLUSIVE_H

/*
 * The first argument that a second QEMU could not have, or should not, while another one runs: a
 * listening socket, a tap, a file that is truncated, an fd that is inherited. NULL: none. What is
 * not known to be harmless is not. *value: what stands behind it, or "".
 */
const char *exclusive_argument(char *const *argv, const char **value);

#endif
