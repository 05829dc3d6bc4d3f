// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tinyvmm_vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define NET_HEADER 12 /* of virtio-net, before each frame */
#define RING_FEATURES                                                       \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_INDIRECT_DESC | \
	 1ull << VIRTIO_RING_F_EVENT_IDX)

/* ---- the server: the kernel has both queues, or none ---------------------------------------- */

static struct vhost_device *of(struct vas_virtio_server *server)
{
	return (struct vhost_device *)server;
}

static void vhost_config_read(struct vas_virtio_server *server, uint32_t offset, void *to,
			      uint32_t len)
{
	memcpy(to, of(server)->config + offset, len);
}

static int vhost_start(struct vas_virtio_server *server, uint64_t features)
{
	of(server)->features = features;
	return 0;
}

static int vhost_queue_start(struct vas_virtio_server *server, uint32_t index,
			     const struct vas_virtio_queue *queue)
{
	struct vhost_device *device = of(server);
	int err;

	device->queues[index] = (struct vas_vhost_queue){
		.size = queue->size,
		.base = queue->base,
		.desc = queue->desc,
		.avail = queue->driver,
		.used = queue->device,
		.kick_fd = queue->kick_fd,
		.call_fd = queue->call_fd,
		.backend_fd = device->tap,
	};
	device->is_wanted[index] = 1;
	if (!device->is_wanted[0] || !device->is_wanted[1] || device->is_running)
		return 0;
	err = vas_vhost_start(device->vhost,
			      device->features & server->features & ~(1ull << VIRTIO_NET_F_MAC),
			      device->queues);
	if (err)
		device->is_wanted[index] = 0;
	device->is_running = !err;
	return err;
}

/* The other one goes on when this one does. */
static void stop_both(struct vhost_device *device)
{
	uint32_t bases[VAS_VHOST_QUEUES];

	if (!device->is_running)
		return;
	vas_vhost_stop(device->vhost, bases);
	device->queues[0].base = bases[0];
	device->queues[1].base = bases[1];
	device->is_running = 0;
}

static void vhost_queue_stop(struct vas_virtio_server *server, uint32_t index, uint32_t *base)
{
	struct vhost_device *device = of(server);

	if (index < VAS_VHOST_QUEUES)
		stop_both(device);
	device->is_wanted[index] = 0;
	*base = device->queues[index].base;
}

static void vhost_reset(struct vas_virtio_server *server)
{
	struct vhost_device *device = of(server);

	stop_both(device);
	memset(device->is_wanted, 0, sizeof(device->is_wanted));
}

static const struct vas_virtio_ops vhost_ops = {
	.config_read = vhost_config_read,
	.start = vhost_start,
	.queue_start = vhost_queue_start,
	.queue_stop = vhost_queue_stop,
	.reset = vhost_reset,
};

/* ---- beginning and end --------------------------------------------------------------------- */

static int open_kernel(struct vhost_device *device, struct vas *vas, enum vas_vhost_kind kind,
		       const char *path)
{
	int err;

	*device = (struct vhost_device){ .kind = kind, .tap = -1 };
	device->fd = open(path, O_RDWR | O_CLOEXEC);
	if (device->fd < 0)
		return vas_error_set(-errno, "%s cannot be opened", path);
	err = vas_vhost_attach(vas, device->fd, kind, NULL, &device->vhost);
	if (!err && ioctl(device->fd, VHOST_GET_FEATURES, &device->server.features))
		err = -errno;
	if (err) {
		vhost_device_close(device);
		return err;
	}
	device->server.ops = &vhost_ops;
	device->server.queue_size = 256;
	return 0;
}

static int tap_open(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), header = NET_HEADER;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (tap < 0 || ioctl(tap, TUNSETIFF, &request) || ioctl(tap, TUNSETVNETHDRSZ, &header)) {
		vas_error_set(-errno, "no tap \"%s\": %s", name, strerror(errno));
		if (tap >= 0)
			close(tap);
		return -ENXIO;
	}
	return tap;
}

int vhost_net_open(struct vhost_device *device, struct vas *vas, const char *tap)
{
	static const unsigned char mac[6] = { 0x52, 0x54, 0, 0x76, 0x61, 0x73 };
	int err = open_kernel(device, vas, VAS_VHOST_NET, "/dev/vhost-net");

	if (err)
		return err;
	device->tap = tap_open(tap);
	if (device->tap < 0) {
		err = device->tap;
		vhost_device_close(device);
		return err;
	}
	memcpy(device->config, mac, sizeof(mac));
	device->server.name = "vhost-net";
	device->server.device_id = VIRTIO_ID_NET;
	device->server.nr_queues = 2;
	device->server.config_size = sizeof(mac);
	device->server.features &= RING_FEATURES | 1ull << VIRTIO_NET_F_MRG_RXBUF;
	device->server.features |= 1ull << VIRTIO_NET_F_MAC;
	return 0;
}

int vhost_vsock_open(struct vhost_device *device, struct vas *vas, uint64_t cid)
{
	int err = open_kernel(device, vas, VAS_VHOST_VSOCK, "/dev/vhost-vsock");

	if (err)
		return err;
	if (ioctl(device->fd, VHOST_VSOCK_SET_GUEST_CID, &cid)) {
		err = vas_error_set(-errno, "the CID %llu cannot be had: %s",
				    (unsigned long long)cid, strerror(errno));
		vhost_device_close(device);
		return err;
	}
	memcpy(device->config, &cid, sizeof(cid));
	device->server.name = "vhost-vsock";
	device->server.device_id = VIRTIO_ID_VSOCK;
	device->server.nr_queues = 3;
	device->server.config_size = sizeof(cid);
	device->server.features &= RING_FEATURES;
	return 0;
}

void vhost_device_close(struct vhost_device *device)
{
	vas_vhost_detach(device->vhost);
	if (device->tap >= 0)
		close(device->tap);
	close(device->fd);
}
