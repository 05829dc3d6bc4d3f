// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Sender, receiver and a writer are processes; one of them is killed when a random number of bytes has
 * passed (all go through here), or none is. After that the destination is complete and the same as the
 * source, or the source runs on: never both, never neither.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/access.h>
#include <vas/migrate.h>

#include "tests/harness.h"
#include "tests/migrate/fd_passing.h"
#include "tests/lib/dirty/shadow.h"

#define SIZE	     (1ull << 20)
#define NR_TRIALS    40
#define STREAM_BYTES (3u << 20) /* about what one migration sends */

/* ---- the processes ------------------------------------------------------------------------ */

/* Owns the source, moves it, and tells whether it runs (r) or has moved (m). */
ROLE(sender)
{
	int fd = fd_recv(sock);
	struct vas_migrate_options options = { .fds = &fd,
					       .nr_fds = 1,
					       .downtime_ns = 1,
					       .max_rounds = 3,
					       .freeze_ns = TEST_HANG_NS };
	struct vas *vas = shadow_vas(SIZE);
	uint64_t gpa;
	int err;

	for (gpa = 0; gpa < SIZE; gpa += 8)
		CHECK_OK(vas_store_le64(vas, gpa, gpa * 0x9e3779b97f4a7c15, __ATOMIC_RELAXED));
	CHECK_OK(vas_send_fds(vas, sock, 0));
	CHECK_EQ(read(sock, &(char){ 0 }, 1), 1); /* the writer writes */
	err = vas_migrate_send(vas, &options, NULL);
	close(fd);
	if (err)
		CHECK_OK(vas_write(vas, 0, "runs", 4, NULL));
	CHECK_EQ(write(sock, err ? "r" : "m", 1), 1);
	return read(sock, &(char){ 0 }, 1) != 1; /* stay, as a VMM would */
}

/* Receives, and sends what has arrived to be looked at. */
ROLE(receiver)
{
	int fd = fd_recv(sock);
	struct vas_migrate_target target = { .fds = &fd, .nr_fds = 1 };
	struct vas_migrate_result result;
	struct vas *vas;
	int err = vas_migrate_recv(&target, &vas, &result);

	close(fd);
	CHECK_EQ(write(sock, err ? "x" : "d", 1), 1);
	if (!err)
		CHECK_OK(vas_send_fds(vas, sock, 0));
	return read(sock, &(char){ 0 }, 1) != 1;
}

/* Writes by copies and through a map, until it is told to be quiet for good, or killed. */
ROLE(writer)
{
	struct test_random random = { test_seed() };
	struct vas_mapping *mapping;
	struct vas *vas;
	uint64_t *map, i;

	CHECK_OK(vas_recv_fds(sock, 0, &vas));
	CHECK_OK(vas_mapping_create(vas, SIZE / 2, 8192, VAS_MAPPING_WRITE, &mapping));
	map = vas_mapping_addr(mapping);
	for (i = 0;; i++) {
		uint64_t gpa = test_random_below(&random, SIZE / 8) * 8;
		int err = vas_store_le64(vas, gpa, i, __ATOMIC_RELAXED);

		CHECK(!err || err == -EAGAIN);
		if (vas_mapping_request(mapping) == VAS_REQUEST_NONE)
			map[i % 1024] = i;
		else
			vas_mapping_quiesce(mapping);
		if (i == 1000)
			CHECK_EQ(write(sock, "w", 1), 1);
	}
	return 0;
}

/* ---- one trial ---------------------------------------------------------------------------- */

enum who { SENDER, RECEIVER, WRITER, NOBODY };

struct trial {
	pid_t pids[3];
	int socks[3];
	int ends[2]; /* our ends of the stream: the sender's, the receiver's */
	struct vas *source;
	enum who victim;
	uint64_t kill_at;
	uint64_t passed;
};

static void start(struct trial *t)
{
	static const char *const names[] = { "sender", "receiver", "writer" };
	int i, pair[2];

	for (i = 0; i < 3; i++)
		t->pids[i] = test_spawn(names[i], &t->socks[i]);
	for (i = 0; i < 2; i++) {
		CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
		fd_send(t->socks[i], pair[0]);
		close(pair[0]);
		t->ends[i] = pair[1];
	}
	CHECK_OK(vas_recv_fds(t->socks[SENDER], 0, &t->source));
	CHECK_OK(vas_send_fds(t->source, t->socks[WRITER], 0));
	CHECK_EQ(read(t->socks[WRITER], &(char){ 0 }, 1), 1);
	CHECK_EQ(write(t->socks[SENDER], "g", 1), 1);
}

static void maybe_kill(struct trial *t)
{
	if (t->victim == NOBODY || t->passed < t->kill_at)
		return;
	kill(t->pids[t->victim], SIGKILL);
	waitpid(t->pids[t->victim], NULL, 0);
	t->pids[t->victim] = 0;
	t->victim = NOBODY;
}

/* Pass on what there is; false at the end. */
static int pass_on(struct trial *t, int from, int to)
{
	char bytes[8192];
	ssize_t nr = read(from, bytes, sizeof(bytes)), done = 0, sent;

	if (nr <= 0) {
		shutdown(to, SHUT_WR);
		return 0;
	}
	t->passed += (uint64_t)nr;
	maybe_kill(t);
	while (done < nr && (sent = send(to, bytes + done, (size_t)(nr - done), MSG_NOSIGNAL)) > 0)
		done += sent;
	return 1;
}

/* The stream, both ways, until a side has closed it: what it had written before has passed. */
static void relay(struct trial *t)
{
	struct pollfd fds[2] = { { t->ends[0], POLLIN, 0 }, { t->ends[1], POLLIN, 0 } };
	int i;

	while (fds[0].fd >= 0 && fds[1].fd >= 0) {
		CHECK(poll(fds, 2, TEST_HANG_MS) > 0);
		for (i = 0; i < 2; i++)
			if (fds[i].revents && !pass_on(t, t->ends[i], t->ends[!i]))
				fds[i].fd = -1;
	}
	for (i = 0; i < 2; i++)
		close(t->ends[i]);
}

/* What the process says; 0 if it is dead and has not said anything. */
static char answer(struct trial *t, enum who who)
{
	char byte;

	return read(t->socks[who], &byte, 1) == 1 ? byte : 0;
}

static void check_same(struct trial *t, struct vas *arrived)
{
	static char pages[2][VAS_PAGE_SIZE];
	uint64_t gpa;

	for (gpa = 0; gpa < SIZE; gpa += VAS_PAGE_SIZE) {
		CHECK_OK(vas_read(t->source, gpa, pages[0], VAS_PAGE_SIZE, NULL));
		CHECK_OK(vas_read(arrived, gpa, pages[1], VAS_PAGE_SIZE, NULL));
		CHECK_MEM(pages[1], pages[0], VAS_PAGE_SIZE);
	}
}

static void finish(struct trial *t)
{
	int i;

	vas_unbind(t->source);
	for (i = 0; i < 3; i++) {
		close(t->socks[i]);
		if (t->pids[i]) {
			kill(t->pids[i], SIGKILL);
			waitpid(t->pids[i], NULL, 0);
		}
	}
}

static void run_trial(struct trial *t, int *moved)
{
	enum who victim = t->victim;
	char sender, receiver;
	struct vas *arrived;

	start(t);
	relay(t);
	t->kill_at = 0;
	maybe_kill(t);
	sender = answer(t, SENDER);
	receiver = answer(t, RECEIVER);
	test_note("victim %d after %llu of %llu bytes: sender %c, receiver %c", victim,
		  (unsigned long long)t->kill_at, (unsigned long long)t->passed,
		  sender ? sender : '-', receiver ? receiver : '-');
	/* Never both; neither only if it is the one who was to run that was killed. */
	CHECK(!(sender == 'r' && receiver == 'd'));
	CHECK(sender != 'm' || receiver == 'd' || victim == RECEIVER);
	CHECK(sender == 'r' || receiver == 'd' || victim == SENDER || victim == RECEIVER);
	if (victim == WRITER || victim == NOBODY)
		CHECK(sender == 'm' && receiver == 'd');
	if (receiver == 'd' && vas_recv_fds(t->socks[RECEIVER], 0, &arrived) == 0) {
		check_same(t, arrived);
		vas_unbind(arrived);
		++*moved;
	}
	finish(t);
}

TEST(it_runs_here_or_there_never_both_never_neither)
{
	struct test_random random = { test_seed() };
	int i, moved = 0;

	for (i = 0; i < NR_TRIALS; i++) {
		struct trial t = { .victim = (enum who)test_random_below(&random, 4),
				   .kill_at = test_random_below(&random, STREAM_BYTES) };

		run_trial(&t, &moved);
	}
	CHECK(moved > 0);
}
