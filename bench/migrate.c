// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Moving 4 GiB to another process over Unix sockets, beside a plain send and receive of the same bytes.
 * Each way is a pair of processes; both sides' memory is there before the clock starts, unless the case
 * says "fresh".
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vas/migrate.h>

#define MAX_CHANNELS 4
#define CHUNK	     (256ULL << 10)

struct pairs {
	int out[MAX_CHANNELS], in[MAX_CHANNELS];
	int nr;
};

enum content { RANDOM, ZERO, UNTOUCHED };

struct move {
	const char *name;
	enum content content;
	int nr_channels;
	uint32_t target_flags;
	uint32_t create_flags;
	bool plain;
};

static const struct move moves[] = {
	{ "plain send/recv, 1 socket", RANDOM, 1, 0, 0, true },
	{ "vas, 1 channel", RANDOM, 1, VAS_MIGRATE_POPULATE, 0, false },
	{ "plain send/recv, 2 sockets", RANDOM, 2, 0, 0, true },
	{ "vas, 2 channels", RANDOM, 2, VAS_MIGRATE_POPULATE, 0, false },
	{ "vas, 2 channels, fresh destination", RANDOM, 2, 0, 0, false },
	{ "vas, 2 channels, all zeros", ZERO, 2, 0, 0, false },
	{ "vas, 2 channels, never touched", UNTOUCHED, 2, 0, 0, false },
};

static uint64_t size = 4ULL << 30;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static void die(const char *what, int err)
{
	fprintf(stderr, "migrate: %s: %s (%s)\n", what, strerror(-err), vas_error());
	exit(1);
}

static void fill_random(char *p)
{
	uint64_t *words = (uint64_t *)p, state = 88172645463325252ULL, i;

	for (i = 0; i < size / 8; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		words[i] = state;
	}
}

static struct vas *make_source(enum content content)
{
	struct vas_options options = { .limit = size };
	struct vas_region region = { .size = size };
	struct vas *vas;
	char *p;
	int err = vas_create(&options, &vas);

	if (!err)
		err = vas_region_add(vas, &region, NULL);
	if (err)
		die("source", err);
	if (content == UNTOUCHED)
		return vas;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vas_fd(vas), 0);
	if (p == MAP_FAILED)
		die("source", -errno);
	if (content == RANDOM)
		fill_random(p);
	else
		memset(p, 0, size);
	munmap(p, size);
	return vas;
}

/* ---- plain -------------------------------------------------------------------------------- */

struct plain {
	char *p;
	uint64_t len;
	int fd;
	bool sends;
};

static void *transfer(void *arg)
{
	struct plain *t = arg;

	while (t->len) {
		size_t len = t->len < CHUNK ? t->len : CHUNK;
		ssize_t nr = t->sends ? send(t->fd, t->p, len, MSG_NOSIGNAL) :
					recv(t->fd, t->p, len, 0);

		if (nr <= 0)
			die("plain", nr ? -errno : -EPIPE);
		t->p += nr;
		t->len -= (uint64_t)nr;
	}
	return NULL;
}

static void plain(const struct pairs *pairs, char *memory, bool sends)
{
	struct plain parts[MAX_CHANNELS];
	pthread_t threads[MAX_CHANNELS];
	uint64_t len = size / (uint64_t)pairs->nr;

	for (int i = 0; i < pairs->nr; i++) {
		parts[i] = (struct plain){ memory + len * (uint64_t)i, len,
					   sends ? pairs->out[i] : pairs->in[i], sends };
		pthread_create(&threads[i], NULL, transfer, &parts[i]);
	}
	for (int i = 0; i < pairs->nr; i++)
		pthread_join(threads[i], NULL);
}

/* ---- the receiving process ---------------------------------------------------------------- */

static void ready(int sock)
{
	if (write(sock, "r", 1) != 1)
		exit(1);
}

static void receive(const struct move *move, const struct pairs *pairs, int sock)
{
	struct vas_migrate_target target = { .fds = pairs->in, .nr_fds = (uint32_t)pairs->nr,
					     .flags = move->target_flags,
					     .create_flags = move->create_flags };
	struct vas_migrate_result result;
	struct vas *vas;
	char *memory;
	int err;

	if (move->plain) {
		memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		ready(sock);
		plain(pairs, memory, false);
		ready(sock);
		return;
	}
	ready(sock);
	err = vas_migrate_recv(&target, &vas, &result);
	if (err)
		die("receive", err);
}

/* ---- the sending process ------------------------------------------------------------------ */

/* Called ten times a second and after the round: when the round began is what we want to know. */
static int see(void *arg, const struct vas_migrate_progress *progress)
{
	uint64_t *round_ns = arg;

	if (progress->rate && progress->pages_sent)
		*round_ns = (uint64_t)((double)progress->pages_sent * VAS_PAGE_SIZE * 1e9 /
				       (double)progress->rate);
	return 0;
}

static uint64_t send_vas(const struct move *move, struct vas *vas, const struct pairs *pairs)
{
	static const struct vas_migrate_ops ops = { .progress = see };
	uint64_t round_ns = 0, start = now_ns();
	struct vas_migrate_options options = { .fds = pairs->out, .nr_fds = (uint32_t)pairs->nr,
					       .flags = VAS_MIGRATE_STILL, .ops = &ops,
					       .arg = &round_ns };
	int err = vas_migrate_send(vas, &options, NULL);

	if (err)
		die("send", err);
	/* With POPULATE, the destination's preparing is part of the call: the round is what counts. */
	return move->target_flags & VAS_MIGRATE_POPULATE && round_ns ? round_ns : now_ns() - start;
}

static uint64_t send_plain(struct vas *vas, const struct pairs *pairs, int sock)
{
	char *memory = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, vas_fd(vas), 0), byte;
	uint64_t start = now_ns();

	plain(pairs, memory, true);
	if (read(sock, &byte, 1) != 1)
		exit(1);
	start = now_ns() - start;
	munmap(memory, size);
	return start;
}

static uint64_t run_once(const struct move *move, struct vas *vas)
{
	struct pairs pairs = { .nr = move->nr_channels };
	int sock[2], status, buffer = 4 << 20;
	uint64_t ns;
	pid_t pid;
	char byte;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sock))
		die("socketpair", -errno);
	for (int i = 0; i < pairs.nr; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
			die("socketpair", -errno);
		setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
		pairs.out[i] = pair[0];
		pairs.in[i] = pair[1];
	}
	pid = fork();
	if (!pid) {
		receive(move, &pairs, sock[1]);
		_exit(0);
	}
	if (read(sock[0], &byte, 1) != 1)
		die("receiver", -EIO);
	ns = move->plain ? send_plain(vas, &pairs, sock[0]) : send_vas(move, vas, &pairs);
	waitpid(pid, &status, 0);
	if (status)
		exit(1);
	for (int i = 0; i < pairs.nr; i++) {
		close(pairs.out[i]);
		close(pairs.in[i]);
	}
	close(sock[0]);
	close(sock[1]);
	return ns;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void run(const struct move *move, unsigned int rounds)
{
	uint64_t ns[101];

	for (unsigned int i = 0; i < rounds; i++) {
		struct vas *vas = make_source(move->content);

		ns[i] = run_once(move, vas);
		vas_destroy(vas);
	}
	qsort(ns, rounds, sizeof(*ns), compare);
	printf("%-36s %8.1f ms %8.2f GB/s   (best %.1f ms, worst %.1f ms)\n", move->name,
	       (double)ns[rounds / 2] / 1e6, (double)size / (double)ns[rounds / 2],
	       (double)ns[0] / 1e6, (double)ns[rounds - 1] / 1e6);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	unsigned int rounds = argc > 1 ? (unsigned int)atoi(argv[1]) : 3;

	if (argc > 2)
		size = strtoull(argv[2], NULL, 0) << 20;
	if (argc > 3 || !rounds || rounds > 101 || !size) {
		fprintf(stderr, "usage: bench-migrate [ROUNDS [MIB]]\n");
		return 2;
	}
	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++)
		run(&moves[i], rounds);
	return 0;
}
