// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "peer.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/dirty.h>
#include <vas/vas.h>

#include "tests/harness.h"

struct command {
	uint64_t op;
	uint64_t gpa;
	uint64_t val;
};

/* ---- what it reaches ---------------------------------------------------------------------- */

/* The fds of this process for the file: how many, or how many of them can write. */
static int count_fds(dev_t dev, ino_t ino, int that_write)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	struct stat st;
	int nr = 0;

	CHECK(dir);
	while ((entry = readdir(dir))) {
		int fd = atoi(entry->d_name);

		if (*entry->d_name == '.' || fstat(fd, &st) || st.st_dev != dev || st.st_ino != ino)
			continue;
		nr += !that_write || (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY;
	}
	closedir(dir);
	return nr;
}

static int count_maps(dev_t dev, ino_t ino)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned int major_nr, minor_nr;
	unsigned long inode;
	char line[512];
	int nr = 0;

	CHECK(maps);
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%*x-%*x %*s %*x %x:%x %lu", &major_nr, &minor_nr, &inode) == 3)
			nr += makedev(major_nr, minor_nr) == dev && inode == ino;
	fclose(maps);
	return nr;
}

/* ---- the process -------------------------------------------------------------------------- */

struct state {
	struct vas *vas;
	struct vas_mapping *mapping;
};

static long read_byte(struct vas *vas, uint64_t gpa)
{
	uint8_t byte;
	int err = vas_read(vas, gpa, &byte, 1, NULL);

	return err ? err : byte;
}

static long write_byte(struct vas *vas, uint64_t gpa, uint64_t val)
{
	uint8_t byte = (uint8_t)val;

	return vas_write(vas, gpa, &byte, 1, NULL);
}

static long track(struct vas *vas)
{
	struct vas_tracker *tracker;

	return vas_tracker_attach(vas, "peer", 0, &tracker);
}

static long gpa_of(struct vas *vas, uint64_t id)
{
	struct vas_region region;
	int err = vas_region_by_id(vas, id, &region);

	return err ? err : (long)region.gpa;
}

static long serve(struct state *s, const struct command *c)
{
	switch ((enum peer_op)c->op) {
	case PEER_READ:
		return read_byte(s->vas, c->gpa);
	case PEER_WRITE:
		return write_byte(s->vas, c->gpa, c->val);
	case PEER_ENTER:
		return vas_enter(s->vas);
	case PEER_LEAVE:
		vas_leave(s->vas);
		return 0;
	case PEER_MAP:
		return vas_mapping_create(s->vas, c->gpa, PEER_PAGE, VAS_MAPPING_WRITE,
					  &s->mapping);
	case PEER_UNMAP:
		vas_mapping_destroy(s->mapping);
		return 0;
	case PEER_REGIONS:
		return vas_regions(s->vas, NULL, 0);
	case PEER_GPA:
		return gpa_of(s->vas, c->val);
	case PEER_REACHES:
		return count_fds(c->gpa, c->val, 0) || count_maps(c->gpa, c->val);
	case PEER_WRITABLE:
		return count_fds(c->gpa, c->val, 1) > 0;
	case PEER_TRACK:
		return track(s->vas);
	}
	return -EINVAL;
}

ROLE(peer)
{
	struct state s = { 0 };
	struct command c;
	long answer;

	CHECK_OK(prctl(PR_SET_NAME, "sharer"));
	CHECK_OK(vas_recv_fds(sock, 0, &s.vas));
	while (recv(sock, &c, sizeof(c), MSG_WAITALL) == sizeof(c)) {
		answer = serve(&s, &c);
		CHECK_EQ(send(sock, &answer, sizeof(answer), MSG_NOSIGNAL), sizeof(answer));
	}
	return 0;
}

/* ---- the other end ------------------------------------------------------------------------ */

struct peer peer_start(struct vas *share)
{
	struct peer peer;

	peer.pid = test_spawn("peer", &peer.sock);
	CHECK_OK(vas_send_fds(share, peer.sock, 0));
	CHECK(peer_do(&peer, PEER_REGIONS, 0, 0) >= 0);
	return peer;
}

void peer_begin(const struct peer *peer, enum peer_op op, uint64_t gpa, uint64_t val)
{
	const struct command c = { op, gpa, val };

	CHECK_EQ(send(peer->sock, &c, sizeof(c), MSG_NOSIGNAL), sizeof(c));
}

long peer_end(const struct peer *peer)
{
	long answer;

	CHECK_EQ(recv(peer->sock, &answer, sizeof(answer), MSG_WAITALL), sizeof(answer));
	return answer;
}

long peer_do(const struct peer *peer, enum peer_op op, uint64_t gpa, uint64_t val)
{
	peer_begin(peer, op, gpa, val);
	return peer_end(peer);
}

void peer_stop(struct peer *peer)
{
	close(peer->sock);
	CHECK_EQ(waitpid(peer->pid, NULL, 0), peer->pid);
}
