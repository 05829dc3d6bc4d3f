/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Reports of KCSAN, which come as many lines of the log. The kernel has races of its own, so only those
 * are alarming in which a tested module made an access.
 */
#ifndef GUEST_RACE_H
#define GUEST_RACE_H

#include <stdbool.h>

/*
 * Follow the log, line by line. True: the line is part of a report, and needs no other look. *nr_alarms
 * counts up by the lines that a report had, once it is complete and sent to the host as "# TEXT".
 */
bool race_follow(const char *text, int *nr_alarms);

#endif
