// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Random requests of 4 KiB to a vhost-user block device in another process, of a driver that never
 * sleeps: it keeps so many requests under way, and takes answers by looking. Kicks are as the
 * device asks for them. The limit is preadv() and pwritev() of the same file in this thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "tests/device/front_end.h"

#define BLOCK	    4096u
#define DISK_SIZE   (256ull << 20)
#define MAX_DEPTH   32u
#define CONNECT_MS  10000
#define HEADERS	    FRONT_DATA
#define STATUSES    (FRONT_DATA + 4096)
#define BLOCKS	    (FRONT_DATA + 65536)
#define RAM	    (2ull << 20)
#define QSD	    "/usr/bin/qemu-storage-daemon"
#define MAX_WORD    1024
#define MAX_PATH    128
#define NR_VARIANTS 3

enum disk { DISK_TMPFS, DISK_NULL };

static char folder[] = "/dev/shm/vas-bench-XXXXXX";

/* A device's process, and our connection to it. */
struct peer {
	pid_t pid;
	struct front_end front;
	/* Of the case that runs. */
	uint32_t depth;
	int writes;
	uint64_t random;
	int fd; /* the limit's */
};

/* ---- processes ---------------------------------------------------------------------------- */

/* Not on the driver's processor. */
static void leave_processor(void)
{
	cpu_set_t set;
	int cpu, ours = sched_getcpu();

	CPU_ZERO(&set);
	for (cpu = 0; cpu < sysconf(_SC_NPROCESSORS_ONLN); cpu++)
		if (cpu != ours)
			CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static pid_t start(char *const *words)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	leave_processor();
	execv(words[0], words);
	_exit(127);
}

static pid_t start_vas(enum disk disk, const char *sock, const char *path)
{
	static char where[MAX_WORD], at[MAX_WORD];
	char *words[] = { BENCH_VAS, "device", "blk", where, at, NULL };

	snprintf(at, sizeof(at), "--vhost-user=%s", sock);
	if (disk == DISK_TMPFS)
		snprintf(where, sizeof(where), "--path=%s", path);
	else
		snprintf(where, sizeof(where), "--null=%llu", DISK_SIZE);
	return start(words);
}

static pid_t start_qsd(enum disk disk, const char *sock, const char *path, const char *aio)
{
	static char node[MAX_WORD], export[MAX_WORD];
	char *words[] = { QSD,	      "--blockdev", node, "--object", "iothread,id=thread",
			  "--export", export,	    NULL };

	if (disk == DISK_TMPFS)
		snprintf(node, sizeof(node), "driver=file,node-name=disk,filename=%s,aio=%s", path,
			 aio);
	else
		snprintf(node, sizeof(node),
			 "driver=null-co,node-name=disk,size=%llu,read-zeroes=off", DISK_SIZE);
	snprintf(export, sizeof(export),
		 "type=vhost-user-blk,id=export,node-name=disk,writable=on,iothread=thread,"
		 "addr.type=unix,addr.path=%s",
		 sock);
	return start(words);
}

/* ---- a driver ----------------------------------------------------------------------------- */

static uint64_t next_sector(struct peer *peer)
{
	peer->random = peer->random * 6364136223846793005ull + 1442695040888963407ull;
	return (peer->random >> 33) % (DISK_SIZE / BLOCK) * (BLOCK / 512);
}

static void post(struct peer *peer, uint16_t slot, int writes, uint64_t sector)
{
	struct virtio_blk_outhdr *header = (void *)(peer->front.ram + HEADERS + 16 * slot);

	header->type = writes ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
	header->sector = sector;
	peer->front.ram[STATUSES + slot] = 0xff;
	front_ring_post(&peer->front.rings[0], slot, HEADERS + 16 * slot, BLOCKS + BLOCK * slot,
			BLOCK, !writes, STATUSES + slot);
}

static int wait_for_answer(struct peer *peer)
{
	int slot;

	while ((slot = front_ring_take(&peer->front.rings[0])) < 0)
		;
	return slot;
}

/* Returns how many have failed, which is none. */
static uint64_t run_device(void *ctx, uint64_t nr)
{
	struct peer *peer = ctx;
	uint64_t posted, failed = 0;
	int slot;

	for (posted = 0; posted < peer->depth && posted < nr; posted++)
		post(peer, (uint16_t)posted, peer->writes, next_sector(peer));
	front_ring_kick(&peer->front.rings[0]);
	while (nr) {
		slot = wait_for_answer(peer);
		do {
			failed += peer->front.ram[STATUSES + slot] != VIRTIO_BLK_S_OK;
			nr--;
			if (nr >= peer->depth)
				post(peer, (uint16_t)slot, peer->writes, next_sector(peer));
			slot = front_ring_take(&peer->front.rings[0]);
		} while (slot >= 0);
		front_ring_kick(&peer->front.rings[0]);
	}
	if (failed)
		abort();
	return failed;
}

static uint64_t run_limit(void *ctx, uint64_t nr)
{
	struct peer *peer = ctx;
	static char block[BLOCK];
	struct iovec iov = { block, sizeof(block) };
	uint64_t sum = 0;

	while (nr--) {
		off_t at = (off_t)next_sector(peer) * 512;

		sum += (uint64_t)(peer->writes ? pwritev(peer->fd, &iov, 1, at) :
						 preadv(peer->fd, &iov, 1, at));
	}
	return sum;
}

/* What is written is read again, from the same place. */
static int verify(struct peer *peer)
{
	uint8_t *block = peer->front.ram + BLOCKS;
	uint32_t i;

	for (i = 0; i < BLOCK; i++)
		block[i] = (uint8_t)(i * 7 + 1);
	post(peer, 0, 1, 80);
	front_ring_kick(&peer->front.rings[0]);
	wait_for_answer(peer);
	memset(block, 0, BLOCK);
	post(peer, 0, 0, 80);
	front_ring_kick(&peer->front.rings[0]);
	wait_for_answer(peer);
	for (i = 0; i < BLOCK; i++)
		if (block[i] != (uint8_t)(i * 7 + 1))
			return -EIO;
	return 0;
}

static int connect_to(struct peer *peer, const char *sock)
{
	int ms, err = front_end_init(&peer->front, RAM);

	for (ms = 0; !err && ms < CONNECT_MS; ms += 10) {
		err = front_end_connect(&peer->front, sock);
		if (!err)
			break;
		close(peer->front.sock);
		peer->front.sock = -1;
		err = 0;
		usleep(10000);
	}
	if (!err)
		err = front_end_negotiate(&peer->front, 0);
	if (!err)
		err = front_end_send_memory(&peer->front);
	return err ? err : front_end_start_ring(&peer->front, 0);
}

/* ---- cases -------------------------------------------------------------------------------- */

static const char *const names[NR_VARIANTS] = { "vas", "qsd", "qsd-io_uring" };

static int open_peer(struct peer *peer, enum disk disk, int variant, const char *path)
{
	char sock[MAX_PATH];
	int err;

	snprintf(sock, sizeof(sock), "%s/%s-%d", folder, names[variant], disk);
	if (variant == 0)
		peer->pid = start_vas(disk, sock, path);
	else
		peer->pid = start_qsd(disk, sock, path, variant == 1 ? "threads" : "io_uring");
	err = connect_to(peer, sock);
	if (!err && disk == DISK_TMPFS)
		err = verify(peer);
	return err;
}

static void close_peer(struct peer *peer)
{
	if (peer->pid <= 0)
		return;
	kill(peer->pid, SIGKILL);
	waitpid(peer->pid, NULL, 0);
	front_end_clean(&peer->front);
}

static int measure(struct bench_session *session, struct peer *peers, int nr, enum disk disk,
		   int writes, uint32_t depth)
{
	struct bench_case bcase = { .nr_subjects = 0 };
	char name[64];
	int i;

	snprintf(name, sizeof(name), "%s/%s/%u", disk == DISK_TMPFS ? "tmpfs" : "null",
		 writes ? "write" : "read", depth);
	if (!bench_wants(session, name))
		return 0;
	bcase.name = name;
	for (i = 0; i <= nr; i++) {
		peers[i].writes = writes;
		peers[i].depth = depth;
	}
	if (disk == DISK_TMPFS)
		bench_case_add(&bcase, BENCH_LIMIT, run_limit, &peers[nr]);
	for (i = 0; i < nr; i++)
		bench_case_add(&bcase, names[i], run_device, &peers[i]);
	return bench_measure(session, &bcase);
}

static int measure_all(struct bench_session *session, struct peer *peers, int nr, enum disk disk)
{
	static const uint32_t depths[] = { 1, MAX_DEPTH };
	int writes, i, err = 0;

	for (i = 0; i < 2 && !err; i++)
		for (writes = 0; writes < 2 && !err; writes++)
			err = measure(session, peers, nr, disk, writes, depths[i]);
	return err;
}

static int run_disk(struct bench_session *session, enum disk disk)
{
	struct peer peers[NR_VARIANTS + 1] = { 0 };
	char path[NR_VARIANTS + 1][MAX_PATH];
	int i, err = 0, nr = access(QSD, X_OK) ? 1 : disk == DISK_NULL ? 2 : NR_VARIANTS;

	if (nr == 1)
		bench_skip(session, "qsd", "qemu-storage-daemon is not installed");
	for (i = 0; i <= nr && !err; i++) {
		static char zeros[1 << 20];
		uint64_t at;

		snprintf(path[i], sizeof(path[i]), "%s/disk-%d-%d", folder, disk, i);
		peers[i].random = 1;
		peers[i].fd = open(path[i], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		for (at = 0; disk == DISK_TMPFS && at < DISK_SIZE; at += sizeof(zeros))
			if (pwrite(peers[i].fd, zeros, sizeof(zeros), (off_t)at) < 0)
				err = -errno;
		if (i < nr && !err)
			err = open_peer(&peers[i], disk, i, path[i]);
		if (err)
			fprintf(stderr, "vhost-blk: %s: %s\n", i < nr ? names[i] : "limit",
				strerror(-err));
	}
	if (!err)
		err = measure_all(session, peers, nr, disk);
	for (i = 0; i <= nr; i++) {
		close_peer(&peers[i]);
		if (peers[i].fd > 0)
			close(peers[i].fd);
		unlink(path[i]);
	}
	return err;
}

static void remove_folder(void)
{
	static const char *const left[] = { "vas-0", "vas-1",	       "qsd-0",
					    "qsd-1", "qsd-io_uring-0", "qsd-io_uring-1" };
	char path[MAX_PATH];
	size_t i;

	for (i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, left[i]);
		unlink(path);
	}
	rmdir(folder);
}

static int run(struct bench_session *session)
{
	int err;

	if (!mkdtemp(folder))
		return -errno;
	err = run_disk(session, DISK_TMPFS);
	if (!err)
		err = run_disk(session, DISK_NULL);
	remove_folder();
	return err;
}

int main(int argc, char **argv)
{
	static const struct bench bench = {
		.name = "vhost-blk",
		.summary = "a vhost-user block device in another process, requests of 4 KiB",
		.run = run,
	};

	return bench_main(argc, argv, &bench);
}
