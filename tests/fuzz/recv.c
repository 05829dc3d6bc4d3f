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

#define HEAD	 (1 + PIECES_MAX_FDS + 2)
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fds[PIECES_MAX_FDS], pair[2];
	uint32_t nr_fds, cut;
	struct vas *vas;

	if (size < HEAD || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return 0;
	nr_fds = data[0] % (PIECES_MAX_FDS + 1);
	for (uint32_t i = 0; i < nr_fds; i++)
		fds[i] = kinds[data[1 + i] % NR_KINDS];
	cut = data[1 + PIECES_MAX_FDS] | (uint32_t)data[2 + PIECES_MAX_FDS] << 8;
	if (cut > size - HEAD)
		cut = 0;
	/* The second part brings the same fds again, as no honest sender does. */
	pieces_post(pair[0], data + HEAD, cut, fds, nr_fds);
	pieces_post(pair[0], data + HEAD + cut, size - HEAD - cut, fds, nr_fds);
	close(pair[0]);
	if (!vas_recv_fds(pair[1], 0, &vas)) {
		pieces_use_events(vas);
		vas_unbind(vas);
	}
	close(pair[1]);
	segments_count_fds();
	return 0;
}
