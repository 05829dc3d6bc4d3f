// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What a peer can send to vas_recv_fds() that is no vas. A good message is caught once, and everything
 * else is made from it: bytes changed, cut, repeated; fds missing, foreign, swapped, too many.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "victim.h"

#define MAX_BYTES 65536
#define MAX_FDS	  253

struct message {
	uint8_t bytes[MAX_BYTES];
	size_t len;
	int fds[MAX_FDS];
	int nr_fds;
};

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * MAX_FDS)];
};

static void catch_message(struct message *l, int sock)
{
	static union control control;
	struct iovec iov = { l->bytes, sizeof(l->bytes) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	msg.msg_control = control.bytes;
	msg.msg_controllen = sizeof(control.bytes);
	n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	CHECK(n > 0);
	l->len = (size_t)n;
	CHECK(msg.msg_controllen >= CMSG_LEN(sizeof(int)));
	l->nr_fds = (int)((control.align.cmsg_len - CMSG_LEN(0)) / sizeof(int));
	memcpy(l->fds, CMSG_DATA(&control.align), (size_t)l->nr_fds * sizeof(int));
	/* More may follow, if the library sends in pieces. */
	while ((n = recv(sock, l->bytes + l->len, sizeof(l->bytes) - l->len, MSG_DONTWAIT)) > 0)
		l->len += (size_t)n;
}

static void post_message(const struct message *l, int sock)
{
	static union control control;
	struct iovec iov = { (void *)(uintptr_t)l->bytes, l->len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (l->nr_fds) {
		const size_t size = (size_t)l->nr_fds * sizeof(int);

		memset(&control, 0, sizeof(control));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(size);
		memcpy(CMSG_DATA(&control.align), l->fds, size);
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(size);
	}
	CHECK_EQ(sendmsg(sock, &msg, MSG_NOSIGNAL), l->len);
}

static struct victim victim;
static struct message good;

static void begin(void)
{
	int pair[2];

	victim_make(&victim);
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	CHECK_OK(vas_send_fds(victim.owner, pair[0], 0));
	catch_message(&good, pair[1]);
	close(pair[0]);
	close(pair[1]);
}

static void end(void)
{
	for (int i = 0; i < good.nr_fds; i++)
		close(good.fds[i]);
	victim_free(&victim);
}

static int are_so_many_fds(void *nr)
{
	return test_count_fds() == *(int *)nr;
}

/*
 * Post it, close, receive it: the result, with all fds accounted for, of which a thread may close
 * some.
 */
static int deliver(const struct message *l)
{
	int pair[2], fds, err;
	struct vas *vas = NULL;

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	post_message(l, pair[0]);
	close(pair[0]);
	fds = test_count_fds();
	err = vas_recv_fds(pair[1], 0, &vas);
	if (err) {
		CHECK(err < 0 && err > -4096);
		CHECK(vas_error()[0]);
	} else {
		victim_exercise(vas);
		vas_unbind(vas);
	}
	test_wait(are_so_many_fds, &fds, 60000);
	close(pair[1]);
	return err;
}

TEST(a_good_message_arrives)
{
	begin();
	CHECK_EQ(deliver(&good), 0);
	CHECK_EQ(deliver(&good), 0);
	end();
}

TEST(a_message_with_any_byte_changed_harms_nobody)
{
	static const uint8_t flips[] = { 0x01, 0x80, 0xff };
	static struct message l;

	begin();
	for (size_t i = 0; i < good.len; i += i < 256 ? 1 : 7)
		for (size_t k = 0; k < sizeof(flips); k++) {
			test_note("byte %zu of %zu, flip %#x", i, good.len, flips[k]);
			l = good;
			l.bytes[i] ^= flips[k];
			deliver(&l);
		}
	end();
}

TEST(a_message_cut_anywhere_is_refused)
{
	static struct message l;

	begin();
	for (size_t len = 1; len < good.len; len += len < 128 ? 1 : 13) {
		test_note("%zu of %zu bytes", len, good.len);
		l = good;
		l.len = len;
		CHECK(deliver(&l) < 0);
	}
	end();
}

TEST(a_message_with_more_behind_it_harms_nobody)
{
	static struct message l;

	begin();
	l = good;
	memcpy(l.bytes + l.len, good.bytes, good.len);
	l.len += good.len;
	deliver(&l);
	l = good;
	l.len = sizeof(l.bytes);
	deliver(&l);
	end();
}

TEST(a_message_with_fds_missing_is_refused)
{
	static struct message l;

	begin();
	for (int nr = 0; nr < good.nr_fds; nr++) {
		test_note("%d of %d fds", nr, good.nr_fds);
		l = good;
		l.nr_fds = nr;
		CHECK_EQ(deliver(&l), -EPROTO);
	}
	end();
}

TEST(a_message_with_fds_too_many_is_refused)
{
	static struct message l;

	begin();
	for (int extra = 1; good.nr_fds + extra <= MAX_FDS; extra = extra * 3 + 1) {
		test_note("%d extra", extra);
		l = good;
		while (l.nr_fds < good.nr_fds + extra)
			l.fds[l.nr_fds++] = STDOUT_FILENO;
		CHECK_EQ(deliver(&l), -EPROTO);
	}
	l = good;
	while (l.nr_fds < MAX_FDS)
		l.fds[l.nr_fds++] = good.fds[0];
	CHECK_EQ(deliver(&l), -EPROTO);
	end();
}

TEST(a_message_with_foreign_fds_is_refused)
{
	static struct message l;
	int pair[2];

	begin();
	CHECK_OK(pipe(pair));
	for (int i = 0; i < good.nr_fds; i++) {
		test_note("fd %d of %d", i, good.nr_fds);
		l = good;
		l.fds[i] = pair[0];
		CHECK(deliver(&l) < 0 || i > 0);
		l.fds[i] = STDOUT_FILENO;
		CHECK(deliver(&l) < 0 || i > 0);
		l.fds[i] = good.fds[0];
		deliver(&l);
	}
	close(pair[0]);
	close(pair[1]);
	end();
}

TEST(a_message_with_fds_in_another_order_harms_nobody)
{
	static struct message l;

	begin();
	for (int a = 0; a < good.nr_fds; a++)
		for (int b = 0; b < a; b++) {
			test_note("fds %d and %d", a, b);
			l = good;
			l.fds[a] = good.fds[b];
			l.fds[b] = good.fds[a];
			deliver(&l);
		}
	end();
}

TEST(random_messages_are_refused)
{
	struct test_random random = { test_seed() };
	static struct message l;

	begin();
	for (int round = 0; round < 500; round++) {
		test_note("round %d", round);
		l = good;
		l.len = 1 + test_random_below(&random, 2 * good.len);
		for (size_t i = test_random_below(&random, 40); i < l.len; i++)
			l.bytes[i] = (uint8_t)test_random_next(&random);
		l.nr_fds = (int)test_random_below(&random, 8);
		for (int i = 0; i < l.nr_fds; i++)
			l.fds[i] = good.fds[test_random_below(&random, (uint64_t)good.nr_fds)];
		CHECK(deliver(&l) < 0);
	}
	end();
}

TEST(where_nothing_comes_nothing_is_received)
{
	int pair[2], file;
	struct vas *vas;

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair));
	CHECK_EQ(vas_recv_fds(pair[1], 0, &vas), -EAGAIN);
	close(pair[0]);
	CHECK_EQ(vas_recv_fds(pair[1], 0, &vas), -ECONNRESET);
	close(pair[1]);
	file = memfd_create("no socket", MFD_CLOEXEC);
	CHECK(vas_recv_fds(file, 0, &vas) < 0);
	CHECK(vas_recv_fds(-1, 0, &vas) < 0);
	close(file);
}

/* The second half never comes: it is waited for, but not for ever. */
static void half(int flags)
{
	static struct message l;
	struct vas *vas;
	int pair[2], fds;

	begin();
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0, pair));
	l = good;
	l.len = good.len / 2;
	post_message(&l, pair[0]);
	fds = test_count_fds();
	CHECK_EQ(vas_recv_fds(pair[1], 0, &vas), -EPROTO);
	CHECK_EQ(test_count_fds(), fds);
	close(pair[0]);
	close(pair[1]);
	end();
}

TEST(half_a_message_is_not_waited_for_for_ever)
{
	half(0);
}

TEST(half_a_message_without_blocking_is_not_waited_for_for_ever)
{
	half(SOCK_NONBLOCK);
}

struct dribble {
	int sock;
	int stop;
	uint64_t nr;
};

static void *dribble(void *arg)
{
	struct dribble *d = arg;
	struct pollfd never = { .fd = -1 };

	while (!__atomic_load_n(&d->stop, __ATOMIC_RELAXED) && d->nr < good.len) {
		if (send(d->sock, good.bytes + d->nr, 1, MSG_NOSIGNAL) != 1)
			break;
		d->nr++;
		poll(&never, 1, 20);
	}
	return NULL;
}

/* One byte every 20 ms: it is given up before the message is whole, whoever is slow. */
TEST(a_message_that_comes_byte_by_byte_is_given_up)
{
	struct dribble d = { 0 };
	pthread_t thread;
	struct vas *vas;
	int pair[2];

	begin();
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	d.sock = pair[0];
	CHECK_EQ(pthread_create(&thread, NULL, dribble, &d), 0);
	CHECK_EQ(vas_recv_fds(pair[1], 0, &vas), -EPROTO);
	__atomic_store_n(&d.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	close(pair[0]);
	close(pair[1]);
	end();
}

TEST(a_send_to_nobody_is_an_error_and_no_signal)
{
	int pair[2], file;

	victim_make(&victim);
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	close(pair[1]);
	CHECK(vas_send_fds(victim.owner, pair[0], 0) < 0);
	close(pair[0]);
	file = memfd_create("no socket", MFD_CLOEXEC);
	CHECK(vas_send_fds(victim.owner, file, 0) < 0);
	close(file);
	victim_free(&victim);
}

/* Whoever never reads must not hold up the sender for good: a full socket that does not block. */
TEST(a_send_to_one_who_does_not_read_is_an_error)
{
	int pair[2], err = 0, nr;

	victim_make(&victim);
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair));
	for (nr = 0; !err && nr < 100000; nr++)
		err = vas_send_fds(victim.owner, pair[0], 0);
	CHECK(err < 0 && err > -4096);
	close(pair[0]);
	close(pair[1]);
	victim_free(&victim);
}
