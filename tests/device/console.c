// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A console behind a vhost-user connection: what its other end may be, and do. */
#include "device/console/console.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>
#include <vas/vas.h>

#include "device/vhost_user/session.h"
#include "harness.h"
#include "tests/device/front_end.h"

#define RAM	 (1ull << 20)
#define RECEIVED FRONT_DATA /* gpa of the buffers */
#define BUFFER	 256u
#define BUFFERS	 8u
#define SENT	 (FRONT_DATA + (128u << 10))
#define IN	 0
#define OUT	 1
#define MUCH	 (512u << 10) /* more than a socket or a pty has room for */

static char path[64];
static struct console_options options = {
	.peer = { .kind = CONSOLE_SOCKET, .path = path },
	.queue_size = FRONT_RING_SIZE,
};
static struct console console;
static struct front_end front;
static pthread_t server;
static int server_sock;

static void *serve(void *arg)
{
	static const struct vhost_user_options vhost_user = { .look_fd = -1 };

	(void)arg;
	vhost_user_serve(server_sock, -1, &console.device, &vhost_user);
	close(server_sock);
	return NULL;
}

static void publish(uint32_t index, uint16_t at)
{
	struct front_ring *ring = &front.rings[index];

	ring->avail->ring[ring->next_avail % FRONT_RING_SIZE] = at;
	__atomic_store_n(&ring->avail->idx, ++ring->next_avail, __ATOMIC_RELEASE);
	front_ring_kick(ring);
}

static void post(uint32_t index, uint16_t at, uint64_t gpa, uint32_t len, uint16_t flags)
{
	front.rings[index].desc[at] = (struct vas_virtq_desc){ gpa, len, flags, 0 };
	publish(index, at);
}

/* The buffers for what the guest is told begin at gpa. */
static void begin_with(uint64_t gpa, uint16_t flags)
{
	int pair[2];

	snprintf(path, sizeof(path), "/tmp/vas-console-%d", getpid());
	CHECK_OK(console_open(&console, &options));
	CHECK_OK(front_end_init(&front, RAM));
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	front.sock = pair[0];
	server_sock = pair[1];
	CHECK_OK(pthread_create(&server, NULL, serve, NULL));
	CHECK_OK(front_end_negotiate(&front, 0));
	CHECK_OK(front_end_send_memory(&front));
	for (uint32_t i = 0; i < 2; i++)
		CHECK_OK(front_end_start_ring(&front, i));
	for (uint16_t i = 0; i < BUFFERS; i++)
		post(IN, i, gpa + i * BUFFER, BUFFER, flags);
}

static void begin(void)
{
	begin_with(RECEIVED, VAS_VIRTQ_DESC_WRITE);
}

static void end(void)
{
	shutdown(front.sock, SHUT_RDWR);
	CHECK_OK(pthread_join(server, NULL));
	console_close(&console);
	front_end_clean(&front);
}

static int is_answered(void *index)
{
	return front_ring_take(&front.rings[(uintptr_t)index]) >= 0;
}

static void wait_for_answer(uint32_t index)
{
	test_wait(is_answered, (void *)(uintptr_t)index, TEST_HANG_MS);
}

/* So many bytes: value() of where they are in all that is said. */
static uint8_t value(uint64_t at)
{
	return (uint8_t)(at * 31 + at / 256);
}

static void post_output(uint32_t len, uint64_t at)
{
	for (uint32_t i = 0; i < len; i++)
		front.ram[SENT + i] = value(at + i);
	post(OUT, 0, SENT, len, 0);
}

static void say(const char *text)
{
	memcpy(front.ram + SENT, text, strlen(text));
	post(OUT, 0, SENT, (uint32_t)strlen(text), 0);
	wait_for_answer(OUT);
}

/* What the guest is told next, in one buffer or in several. */
static void hears(const char *text)
{
	size_t len = strlen(text), got = 0;

	while (got < len) {
		const struct front_ring *ring = &front.rings[IN];
		const struct vas_virtq_used_elem *elem =
			&ring->used->ring[ring->next_used % FRONT_RING_SIZE];
		uint64_t gpa;

		wait_for_answer(IN);
		gpa = RECEIVED + elem->head * BUFFER;
		CHECK(elem->len && elem->len <= BUFFER && got + elem->len <= len);
		CHECK_MEM(front.ram + gpa, text + got, elem->len);
		got += elem->len;
		post(IN, (uint16_t)elem->head, gpa, BUFFER, VAS_VIRTQ_DESC_WRITE);
	}
}

static int connect_host(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	CHECK_OK(connect(fd, (struct sockaddr *)&address, sizeof(address)));
	return fd;
}

static void host_says(int fd, const char *text)
{
	CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
}

static void host_hears(int fd, const char *text)
{
	char got[256] = "";
	size_t len = 0;

	while (len < strlen(text)) {
		struct pollfd readable = { .fd = fd, .events = POLLIN };
		ssize_t nr;

		CHECK_EQ(poll(&readable, 1, TEST_HANG_MS), 1);
		nr = read(fd, got + len, strlen(text) - len);
		CHECK(nr > 0);
		len += (size_t)nr;
	}
	CHECK_STR(got, text);
}

/* It has been accepted: the guest has heard of it. */
static int connect_and_greet(void)
{
	int fd = connect_host();

	host_says(fd, "hello");
	hears("hello");
	return fd;
}

/* ---- a socket ----------------------------------------------------------------------------- */

TEST(bytes_go_both_ways)
{
	int fd;

	begin();
	fd = connect_and_greet();
	say("answer");
	host_hears(fd, "answer");
	host_says(fd, "more");
	hears("more");
	close(fd);
	end();
	CHECK(access(path, F_OK));
}

TEST(output_is_in_any_number_of_segments)
{
	struct vas_virtq_desc *desc;
	int fd;

	begin();
	desc = front.rings[OUT].desc;
	fd = connect_and_greet();
	memcpy(front.ram + SENT, "onetwothree", 11);
	desc[0] = (struct vas_virtq_desc){ SENT + 6, 5, 0, 0 };
	desc[1] = (struct vas_virtq_desc){ SENT + 3, 3, VAS_VIRTQ_DESC_NEXT, 0 };
	desc[2] = (struct vas_virtq_desc){ SENT, 3, VAS_VIRTQ_DESC_NEXT, 1 };
	publish(OUT, 2);
	wait_for_answer(OUT);
	host_hears(fd, "onetwothree");
	close(fd);
	end();
}

TEST(where_nobody_is_connected_output_is_dropped)
{
	int fd;

	begin();
	for (int i = 0; i < 100; i++)
		say("nobody hears this");
	fd = connect_and_greet();
	say("answer");
	host_hears(fd, "answer");
	close(fd);
	end();
}

TEST(connections_are_served_one_after_the_other)
{
	struct pollfd readable;
	int first, second;

	begin();
	first = connect_and_greet();
	second = connect_host();
	host_says(second, "it is my turn");
	say("first");
	host_hears(first, "first");
	readable = (struct pollfd){ .fd = second, .events = POLLIN };
	CHECK_EQ(poll(&readable, 1, 0), 0);
	close(first);
	hears("it is my turn");
	say("second");
	host_hears(second, "second");
	close(second);
	end();
}

TEST(who_sends_no_more_may_still_read)
{
	int fd;

	begin();
	fd = connect_and_greet();
	host_says(fd, "the last word");
	CHECK_OK(shutdown(fd, SHUT_WR));
	hears("the last word");
	say("answer");
	host_hears(fd, "answer");
	close(fd);
	fd = connect_and_greet();
	close(fd);
	end();
}

/* It has no room, and the guest waits for it: but only there. */
static int let_it_wait(void)
{
	int fd = connect_and_greet();

	post_output(MUCH, 0);
	host_says(fd, "do you hear me?");
	hears("do you hear me?");
	CHECK(!is_answered((void *)OUT));
	return fd;
}

TEST(a_peer_that_does_not_read_stops_output_only)
{
	uint64_t got = 0;
	int fd;

	begin();
	fd = let_it_wait();
	while (got < MUCH) {
		uint8_t bytes[4096];
		ssize_t nr = read(fd, bytes, sizeof(bytes));

		CHECK(nr > 0);
		for (ssize_t i = 0; i < nr; i++)
			CHECK_EQ(bytes[i], value(got + (uint64_t)i));
		got += (uint64_t)nr;
	}
	wait_for_answer(OUT);
	say("answer");
	host_hears(fd, "answer");
	close(fd);
	end();
}

/* Who has not read is not waited for. */
TEST(a_device_whose_peer_does_not_read_ends)
{
	int fd;

	begin();
	fd = let_it_wait();
	end();
	close(fd);
}

/* The guest waits for a peer that goes: the rest is dropped, and the next one is served. */
TEST(a_peer_that_goes_sets_output_free)
{
	int fd;

	begin();
	fd = let_it_wait();
	close(fd);
	wait_for_answer(OUT);
	fd = connect_and_greet();
	say("answer");
	host_hears(fd, "answer");
	close(fd);
	end();
}

/* ---- other ends --------------------------------------------------------------------------- */

/* What was said before is there, too: nobody has read it. */
static void host_hears_at_last(int fd, const char *text)
{
	char last[8] = "", next;

	while (strcmp(last, text)) {
		struct pollfd readable = { .fd = fd, .events = POLLIN };

		CHECK_EQ(poll(&readable, 1, TEST_HANG_MS), 1);
		CHECK_EQ(read(fd, &next, 1), 1);
		memmove(last, last + 1, strlen(text));
		last[strlen(text) - 1] = next;
	}
}

TEST(a_pty_is_a_terminal_as_it_is)
{
	struct termios termios;
	int fd;

	options.peer.kind = CONSOLE_PTY;
	begin();
	/* More than it has room for: nobody has it open. */
	post_output(MUCH, 0);
	wait_for_answer(OUT);
	for (int i = 0; i < 3; i++) {
		fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
		CHECK_OK(fd);
		CHECK_OK(tcgetattr(fd, &termios));
		CHECK(!(termios.c_lflag & ECHO));
		host_says(fd, "hello\n");
		hears("hello\n");
		say("answer\n");
		host_hears_at_last(fd, "answer\n");
		/* Its reader waits no longer than it has it open. */
		post_output(MUCH, 0);
		host_says(fd, "bye");
		hears("bye");
		close(fd);
		wait_for_answer(OUT);
	}
	end();
	CHECK(access(path, F_OK));
}

TEST(a_file_is_appended_to)
{
	char bytes[64] = "";
	int fd;

	options.peer.kind = CONSOLE_FILE;
	for (int i = 0; i < 2; i++) {
		begin();
		say(i ? "second" : "first");
		end();
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK_EQ(read(fd, bytes, sizeof(bytes)), 11);
	CHECK_STR(bytes, "firstsecond");
	close(fd);
	unlink(path);
}

/* Pipes, which others have, too: they stay as they are. One may end, and the other goes on. */
TEST(stdio_is_any_two_files)
{
	int in[2], out[2];

	CHECK_OK(pipe2(in, O_CLOEXEC));
	CHECK_OK(pipe2(out, O_CLOEXEC));
	CHECK_OK(dup2(in[0], STDIN_FILENO));
	CHECK_OK(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 100)); /* the harness's */
	options.peer.kind = CONSOLE_STDIO;
	fflush(stdout);
	{
		int harness = dup(STDOUT_FILENO);

		CHECK_OK(dup2(out[1], STDOUT_FILENO));
		begin();
		CHECK_OK(dup2(harness, STDOUT_FILENO));
		close(harness);
	}
	host_says(in[1], "hello");
	hears("hello");
	say("answer");
	host_hears(out[0], "answer");
	CHECK(!(fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK));
	CHECK(!(fcntl(out[1], F_GETFL) & O_NONBLOCK));
	close(in[1]);
	say("more");
	host_hears(out[0], "more");
	close(out[0]);
	close(out[1]);
	say("nobody hears this");
	end();
}

static int nr_escapes;

static void escape(void)
{
	__atomic_add_fetch(&nr_escapes, 1, __ATOMIC_RELEASE);
}

static int has_escaped(void *arg)
{
	(void)arg;
	return __atomic_load_n(&nr_escapes, __ATOMIC_RELAXED) == 1;
}

TEST(a_terminal_is_raw_meanwhile_and_has_an_escape)
{
	struct termios termios;
	int fd, master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	CHECK_OK(grantpt(master));
	CHECK_OK(unlockpt(master));
	fd = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	CHECK_OK(dup2(fd, STDIN_FILENO));
	options.peer.kind = CONSOLE_STDIO;
	options.peer.escape = escape;
	begin();
	CHECK_OK(tcgetattr(fd, &termios));
	CHECK(!(termios.c_lflag & (ICANON | ECHO | ISIG)));
	host_says(master, "\x03");
	hears("\x03");
	host_says(master, "ls\x1d");
	hears("ls");
	test_wait(has_escaped, NULL, TEST_HANG_MS);
	end();
	CHECK_OK(tcgetattr(fd, &termios));
	CHECK(termios.c_lflag & ICANON && termios.c_lflag & ECHO);
	close(fd);
	close(master);
}

TEST(what_can_be_no_end_has_a_sentence)
{
	struct console_options wrong = { .peer = { .kind = CONSOLE_FILE,
						   .path = "/nowhere/file" } };
	char long_path[128];

	CHECK_EQ(console_open(&console, &wrong), -ENOENT);
	CHECK_HAS(vas_error(), "cannot open /nowhere/file: No such file");
	snprintf(path, sizeof(path), "/tmp/vas-console-%d", getpid());
	CHECK_OK(mkfifo(path, 0600));
	wrong.peer.path = path;
	CHECK_EQ(console_open(&console, &wrong), -EINVAL);
	CHECK_HAS(vas_error(), "is neither a file nor a terminal");
	/* And it stays there. */
	wrong.peer.kind = CONSOLE_PTY;
	CHECK_EQ(console_open(&console, &wrong), -EEXIST);
	CHECK_HAS(vas_error(), "cannot make the link");
	wrong.peer.kind = CONSOLE_SOCKET;
	CHECK_EQ(console_open(&console, &wrong), -EADDRINUSE);
	CHECK_HAS(vas_error(), "cannot listen at");
	CHECK_OK(unlink(path));
	/* A link that is no pty's is somebody's. */
	CHECK_OK(symlink("/nowhere", path));
	wrong.peer.kind = CONSOLE_PTY;
	CHECK_EQ(console_open(&console, &wrong), -EEXIST);
	CHECK_OK(unlink(path));
	memset(long_path, 'a', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	wrong.peer = (struct console_peer_options){ .kind = CONSOLE_SOCKET, .path = long_path };
	CHECK_EQ(console_open(&console, &wrong), -ENAMETOOLONG);
	CHECK_HAS(vas_error(), "is too long for the path of a socket");
}

/* ---- nonsense ----------------------------------------------------------------------------- */

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

TEST(output_outside_of_memory_breaks)
{
	begin();
	post(OUT, 0, RAM - 100, 1000, 0);
	breaks();
}

TEST(a_buffer_that_is_read_breaks)
{
	begin_with(RECEIVED, 0);
	breaks();
}

TEST(a_buffer_outside_of_memory_breaks)
{
	int fd;

	begin_with(RAM - 1, VAS_VIRTQ_DESC_WRITE);
	fd = connect_host();
	host_says(fd, "hello");
	breaks();
	close(fd);
}
