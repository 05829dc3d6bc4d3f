// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/base/foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/base/spawn.h"

int vas_fd_is_eventfd(int fd)
{
	char path[32], target[32];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, target, sizeof(target));
	return len == (ssize_t)strlen("anon_inode:[eventfd]") &&
	       !memcmp(target, "anon_inode:[eventfd]", len);
}

int vas_foreign_check(int fd, uint32_t bind_flags)
{
	if (bind_flags & VAS_BIND_PLAIN_FILES || fcntl(fd, F_GET_SEALS) >= 0)
		return 0;
	return vas_error_set(
		-EPERM, "a backing is no memfd and in no tmpfs or hugetlbfs, so its file system "
			"may never answer: VAS_BIND_PLAIN_FILES takes it all the same");
}

static void *close_all(void *arg)
{
	int *fds = arg;
	uint32_t i;

	for (i = 0; fds[i] >= 0; i++)
		close(fds[i]);
	free(fds);
	return NULL;
}

void vas_foreign_discard(const int *fds, uint32_t nr)
{
	int *slow = malloc((nr + 1) * sizeof(*slow));
	uint32_t i, nr_slow = 0;
	pthread_t thread;

	for (i = 0; i < nr; i++) {
		if (fds[i] < 0)
			continue;
		if (fcntl(fds[i], F_GET_SEALS) >= 0 || vas_fd_is_eventfd(fds[i]))
			close(fds[i]);
		else if (slow)
			slow[nr_slow++] = fds[i];
	}
	if (slow)
		slow[nr_slow] = -1;
	/* Where there is no thread, fds that stay open cost less than a caller who hangs. */
	if (nr_slow && !vas_spawn(&thread, close_all, slow))
		pthread_detach(thread);
	else
		free(slow);
}
