// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "migrate/stream/wire.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "lib/base/write_signals.h"
#include "migrate/base/sum.h"

#define SLICE_MS     100
#define STALL_NS     (30 * NSEC_PER_SEC)
#define LOCAL_BUFFER (2 << 20)	/* bytes, as the kernel counts them: twice what may be in flight */
#define LAST_ROOM    (64 << 10) /* of a buffer, kept for wire_make_room() */

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
	int domain, now;

	if (getsockopt(wire->fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) || domain != AF_UNIX ||
	    getsockopt(wire->fd, SOL_SOCKET, SO_SNDBUF, &wire->buffer, &size))
		return;
	if (wire->buffer < LOCAL_BUFFER)
		size_buffer(wire, LOCAL_BUFFER);
	else
		wire->buffer = 0;
	/* Of what there is now some is kept: without privilege it could not be had later. */
	if (wire->buffer && !getsockopt(wire->fd, SOL_SOCKET, SO_SNDBUF, &now, &size) &&
	    now > wire->buffer + LAST_ROOM)
		size_buffer(wire, now - LAST_ROOM);
}

void wire_make_room(const struct wire *wire)
{
	socklen_t size = sizeof(int);
	int now;

	/*
	 * Not where it would make the buffer smaller: a limit may apply to us that does not to it.
	 */
	if (wire->buffer && !getsockopt(wire->fd, SOL_SOCKET, SO_SNDBUF, &now, &size))
		size_buffer(wire, now + LAST_ROOM);
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

void wire_init(struct wire *wire, int fd, uint64_t stall_ns, struct wire_group *group)
{
	struct stat st;

	*wire = (struct wire){ .fd = fd,
			       .stall_ns = stall_ns ? stall_ns : STALL_NS,
			       .group = group };
	if (fstat(fd, &st))
		return; /* the first transfer will tell */
	wire->is_socket = S_ISSOCK(st.st_mode);
	wire->is_pipe = !wire->is_socket && !S_ISREG(st.st_mode);
	if (!wire->is_socket && !stall_ns)
		wire->stall_ns = UINT64_MAX;
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

/* A chunk under way. */
struct transfer {
	uint64_t begun_ns;
	uint64_t stall_ns;
};

static struct transfer begin(const struct wire *wire, uint64_t size)
{
	uint64_t parts = size / (STREAM_WORD_SIZE + sizeof(struct stream_header)) + 1;
	struct transfer t = { .begun_ns = monotonic_ns() };

	if (__builtin_mul_overflow(wire->stall_ns, parts, &t.stall_ns))
		t.stall_ns = UINT64_MAX;
	return t;
}

static struct deadline deadline_of(const struct wire *wire, const struct transfer *t)
{
	uint64_t last_ns = __atomic_load_n(&wire->group->last_ns, __ATOMIC_RELAXED);

	return deadline_after(last_ns > t->begun_ns ? last_ns : t->begun_ns, t->stall_ns);
}

int wire_check(const struct wire *wire)
{
	if (__atomic_load_n(&wire->group->cancel, __ATOMIC_RELAXED))
		return vas_error_set(-ECANCELED, "canceled");
	if (!deadline_left_ns(wire->group->limit))
		return vas_error_set(-ETIMEDOUT,
				     "writers have stood still for as long as they may");
	return 0;
}

static int check(const struct wire *wire, const struct transfer *t)
{
	int err = wire_check(wire);

	if (!err && !deadline_left_ns(deadline_of(wire, t)))
		err = vas_error_set(-ETIMEDOUT, "the peer makes no progress");
	return err;
}

static int wait_ready(const struct wire *wire, const struct transfer *t, short events)
{
	struct pollfd poll_fd = { .fd = wire->fd, .events = events };
	int nr, err;

	do {
		struct deadline d = deadline_earlier(deadline_of(wire, t), wire->group->limit);

		nr = poll(&poll_fd, 1, deadline_poll_ms(d, SLICE_MS));
		if (nr < 0 && errno != EINTR)
			return vas_error_set(-errno, "cannot wait for the peer: %s",
					     strerror(errno));
		err = nr > 0 ? 0 : check(wire, t);
	} while (nr <= 0 && !err);
	return err;
}

static size_t size_of(const struct iovec *iov, int nr)
{
	size_t size = 0;

	while (nr--)
		size += iov[nr].iov_len;
	return size;
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

	if (wire->is_socket)
		return sendmsg(wire->fd, &msg, MSG_NOSIGNAL);
	return wire->is_pipe ? write_pipe(wire->fd, iov) : writev(wire->fd, iov, nr);
}

static ssize_t read_some(const struct wire *wire, struct iovec *iov, int nr)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)nr };

	return wire->is_socket ? recvmsg(wire->fd, &msg, 0) : readv(wire->fd, iov, nr);
}

static ssize_t move_some(struct wire *wire, short events, struct iovec **iov, int *nr)
{
	ssize_t done = events == POLLOUT ? write_some(wire, *iov, *nr) : read_some(wire, *iov, *nr);

	if (done > 0) {
		wire->bytes += (uint64_t)done;
		advance(iov, nr, (size_t)done);
	}
	return done;
}

/* All of it: POLLOUT or POLLIN says where to. -ENODATA: there is no more, without a sentence. */
static int transfer(struct wire *wire, short events, struct iovec *iov, int nr)
{
	struct transfer t = begin(wire, size_of(iov, nr));
	int err = wire->is_pipe ? wait_ready(wire, &t, events) : 0;

	while (nr && !err) {
		ssize_t done = move_some(wire, events, &iov, &nr);

		if (!done)
			return -ENODATA;
		if (done < 0 && errno != EAGAIN && errno != EINTR)
			return vas_error_set(-errno, "the stream: %s", strerror(errno));
		/* What could be had at once was not late: the clock comes second. */
		if (nr && (wire->is_pipe || (done < 0 && errno == EAGAIN)))
			err = wait_ready(wire, &t, events);
		else if (nr)
			err = check(wire, &t);
	}
	if (!err)
		__atomic_store_n(&wire->group->last_ns, monotonic_ns(), __ATOMIC_RELAXED);
	return err;
}

static int write_all(struct wire *wire, struct iovec *iov, int nr)
{
	struct write_signals signals;
	int err;

	if (wire->is_socket) {
		err = transfer(wire, POLLOUT, iov, nr);
	} else {
		write_signals_block(&signals);
		err = transfer(wire, POLLOUT, iov, nr);
		write_signals_restore(&signals, err);
	}
	if (err == -EPIPE || err == -ECONNRESET)
		return vas_error_set(-ECONNRESET, "the peer has closed the stream");
	return err;
}

static int read_all(struct wire *wire, struct iovec *iov, int nr)
{
	int err = transfer(wire, POLLIN, iov, nr);

	if (err == -ENODATA || err == -ECONNRESET)
		return vas_error_set(-ECONNRESET, "the stream ends too early");
	return err;
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
	int err;

	if (nr >= WIRE_MAX_IOV)
		return -EINVAL;
	memcpy(iov + 1, segments, (size_t)nr * sizeof(*segments));
	err = wire_check(wire);
	if (err)
		return err;
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
	struct iovec iov = { (char *)header + wire->have, sizeof(*header) - wire->have };
	uint64_t before = wire->bytes;
	int err = read_all(wire, &iov, 1);

	wire->have = err ? wire->have + (size_t)(wire->bytes - before) : 0;
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
