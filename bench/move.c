// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A process that receives is forked for each move, and says when it is ready and what it has used.
 */
#include "move.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <vas/access.h>
#include <vas/dirty.h>
#include <vas/migrate.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define CHUNK	 (256u << 10)
#define STALL_NS 600000000000ull /* a busy machine takes long to make the memory */

struct pairs {
	int out[VAS_MIGRATE_MAX_CHANNELS], in[VAS_MIGRATE_MAX_CHANNELS];
	uint32_t nr;
};

double move_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double cpu_ns(int who)
{
	struct rusage usage;

	getrusage(who, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
}

/* ---- the source --------------------------------------------------------------------------- */

static void fill_random(char *p, uint64_t size)
{
	uint64_t *words = (uint64_t *)p, state = 88172645463325252ULL, i;

	for (i = 0; i < size / 8; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		words[i] = state;
	}
}

/* The handle's window is one mapping, so that this is all of it. */
static char *memory_of(struct vas *vas)
{
	char *p = NULL;

	if (!vas_enter(vas)) {
		p = vas_translate(vas, 0, VAS_PAGE_SIZE, VAS_PROT_WRITE);
		vas_leave(vas);
	}
	return p;
}

int move_source(uint64_t size, enum move_content content, struct vas **vas)
{
	const struct vas_options options = { .limit = size };
	const struct vas_region region = { .size = size };
	int err = vas_create(&options, vas);
	char *p;

	if (!err)
		err = vas_region_add(*vas, &region, NULL);
	if (err || content == MOVE_UNTOUCHED)
		return err;
	p = memory_of(*vas);
	if (!p || madvise(p, size, MADV_POPULATE_WRITE))
		return -ENOMEM;
	if (content == MOVE_RANDOM)
		fill_random(p, size);
	return 0;
}

/* ---- plain transfers, plain reads --------------------------------------------------------- */

struct part {
	char *p; /* NULL: to `file` */
	uint64_t len;
	int fd;
	int sends;
	int file;
	uint64_t offset;
	uint64_t sum;
};

static void fail_transfer(void)
{
	perror("plain transfer");
	_exit(1);
}

static void *transfer(void *arg)
{
	struct part *t = arg;

	while (t->len) {
		size_t len = t->len < CHUNK ? t->len : CHUNK;
		ssize_t nr =
			t->sends ? send(t->fd, t->p, len, MSG_NOSIGNAL) : recv(t->fd, t->p, len, 0);

		if (nr <= 0)
			fail_transfer();
		t->p += nr;
		t->len -= (uint64_t)nr;
	}
	return NULL;
}

/* Pages that nobody has touched come into a file faster than into a map of it. */
static void *receive_to_file(void *arg)
{
	struct part *t = arg;
	char *buf = aligned_alloc(VAS_PAGE_SIZE, CHUNK);

	while (t->len) {
		size_t len = t->len < CHUNK ? t->len : CHUNK;

		if (!buf || recv(t->fd, buf, len, MSG_WAITALL) != (ssize_t)len ||
		    pwrite(t->file, buf, len, (off_t)t->offset) != (ssize_t)len)
			fail_transfer();
		t->offset += len;
		t->len -= len;
	}
	free(buf);
	return NULL;
}

static void *read_part(void *arg)
{
	struct part *t = arg;
	const uint64_t *words = (const uint64_t *)t->p;

	for (uint64_t i = 0; i < t->len / 8; i++)
		t->sum |= words[i];
	return NULL;
}

static void in_threads(void *(*run)(void *), struct part *parts, uint32_t nr)
{
	pthread_t threads[VAS_MIGRATE_MAX_CHANNELS];

	for (uint32_t i = 0; i < nr; i++)
		if (pthread_create(&threads[i], NULL, run, &parts[i]))
			_exit(1);
	for (uint32_t i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
}

static void plain(const struct pairs *pairs, char *memory, uint64_t size, int sends)
{
	struct part parts[VAS_MIGRATE_MAX_CHANNELS];
	uint64_t len = size / pairs->nr;

	for (uint32_t i = 0; i < pairs->nr; i++)
		parts[i] = (struct part){ .p = memory + len * i,
					  .len = len,
					  .fd = sends ? pairs->out[i] : pairs->in[i],
					  .sends = sends };
	in_threads(transfer, parts, pairs->nr);
}

static void plain_to_file(const struct pairs *pairs, uint64_t size)
{
	struct part parts[VAS_MIGRATE_MAX_CHANNELS];
	uint64_t len = size / pairs->nr;
	int file = memfd_create("bench", MFD_CLOEXEC);

	if (file < 0 || ftruncate(file, (off_t)size))
		fail_transfer();
	for (uint32_t i = 0; i < pairs->nr; i++)
		parts[i] = (struct part){
			.len = len, .fd = pairs->in[i], .file = file, .offset = len * i
		};
	in_threads(receive_to_file, parts, pairs->nr);
}

int move_read(struct vas *vas, uint64_t size, uint32_t nr_threads, struct move_times *times)
{
	struct part parts[VAS_MIGRATE_MAX_CHANNELS];
	char *memory = memory_of(vas);
	double start = move_now_ns(), cpu = cpu_ns(RUSAGE_SELF);
	uint64_t len = size / nr_threads;

	for (uint32_t i = 0; i < nr_threads; i++)
		parts[i] = (struct part){ .p = memory + len * i, .len = len, .fd = -1 };
	in_threads(read_part, parts, nr_threads);
	times->wall_ns = move_now_ns() - start;
	times->sender_ns = cpu_ns(RUSAGE_SELF) - cpu;
	times->receiver_ns = 0;
	return 0;
}

/* ---- the receiving process ---------------------------------------------------------------- */

static bool is_plain(enum move_way way)
{
	return way == MOVE_PLAIN || way == MOVE_PLAIN_MAPPED || way == MOVE_PLAIN_FILE;
}

static void say(int sock, double value)
{
	if (write(sock, &value, sizeof(value)) != sizeof(value))
		_exit(1);
}

static double hear(int sock)
{
	double value;

	return read(sock, &value, sizeof(value)) == sizeof(value) ? value : -1;
}

static void receive_plain(const struct pairs *pairs, uint64_t size, enum move_way way, int sock)
{
	int flags = MAP_SHARED | MAP_ANONYMOUS | (way == MOVE_PLAIN ? MAP_POPULATE : 0);
	char *memory = NULL;
	double before;

	if (way != MOVE_PLAIN_FILE)
		memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
	before = cpu_ns(RUSAGE_SELF);
	if (memory == MAP_FAILED)
		_exit(1);
	say(sock, 0);
	if (memory)
		plain(pairs, memory, size, 0);
	else
		plain_to_file(pairs, size);
	say(sock, cpu_ns(RUSAGE_SELF) - before);
}

static void receive_vas(const struct pairs *pairs, enum move_way way, int sock)
{
	const struct vas_migrate_target target = {
		.fds = pairs->in,
		.nr_fds = pairs->nr,
		.stall_ns = STALL_NS,
		.flags = way == MOVE_VAS_FRESH ? 0 : VAS_MIGRATE_POPULATE,
		.create_flags = way == MOVE_VAS_THP	? VAS_CREATE_THP :
				way == MOVE_VAS_HUGETLB ? VAS_CREATE_HUGETLB :
							  0,
	};
	struct vas_migrate_result result;
	struct vas *vas;

	say(sock, 0);
	if (vas_migrate_recv(&target, &vas, &result)) {
		fprintf(stderr, "migrate: receive: %s\n", vas_error());
		_exit(1);
	}
	say(sock, cpu_ns(RUSAGE_SELF));
}

/* ---- the sending process ------------------------------------------------------------------ */

struct mover {
	struct vas *vas;
	uint64_t size;
	enum move_way way;
	struct pairs pairs;
	int sock; /* to the receiver, who says there how it stands */
	pid_t receiver;
	double begun_ns;    /* when the destination had made its memory */
	double receiver_ns; /* of processor time, for that */
};

static int begin(void *arg)
{
	struct mover *m = arg;
	struct timespec used = { 0 };
	clockid_t clock;

	if (!clock_getcpuclockid(m->receiver, &clock))
		clock_gettime(clock, &used);
	m->receiver_ns = (double)used.tv_sec * 1e9 + (double)used.tv_nsec;
	m->begun_ns = move_now_ns();
	return 0;
}

static int send_vas(struct mover *m)
{
	static const struct vas_migrate_ops ops = { .pause = begin };
	const struct vas_migrate_options options = {
		.fds = m->pairs.out,
		.nr_fds = m->pairs.nr,
		.flags = VAS_MIGRATE_STOP_FIRST,
		.stall_ns = STALL_NS,
		.ops = &ops,
		.arg = m,
	};
	int err = vas_migrate_send(m->vas, &options, NULL);

	if (err)
		fprintf(stderr, "migrate: send: %s\n", vas_error());
	else
		vas_thaw(m->vas);
	return err;
}

static int make_pairs(struct pairs *pairs, uint32_t nr)
{
	int pair[2];

	for (pairs->nr = 0; pairs->nr < nr; pairs->nr++) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
			return -errno;
		pairs->out[pairs->nr] = pair[0];
		pairs->in[pairs->nr] = pair[1];
	}
	return 0;
}

static void close_pairs(const struct pairs *pairs)
{
	for (uint32_t i = 0; i < pairs->nr; i++) {
		close(pairs->out[i]);
		close(pairs->in[i]);
	}
}

static pid_t start_receiver(const struct pairs *pairs, uint64_t size, enum move_way way, int sock)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	for (uint32_t i = 0; i < pairs->nr; i++)
		close(pairs->out[i]);
	if (is_plain(way))
		receive_plain(pairs, size, way, sock);
	else
		receive_vas(pairs, way, sock);
	_exit(0);
}

/* With the receiver running: the sender's side, timed until the receiver has all. */
static int send_timed(struct mover *m, struct move_times *times)
{
	double start, before, end;
	int err = 0;

	if (hear(m->sock) < 0)
		return -EIO;
	before = cpu_ns(RUSAGE_SELF);
	start = move_now_ns();
	if (is_plain(m->way))
		plain(&m->pairs, memory_of(m->vas), m->size, 1);
	else
		err = send_vas(m);
	end = move_now_ns();
	times->sender_ns = cpu_ns(RUSAGE_SELF) - before;
	times->receiver_ns = hear(m->sock);
	/* A plain send has ended when it has written; others know that all has come. */
	times->wall_ns = (is_plain(m->way) ? move_now_ns() : end) - start;
	if (m->way == MOVE_VAS) {
		times->wall_ns -= m->begun_ns - start;
		times->receiver_ns -= m->receiver_ns;
	}
	return times->receiver_ns < 0 ? -EIO : err;
}

static int move_here(struct vas *vas, uint64_t size, enum move_way way, uint32_t nr_channels,
		     struct move_times *times)
{
	struct mover m = { .vas = vas, .size = size, .way = way };
	int sock[2], status, err;

	err = make_pairs(&m.pairs, nr_channels);
	if (err || socketpair(AF_UNIX, SOCK_STREAM, 0, sock))
		return err ? err : -errno;
	m.sock = sock[0];
	m.receiver = start_receiver(&m.pairs, size, way, sock[1]);
	close(sock[1]);
	err = m.receiver < 0 ? -errno : send_timed(&m, times);
	close_pairs(&m.pairs);
	close(sock[0]);
	if (m.receiver > 0 && (waitpid(m.receiver, &status, 0) != m.receiver || status))
		err = -EIO;
	return err;
}

/* ---- QEMU --------------------------------------------------------------------------------- */

static int move_qemu(struct vas *vas, uint64_t size, uint32_t nr_channels, struct move_times *times)
{
	char command[4096];
	FILE *script;
	int nr, fd = dup(vas_fd(vas)), status;

	snprintf(command, sizeof(command), "python3 %s %d %llu %u", BENCH_QEMU_MIGRATE, fd,
		 (unsigned long long)size, nr_channels);
	script = popen(command, "r");
	if (!script)
		return -errno;
	nr = fscanf(script, "%lf %lf %lf", &times->wall_ns, &times->sender_ns, &times->receiver_ns);
	status = pclose(script);
	close(fd);
	if (nr != 3 || status)
		return -EIO;
	return 0;
}

#define MM "/sys/kernel/mm/"

static void read_line(const char *path, char line[128])
{
	FILE *file = fopen(path, "r");

	if (!file || !fgets(line, 128, file))
		*line = 0;
	if (file)
		fclose(file);
}

const char *move_missing(enum move_way way, uint64_t size)
{
	char line[128];

	if (way == MOVE_QEMU && system("command -v qemu-system-x86_64 >/dev/null"))
		return "there is no QEMU";
	if (way == MOVE_VAS_HUGETLB) {
		read_line(MM "hugepages/hugepages-2048kB/free_hugepages", line);
		if (strtoull(line, NULL, 10) < size >> 21)
			return "there are too few free huge pages of 2 MiB";
	}
	if (way == MOVE_VAS_THP) {
		read_line(MM "transparent_hugepage/shmem_enabled", line);
		if (!strstr(line, "[advise]") && !strstr(line, "[within_size]"))
			return "transparent_hugepage/shmem_enabled is not advise";
	}
	return NULL;
}

int move_once(struct vas *vas, uint64_t size, enum move_way way, uint32_t nr_channels,
	      struct move_times *times)
{
	if (way == MOVE_QEMU)
		return move_qemu(vas, size, nr_channels, times);
	return move_here(vas, size, way, nr_channels, times);
}

/* ---- hand-over ---------------------------------------------------------------------------- */

static void take_and_give_back(int sock)
{
	struct vas *vas;
	size_t size;
	void *state;

	if (vas_handover_take(sock, 0, &vas, &state, &size) ||
	    vas_handover_give(vas, sock, NULL, 0)) {
		fprintf(stderr, "migrate: hand-over: %s\n", vas_error());
		_exit(1);
	}
	_exit(0);
}

int move_hand_over(struct vas **vas, struct move_times *times)
{
	int sock[2], err;
	struct vas *back;
	double start;
	size_t size;
	void *state;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sock))
		return -errno;
	pid = fork();
	if (!pid)
		take_and_give_back(sock[1]);
	start = move_now_ns();
	err = vas_handover_give(*vas, sock[0], NULL, 0);
	if (!err) {
		vas_unbind(*vas);
		err = vas_handover_take(sock[0], 0, &back, &state, &size);
	}
	times->wall_ns = (move_now_ns() - start) / 2;
	times->sender_ns = times->receiver_ns = 0;
	if (!err)
		*vas = back;
	close(sock[0]);
	close(sock[1]);
	waitpid(pid, NULL, 0);
	return err;
}
