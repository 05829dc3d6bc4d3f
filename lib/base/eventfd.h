/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* An eventfd that peers share. */
#ifndef VAS_LIB_EVENTFD_H
#define VAS_LIB_EVENTFD_H

/* Count it up, without sleeping whatever its other holders do: 0 or -errno. */
int vas_eventfd_raise(int fd);

#endif
