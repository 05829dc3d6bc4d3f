// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Fuzz vas_recv_fds(): any bytes, with any fds of a small choice, in one or two messages. Input: the
 * number of fds, which ones, where to cut, the bytes.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pieces.h"

#define MAX_FDS	 16u
#define HEAD	 (1 + MAX_FDS + 2)
#define NR_KINDS 6

static struct victim victim;
static int kinds[NR_KINDS];

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	int pair[2];

	(void)argc;
	(void)argv;
	victim_make(&victim);
	memset(victim.sb->uuid, PIECES_UUID, sizeof(victim.sb->uuid));
	if (pipe(pair))
		abort();
	kinds[0] = vas_fd(victim.owner);
	kinds[1] = victim.backing_fd;
	kinds[2] = vas_event_fd(victim.owner, 1);
	kinds[3] = vas_event_fd(victim.owner, 2);
	kinds[4] = pair[0];
	kinds[5] = memfd_create("unsealed", MFD_CLOEXEC);
	segments_count_fds();
	return 0;
}

static void post(int sock, const uint8_t *bytes, size_t size, const uint8_t *fds, uint32_t nr_fds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(MAX_FDS * sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec iov = { (void *)(uintptr_t)bytes, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int list[MAX_FDS];

	for (uint32_t i = 0; i < nr_fds; i++)
		list[i] = kinds[fds[i] % NR_KINDS];
	if (nr_fds) {
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.align), list, nr_fds * sizeof(int));
		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
	}
	if (size)
		sendmsg(sock, &msg, MSG_NOSIGNAL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t nr_fds, cut;
	struct vas *vas;
	int pair[2];

	if (size < HEAD || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return 0;
	nr_fds = data[0] % (MAX_FDS + 1);
	cut = data[1 + MAX_FDS] | (uint32_t)data[2 + MAX_FDS] << 8;
	if (cut > size - HEAD)
		cut = 0;
	/* The second part brings the same fds again, as no honest sender does. */
	post(pair[0], data + HEAD, cut, data + 1, nr_fds);
	post(pair[0], data + HEAD + cut, size - HEAD - cut, data + 1, nr_fds);
	close(pair[0]);
	if (!vas_recv_fds(pair[1], 0, &vas)) {
		vas_event_fd(vas, 1);
		vas_doorbell_wait(vas, 1, 0);
		vas_unbind(vas);
	}
	close(pair[1]);
	segments_count_fds();
	return 0;
}
