// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "migrate/stream/wire.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "migrate/base/sum.h"

#define SLICE_MS     100
#define LOCAL_BUFFER (2 << 20) /* bytes, as the kernel counts them: twice what may be in flight */

static const int timeout_options[2] = { SO_SNDTIMEO, SO_RCVTIMEO };

/*
 * A transfer blocks, for this long at most: the kernel wakes it earlier and less often than poll()
 * would, which waits for a buffer that is nearly empty.
 */
static void set_timeouts(struct wire *wire)
{
	struct timeval slice = { .tv_usec = SLICE_MS * 1000 };
	int i;

	for (i = 0; i < 2; i++) {
		socklen_t size = sizeof(wire->timeouts[i]);

		getsockopt(wire->fd, SOL_SOCKET, timeout_options[i], &wire->timeouts[i], &size);
		setsockopt(wire->fd, SOL_SOCKET, timeout_options[i], &slice, sizeof(slice));
	}
}

/* Beyond what anybody may ask for, if we may; the kernel doubles what it is given. */
static void size_buffer(const struct wire *wire, int size)
{
	size /= 2;
	if (setsockopt(wire->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
		setsockopt(wire->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

/*
 * A local socket's default holds so little that each side sleeps after every second chunk, and
 * being woken costs as much as the chunk. TCP sizes its buffers by itself, and stops if told a
 * size.
 */
static void enlarge_buffer(struct wire *wire)
{
	socklen_t size = sizeof(int);
	int domain;

	if (getsockopt(wire->fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) || domain != AF_UNIX ||
	    getsockopt(wire->fd, SOL_SOCKET, SO_SNDBUF, &wire->buffer, &size))
		return;
	if (wire->buffer < LOCAL_BUFFER)
		size_buffer(wire, LOCAL_BUFFER);
	else
		wire->buffer = 0;
}

void wire_clean(const struct wire *wire)
{
	int i;

	for (i = 0; wire->is_socket && i < 2; i++)
		setsockopt(wire->fd, SOL_SOCKET, timeout_options[i], &wire->timeouts[i],
			   sizeof(wire->timeouts[i]));
	if (wire->buffer)
		size_buffer(wire, wire->buffer);
}

void wire_init(struct wire *wire, int fd, uint64_t stall_ns, const bool *cancel)
{
	struct stat st;

	*wire = (struct wire){ .fd = fd, .stall_ns = stall_ns, .cancel = cancel };
	if (fstat(fd, &st))
		return; /* the first transfer will tell */
	wire->is_socket = S_ISSOCK(st.st_mode);
	wire->is_pipe = !wire->is_socket && !S_ISREG(st.st_mode);
	if (wire->is_socket) {
		set_timeouts(wire);
		enlarge_buffer(wire);
	}
}

void wire_set_key(struct wire *wire, const uint8_t session[16], uint32_t channel, bool back)
{
	wire->channel = channel;
	wire->key = XXH3_64bits_withSeed(session, 16, channel * 2 + back);
}

void wire_shut(const struct wire *wire)
{
	if (wire->is_socket)
		shutdown(wire->fd, SHUT_RDWR);
}

/* ---- bytes -------------------------------------------------------------------------------- */

/* Wait until the fd is ready, at most stall_ns. */
static int wait_ready(const struct wire *wire, short events)
{
	struct pollfd poll_fd = { .fd = wire->fd, .events = events };
	uint64_t slices = wire->stall_ns / (SLICE_MS * 1000000ull) + 1;

	while (slices--) {
		int nr = poll(&poll_fd, 1, SLICE_MS);

		if (wire->cancel && __atomic_load_n(wire->cancel, __ATOMIC_RELAXED))
			return vas_error_set(-ECANCELED, "canceled");
		if (nr > 0)
			return 0;
		if (nr < 0 && errno != EINTR)
			return vas_error_set(-errno, "cannot wait for the peer: %s",
					     strerror(errno));
	}
	return vas_error_set(-ETIMEDOUT, "the peer makes no progress");
}

static void advance(struct iovec **iov, int *nr, size_t done)
{
	while (*nr && done >= (*iov)->iov_len) {
		done -= (*iov)->iov_len;
		++*iov;
		--*nr;
	}
	if (*nr) {
		(*iov)->iov_base = (char *)(*iov)->iov_base + done;
		(*iov)->iov_len -= done;
	}
}

/* A pipe that is ready takes this much without blocking, and no more for sure. */
static ssize_t write_pipe(int fd, const struct iovec *iov)
{
	return write(fd, iov->iov_base, iov->iov_len < PIPE_BUF ? iov->iov_len : PIPE_BUF);
}

static ssize_t write_some(const struct wire *wire, struct iovec *iov, int nr)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)nr };
	int err;

	if (wire->is_socket)
		return sendmsg(wire->fd, &msg, MSG_NOSIGNAL);
	if (!wire->is_pipe)
		return writev(wire->fd, iov, nr);
	err = wait_ready(wire, POLLOUT);
	if (!err)
		return write_pipe(wire->fd, iov);
	errno = -err;
	return -1;
}

static int write_all(struct wire *wire, struct iovec *iov, int nr)
{
	while (nr) {
		ssize_t done = write_some(wire, iov, nr);
		int err = done < 0 ? -errno : 0;

		if (err == -EAGAIN)
			err = wait_ready(wire, POLLOUT);
		else if (err == -EINTR)
			err = 0;
		else if (err == -EPIPE || err == -ECONNRESET)
			return vas_error_set(-ECONNRESET, "the peer has closed the stream");
		if (err)
			return vas_error_set(err, "cannot write the stream: %s", strerror(-err));
		if (done > 0) {
			wire->bytes += (uint64_t)done;
			advance(&iov, &nr, (size_t)done);
		}
	}
	return 0;
}

static ssize_t read_some(const struct wire *wire, struct iovec *iov, int nr)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)nr };
	int err;

	if (wire->is_socket)
		return recvmsg(wire->fd, &msg, 0);
	err = wire->is_pipe ? wait_ready(wire, POLLIN) : 0;
	if (!err)
		return readv(wire->fd, iov, nr);
	errno = -err;
	return -1;
}

static int read_all(struct wire *wire, struct iovec *iov, int nr)
{
	while (nr) {
		ssize_t done = read_some(wire, iov, nr);
		int err = done < 0 ? -errno : 0;

		if (!done || err == -ECONNRESET)
			return vas_error_set(-ECONNRESET, "the stream ends too early");
		if (err == -EAGAIN)
			err = wait_ready(wire, POLLIN);
		else if (err == -EINTR)
			err = 0;
		if (err)
			return vas_error_set(err, "cannot read the stream: %s", strerror(-err));
		if (done > 0) {
			wire->bytes += (uint64_t)done;
			advance(&iov, &nr, (size_t)done);
		}
	}
	return 0;
}

/* ---- chunks ------------------------------------------------------------------------------- */

static uint64_t header_sum(const struct wire *wire, const struct stream_header *header)
{
	return XXH3_64bits_withSeed(header, offsetof(struct stream_header, header_sum), wire->key);
}

static uint64_t sum_of(const struct wire *wire, const struct iovec *iov, int nr)
{
	uint64_t sum = wire->key;
	int i;

	for (i = 0; i < nr; i++)
		sum = sum_add(sum, iov[i].iov_base, iov[i].iov_len);
	return sum;
}

int wire_send_segments(struct wire *wire, struct stream_header *header,
		       const struct iovec *segments, int nr)
{
	struct iovec iov[WIRE_MAX_IOV] = { { header, sizeof(*header) } };

	if (nr >= WIRE_MAX_IOV)
		return -EINVAL;
	memcpy(iov + 1, segments, (size_t)nr * sizeof(*segments));
	header->magic = STREAM_MAGIC;
	header->sequence = wire->sequence++;
	header->payload_sum = sum_of(wire, segments, nr);
	header->header_sum = header_sum(wire, header);
	return write_all(wire, iov, nr + 1);
}

int wire_send(struct wire *wire, struct stream_header *header, const void *payload)
{
	const struct iovec segment = { (void *)(uintptr_t)payload, header->length };

	return wire_send_segments(wire, header, &segment, header->length ? 1 : 0);
}

int wire_recv_header(struct wire *wire, struct stream_header *header)
{
	struct iovec iov = { header, sizeof(*header) };
	int err = read_all(wire, &iov, 1);

	if (err)
		return err;
	if (header->magic != STREAM_MAGIC)
		return vas_error_set(-EPROTO, "this is no vas stream");
	if (header->type != STREAM_HELLO && header->header_sum != header_sum(wire, header))
		return vas_error_set(-EPROTO, "a chunk's header is damaged, or of another stream");
	if (header->sequence != wire->sequence++)
		return vas_error_set(-EPROTO, "chunk %llu comes where %llu should",
				     (unsigned long long)header->sequence,
				     (unsigned long long)(wire->sequence - 1));
	return 0;
}

int wire_recv_payload(struct wire *wire, const struct stream_header *header,
		      const struct iovec *iov, int nr)
{
	struct iovec rest[WIRE_MAX_IOV];
	int err;

	if (nr > WIRE_MAX_IOV)
		return -EINVAL;
	memcpy(rest, iov, (size_t)nr * sizeof(*iov));
	err = read_all(wire, rest, nr);
	if (err)
		return err;
	if (header->type != STREAM_HELLO && header->payload_sum != sum_of(wire, iov, nr))
		return vas_error_set(-EPROTO, "a chunk's payload is damaged");
	return 0;
}

int wire_check_hello(const struct wire *wire, const struct stream_header *header,
		     const struct stream_hello *hello)
{
	struct iovec iov = { (void *)(uintptr_t)hello, sizeof(*hello) };

	if (header->header_sum != header_sum(wire, header) ||
	    header->payload_sum != sum_of(wire, &iov, 1))
		return vas_error_set(-EPROTO, "the stream's first chunk is damaged");
	return 0;
}
