/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Numbers, sizes and bytes as people write them. All return 0 or -EINVAL, or -ERANGE if too big. */
#ifndef CLI_PARSE_H
#define CLI_PARSE_H

#include <stddef.h>
#include <stdint.h>

/* Decimal or 0x..., with K, M, G, T or P (KiB and so on) behind; up to the end of the text. */
int parse_size(const char *text, uint64_t *size);

/* The same of the text's first len bytes. */
int parse_size_n(const char *text, size_t len, uint64_t *size);

/* Decimal digits only, up to INT_MAX. */
int parse_number(const char *text, int *number);

/* Seconds from 0.1 to 3600, as 2 or 0.5: in nanoseconds. */
int parse_seconds(const char *text, uint64_t *ns);

/*
 * Pairs of hex digits, with or without spaces between: "de ad beef". With mask (else NULL), a digit
 * may be '?', which matches anything: its bits are 0 in both. The caller frees *bytes, and *mask
 * with it: they are one allocation.
 */
int parse_hex(const char *text, uint8_t **bytes, uint8_t **mask, size_t *len);

#endif
