// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/access/checked.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/uio.h>
#include <unistd.h>

#define STEP 4096u /* a pipe takes that whole */

/* One of the two may be a page that fails: it is an error of the call that touches it. */
static size_t copy_step(const int pipe_fds[2], char *to, const char *from, size_t len)
{
	size_t done = 0;
	ssize_t there = write(pipe_fds[1], from, len < STEP ? len : STEP);

	while (there > 0 && done < (size_t)there) {
		ssize_t nr = read(pipe_fds[0], to + done, (size_t)there - done);

		if (nr <= 0)
			break;
		done += (size_t)nr;
	}
	return done;
}

/* For a process that a sandbox forbids process_vm_readv() to. */
static size_t copy_by_pipe(char *to, const char *from, size_t len)
{
	int pipe_fds[2];
	size_t done = 0, nr;

	if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK))
		return 0;
	do {
		nr = copy_step(pipe_fds, to + done, from + done, len - done);
		done += nr;
	} while (nr && done < len);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	return done;
}

/* What the kernel's call copied, or the pipe if there is no such call. */
static size_t result(ssize_t nr, char *to, const char *from, size_t len)
{
	if (nr < 0 && errno != EFAULT)
		return copy_by_pipe(to, from, len);
	return nr < 0 ? 0 : (size_t)nr;
}

size_t vas_read_checked(char *buf, const char *hva, size_t len)
{
	struct iovec local = { buf, len }, remote = { (char *)(uintptr_t)hva, len };
	int saved_errno = errno;
	size_t done;

	done = result(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), buf, hva, len);
	errno = saved_errno;
	return done;
}

size_t vas_write_checked(char *hva, const char *buf, size_t len)
{
	struct iovec local = { (char *)(uintptr_t)buf, len }, remote = { hva, len };
	int saved_errno = errno;
	size_t done;

	done = result(process_vm_writev(getpid(), &local, 1, &remote, 1, 0), hva, buf, len);
	errno = saved_errno;
	return done;
}
