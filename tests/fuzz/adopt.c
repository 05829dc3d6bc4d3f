// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Fuzz vas_adopt() of a handle that has a view already. Whatever the dead owner or a peer has left:
 * it is refused, or what the adopter publishes is good for everybody who binds.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "pieces.h"

static struct victim victim;
static char *pristine;
static int fd;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fd = pieces_make_orphan(&victim, &pristine);
	segments_count_fds();
	return 0;
}

static void check_good(void)
{
	struct vas *other;
	char byte;
	int err = vas_bind(fd, 0, &other);

	if (err == -EPROTO || err == -EOPNOTSUPP)
		abort();
	if (err)
		return;
	if (vas_read(other, 0, &byte, 1, NULL) == -EPROTO)
		abort();
	vas_unbind(other);
}

/* Input: what is added to the generation; whether the backing is there; the parts. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vas *vas;

	if (size < 2)
		return 0;
	memcpy(victim.control, pristine, victim.control_size);
	if (vas_bind(fd, 0, &vas))
		abort();
	if (data[1] & 1)
		vas_backing_offer(vas, victim.backing_fd);
	segments_apply(&victim, data + 2, size - 2);
	/* Nobody could bind to another superblock. */
	memcpy(victim.sb, pristine + ((char *)victim.sb - victim.control), sizeof(*victim.sb));
	victim.ctl->generation += data[0] & 3;
	if (!vas_adopt(vas)) {
		check_good();
		pieces_change_layout(vas);
		check_good();
	}
	vas_unbind(vas);
	segments_count_fds();
	return 0;
}
