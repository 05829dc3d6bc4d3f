// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A file in a file system that never answers, sent as a vas or as a backing. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/mute_file.h"
#include "victim.h"

#define PAGE 4096ull

/* ---- what is sent -------------------------------------------------------------------------- */

/* A message of vas_send_fds()'s, with another fd in the place of one of its own. */
static void send_with(struct vas *vas, int sock, uint32_t which, int fd)
{
	union {
		char space[CMSG_SPACE(253 * sizeof(int))];
		struct cmsghdr align;
	} control;
	static char body[2048];
	int pair[2];
	struct iovec iov = { body, sizeof(body) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	CHECK_OK(vas_send_fds(vas, pair[0], 0));
	CHECK_EQ(recvmsg(pair[1], &msg, MSG_WAITALL | MSG_CMSG_CLOEXEC), sizeof(body));
	CHECK(CMSG_FIRSTHDR(&msg)->cmsg_len >= CMSG_LEN((which + 1) * sizeof(int)));
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)) + which * sizeof(int), &fd, sizeof(fd));
	CHECK_EQ(sendmsg(sock, &msg, 0), sizeof(body));
}

static void receive_with(uint32_t which)
{
	struct vas *vas = NULL;
	struct victim victim;
	struct mute mute;
	int pair[2];

	mute_mount(&mute);
	victim_make(&victim);
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	send_with(victim.owner, pair[0], which, mute.fd);
	CHECK_EQ(vas_recv_fds(pair[1], 0, &vas), -EPERM);
	/* The next one is none the worse for it. */
	CHECK_OK(vas_send_fds(victim.owner, pair[0], 0));
	CHECK_OK(vas_recv_fds(pair[1], 0, &vas));
	vas_unbind(vas);
	CHECK(mute_is_there(&mute));
	mute_end(&mute);
	victim_free(&victim);
}

TEST(a_vas_that_never_answers_is_refused)
{
	receive_with(0);
}

TEST(a_backing_that_never_answers_is_refused)
{
	receive_with(1);
}

TEST(what_never_answers_is_neither_bound_nor_offered)
{
	struct victim victim;
	struct mute mute;
	struct vas *vas;

	mute_mount(&mute);
	victim_make(&victim);
	CHECK_EQ(vas_bind(mute.fd, 0, &vas), -EPERM);
	CHECK_OK(vas_bind(vas_fd(victim.owner), 0, &vas));
	CHECK_EQ(vas_backing_offer(vas, mute.fd), -EPERM);
	vas_unbind(vas);
	CHECK(mute_is_there(&mute));
	mute_end(&mute);
	victim_free(&victim);
}

/* A file of a file system as any other, for those who ask for it. */
TEST(a_plain_file_is_taken_by_those_who_say_so)
{
	const struct vas_options options = { .limit = 64 * PAGE };
	struct vas_region region = { .size = PAGE };
	char path[] = "plain-XXXXXX";
	int fd = mkstemp(path);
	struct vas *vas, *bound;
	uint8_t byte;

	CHECK(fd >= 0);
	unlink(path);
	if (fcntl(fd, F_GET_SEALS) >= 0)
		test_skip("this folder is in a tmpfs");
	CHECK_OK(ftruncate(fd, PAGE));
	CHECK_OK(vas_create(&options, &vas));
	region.backing = (uint32_t)vas_backing_add(vas, fd);
	CHECK_OK(vas_region_add(vas, &region, NULL));
	CHECK_OK(vas_fill(vas, 0, 'P', PAGE, NULL));
	CHECK_OK(vas_bind(vas_fd(vas), 0, &bound));
	CHECK_EQ(vas_backing_offer(bound, fd), -EPERM);
	CHECK_HAS(vas_error(), "VAS_BIND_PLAIN_FILES");
	vas_unbind(bound);
	CHECK_OK(vas_bind(vas_fd(vas), VAS_BIND_PLAIN_FILES, &bound));
	CHECK_EQ(vas_backing_offer(bound, fd), region.backing);
	CHECK_OK(vas_read(bound, 0, &byte, 1, NULL));
	CHECK_EQ(byte, 'P');
	vas_unbind(bound);
	vas_destroy(vas);
}

/* ---- looked at by the command --------------------------------------------------------------- */

/* It has a file in it open, until the file system ends. Whoever closes one waits for it as well. */
static void be_holder(int out)
{
	struct mute m;

	mute_mount(&m);
	CHECK_EQ(write(out, &m.fd, sizeof(m.fd)), sizeof(m.fd));
	waitpid(m.server, NULL, 0);
	_exit(0);
}

/* The command is done before the file system, which ends by itself, is gone. */
static void check_verb(const char *verb, const char *name)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		execl(getenv("VAS"), "vas", verb, name, NULL);
		_exit(127);
	}
	CHECK_EQ(wait(&status), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) != 127);
}

TEST(the_command_looks_into_no_file_that_may_never_answer)
{
	char name[64];
	int fd, out[2];
	pid_t holder;

	if (!getenv("VAS") || geteuid() || access("/dev/fuse", R_OK | W_OK))
		test_skip("no command (VAS), no FUSE, or not root");
	CHECK_OK(pipe2(out, O_CLOEXEC));
	holder = fork();
	if (!holder)
		be_holder(out[1]);
	CHECK_EQ(read(out[0], &fd, sizeof(fd)), sizeof(fd));
	check_verb("ls", NULL);
	snprintf(name, sizeof(name), "%d/%d", holder, fd);
	check_verb("info", name);
	kill(holder, SIGKILL);
	CHECK_EQ(waitpid(holder, NULL, 0), holder);
}
