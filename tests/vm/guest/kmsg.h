/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The kernel's log, watched for what must not happen. */
#ifndef GUEST_KMSG_H
#define GUEST_KMSG_H

/* Watch from here on what has been logged since boot. 0 or -errno. */
int kmsg_open(void);

/*
 * Go through what was logged since the last call, send each alarming line to the host as "# TEXT",
 * and return how many there were.
 */
int kmsg_check(void);

#endif
