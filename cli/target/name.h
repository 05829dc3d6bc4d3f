/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * How a vas is named on the command line: PID/FD, a process that has it open; fd:N or N, an fd that
 * the command inherits; anything else is the name that it was given, or its uuid, looked for over
 * the whole host.
 */
#ifndef CLI_NAME_H
#define CLI_NAME_H

#include <sys/types.h>
#include <vas/vas.h>

/*
 * Bind to the vas so named, as an observer, or with VAS_ROLE_BINDER as one who may write. An exit
 * code, after a message if it is not EXIT_OK.
 */
int name_bind(const char *name, enum vas_role role, struct vas **vas);

/*
 * The same to read contents: as an observer, unless there are pages that are filled only for
 * binders, who can send requests.
 */
int name_bind_to_read(const char *name, struct vas **vas);

/*
 * Memory may be in files of its own, beside the vas: show libvas those that the process has open.
 * name_bind() does, of the process that it finds the vas by.
 */
void name_offer_backings(struct vas *vas, pid_t pid);

/* 0 if `name` can be a vas's name without being taken for something else, else -EINVAL. */
int name_check(const char *name);

#define UUID_TEXT_LEN 37
void name_format_uuid(const uint8_t uuid[16], char text[UUID_TEXT_LEN]);

#endif
