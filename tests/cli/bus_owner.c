// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * bus_owner NAME SOCKET: the owner of a vas with a disk on its bus, and a driver that has made one queue and
 * asks for the first sector again and again. Until stdin ends.
 */
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <vas/device.h>
#include <vas/serve.h>
#include <vas/vas.h>

#define MIB    (1u << 20)
#define SIZE   4
#define DRIVER 4096
#define DEVICE 8192
#define HEADER 12288
#define DATA   16384
#define STATUS 20480

struct desc {
	uint64_t gpa;
	uint32_t len;
	uint16_t flags, next;
};

static struct vas *vas;

static void must(int err, const char *what)
{
	if (err >= 0)
		return;
	fprintf(stderr, "%s: %s\n", what, vas_error());
	exit(1);
}

static void put(uint64_t gpa, const void *bytes, size_t len)
{
	must(vas_write(vas, gpa, bytes, len, NULL), "write");
}

/* A read of one sector, by one chain that is made available again and again. */
static void make_ring(void)
{
	const struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_IN };
	const struct desc descs[] = {
		{ HEADER, sizeof(header), 1, 1 },
		{ DATA, 512, 3, 2 },
		{ STATUS, 1, 2, 0 },
	};

	put(0, descs, sizeof(descs));
	put(HEADER, &header, sizeof(header));
}

static void request(int kick_fd, uint16_t nr)
{
	uint16_t idx = 0;

	must(vas_store_le16(vas, DRIVER + 2, nr, __ATOMIC_RELEASE), "idx");
	eventfd_write(kick_fd, 1);
	while (idx != nr) {
		must(vas_load_le16(vas, DEVICE + 2, &idx, __ATOMIC_ACQUIRE), "used");
		poll(NULL, 0, 1);
	}
}

static int has_ended(void)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };
	char byte;

	return poll(&in, 1, 1) > 0 && read(0, &byte, 1) <= 0;
}

int main(int argc, char **argv)
{
	struct vas_options options = { .limit = MIB, .name = argc > 2 ? argv[1] : NULL };
	struct vas_region ram = { .size = MIB, .name = "ram" };
	struct vas_device_options disk = { .name = "disk", .kind = 2 };
	struct vas_virtio_queue queue = {
		.size = SIZE,
		.driver = DRIVER,
		.device = DEVICE,
		.kick_fd = eventfd(0, EFD_CLOEXEC),
		.call_fd = eventfd(0, EFD_CLOEXEC),
	};
	struct vas_virtio_server *server;
	struct vas_bus_device *device;
	struct vas_serve *serve;
	uint16_t nr = 0;

	if (argc < 3)
		return 2;
	must(vas_create(&options, &vas), "create");
	must(vas_region_add(vas, &ram, NULL), "ram");
	make_ring();
	must(vas_serve(vas, argv[2], 0600, &serve), "serve");
	must(vas_device_add(vas, &disk, &device), "device");
	puts("ready");
	fflush(stdout);
	while (vas_device_wait(device, 1000000))
		if (has_ended())
			return 0;
	server = vas_device_server(device);
	must(server->ops->start(server, 1ull << VIRTIO_F_VERSION_1), "start");
	must(server->ops->queue_start(server, 0, &queue), "queue");
	while (!has_ended())
		request(queue.kick_fd, ++nr);
	vas_device_remove(device);
	vas_serve_end(serve);
	vas_destroy(vas);
	return 0;
}
