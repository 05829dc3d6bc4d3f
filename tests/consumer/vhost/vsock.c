// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vhost-vsock serves a driver whose memory is a vas: a stream from a socket of the host's. */
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_vsock.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h> /* older ones want <sys/socket.h> before */

#include "tests/consumer/vhost/traffic.h"

#define FEATURES (1ull << VIRTIO_F_VERSION_1)
#define CID	 42
#define PORT	 1234
#define ROOM	 65536 /* what the guest says that it takes */

struct stream {
	struct traffic t;
	int socket;		      /* the host's end */
	struct virtio_vsock_hdr peer; /* of the last packet that came */
};

static void offer_all(struct stream *s)
{
	for (uint64_t i = 0; i < 16; i++)
		traffic_offer(&s->t, RX, BUFFERS + PAGE * i, PAGE);
}

/* The next packet from the host, and the bytes behind its header. Buffers are used in order. */
static const char *receive(struct stream *s)
{
	uint64_t at = BUFFERS + PAGE * (s->t.queues[RX].seen % 16u);
	uint32_t len = traffic_wait(&s->t, RX);

	CHECK(len >= sizeof(s->peer));
	memcpy(&s->peer, s->t.ram + at, sizeof(s->peer));
	CHECK_EQ(len, sizeof(s->peer) + s->peer.len);
	CHECK_EQ(s->peer.dst_cid, CID);
	traffic_offer(&s->t, RX, at, PAGE);
	return s->t.ram + at + sizeof(s->peer);
}

/* An answer to whom the last packet came from. */
static void post(struct stream *s, uint16_t op, const char *bytes, uint32_t len)
{
	const uint64_t at = BUFFERS + 64 * PAGE;
	const struct virtio_vsock_hdr head = {
		.src_cid = CID,
		.dst_cid = VMADDR_CID_HOST,
		.src_port = PORT,
		.dst_port = s->peer.src_port,
		.len = len,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = ROOM,
	};

	memcpy(s->t.ram + at, &head, sizeof(head));
	memcpy(s->t.ram + at + sizeof(head), bytes, len);
	traffic_offer(&s->t, TX, at, sizeof(head) + len);
}

/* A socket of the host's and the guest are connected. */
static void stream_open(struct stream *s)
{
	const struct sockaddr_vm guest = { .svm_family = AF_VSOCK,
					   .svm_cid = CID,
					   .svm_port = PORT };
	uint64_t cid = CID;

	traffic_open(&s->t, VAS_VHOST_VSOCK);
	CHECK_OK(ioctl(s->t.fd, VHOST_VSOCK_SET_GUEST_CID, &cid));
	offer_all(s);
	traffic_start(&s->t, FEATURES, -1, NULL);
	s->socket = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CHECK_OK(s->socket);
	CHECK_EQ(connect(s->socket, (const struct sockaddr *)&guest, sizeof(guest)), -1);
	CHECK_EQ(errno, EINPROGRESS);
	receive(s);
	CHECK_EQ(s->peer.op, VIRTIO_VSOCK_OP_REQUEST);
	post(s, VIRTIO_VSOCK_OP_RESPONSE, "", 0);
	traffic_wait(&s->t, TX);
	/* Now it is connected; from here on it blocks. */
	CHECK_OK(fcntl(s->socket, F_SETFL, 0));
}

static void stream_close(struct stream *s)
{
	close(s->socket);
	traffic_close(&s->t);
}

static void check_sent(const struct stream *s, const char *want)
{
	char got[64] = "";
	size_t len = 0;

	while (len < strlen(want)) {
		ssize_t more = recv(s->socket, got + len, sizeof(got) - len, 0);

		CHECK(more > 0);
		len += (size_t)more;
	}
	CHECK_STR(got, want);
}

/* The next bytes from the host; it tells of its room for more in between. */
static void check_received(struct stream *s, const char *want)
{
	const char *bytes;

	do
		bytes = receive(s);
	while (s->peer.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	CHECK_EQ(s->peer.op, VIRTIO_VSOCK_OP_RW);
	CHECK_EQ(s->peer.len, strlen(want));
	CHECK_MEM(bytes, want, strlen(want));
}

static void exchange(struct stream *s, const char *text)
{
	CHECK_EQ(send(s->socket, text, strlen(text), 0), strlen(text));
	check_received(s, text);
	post(s, VIRTIO_VSOCK_OP_RW, text, (uint32_t)strlen(text));
	traffic_wait(&s->t, TX);
	check_sent(s, text);
}

TEST(a_stream_goes_both_ways)
{
	struct stream s;

	stream_open(&s);
	exchange(&s, "a word to the guest and back");
	exchange(&s, "another");
	stream_close(&s);
}

TEST(a_stream_goes_on_over_changes_of_the_layout)
{
	struct vas_region more = { .gpa = GIB, .size = MIB, .offset = GIB };
	struct stream s;
	uint64_t id;

	stream_open(&s);
	for (int i = 0; i < 20; i++) {
		CHECK_OK(vas_region_add(s.t.vas, &more, &id));
		exchange(&s, "with more memory");
		CHECK_OK(vas_region_remove(s.t.vas, id));
		exchange(&s, "with less");
	}
	stream_close(&s);
}

TEST(a_stream_waits_for_a_frozen_vas)
{
	struct stream s;
	uint16_t used;
	int is_sent;

	stream_open(&s);
	exchange(&s, "before");
	CHECK_OK(vas_freeze(s.t.vas, TEST_HANG_NS, NULL));
	used = s.t.queues[RX].used->idx;
	is_sent = send(s.socket, "meanwhile", 9, 0) == 9;
	CHECK(is_sent || errno == EHOSTUNREACH); /* newer kernels do not wait for a guest */
	post(&s, VIRTIO_VSOCK_OP_RW, "to the host", 11);
	usleep(200000); /* a device that has not stopped would use it */
	CHECK_EQ(s.t.queues[RX].used->idx, used);
	CHECK_OK(vas_thaw(s.t.vas));
	traffic_wait(&s.t, TX);
	check_sent(&s, "to the host");
	if (is_sent)
		check_received(&s, "meanwhile");
	exchange(&s, "after");
	stream_close(&s);
}

TEST(what_is_not_logged_cannot_be_tracked)
{
	struct vas_tracker *tracker;
	struct vas_vhost *second;
	struct stream s;
	int fd;

	stream_open(&s);
	CHECK_EQ(vas_tracker_attach(s.t.vas, "test", 0, &tracker), -EOPNOTSUPP);
	CHECK_HAS(vas_error(), "vhost-vsock writes guest memory without logging");
	exchange(&s, "none the worse");
	vas_vhost_detach(s.t.vhost);
	s.t.vhost = NULL;
	CHECK_OK(vas_tracker_attach(s.t.vas, "test", 0, &tracker));
	fd = open("/dev/vhost-vsock", O_RDWR | O_CLOEXEC);
	CHECK_EQ(vas_vhost_attach(s.t.vas, fd, VAS_VHOST_VSOCK, "second", &second), -EBUSY);
	CHECK_STR(vas_error(), "second writes without logging, and the vas is tracked");
	vas_tracker_detach(tracker);
	stream_close(&s);
}

TEST(a_device_is_not_taken_for_another)
{
	const struct vas_options options = { .limit = GIB };
	int fd = open("/dev/vhost-vsock", O_RDWR | O_CLOEXEC);
	struct vas_vhost *vhost;
	struct vas *vas;

	if (fd < 0)
		test_skip("/dev/vhost-vsock cannot be opened: %s", strerror(errno));
	CHECK_OK(vas_create(&options, &vas));
	CHECK_EQ(vas_vhost_attach(vas, fd, VAS_VHOST_NET, NULL, &vhost), -ENOTTY);
	CHECK_STR(vas_error(), "vhost-net: it is another device of vhost");
	CHECK_EQ(vas_vhost_attach(vas, vas_fd(vas), VAS_VHOST_VSOCK, NULL, &vhost), -ENOTTY);
	CHECK_OK(vas_vhost_attach(vas, fd, VAS_VHOST_VSOCK, NULL, &vhost));
	vas_vhost_detach(vhost);
	vas_destroy(vas);
}
