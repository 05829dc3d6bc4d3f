/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* vas_send_fds() and vas_recv_fds() with a deadline, whatever the socket's flags are. */
#ifndef VAS_LIB_PASS_H
#define VAS_LIB_PASS_H

#include "lib/base/deadline.h"
#include "lib/handle/handle.h"

/* -ETIMEDOUT: the socket takes nothing, or nothing has come. */
int vas_pass_send(struct vas *vas, int sock, uint32_t flags, struct deadline deadline);
int vas_pass_recv(int sock, uint32_t bind_flags, struct deadline deadline, struct vas **vas);

#endif
