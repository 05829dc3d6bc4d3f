// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Copies out of and into guest memory, of a size that the compiler does not know. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "peer.h"

/* A machine as they are: RAM in a few large pieces. The copies go to the middle one. */
#define NR_REGIONS  8
#define REGION_SIZE (4ULL << 20)

/* A queue's worth of buffers, side by side in the region as far as it holds them. */
#define MAX_BUFFERS 256
#define ALIGNMENT   64ULL

static const size_t sizes[] = { 8, 64, 256, 1500, 4096, 65536, 1 << 20 };

struct stream {
	const struct peer *peer;
	void *ctx;
	struct peer_copy copy;
};

static uint64_t run_read(void *ctx, uint64_t nr)
{
	const struct stream *stream = ctx;

	return stream->peer->read(stream->ctx, &stream->copy, nr);
}

static uint64_t run_write(void *ctx, uint64_t nr)
{
	const struct stream *stream = ctx;

	return stream->peer->write(stream->ctx, &stream->copy, nr);
}

struct direction {
	const char *name;
	uint64_t (*run)(void *ctx, uint64_t nr);
};

static const struct direction directions[] = { { "read", run_read }, { "write", run_write } };

static void fill(void *p, size_t len, uint64_t seed)
{
	uint8_t *bytes = p;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(guest_random(&seed) >> 56);
}

/* One copy must move exactly the bytes that it is asked for, and one that runs into a hole must
 * fail. */
static int verify(struct stream *stream, const struct guest *guest,
		  const struct direction *direction)
{
	const uint64_t gpa = stream->copy.at.gpas[0];
	const struct guest_region *region = &guest->regions[NR_REGIONS / 2];
	const uint64_t beyond = region->gpa + region->size - stream->copy.len / 2;
	const size_t len = stream->copy.len;
	struct stream hole = *stream;

	fill(stream->copy.buf, len, 1);
	fill(guest->flat + gpa, len, 2);
	if (direction->run(stream, 1) || memcmp(stream->copy.buf, guest->flat + gpa, len)) {
		fprintf(stderr, "copy: %s does not %s what is there\n", stream->peer->name,
			direction->name);
		return -EIO;
	}
	hole.copy.at = (struct peer_gpas){ .gpas = &beyond, .mask = 0 };
	if (stream->peer != &peer_limit && direction->run(&hole, 1) != PEER_REFUSED) {
		fprintf(stderr, "copy: %s does not stop at a hole\n", stream->peer->name);
		return -EIO;
	}
	return 0;
}

static bool can(const struct peer *peer, size_t len)
{
	return !peer->can_copy || peer->can_copy(len);
}

static int measure(struct bench_session *session, const char *name, const struct guest *guest,
		   const struct peer_copy *copy, const struct direction *direction)
{
	struct peer_binding bindings[PEER_MAX];
	struct stream streams[PEER_MAX];
	struct bench_case bcase = { .name = name };
	int nr = peers_open(session, guest, PEER_COPIES, bindings);
	int ret = nr < 0 ? nr : 0;

	for (int i = 0; !ret && i < nr; i++) {
		if (!can(bindings[i].peer, copy->len))
			continue;
		streams[i] = (struct stream){
			.peer = bindings[i].peer,
			.ctx = bindings[i].ctx,
			.copy = *copy,
		};
		ret = verify(&streams[i], guest, direction);
		bench_case_add(&bcase, streams[i].peer->name, direction->run, &streams[i]);
	}
	if (!ret)
		ret = bench_measure(session, &bcase);
	if (nr > 0)
		peers_close(bindings, nr);
	return ret;
}

/* The buffers in a random order, as a queue in use has them. Returns their number, a power of two.
 */
static unsigned int place_buffers(uint64_t gpas[MAX_BUFFERS], const struct guest *guest, size_t len)
{
	const uint64_t step = (len + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	unsigned int nr = MAX_BUFFERS;
	uint64_t state = len;

	while (nr * step > REGION_SIZE)
		nr /= 2;
	for (unsigned int i = 0; i < nr; i++) {
		unsigned int j = (unsigned int)(guest_random(&state) % (i + 1));

		gpas[i] = gpas[j];
		gpas[j] = guest->regions[NR_REGIONS / 2].gpa + i * step;
	}
	return nr;
}

static int run_case(struct bench_session *session, const struct guest *guest,
		    const struct direction *direction, size_t len)
{
	uint64_t gpas[MAX_BUFFERS];
	struct peer_copy copy = { .at = { .gpas = gpas }, .len = len };
	char name[64];
	int ret;

	snprintf(name, sizeof(name), "%s/%zu", direction->name, len);
	if (!bench_wants(session, name))
		return 0;
	copy.buf = aligned_alloc(4096, (len + 4095) / 4096 * 4096);
	if (!copy.buf)
		return -ENOMEM;
	copy.at.mask = place_buffers(gpas, guest, len) - 1;
	ret = measure(session, name, guest, &copy, direction);
	free(copy.buf);
	return ret;
}

static int run(struct bench_session *session)
{
	const unsigned int nr_sizes = sizeof(sizes) / sizeof(sizes[0]);
	struct guest guest;
	int ret;

	ret = guest_create(&guest, NR_REGIONS, REGION_SIZE);
	if (ret)
		return ret;
	/* The region is resident from the start. */
	fill(guest.flat + guest.regions[NR_REGIONS / 2].gpa, REGION_SIZE, 3);
	for (unsigned int i = 0; !ret && i < 2 * nr_sizes; i++)
		ret = run_case(session, &guest, &directions[i / nr_sizes], sizes[i % nr_sizes]);
	guest_destroy(&guest);
	return ret;
}

static const struct bench bench = {
	.name = "copy",
	.summary = "Copies out of and into guest memory: DIRECTION/BYTES.",
	.run = run,
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, &bench);
}
