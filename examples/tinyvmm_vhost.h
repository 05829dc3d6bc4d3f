/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Virtio devices that the host's kernel serves: vhost-net on a tap, vhost-vsock. */
#ifndef TINYVMM_VHOST_H
#define TINYVMM_VHOST_H

#include <vas/vhost.h>
#include <vas/virtio.h>

#define VHOST_MAX_QUEUES 3 /* vsock's third, of events, nobody serves: there are none */

struct vhost_device {
	struct vas_virtio_server server; /* first: the ops cast */
	struct vas_vhost *vhost;
	enum vas_vhost_kind kind;
	int fd;
	int tap; /* or -1 */
	uint64_t features;
	struct vas_vhost_queue queues[VHOST_MAX_QUEUES];
	int is_wanted[VHOST_MAX_QUEUES]; /* the driver wants it to run */
	int is_running;			 /* both are served */
	unsigned char config[8];	 /* net: the MAC address; vsock: the guest's CID */
};

/* On a tap of this name, which is made if there is none; or with this CID. 0 or -errno. */
int vhost_net_open(struct vhost_device *device, struct vas *vas, const char *tap);
int vhost_vsock_open(struct vhost_device *device, struct vas *vas, uint64_t cid);

/* Once it has been removed from its bus. */
void vhost_device_close(struct vhost_device *device);

#endif
