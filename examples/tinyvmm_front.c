// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tinyvmm_front.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tinyvmm_socket.h"

#define AGAIN_MS 100 /* between two looks for a successor */

static const struct kind {
	const char *word;
	uint32_t id, nr_queues, config_size;
} kinds[] = {
	/* The number of a disk's queues is its back end's to say. */
	{ "vhost-user-blk", VIRTIO_ID_BLOCK, 0,
	  offsetof(struct virtio_blk_config, max_secure_erase_sectors) },
	{ "vhost-user-fs", VIRTIO_ID_FS, 2, sizeof(struct virtio_fs_config) },
	{ "vhost-user-net", VIRTIO_ID_NET, 2, offsetof(struct virtio_net_config, mtu) },
	{ "vhost-user-rng", VIRTIO_ID_RNG, 1, 0 },
};

static const struct kind *find(const char *word)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(word, kinds[i].word))
			return &kinds[i];
	return NULL;
}

unsigned int front_kind(const char *word)
{
	const struct kind *kind = find(word);

	return kind ? kind->id : 0;
}

/* ---- the back end --------------------------------------------------------------------------- */

static void find_successor(struct front_device *device)
{
	int sock = socket_connect(device->path);

	if (sock < 0)
		return;
	if (vas_vhost_user_connect(device->front, sock))
		fprintf(stderr, "tinyvmm: %s: %s\n", device->path, vas_error());
	close(sock);
}

/* Hears what the back end says, and looks for another one when it has gone. */
static void *serve(void *arg)
{
	struct front_device *device = arg;
	struct pollfd fds[] = {
		{ .fd = device->stop_fd, .events = POLLIN },
		{ .fd = vas_vhost_user_fd(device->front), .events = POLLIN },
	};
	int is_gone = 0;

	/* The fd is left out while there is nobody. */
	while (poll(fds, is_gone ? 1 : 2, is_gone ? AGAIN_MS : -1) >= 0 && !fds[0].revents) {
		if (is_gone)
			find_successor(device);
		is_gone = vas_vhost_user_serve(device->front) < 0;
	}
	return NULL;
}

static int start(struct front_device *device)
{
	int err;

	device->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (device->stop_fd < 0)
		return vas_error_set(-errno, "no eventfd");
	err = pthread_create(&device->thread, NULL, serve, device);
	if (err)
		close(device->stop_fd);
	return err ? vas_error_set(-err, "no thread for %s", device->path) : 0;
}

/* ---- the device ------------------------------------------------------------------------------ */

union config {
	struct virtio_fs_config fs;
	struct virtio_net_config net;
};

/* What the back end does not have. NULL: it has all. */
static const void *config_of(const struct kind *kind, const char *name, union config *config)
{
	static const uint8_t mac[] = { 0x52, 0x54, 0x00, 0x76, 0x61, 0x73 };

	memset(config, 0, sizeof(*config));
	if (kind->id == VIRTIO_ID_FS) {
		strncpy((char *)config->fs.tag, name ? name : "guest", sizeof(config->fs.tag));
		config->fs.num_request_queues = 1;
		return config;
	}
	if (kind->id != VIRTIO_ID_NET)
		return NULL;
	memcpy(config->net.mac, mac, sizeof(mac));
	config->net.status = VIRTIO_NET_S_LINK_UP;
	config->net.max_virtqueue_pairs = 1;
	return config;
}

static int attach(struct front_device *device, struct vas *vas, const struct kind *kind,
		  const char *name)
{
	union config config;
	const struct vas_vhost_user_options options = {
		.name = device->path,
		.device_id = kind->id,
		.nr_queues = kind->nr_queues,
		.config_size = kind->config_size,
		.config = config_of(kind, name, &config),
	};
	int sock = socket_connect(device->path), err;

	if (sock < 0)
		return vas_error_set(sock, "nobody listens at %s", device->path);
	err = vas_vhost_user_attach(vas, sock, &options, &device->front);
	close(sock);
	return err;
}

int front_device_open(struct front_device *device, struct vas *vas, const char *kind,
		      const char *path, const char *name)
{
	int err;

	if (!path || strlen(path) >= sizeof(device->path))
		return vas_error_set(-EINVAL, "%s wants path=SOCKET", kind);
	strcpy(device->path, path);
	err = attach(device, vas, find(kind), name);
	if (err)
		return err;
	err = start(device);
	if (err)
		vas_vhost_user_detach(device->front);
	return err;
}

void front_device_close(struct front_device *device)
{
	eventfd_write(device->stop_fd, 1);
	pthread_join(device->thread, NULL);
	close(device->stop_fd);
	vas_vhost_user_detach(device->front);
}
