// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Write the seed corpus: seeds adopt|bind|recv|snapshot|virtqueue DIR. */
#include <fcntl.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/migrate.h>

#include "pieces.h"
#include "snapshot_parts.h"

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

/* A snapshot, and one on it, in each way to restore. */
static int seed_snapshot(void)
{
	const struct vas_options options = { .limit = 1 << 20,
					     .ram_size = 1 << 20,
					     .name = "seed" };
	const struct vas_region ram = { .size = 1 << 20, .name = "ram" };
	char folder[] = "/tmp/seeds-XXXXXX", base[64], child[64], name[32];
	static uint8_t buf[65536];
	struct vas *owner;
	int err = 0;

	CHECK(mkdtemp(folder));
	snprintf(base, sizeof(base), "%s/base", folder);
	snprintf(child, sizeof(child), "%s/child", folder);
	CHECK_OK(vas_create(&options, &owner));
	CHECK_OK(vas_region_add(owner, &ram, NULL));
	CHECK_OK(vas_write(owner, 0, "of the seed", 12, NULL));
	CHECK_OK(vas_snapshot_save(owner, base, NULL, NULL));
	CHECK_OK(vas_write(owner, 32, "of the child", 13, NULL));
	CHECK_OK(vas_snapshot_save(owner, child, "base", NULL));
	parts_set_id(base, PARTS_HOSTILE_ID, "");
	parts_set_id(child, PARTS_BASE_ID, "base");
	for (uint8_t mode = 0; mode < 2 * PARTS_IS_SAVED_ON; mode++) {
		snprintf(name, sizeof(name), "base-%u", mode);
		err |= save(name, buf, parts_collect(base, mode, buf));
		snprintf(name, sizeof(name), "child-%u", mode);
		err |= save(name, buf, parts_collect(child, mode, buf));
	}
	CHECK_OK(unlink(base));
	CHECK_OK(unlink(child));
	CHECK_OK(rmdir(folder));
	vas_destroy(owner);
	return err;
}

/* As virtqueue.c has it: 5 bytes, then the parts of a ring of 4, then guest memory. */
static int seed_virtqueue(void)
{
	static const struct vring_desc desc[4] = {
		{ 0, 16, VRING_DESC_F_NEXT, 1 },
		{ 64, 33, VRING_DESC_F_WRITE, 0 },
		{ 0, 32, VRING_DESC_F_INDIRECT, 0 }, /* the first two once more, as a table */
		{ 0, 1, VRING_DESC_F_NEXT, 2 },
	};
	static const uint16_t avail[] = { 0, 3, 0, 2, 3, 0, 1 };
	uint8_t buf[5 + 2 * sizeof(desc) + sizeof(avail)] = { 0, 2, 0, 0, 8 };
	char name[32];
	int err = 0;

	memcpy(buf + 5, desc, sizeof(desc));
	memcpy(buf + 5 + sizeof(desc), avail, sizeof(avail));
	memcpy(buf + 5 + sizeof(desc) + sizeof(avail), desc, sizeof(desc));
	for (uint8_t features = 0; features < 8; features++) {
		buf[0] = features;
		snprintf(name, sizeof(name), "ring-%u", features);
		err |= save(name, buf, sizeof(buf));
	}
	return err;
}

int main(int argc, char **argv)
{
	if (argc == 3) {
		directory = argv[2];
		if (!strcmp(argv[1], "adopt") || !strcmp(argv[1], "bind"))
			return seed_bind();
		if (!strcmp(argv[1], "recv"))
			return seed_recv();
		if (!strcmp(argv[1], "snapshot"))
			return seed_snapshot();
		if (!strcmp(argv[1], "virtqueue"))
			return seed_virtqueue();
	}
	fprintf(stderr, "usage: %s adopt|bind|recv|snapshot|virtqueue DIR\n", argv[0]);
	return 2;
}
