/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Serving a vas at a Unix socket: who may open the socket's file gets the vas, and may offer to
 * serve its devices, <vas/device.h>.
 *
 *	owner						peer
 *	vas_serve(vas, "/run/guest", 0660, &serve)	vas_connect("/run/guest", 0, &vas, &sock)
 *							vas_device_offer(vas, sock, ...)
 *
 * A peer gets the fds of the vas and of its backings, and no eventfds.
 */
#ifndef VAS_SERVE_H
#define VAS_SERVE_H

#include <vas/handle.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vas_serve;

/*
 * Serve the vas at a socket that is made at `path`, in a thread of the library's, until
 * vas_serve_end(), which comes before the handle's end and removes the socket. One in the way at
 * which nobody listens is replaced. Peers are told from each other by their uid and groups, as the
 * kernel tells them, and `mode` is what they may do with the vas, as with a file that the caller
 * has made: r is to observe, rw to bind for writing and to serve devices. Root may do all. With 0
 * only root may.
 *
 * No peer makes another wait: each message is one of a fixed size, and what makes no sense ends its
 * connection. 256 may be connected at once.
 *
 * -EPERM: the handle only observes. -EINVAL: the path is too long, or the mode has w without r or
 * x. -EADDRINUSE: somebody listens there. -ENOMEM; else as bind(2) and chmod(2).
 */
VAS_API int vas_serve(struct vas *vas, const char *path, uint32_t mode, struct vas_serve **serve);
VAS_API void vas_serve_end(struct vas_serve *serve);

/*
 * Serve a peer behind a connected socket of type SOCK_SEQPACKET, which is the library's from now
 * on: a thread of this process that has the other end of a socketpair(2), say. It may do all that
 * rw allows.
 */
VAS_API int vas_serve_socket(struct vas_serve *serve, int sock);

/*
 * The other side: connect, and bind; bind_flags and errors as for vas_recv_fds(). The handle stays
 * good whatever becomes of the connection. sock may be NULL: then it is closed. Else it is the
 * caller's, and devices are offered by it.
 *
 * -ENOENT, -ECONNREFUSED: nobody serves there. -EACCES: the socket's mode says no. -ETIMEDOUT:
 * whoever listens there does not answer within 5 s.
 */
VAS_API int vas_connect(const char *path, uint32_t bind_flags, struct vas **vas, int *sock);

/* The same without a bind: the vas at the other end has to be the one of this handle. -ESTALE. */
VAS_API int vas_reconnect(struct vas *vas, const char *path, int *sock);

#ifdef __cplusplus
}
#endif

#endif
