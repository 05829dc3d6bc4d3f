/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* /dev/foo: an echo device for a guest (examples/echo.h), in the kernel. */
#ifndef VAS_EXAMPLE_H
#define VAS_EXAMPLE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define FOO_BY_MAP 1u /* through a long-lived map; else one short access after the other */

struct foo_serve {
	__s32 vas_fd;
	__s32 doorbell_fd; /* rings when there is a request */
	__s32 irq_fd;	   /* raised when there is an answer */
	__u32 flags;
	__u64 gpa; /* of the struct echo_page */
};

/* Serve until the fd is closed. All other fds may be closed at once. Code: see <linux/vas.h>. */
#define FOO_SERVE _IOW(0xe8, 0x40, struct foo_serve)

#endif
