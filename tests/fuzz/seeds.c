// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Write the seed corpus: seeds TARGET DIR. */
#include <fcntl.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/dirty.h>
#include <vas/migrate.h>

#include "pieces.h"
#include "snapshot_parts.h"

#define HEAD	     19 /* as recv.c has it: number of fds, 16 kinds, cut */
#define MESSAGE_HEAD 18 /* as message.c has it: whether to give, number of fds, 16 kinds */

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

/* A message of vas_send_fds(), of a victim whose uuid is known beforehand: its size. */
static size_t catch_message(uint8_t *buf, size_t room)
{
	struct vas_info info;
	struct victim v;
	uint8_t *at;
	int pair[2];
	ssize_t nr;

	victim_make(&v);
	CHECK_OK(vas_info(v.owner, &info));
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	CHECK_OK(vas_send_fds(v.owner, pair[0], 0));
	nr = recv(pair[1], buf, room, 0);
	CHECK(nr > 0);
	at = memmem(buf, (size_t)nr, info.uuid, sizeof(info.uuid));
	CHECK(at);
	memset(at, PIECES_UUID, sizeof(info.uuid));
	victim_free(&v);
	return (size_t)nr;
}

static int seed_recv(void)
{
	static uint8_t buf[HEAD + 65536];
	size_t nr = catch_message(buf + HEAD, sizeof(buf) - HEAD);

	buf[0] = 4;
	for (uint8_t i = 0; i < 4; i++)
		buf[1 + i] = i;
	if (save("whole", buf, HEAD + nr))
		return 1;
	buf[17] = 100; /* the cut */
	if (save("in-two", buf, HEAD + nr))
		return 1;
	buf[0] = 1;
	return save("one-fd", buf, HEAD + nr);
}

/* As lib/share/handover.c has it. */
struct handover_word {
	uint32_t magic;
	uint32_t word;
};

static size_t add_word(uint8_t *to, uint32_t word)
{
	const struct handover_word message = { 0x52564f44u, word };

	memcpy(to, &message, sizeof(message));
	return sizeof(message);
}

/* A taker's two answers, and a giver's message, state and last word, with fds good and bad. */
static int seed_message(void)
{
	static uint8_t buf[MESSAGE_HEAD + 65536] = { 1 };
	size_t at = MESSAGE_HEAD;
	int err;

	at += add_word(buf + at, 1);
	at += add_word(buf + at, 3);
	err = save("answers", buf, at);
	buf[0] = 0;
	buf[1] = 4;
	for (uint8_t i = 0; i < 4; i++)
		buf[2 + i] = i;
	at = MESSAGE_HEAD;
	at += catch_message(buf + at, sizeof(buf) - at);
	at += add_word(buf + at, 5);
	memcpy(buf + at, "state", 5);
	at += 5;
	at += add_word(buf + at, 2);
	err |= save("given", buf, at);
	buf[5] = 4;
	err |= save("semaphore", buf, at);
	buf[5] = 7;
	return err | save("pipe", buf, at);
}

/*
 * Tapes for joint.c: consumers that come, changes, a freeze, an epoch; willing, then each answer in
 * turn from some place on.
 */
static int seed_joint(void)
{
	static const uint8_t well[] = {
		0, 2, 0, 1, 2, 1, 2, 2, 2, 0, 0, 3, 8, 3, 9, 0, 0, 40, 4, 9, 0, 0, 80, 7, 9,
		0, 1, 1, 0, 1, 2, 9, 4, 2, 1, 1, 0, 5, 0, 7, 1, 0, 6,  0, 8, 2, 4, 0,  0,
	};
	uint8_t buf[4 * sizeof(well)];
	char name[32];
	int err = save("willing", well, sizeof(well));

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = well[i % sizeof(well)];
	for (unsigned int i = 0; i < 16; i++) {
		for (size_t at = i; at < sizeof(buf); at += 11)
			buf[at] = (uint8_t)(128 + 8 * i + at % 8);
		snprintf(name, sizeof(name), "answers-%u", i);
		err |= save(name, buf, sizeof(buf));
	}
	return err;
}

static int save_state(void *arg, void **state, size_t *size)
{
	(void)arg;
	*state = strdup("state");
	*size = sizeof("state");
	return 0;
}

/*
 * As stream.c has it: how, 2 bytes of size, and the stream of a page that is not zero; two describe
 * their guest.
 */
static int seed_stream(void)
{
	static const uint32_t packed[] = { 0, VAS_MIGRATE_LZ4, VAS_MIGRATE_ZSTD };
	static const struct vas_migrate_ops ops = { .save = save_state };
	static const struct vas_migrate_ops described = { .save = save_state,
							  .describe = save_state };
	const struct vas_options options = { .limit = 1 << 20, .name = "seed" };
	const struct vas_region ram = { .size = 1 << 20, .name = "ram" };
	static uint8_t buf[65536];
	struct vas *owner;
	char name[32];
	int err = 0;

	CHECK_OK(vas_create(&options, &owner));
	CHECK_OK(vas_region_add(owner, &ram, NULL));
	CHECK_OK(vas_write(owner, 0, "of the seed", 12, NULL));
	for (unsigned int i = 0; i < 3; i++) {
		int fd = memfd_create("stream", MFD_CLOEXEC);
		const struct vas_migrate_options to = { .fds = &fd,
							.nr_fds = 1,
							.flags = packed[i] | VAS_MIGRATE_ONE_WAY,
							.ops = i ? &described : &ops };
		ssize_t nr;

		CHECK_OK(vas_migrate_send(owner, &to, NULL));
		CHECK_OK(vas_thaw(owner));
		nr = pread(fd, buf + 3, sizeof(buf) - 3, 0);
		CHECK(nr > 0);
		close(fd);
		for (buf[0] = 0; buf[0] < 32; buf[0]++) {
			snprintf(name, sizeof(name), "stream-%u-%u", i, buf[0]);
			err |= save(name, buf, 3 + (size_t)nr);
		}
	}
	vas_destroy(owner);
	return err;
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

/* As virtqueue.c has it: 7 bytes, then the parts of a ring of 4, then guest memory. */
static int save_ring(const char *name, uint8_t features, const uint8_t *head, const void *desc,
		     const void *driver, size_t driver_size)
{
	uint8_t buf[256] = { 0 };
	size_t size = 7;

	memcpy(buf, head, 7);
	buf[0] = features;
	memcpy(buf + size, desc, 64);
	memcpy(buf + size + 64, driver, driver_size);
	size += 64 + driver_size;
	memcpy(buf + size, desc, 64);
	return save(name, buf, size + 64);
}

static int seed_virtqueue(void)
{
	static const struct vring_desc desc[4] = {
		{ 0, 16, VRING_DESC_F_NEXT, 1 },
		{ 64, 33, VRING_DESC_F_WRITE, 0 },
		{ 0, 32, VRING_DESC_F_INDIRECT, 0 }, /* the first two once more, as a table */
		{ 0, 1, VRING_DESC_F_NEXT, 2 },
	};
	static const struct vring_packed_desc packed[4] = {
		{ 0, 16, 0, VRING_DESC_F_NEXT | 1 << VRING_PACKED_DESC_F_AVAIL },
		{ 64, 33, 1, VRING_DESC_F_WRITE | 1 << VRING_PACKED_DESC_F_AVAIL },
		{ 0, 32, 2, VRING_DESC_F_INDIRECT | 1 << VRING_PACKED_DESC_F_AVAIL },
		{ 0, 1, 3, 1 << VRING_PACKED_DESC_F_AVAIL },
	};
	static const uint16_t avail[] = { 0, 3, 0, 2, 3, 0, 1 };
	static const uint16_t event[] = { 0x8001, VRING_PACKED_EVENT_FLAG_DESC };
	static const uint8_t split_head[7] = { 0, 2, 0, 0, 0, 0, 8 };
	static const uint8_t packed_head[7] = { 0, 3, 0, 0x80, 0, 0x80, 8 };
	char name[32];
	int err = 0;

	for (uint8_t features = 0; features < 64; features++) {
		snprintf(name, sizeof(name), "ring-%u", features);
		if (features & 8)
			err |= save_ring(name, features, packed_head, packed, event, sizeof(event));
		else
			err |= save_ring(name, features, split_head, desc, avail, sizeof(avail));
	}
	return err;
}

/* As vhost_user.c has it: each message behind what the memory begins with. */
static size_t put_message(uint8_t *to, uint8_t request, uint8_t flags, const void *payload,
			  uint16_t size, uint8_t nr_fds, uint8_t kind)
{
	to[0] = request;
	to[1] = 1 | flags;
	to[2] = (uint8_t)size;
	to[3] = (uint8_t)(size >> 8);
	to[4] = nr_fds;
	to[5] = kind;
	memcpy(to + 6, payload, size);
	return 6u + size;
}

/* A ring of 4 at gpa 0, whose one request reads a sector; what follows it is up to the fuzzer. */
static size_t put_ring(uint8_t *to)
{
	static const struct vring_desc desc[4] = {
		{ 256, 16, VRING_DESC_F_NEXT, 1 },
		{ 1024, 512, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2 },
		{ 300, 1, VRING_DESC_F_WRITE, 0 },
	};
	static const uint16_t avail[] = { 0, 1, 0 };

	memset(to, 0, 512);
	memcpy(to, desc, sizeof(desc));
	memcpy(to + 64, avail, sizeof(avail));
	return 512;
}

/* As vhost_user_front.c has it: all answers as they must be, and one of them not. */
static int seed_vhost_user_front(void)
{
	uint8_t tape[96];
	char name[32];
	int err = 0;

	for (unsigned int wrong = 0; wrong < sizeof(tape); wrong += 4) {
		memset(tape, 64, sizeof(tape));
		tape[wrong] = (uint8_t)(wrong % 64);
		snprintf(name, sizeof(name), "wrong-%u", wrong);
		err |= save(name, tape, sizeof(tape));
	}
	return err;
}

/* A front end that sets up one queue of a device, in one of four ways. */
static size_t put_session(uint8_t *to, uint8_t device, uint32_t queue, uint8_t way)
{
	static const uint64_t features = 1ull << 30 | 1ull << 32 | 1ull << 28 | 1ull << 29;
	static const uint64_t logged = 1ull << 26 | 1ull << 30 | 1ull << 32;
	static const uint64_t protocol = 1 | 1 << 1 | 1 << 3 | 1 << 9 | 1 << 12 | 1 << 15;
	static const uint64_t region[] = { 0, 0, 65536, 4096, 0 }, log[] = { 4096, 0 };
	static const uint64_t table[] = { 1, 0, 65536, 4096, 0 };
	static const uint32_t inflight[] = { 4096, 0, 0, 0, 1 | 4 << 16 };
	static const uint8_t config[12 + 64] = { 0, 0, 0, 0, 64 };
	/* The queue is the lower half of the first word. */
	const uint64_t addr[] = { queue, 4096, 4096 + 128, 4096 + 64, 0 }, fd = queue;
	const uint32_t num[] = { queue, 4 }, one[] = { queue, 1 };
	size_t at = put_ring(to);

	to[at - 1] = device;
	at += put_message(to + at, 1, 0, "", 0, 0, 0);
	at += put_message(to + at, 16, 0, &protocol, 8, 0, 0);
	at += put_message(to + at, 2, 0, way & 1 ? &logged : &features, 8, 0, 0);
	at += put_message(to + at, 24, 0, config, sizeof(config), 0, 0);
	if (way & 1)
		at += put_message(to + at, 6, 0, log, sizeof(log), 1, 3);
	else
		at += put_message(to + at, 32, 0, inflight, sizeof(inflight), 1, 3);
	if (way & 2)
		at += put_message(to + at, 37, 8, region, sizeof(region), 1, 0);
	else
		at += put_message(to + at, 5, 8, table, sizeof(table), 1, way ? 4 : 0);
	at += put_message(to + at, 8, 0, num, sizeof(num), 0, 0);
	at += put_message(to + at, 9, 0, addr, sizeof(addr), 0, 0);
	at += put_message(to + at, 13, 0, &fd, 8, 1, 2);
	at += put_message(to + at, 12, 0, &fd, 8, 1, 1);
	at += put_message(to + at, 18, 0, one, sizeof(one), 0, 0);
	at += put_message(to + at, 11, 0, one, sizeof(one), 0, 0);
	return at;
}

static int seed_vhost_user(void)
{
	uint8_t buf[2048], device, queue, way;
	char name[32];
	int err = 0;

	for (device = 0; device < 6; device++)
		for (queue = 0; queue < 2; queue++)
			for (way = 0; way < 4; way++) {
				snprintf(name, sizeof(name), "messages-%u-%u-%u", device, queue,
					 way);
				err |= save(name, buf, put_session(buf, device, queue, way));
			}
	return err;
}

/* As device.c has it: what a driver writes, and then chains of parts. */
struct seed_part {
	uint16_t gpa, len;
	uint8_t flags;
} __attribute__((packed));

struct seed_request {
	uint8_t device, queue;
	uint8_t bytes[48]; /* at gpa 8192 */
	uint8_t nr_parts;
	struct seed_part parts[3];
};

static size_t put_request(uint8_t *to, const struct seed_request *request)
{
	static const uint8_t write[] = { 2, 0, 0x20, sizeof(request->bytes) };
	size_t at = sizeof(write) + sizeof(request->bytes);
	size_t size = request->nr_parts * sizeof(request->parts[0]);

	memcpy(to, write, sizeof(write));
	memcpy(to + sizeof(write), request->bytes, sizeof(request->bytes));
	to[at++] = (uint8_t)(4 | (request->nr_parts - 1) << 3);
	memcpy(to + at, request->parts, size);
	to[at + size] = 0; /* the device's turn */
	return at + size + 1;
}

static const struct seed_request seed_requests[] = {
	{ 0, 0, { 0 }, 3, { { 8192, 16, 0 }, { 12288, 512, 2 }, { 8300, 1, 2 } } },
	{ 0, 0, { 1 }, 3, { { 8192, 16, 0 }, { 12288, 512, 0 }, { 8300, 1, 2 } } },
	{ 0, 0, { 4 }, 2, { { 8192, 16, 0 }, { 8300, 1, 2 } } },
	{ 0, 0, { 8 }, 3, { { 8192, 16, 0 }, { 12288, 20, 2 }, { 8300, 1, 2 } } },
	{ 0, 0, { [0] = 13, [24] = 8 }, 2, { { 8192, 32, 0 }, { 8300, 1, 2 } } },
	{ 1, 0, { 0 }, 3, { { 8192, 16, 0 }, { 12288, 512, 2 }, { 8300, 1, 2 } } },
	{ 2, 0, { 0 }, 1, { { 12288, 1600, 2 } } },
	{ 2, 1, { 0 }, 1, { { 8192, 76, 0 } } },
	{ 3, 0, { 0 }, 2, { { 12288, 1600, 2 }, { 8300, 40, 2 } } },
	{ 3, 1, { 0 }, 2, { { 8192, 12, 0 }, { 12288, 64, 0 } } },
	{ 3, 2, { 4, 0, 1 }, 2, { { 8192, 4, 0 }, { 8300, 1, 2 } } },
	{ 3, 2, { 1, 0 }, 2, { { 8192, 18, 0 }, { 8300, 1, 2 } } },
	{ 3, 2, { 1, 1, 2, 0, 0, 0, 0, 1 }, 2, { { 8192, 8, 0 }, { 8300, 1, 2 } } },
	{ 4, 0, { 0 }, 1, { { 12288, 64, 2 } } },
	{ 5, 0, { 0 }, 1, { { 12288, 128, 2 } } },
	{ 5,
	  1,
	  { [0] = 3, [8] = 2, [16] = 9, [20] = 9, [28] = 1, [30] = 1 },
	  1,
	  { { 8192, 44, 0 } } },
	{ 5,
	  1,
	  { [0] = 3, [8] = 2, [16] = 9, [20] = 9, [24] = 8, [28] = 1, [30] = 5 },
	  1,
	  { { 8192, 52, 0 } } },
	{ 6, 0, { 0 }, 1, { { 12288, 64, 2 } } },
	{ 6, 1, { 0 }, 1, { { 8192, 48, 0 } } },
	{ 7, 0, { [0] = 1, [8] = 1 }, 2, { { 8192, 20, 0 }, { 8300, 4, 2 } } },
	{ 7, 0, { [0] = 1, [4] = 1, [12] = 1 }, 2, { { 8192, 20, 0 }, { 8300, 4, 2 } } },
	{ 7, 0, { [0] = 2 }, 2, { { 8192, 20, 0 }, { 8300, 4, 2 } } },
	{ 7,
	  0,
	  { [0] = 3, [16] = 0xff, [17] = 0x3f, [32] = 3 },
	  2,
	  { { 8192, 36, 0 }, { 8300, 4, 2 } } },
	{ 7,
	  0,
	  { [0] = 4, [16] = 0xff, [17] = 0xff, [18] = 1 },
	  2,
	  { { 8192, 28, 0 }, { 8300, 4, 2 } } },
	{ 7, 0, { [0] = 5 }, 2, { { 8192, 72, 0 }, { 8300, 68, 2 } } },
	{ 7, 1, { 0 }, 1, { { 8300, 64, 2 } } },
};

/* Each of them twice, in a ring of either format, and once more after a stop. */
static int seed_device(void)
{
	uint8_t buf[512];
	char name[32];
	int err = 0;

	for (size_t i = 0; i < sizeof(seed_requests) / sizeof(seed_requests[0]); i++)
		for (uint8_t flags = 0; flags < 64; flags += 3) {
			size_t at = 6;

			memset(buf, 0, at);
			buf[0] = seed_requests[i].device;
			buf[1] = flags;
			buf[2] = seed_requests[i].queue;
			buf[3] = 4;
			at += put_request(buf + at, &seed_requests[i]);
			at += put_request(buf + at, &seed_requests[i]);
			buf[at++] = 1; /* another queue's turn, and this one's again */
			buf[at++] = 1;
			at += put_request(buf + at, &seed_requests[i]);
			snprintf(name, sizeof(name), "request-%zu-%u", i, flags);
			err |= save(name, buf, at);
		}
	return err;
}

/* As transport.c has it: 12 bytes an access. */
static size_t put_access(uint8_t *to, uint8_t kind, uint32_t where, uint64_t value)
{
	to[0] = kind;
	memcpy(to + 1, &where, 3);
	memcpy(to + 4, &value, 8);
	return 12;
}

/* A driver sets a device up, by its BAR or by its page: enable what `registers` says, in order. */
struct seed_register {
	uint32_t where;
	uint8_t width; /* 2 ^ n */
	uint64_t value;
};

static int save_driver(const char *name, uint8_t space, const struct seed_register *registers,
		       size_t nr)
{
	uint8_t buf[1024];
	size_t at = put_access(buf, 8 | 1 << 4, (1 << 15) + 4, 6); /* memory, master */

	for (size_t i = 0; i < nr; i++)
		at += put_access(buf + at, (uint8_t)(space | 8 | registers[i].width << 4),
				 registers[i].where, registers[i].value);
	at += put_access(buf + at, 5, space == 3 ? 2 : 0,
			 1ull << 32 | 8);    /* the server tells of a change */
	at += put_access(buf + at, 6, 1, 0); /* an interrupt */
	for (size_t i = 0; i < nr; i++)
		at += put_access(buf + at, (uint8_t)(space | registers[i].width << 4),
				 registers[i].where, 0);
	return save(name, buf, at);
}

/* A driver of ports: it has the slot in its hands, and devices come and go. */
static int save_port(void)
{
	const uint32_t port = 2 << 15, device = 2 << 20, control = port + 0x58,
		       status = port + 0x5a;
	uint8_t buf[1024];
	size_t at = 0;

	at += put_access(buf + at, 8 | 1 << 4, port + 4, 6);
	at += put_access(buf + at, 8 | 1 << 4, control, 0x1129); /* on; all events */
	at += put_access(buf + at, 8 | 2 << 4, device + 0x10, 0xd0010000);
	at += put_access(buf + at, 8 | 1 << 4, device + 4, 6);
	at += put_access(buf + at, 64 | 2 | 8, 0x14, 3);
	at += put_access(buf + at, 64 | 7, 0, 2);		 /* it is asked for */
	at += put_access(buf + at, 8 | 1 << 4, control, 0x1729); /* off */
	at += put_access(buf + at, 64 | 7, 0, 2);
	at += put_access(buf + at, 1 << 4, status, 0);
	at += put_access(buf + at, 8 | 1 << 4, status, 0x109);
	at += put_access(buf + at, 8 | 1 << 4, control, 0x1129);
	at += put_access(buf + at, 64 | 7, 0, 0); /* pulled out */
	at += put_access(buf + at, 8 | 1 << 4, port + 0x3e, 0x40);
	at += put_access(buf + at, 7, 0, 1); /* elsewhere */
	at += put_access(buf + at, 8, port + 0x19, 3);
	at += put_access(buf + at, 1 << 4, device, 0);
	return save("port", buf, at);
}

static int seed_transport(void)
{
	static const struct seed_register pci[] = {
		{ 0x14, 0, 3 },	     { 8, 2, 1 },	 { 12, 2, 1 },	  { 0x14, 0, 11 },
		{ 0x16, 1, 0 },	     { 0x18, 1, 64 },	 { 0x1a, 1, 1 },  { 0x20, 3, 4096 },
		{ 0x28, 3, 8192 },   { 0x30, 3, 12288 }, { 0x1c, 1, 1 },  { 0x3010, 3, 0xfee00000 },
		{ 0x3018, 2, 0x41 }, { 0x301c, 2, 0 },	 { 0x14, 0, 15 }, { 0x4000, 1, 0 },
		{ 0x2000, 2, 0 },    { 0x3a, 1, 1 },	 { 0x14, 0, 0 },
	};
	static const struct seed_register mmio[] = {
		{ 0x70, 2, 3 },	    { 0x24, 2, 1 },  { 0x20, 2, 1 },	{ 0x70, 2, 11 },
		{ 0x30, 2, 0 },	    { 0x38, 2, 64 }, { 0x80, 2, 4096 }, { 0x90, 2, 8192 },
		{ 0xa0, 2, 12288 }, { 0x44, 2, 1 },  { 0x70, 2, 15 },	{ 0x50, 2, 0 },
		{ 0x100, 2, 0 },    { 0x60, 2, 0 },  { 0x64, 2, 3 },	{ 0xc0, 2, 1 },
		{ 0x44, 2, 0 },	    { 0x70, 2, 0 },
	};

	return save_port() | save_driver("pci", 2, pci, sizeof(pci) / sizeof(pci[0])) |
	       save_driver("mmio", 3, mmio, sizeof(mmio) / sizeof(mmio[0]));
}

static const struct {
	const char *target;
	int (*seed)(void);
} seeds[] = {
	{ "adopt", seed_bind },
	{ "bind", seed_bind },
	{ "device", seed_device },
	{ "joint", seed_joint },
	{ "message", seed_message },
	{ "recv", seed_recv },
	{ "snapshot", seed_snapshot },
	{ "stream", seed_stream },
	{ "transport", seed_transport },
	{ "virtqueue", seed_virtqueue },
	{ "vhost_user", seed_vhost_user },
	{ "vhost_user_front", seed_vhost_user_front },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 3 && i < sizeof(seeds) / sizeof(seeds[0]); i++) {
		if (strcmp(argv[1], seeds[i].target))
			continue;
		directory = argv[2];
		return seeds[i].seed();
	}
	fprintf(stderr, "usage: %s TARGET DIR\n", argv[0]);
	return 2;
}
