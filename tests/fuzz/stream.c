// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Fuzz vas_migrate_recv(): a stream that says anything, over a file or a socket, on one channel or
 * two. Input: how (below), the size of what goes over channel 0, as 2 bytes; then the bytes of each
 * channel. Sequence numbers and sums are made right unless the input says otherwise, so that what
 * is behind them is reached.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/migrate.h>

#include "migrate/base/stream.h"
#include "pieces.h"
#include "tests/migrate/stream/forged.h"

#define AS_IT_IS     1u /* no sum is made right */
#define OVER_SOCKETS 2u
#define TWO_CHANNELS 4u
#define POPULATE     8u
#define REFUSE	     16u /* what has arrived is not accepted */

#define HEAD	3u
#define MAX_RAM (16u << 20)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	segments_count_fds();
	return 0;
}

/* The first chunk's payload has the session; what is too short for one has any. */
static void begin(struct forged *f, int fd, const uint8_t *bytes, size_t size, uint32_t channel)
{
	struct stream_hello hello = { 0 };

	if (size >= sizeof(struct stream_header) + sizeof(hello))
		memcpy(&hello, bytes + sizeof(struct stream_header), sizeof(hello));
	forged_init(f, fd, hello.session, channel);
}

/* Chunk by chunk, as far as they are whole. */
static void make_sums_right(uint8_t *bytes, size_t size, uint32_t channel)
{
	struct stream_header header;
	struct forged f;
	size_t at;

	begin(&f, -1, bytes, size, channel);
	for (at = 0; size - at >= sizeof(header); at += sizeof(header) + header.length) {
		memcpy(&header, bytes + at, sizeof(header));
		if (header.length > size - at - sizeof(header))
			return;
		forged_seal(&f, &header, bytes + at + sizeof(header));
		memcpy(bytes + at, &header, sizeof(header));
	}
}

/* An fd from which these bytes are read, then the end. */
static int open_channel(const uint8_t *data, size_t size, uint8_t how, uint32_t channel)
{
	uint8_t *bytes = malloc(size + 1);
	int pair[2];

	if (!bytes)
		abort();
	memcpy(bytes, data, size);
	if (!(how & AS_IT_IS))
		make_sums_right(bytes, size, channel);
	if (how & OVER_SOCKETS) {
		CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
		CHECK_EQ(send(pair[0], bytes, size, 0), size);
		close(pair[0]);
	} else {
		pair[1] = memfd_create("stream", MFD_CLOEXEC);
		CHECK_EQ(pwrite(pair[1], bytes, size, 0), size);
	}
	free(bytes);
	return pair[1];
}

static void look(struct vas *vas)
{
	static char bytes[3 * VAS_PAGE_SIZE];
	struct vas_region region;
	uint64_t gpa = 0;

	while (vas_region_at(vas, gpa, &region) == 0) {
		vas_read(vas, region.gpa, bytes, sizeof(bytes), NULL);
		vas_write(vas, region.gpa + region.size - 8, "overwritten", 8, NULL);
		gpa = region.gpa + region.size;
	}
	pieces_change_layout(vas);
}

static void look_at_bytes(const volatile uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		(void)bytes[i];
}

static int begin_it(void *how, struct vas *vas, const void *description, size_t size)
{
	(void)how;
	if (vas_regions(vas, NULL, 0))
		abort();
	look_at_bytes(description, size);
	return 0;
}

static int accept_it(void *how, struct vas *vas, const void *state, size_t size)
{
	look(vas);
	look_at_bytes(state, size);
	return *(const uint8_t *)how & REFUSE ? -ECANCELED : 0;
}

static void receive(const int *fds, uint32_t nr_fds, uint8_t how)
{
	static const struct vas_migrate_target_ops ops = { .begin = begin_it, .accept = accept_it };
	const struct vas_migrate_target target = {
		.fds = fds,
		.nr_fds = nr_fds,
		.flags = how & POPULATE ? VAS_MIGRATE_POPULATE : 0,
		.max_ram = MAX_RAM,
		.ops = &ops,
		.arg = &how,
	};
	struct vas_migrate_result result;
	struct vas *vas = NULL;

	if (vas_migrate_recv(&target, &vas, &result)) {
		if (vas)
			abort();
		return;
	}
	look(vas);
	free(result.state);
	vas_destroy(vas);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t first = size < HEAD ? 0 : data[1] | (size_t)data[2] << 8;
	struct vas_migrate_hello hello;
	uint32_t nr_fds = 1;
	int fds[2];

	if (size < HEAD)
		return 0;
	if (!(data[0] & TWO_CHANNELS) || first > size - HEAD)
		first = size - HEAD;
	fds[0] = open_channel(data + HEAD, first, data[0], 0);
	if (data[0] & TWO_CHANNELS)
		fds[nr_fds++] = open_channel(data + HEAD + first, size - HEAD - first, data[0], 1);
	if (data[0] & OVER_SOCKETS)
		vas_migrate_peek(fds[0], &hello);
	receive(fds, nr_fds, data[0]);
	for (uint32_t i = 0; i < nr_fds; i++)
		close(fds[i]);
	segments_count_fds();
	return 0;
}
