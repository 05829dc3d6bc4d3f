// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A socket device behind a vhost-user connection: both ways to connect, credit, ends, and nonsense. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vas/vas.h>

#include "device/vhost_user/session.h"
#include "device/vsock/connection.h"
#include "harness.h"
#include "tests/device/front_end.h"

#define RAM	 (1ull << 20)
#define SENT	 FRONT_DATA /* gpa of a packet of the guest's */
#define RECEIVED (FRONT_DATA + (128u << 10))
#define BUFFER	 4096u
#define BUFFERS	 32u
#define HEADER	 ((uint32_t)sizeof(struct virtio_vsock_hdr))
#define CID	 42u
#define RX	 0
#define TX	 1

static char path[64], port_path[80];
static struct vsock vsock;
static struct front_end front;
static pthread_t server;
static int server_sock;
static uint32_t room = 1 << 20, taken; /* what the guest says */

static void *serve(void *arg)
{
	static const struct vhost_user_options options = { .look_fd = -1 };

	(void)arg;
	vhost_user_serve(server_sock, -1, &vsock.device, &options);
	close(server_sock);
	return NULL;
}

/* A driver's side of a packet; the payload is behind it. */
static struct virtio_vsock_hdr *packet(void)
{
	return (void *)(front.ram + SENT);
}

static void post(uint32_t index, uint16_t at, uint64_t gpa, uint32_t len, uint16_t flags)
{
	struct front_ring *ring = &front.rings[index];

	ring->desc[at] = (struct vas_virtq_desc){ gpa, len, flags, 0 };
	ring->avail->ring[ring->next_avail % FRONT_RING_SIZE] = at;
	__atomic_store_n(&ring->avail->idx, ++ring->next_avail, __ATOMIC_RELEASE);
	front_ring_kick(ring);
}

static void post_buffer(uint32_t i)
{
	post(RX, (uint16_t)i, RECEIVED + i * BUFFER, BUFFER, VAS_VIRTQ_DESC_WRITE);
}

static int listen_at(const char *where)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, where);
	CHECK_OK(bind(fd, (struct sockaddr *)&address, sizeof(address)));
	CHECK_OK(listen(fd, 8));
	return fd;
}

static void begin(void)
{
	struct vsock_options options = { path, CID, FRONT_RING_SIZE };
	int pair[2];

	snprintf(path, sizeof(path), "/tmp/vas-vsock-%d", getpid());
	snprintf(port_path, sizeof(port_path), "%s_1234", path);
	unlink(port_path);
	CHECK_OK(vsock_open(&vsock, &options));
	CHECK_OK(front_end_init(&front, RAM));
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	front.sock = pair[0];
	server_sock = pair[1];
	CHECK_OK(pthread_create(&server, NULL, serve, NULL));
	CHECK_OK(front_end_negotiate(&front, 0));
	CHECK_OK(front_end_send_memory(&front));
	for (uint32_t i = 0; i < 3; i++)
		CHECK_OK(front_end_start_ring(&front, i));
	for (uint32_t i = 0; i < BUFFERS; i++)
		post_buffer(i);
}

static void end(void)
{
	shutdown(front.sock, SHUT_RDWR);
	CHECK_OK(pthread_join(server, NULL));
	vsock_close(&vsock);
	front_end_clean(&front);
	unlink(port_path);
	CHECK(access(path, F_OK));
}

static int has_sent(void *arg)
{
	(void)arg;
	return front_ring_take(&front.rings[TX]) >= 0;
}

/* From port 1000 of the guest's. */
static void send_packet(uint16_t op, uint32_t port, uint32_t flags, const void *bytes, uint32_t len)
{
	*packet() = (struct virtio_vsock_hdr){
		.src_cid = CID,
		.dst_cid = 2,
		.src_port = 1000,
		.dst_port = port,
		.len = len,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.flags = flags,
		.buf_alloc = room,
		.fwd_cnt = taken,
	};
	if (len)
		memcpy(front.ram + SENT + HEADER, bytes, len);
	post(TX, 0, SENT, HEADER + len, 0);
	test_wait(has_sent, NULL, TEST_HANG_MS);
}

static struct virtio_vsock_hdr got;
static uint8_t got_bytes[BUFFER];

static int has_received(void *arg)
{
	int slot = front_ring_take(&front.rings[RX]);
	uint32_t i;

	(void)arg;
	if (slot < 0)
		return 0;
	/* The harness counts three descriptors a slot; here each has one. */
	i = front.rings[RX].used->ring[(front.rings[RX].next_used - 1) % FRONT_RING_SIZE].head;
	memcpy(&got, front.ram + RECEIVED + i * BUFFER, HEADER);
	memcpy(got_bytes, front.ram + RECEIVED + i * BUFFER + HEADER, BUFFER - HEADER);
	post_buffer(i);
	return 1;
}

/* The next packet for the guest's port 1000. */
static void receive(uint16_t op)
{
	test_wait(has_received, NULL, TEST_HANG_MS);
	CHECK_EQ(got.op, op);
	CHECK_EQ(got.src_cid, 2);
	CHECK_EQ(got.dst_cid, CID);
	CHECK_EQ(got.dst_port, 1000);
	CHECK_EQ(got.buf_alloc, VSOCK_BUFFER);
}

/* The guest connects to port 1234: the host's end. */
static int connect_guest(void)
{
	int listener = listen_at(port_path), fd;

	send_packet(VIRTIO_VSOCK_OP_REQUEST, 1234, 0, NULL, 0);
	receive(VIRTIO_VSOCK_OP_RESPONSE);
	CHECK_EQ(got.src_port, 1234);
	fd = accept(listener, NULL, NULL);
	CHECK(fd >= 0);
	close(listener);
	return fd;
}

TEST(a_guest_connects_to_the_host)
{
	char text[16] = "";
	int fd;

	begin();
	fd = connect_guest();
	send_packet(VIRTIO_VSOCK_OP_RW, 1234, 0, "hello", 5);
	CHECK_EQ(recv(fd, text, 5, MSG_WAITALL), 5);
	CHECK_STR(text, "hello");
	CHECK_EQ(send(fd, "answer", 6, 0), 6);
	receive(VIRTIO_VSOCK_OP_RW);
	CHECK_EQ(got.len, 6);
	CHECK_EQ(got.fwd_cnt, 5);
	CHECK_MEM(got_bytes, "answer", 6);
	/* The host has nothing more to say; the guest does, and then ends it. */
	CHECK_OK(shutdown(fd, SHUT_WR));
	receive(VIRTIO_VSOCK_OP_SHUTDOWN);
	CHECK_EQ(got.flags, VIRTIO_VSOCK_SHUTDOWN_SEND);
	send_packet(VIRTIO_VSOCK_OP_RW, 1234, 0, "still", 5);
	CHECK_EQ(recv(fd, text, 5, MSG_WAITALL), 5);
	send_packet(VIRTIO_VSOCK_OP_SHUTDOWN, 1234, 3, NULL, 0);
	receive(VIRTIO_VSOCK_OP_RST);
	CHECK_EQ(recv(fd, text, 5, 0), 0);
	close(fd);
	end();
}

static int connect_host(const char *greeting)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	CHECK_OK(connect(fd, (struct sockaddr *)&address, sizeof(address)));
	CHECK_EQ(send(fd, greeting, strlen(greeting), 0), (ssize_t)strlen(greeting));
	return fd;
}

/* What the host says behind its greeting is for the guest, and not before that has answered. */
TEST(the_host_connects_to_a_guest)
{
	char text[32] = "", wanted[32];
	int fd;

	begin();
	fd = connect_host("CONN");
	CHECK_EQ(send(fd, "ECT 1000\nearly", 14, 0), 14);
	receive(VIRTIO_VSOCK_OP_REQUEST);
	snprintf(wanted, sizeof(wanted), "OK %u\n", got.src_port);
	send_packet(VIRTIO_VSOCK_OP_RESPONSE, got.src_port, 0, NULL, 0);
	CHECK(recv(fd, text, sizeof(text), 0) > 0);
	CHECK_STR(text, wanted);
	receive(VIRTIO_VSOCK_OP_RW);
	CHECK_MEM(got_bytes, "early", 5);
	close(fd);
	receive(VIRTIO_VSOCK_OP_SHUTDOWN);
	end();
}

TEST(who_greets_wrongly_is_hung_up_on)
{
	static const char *const greetings[] = {
		"HELLO 1000\n",
		"CONNECT\n",
		"CONNECT 4294967296\n",
		"CONNECT 1000 please\n",
		"CONNECT 0000000000000000000000000000000000000000000000\n",
	};
	char text[8];

	begin();
	for (size_t i = 0; i < sizeof(greetings) / sizeof(greetings[0]); i++) {
		int fd = connect_host(greetings[i]);

		CHECK(recv(fd, text, sizeof(text), 0) <= 0);
		close(fd);
	}
	end();
}

TEST(what_nobody_listens_to_is_reset)
{
	begin();
	send_packet(VIRTIO_VSOCK_OP_REQUEST, 4711, 0, NULL, 0);
	receive(VIRTIO_VSOCK_OP_RST);
	CHECK_EQ(got.src_port, 4711);
	/* Of no connection. */
	send_packet(VIRTIO_VSOCK_OP_RW, 1, 0, "hello", 5);
	receive(VIRTIO_VSOCK_OP_RST);
	CHECK_EQ(got.src_port, 1);
	/* No reset is answered by one, and nobody is answered who says that it is another one. */
	send_packet(VIRTIO_VSOCK_OP_RST, 2, 0, NULL, 0);
	packet()->src_cid = CID + 1;
	packet()->op = VIRTIO_VSOCK_OP_RW;
	post(TX, 0, SENT, HEADER, 0);
	test_wait(has_sent, NULL, TEST_HANG_MS);
	send_packet(VIRTIO_VSOCK_OP_RW, 3, 0, "hello", 5);
	receive(VIRTIO_VSOCK_OP_RST);
	CHECK_EQ(got.src_port, 3);
	end();
}

/* No more than the guest has room for; then more, once it says that it has. */
TEST(the_host_waits_for_credit)
{
	static uint8_t bytes[3000];
	int fd;

	room = 1000;
	begin();
	fd = connect_guest();
	CHECK_EQ(send(fd, bytes, sizeof(bytes), 0), (ssize_t)sizeof(bytes));
	receive(VIRTIO_VSOCK_OP_RW);
	CHECK_EQ(got.len, 1000);
	for (taken = 1000; taken <= 2000; taken += 1000) {
		send_packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 1234, 0, NULL, 0);
		receive(VIRTIO_VSOCK_OP_RW);
		CHECK_EQ(got.len, 1000);
	}
	close(fd);
	end();
}

/* What the host does not read is kept up to a bound, which the guest knows; beyond it is reset. */
TEST(a_guest_that_ignores_credit_is_reset)
{
	static uint8_t bytes[32 << 10];
	struct pollfd readable;
	int fd, nr = 0;

	begin();
	fd = connect_guest();
	readable = (struct pollfd){ .fd = fd, .events = POLLIN };
	do
		send_packet(VIRTIO_VSOCK_OP_RW, 1234, 0, bytes, sizeof(bytes));
	while (++nr < 1000 && !has_received(NULL));
	CHECK(poll(&readable, 1, 0) == 1);
	while (got.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE)
		if (!has_received(NULL))
			send_packet(VIRTIO_VSOCK_OP_RW, 1234, 0, bytes, sizeof(bytes));
	CHECK_EQ(got.op, VIRTIO_VSOCK_OP_RST);
	close(fd);
	end();
}

/* All that was sent comes, in order, whatever the pace of who reads; credit is given back. */
TEST(much_goes_to_a_slow_host)
{
	static uint8_t bytes[16 << 10], read_bytes[16 << 10];
	uint32_t sent = 0, host_has = 0, freed = 0;
	int fd;

	begin();
	fd = connect_guest();
	while (host_has < 1 << 20) {
		if (sent - freed <= VSOCK_BUFFER - sizeof(bytes) && sent < 1 << 20) {
			for (uint32_t i = 0; i < sizeof(bytes); i++)
				bytes[i] = (uint8_t)((sent + i) * 31 + (sent + i) / 256);
			send_packet(VIRTIO_VSOCK_OP_RW, 1234, 0, bytes, sizeof(bytes));
			sent += sizeof(bytes);
		}
		if (has_received(NULL)) {
			CHECK_EQ(got.op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
			freed = got.fwd_cnt;
			continue;
		}
		if (host_has == sent)
			continue;
		CHECK_EQ(recv(fd, read_bytes, 4096, MSG_WAITALL), 4096);
		for (uint32_t i = 0; i < 4096; i++)
			CHECK_EQ(read_bytes[i],
				 (uint8_t)((host_has + i) * 31 + (host_has + i) / 256));
		host_has += 4096;
	}
	close(fd);
	end();
}

static void breaks(void)
{
	uint64_t status = 0;

	for (int i = 0; i < TEST_HANG_MS && !(status & VIRTIO_CONFIG_S_NEEDS_RESET); i++) {
		CHECK_OK(front_end_ask(&front, VHOST_USER_GET_STATUS, &status));
		poll(NULL, 0, 1);
	}
	CHECK(status & VIRTIO_CONFIG_S_NEEDS_RESET);
	end();
}

TEST(a_packet_shorter_than_its_header_breaks)
{
	begin();
	post(TX, 0, SENT, HEADER - 1, 0);
	breaks();
}

TEST(a_packet_that_says_more_than_there_is_breaks)
{
	begin();
	*packet() = (struct virtio_vsock_hdr){ .op = VIRTIO_VSOCK_OP_RW, .len = 5 };
	post(TX, 0, SENT, HEADER + 4, 0);
	breaks();
}

TEST(a_reset_device_has_no_connections)
{
	uint64_t status = 0;
	char text[8];
	int fd;

	begin();
	fd = connect_guest();
	CHECK_OK(front_end_send(&front, VHOST_USER_SET_STATUS, 0, &status, 8, NULL, 0));
	CHECK_EQ(recv(fd, text, sizeof(text), 0), 0);
	close(fd);
	end();
}

TEST(the_config_space_has_the_cid)
{
	struct vhost_user_config config = { .size = 8 };
	struct vhost_user_message message;
	uint64_t cid;

	begin();
	CHECK_OK(front_end_send(&front, VHOST_USER_GET_CONFIG, 0, &config,
				VHOST_USER_CONFIG_HEADER + config.size, NULL, 0));
	CHECK_OK(front_end_receive(&front, &message));
	memcpy(&cid, message.config.bytes, sizeof(cid));
	CHECK_EQ(cid, CID);
	end();
}

TEST(options_that_make_no_sense_have_a_sentence)
{
	struct vsock_options wrong = { "/tmp/none", 2, 256 };
	char long_path[128];

	CHECK_EQ(vsock_open(&vsock, &wrong), -EINVAL);
	CHECK_HAS(vas_error(), "a guest's CID is 3 or more");
	memset(long_path, 'a', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	wrong = (struct vsock_options){ long_path, CID, 256 };
	CHECK_EQ(vsock_open(&vsock, &wrong), -ENAMETOOLONG);
	CHECK_HAS(vas_error(), "is too long for the path of a socket");
}
