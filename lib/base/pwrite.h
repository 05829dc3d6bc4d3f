/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * All of it, to an offset of a file. No symbol, so that libvas-migrate has it too.
 */
#ifndef VAS_LIB_PWRITE_H
#define VAS_LIB_PWRITE_H

#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "lib/base/write_signals.h"

/*
 * 0, or why no more could be written: -ENOSPC if the file takes nothing and does not say why. *done
 * (may be NULL) has the bytes that were. errno stays.
 */
static inline int pwrite_all(int fd, const void *bytes, size_t size, uint64_t offset, size_t *done)
{
	struct write_signals signals;
	int saved_errno = errno, err = 0;
	size_t at = 0;

	write_signals_block(&signals);
	while (!err && at < size) {
		ssize_t nr = pwrite(fd, (const char *)bytes + at, size - at, (off_t)(offset + at));

		if (nr > 0)
			at += (size_t)nr;
		else if (!nr || errno != EINTR)
			err = nr ? -errno : -ENOSPC;
	}
	write_signals_restore(&signals, err);
	errno = saved_errno;
	if (done)
		*done = at;
	return err;
}

#endif
