// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Write the seed corpus: seeds bind DIR, seeds recv DIR. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pieces.h"

#define HEAD 19 /* as recv.c has it: number of fds, 16 kinds, cut */

static const char *directory;

static int save(const char *name, const void *data, size_t size)
{
	char path[4096];
	FILE *file;
	size_t nr;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "we");
	if (!file) {
		perror(path);
		return 1;
	}
	nr = fwrite(data, 1, size, file);
	return fclose(file) || nr != size;
}

/* The victim as it is, bound in each way; and once more with an empty layout. */
static int seed_bind(void)
{
	uint8_t buf[8192];
	struct victim v;
	char name[32];
	size_t size;
	int err = 0;

	victim_make(&v);
	memset(v.sb->uuid, PIECES_UUID, sizeof(v.sb->uuid));
	size = 2 + segments_collect(&v, buf + 2);
	for (uint8_t flags = 0; flags < 8; flags++) {
		buf[0] = flags;
		buf[1] = flags & 1;
		snprintf(name, sizeof(name), "layout-%u", flags);
		err |= save(name, buf, size);
	}
	buf[0] = 0;
	victim_state(&v)->nr_regions = 0;
	segments_collect(&v, buf + 2);
	err |= save("empty", buf, size);
	victim_free(&v);
	return err;
}

static int seed_recv(void)
{
	static uint8_t buf[HEAD + 65536];
	struct vas_info info;
	struct victim v;
	uint8_t *at;
	int pair[2];
	ssize_t nr;

	victim_make(&v);
	CHECK_OK(vas_info(v.owner, &info));
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	CHECK_OK(vas_send_fds(v.owner, pair[0], 0));
	nr = recv(pair[1], buf + HEAD, sizeof(buf) - HEAD, 0);
	CHECK(nr > 0);
	at = memmem(buf + HEAD, (size_t)nr, info.uuid, sizeof(info.uuid));
	CHECK(at);
	memset(at, PIECES_UUID, sizeof(info.uuid));
	buf[0] = 4;
	for (uint8_t i = 0; i < 4; i++)
		buf[1 + i] = i;
	if (save("whole", buf, HEAD + (size_t)nr))
		return 1;
	buf[17] = 100; /* the cut */
	if (save("in-two", buf, HEAD + (size_t)nr))
		return 1;
	buf[0] = 1;
	victim_free(&v);
	return save("one-fd", buf, HEAD + (size_t)nr);
}

int main(int argc, char **argv)
{
	if (argc == 3) {
		directory = argv[2];
		if (!strcmp(argv[1], "bind"))
			return seed_bind();
		if (!strcmp(argv[1], "recv"))
			return seed_recv();
	}
	fprintf(stderr, "usage: %s bind|recv DIR\n", argv[0]);
	return 2;
}
