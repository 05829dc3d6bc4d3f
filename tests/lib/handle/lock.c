// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Who keeps a handle's lock open has it live on when its process is dead, as a kernel module does. */
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/simple_vas.h"

struct message {
	struct iovec iov;
	struct msghdr header;
	char byte;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
};

static void init_message(struct message *message)
{
	*message = (struct message){ .iov = { &message->byte, 1 } };
	message->header = (struct msghdr){
		.msg_iov = &message->iov,
		.msg_iovlen = 1,
		.msg_control = message->control,
		.msg_controllen = sizeof(message->control),
	};
}

ROLE(binder)
{
	struct message message;
	struct cmsghdr *control;
	struct vas *vas;
	int fd;

	if (vas_recv_fds(sock, 0, &vas))
		return 1;
	init_message(&message);
	control = CMSG_FIRSTHDR(&message.header);
	*control = (struct cmsghdr){ CMSG_LEN(sizeof(fd)), SOL_SOCKET, SCM_RIGHTS };
	fd = vas_lock_fd(vas);
	memcpy(CMSG_DATA(control), &fd, sizeof(fd));
	if (sendmsg(sock, &message.header, 0) != 1)
		return 1;
	pause();
	return 0;
}

static int receive_fd(int sock)
{
	struct message message;
	int fd;

	init_message(&message);
	CHECK_EQ(recvmsg(sock, &message.header, MSG_CMSG_CLOEXEC), 1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message.header)), sizeof(fd));
	return fd;
}

static uint32_t nr_binders(struct vas *vas)
{
	struct vas_info info;

	CHECK_OK(vas_info(vas, &info));
	return info.nr_binders;
}

TEST(a_handle_lives_as_long_as_its_lock_is_open)
{
	struct vas *vas = simple_vas();
	int sock, fd;
	pid_t pid = test_spawn("binder", &sock);

	CHECK_OK(vas_send_fds(vas, sock, 0));
	fd = receive_fd(sock);
	CHECK_EQ(nr_binders(vas), 2);
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	CHECK_EQ(nr_binders(vas), 2);
	close(fd);
	CHECK_EQ(nr_binders(vas), 1);
	close(sock);
	vas_destroy(vas);
}
