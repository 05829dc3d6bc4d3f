// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Fuzz a hand-over from both sides: any bytes, with any fds, to vas_handover_take(); any answers to
 * vas_handover_give(). Whoever holds the vas in the end can work with it.
 *
 * Input: whether to give; the number of fds, and which; the bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/handover.h>

#include "pieces.h"

#define HEAD	 (2 + PIECES_MAX_FDS)
#define NR_KINDS 12

static struct victim victim;
static struct vas *giver; /* of another vas */
static char *pristine;
static int kinds[NR_KINDS];

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Nobody who writes to it comes back, if it is believed. */
static int full_eventfd(int flags)
{
	int fd = eventfd(0, EFD_CLOEXEC | flags);

	CHECK_OK(eventfd_write(fd, UINT64_MAX - 1));
	return fd;
}

static void make_fds(int fd)
{
	int pair[2];

	kinds[0] = fd;
	kinds[1] = victim.backing_fd;
	kinds[2] = eventfd(0, EFD_CLOEXEC);
	kinds[3] = full_eventfd(0);
	kinds[4] = full_eventfd(EFD_SEMAPHORE);
	kinds[5] = vas_fd(giver);
	CHECK_OK(pipe2(pair, O_CLOEXEC));
	kinds[6] = pair[0];
	kinds[7] = pair[1];
	kinds[8] = memfd_create("unsealed", MFD_CLOEXEC);
	kinds[9] = open("/dev/null", O_RDWR | O_CLOEXEC);
	kinds[10] = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	kinds[11] = vas_readonly_fd(giver);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct vas_options options = { .limit = 1 << 20 };
	const struct vas_region ram = { .size = 1 << 20 };

	(void)argc;
	(void)argv;
	CHECK_OK(vas_create(&options, &giver));
	CHECK_OK(vas_region_add(giver, &ram, NULL));
	make_fds(pieces_make_orphan(&victim, &pristine));
	/* The message's uuid is one that can be known beforehand. */
	memset(((struct vas_superblock *)(pristine + victim.control_size) - 1)->uuid, PIECES_UUID,
	       16);
	segments_count_fds();
	return 0;
}

static void take(int sock)
{
	struct vas *vas;
	void *state;
	size_t size;

	if (vas_handover_take(sock, 0, &vas, &state, &size))
		return;
	pieces_use_events(vas);
	pieces_change_layout(vas);
	free(state);
	vas_unbind(vas);
}

static void give(int sock)
{
	static const char state[] = "of the giver";
	struct vas_region region;
	int err = vas_handover_give(giver, sock, state, sizeof(state));

	/* It was not taken, so it can be had again; or it was never given. */
	if (!err && vas_adopt(giver))
		abort();
	if (err == -EPERM)
		abort();
	if (vas_region_at(giver, 0, &region) || vas_region_resize(giver, region.id, 1 << 16) ||
	    vas_region_resize(giver, region.id, 1 << 20))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fds[PIECES_MAX_FDS], pair[2];
	uint32_t nr_fds;

	if (size < HEAD)
		return 0;
	nr_fds = data[1] % (PIECES_MAX_FDS + 1);
	for (uint32_t i = 0; i < nr_fds; i++)
		fds[i] = kinds[data[2 + i] % NR_KINDS];
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	pieces_post(pair[0], data + HEAD, size - HEAD, fds, nr_fds);
	shutdown(pair[0], SHUT_WR);
	memcpy(victim.control, pristine, victim.control_size);
	if (data[0] & 1)
		give(pair[1]);
	else
		take(pair[1]);
	close(pair[0]);
	close(pair[1]);
	segments_count_fds();
	return 0;
}
