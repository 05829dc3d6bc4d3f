/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Segmentation of UDP, which virtio-net has known since Linux 6.2. */
#ifndef VAS_NET_USO_H
#define VAS_NET_USO_H

#include <linux/virtio_net.h>

#ifdef VIRTIO_NET_F_HOST_USO
#define VAS_NET_HOST_USO   VIRTIO_NET_F_HOST_USO
#define VAS_NET_GUEST_USO4 VIRTIO_NET_F_GUEST_USO4
#define VAS_NET_GUEST_USO6 VIRTIO_NET_F_GUEST_USO6
#define VAS_NET_GSO_UDP_L4 VIRTIO_NET_HDR_GSO_UDP_L4
#define VAS_NET_USO                                                        \
	(1ull << VIRTIO_NET_F_HOST_USO | 1ull << VIRTIO_NET_F_GUEST_USO4 | \
	 1ull << VIRTIO_NET_F_GUEST_USO6)
#else
#define VAS_NET_HOST_USO   56
#define VAS_NET_GUEST_USO4 54
#define VAS_NET_GUEST_USO6 55
#define VAS_NET_GSO_UDP_L4 5
#define VAS_NET_USO	   0ull
#endif

#endif
