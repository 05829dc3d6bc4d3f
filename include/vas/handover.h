/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Hand-over: another process of this host becomes the owner. Nothing is copied. */
#ifndef VAS_HANDOVER_H
#define VAS_HANDOVER_H

#include <vas/handle.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Hand ownership to another process on this host, over a connected Unix socket. Nothing is copied;
 * binders and guest memory stay as they are. The old owner calls give, the new one take. There are
 * never two owners; if one of the two dies half way, the other owns the vas, or it can be adopted.
 * state is what the VMM has beside memory (vCPUs, devices); it may be NULL with size 0. The taker
 * frees *state.
 *
 * vas_handover_give: 0: the handle is a binder's now. An error: the caller still owns the vas.
 * -EPERM: it does not. -ETIMEDOUT: the peer let too much time pass: 30 s to begin, 5 s a message,
 * and 1 s more for each 16 MiB of state; layout changes of other threads wait as long. -EBUSY:
 * consumers (KVM) are attached. vas_handover_take: as vas_recv_fds().
 */
VAS_API int vas_handover_give(struct vas *vas, int sock, const void *state, size_t size);
VAS_API int vas_handover_take(int sock, uint32_t bind_flags, struct vas **vas, void **state,
			      size_t *size);

#ifdef __cplusplus
}
#endif

#endif
