/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * JSON on stdout, written as it comes: a result of any length costs no memory. key is NULL inside
 * an array and at the top. json_close() of the last level ends the line.
 */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <stddef.h>
#include <stdint.h>

void json_open(const char *key, char bracket); /* '{' or '[' */
void json_close(void);
void json_number(const char *key, uint64_t number);
void json_boolean(const char *key, int truth);
void json_null(const char *key);

/* Up to max bytes, of which those that are no printable text become '?'. */
void json_text(const char *key, const char *text, size_t max);

#endif
