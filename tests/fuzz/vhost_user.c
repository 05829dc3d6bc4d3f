// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Fuzz a vhost-user connection: any messages, with any fds, to a device of any kind whose queues run
 * as far as the messages have them run, on memory that holds any bytes. The last byte of what the
 * memory begins with says which kind.
 *
 * Input: what the memory begins with (GUEST bytes); then, for each message, its request, flags, size,
 * how many fds, and of which kinds they are (two bytes), and its payload.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/vas.h>

#include "device/blk/blk.h"
#include "device/console/console.h"
#include "device/net/net.h"
#include "device/rng/rng.h"
#include "device/vhost_user/session.h"
#include "device/vsock/vsock.h"
#include "harness.h"
#include "pieces.h"

#define GUEST	     512u
#define RAM	     (64u << 10)
#define HEAD	     6u
#define MAX_MESSAGES 48u /* whose answers fit into a socket that nobody reads */
#define NR_KINDS     8u

static struct blk blk;
static struct console console;
static struct net loopback, null;
static struct rng rng;
static struct vsock vsock;
static struct vas_device *const devices[] = {
	&blk.device, &loopback.device, &null.device, &rng.device, &vsock.device, &console.device,
};
static int kinds[NR_KINDS];
static uint8_t *ram;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int make_file(size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	CHECK_OK(ftruncate(fd, (off_t)size));
	return fd;
}

static void open_others(void)
{
	struct net_options net = { .kind = NET_LOOPBACK, .nr_pairs = 1, .queue_size = 256 };
	struct vsock_options sockets = { "fuzz-vsock", 3, 256 };
	/* Which says as many bytes as one wants, and takes as many. */
	static const struct console_options file = {
		.peer = { .kind = CONSOLE_FILE, .path = "/dev/zero" },
		.queue_size = 256,
	};

	CHECK_OK(net_open(&loopback, &net));
	net.kind = NET_NULL;
	net.generate = 64;
	CHECK_OK(net_open(&null, &net));
	rng_open(&rng, 256);
	CHECK_OK(console_open(&console, &file));
	CHECK_OK(vsock_open(&vsock, &sockets));
	unlink(sockets.path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct blk_options options = {
		.disk = { .kind = DISK_MEMORY, .size = 64 << 10 },
		.nr_queues = 2,
		.queue_size = 256,
	};
	int pair[2];

	(void)argc;
	(void)argv;
	CHECK_OK(blk_open(&blk, &options));
	open_others();
	CHECK_OK(pipe2(pair, O_CLOEXEC));
	kinds[0] = make_file(RAM);
	kinds[1] = eventfd(0, EFD_CLOEXEC);
	kinds[2] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	kinds[3] = make_file(4096); /* a log, say */
	kinds[4] = make_file(RAM);  /* truncated meanwhile */
	kinds[5] = pair[0];
	kinds[6] = open("/dev/zero", O_RDWR | O_CLOEXEC);
	kinds[7] = eventfd(0, EFD_CLOEXEC);
	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, kinds[0], 0);
	segments_count_fds();
	return 0;
}

/* One message of the input: how many bytes of it there were; 0: that was the last. */
static size_t post(int sock, const uint8_t *data, size_t size)
{
	uint8_t message[12 + 512] = { 0 };
	uint32_t head[3], nr_fds, len;
	int fds[PIECES_MAX_FDS];

	if (size < HEAD)
		return 0;
	len = data[2] | (data[3] & 1u) << 8;
	head[0] = data[0];
	head[1] = data[1];
	/* A size that lies, now and then. */
	head[2] = len + (data[3] & 0x80 ? data[3] : 0);
	nr_fds = data[4] % (PIECES_MAX_FDS + 1);
	for (uint32_t i = 0; i < nr_fds; i++)
		fds[i] = kinds[(data[5] + i * (data[4] >> 5)) % NR_KINDS];
	size -= HEAD;
	if (len > size)
		len = (uint32_t)size;
	memcpy(message, head, sizeof(head));
	memcpy(message + sizeof(head), data + HEAD, len);
	pieces_post(sock, message, sizeof(head) + len, fds, nr_fds);
	return HEAD + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct vhost_user_options options = { .look_fd = -1 };
	struct vas_device *device;
	int pair[2];

	if (size < GUEST)
		return 0;
	device = devices[data[GUEST - 1] % (sizeof(devices) / sizeof(devices[0]))];
	memset(ram, 0, RAM);
	memcpy(ram, data, GUEST);
	CHECK_OK(ftruncate(kinds[4], size & 1 ? 0 : RAM));
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	data += GUEST;
	size -= GUEST;
	for (uint32_t i = 0; i < MAX_MESSAGES; i++) {
		size_t nr = post(pair[0], data, size);

		if (!nr)
			break;
		data += nr;
		size -= nr;
	}
	shutdown(pair[0], SHUT_WR);
	vhost_user_serve(pair[1], -1, device, &options);
	close(pair[0]);
	close(pair[1]);
	segments_count_fds();
	return 0;
}
