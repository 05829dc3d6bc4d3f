// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* libvas's inlined copies, for the sizes that a program knows when it is compiled. */
#include <vas/access.h>

#include "../loops.h"

static int const_open(const struct guest *guest, void **ctx)
{
	*ctx = guest->vas;
	return 0;
}

static void const_close(void *ctx)
{
	(void)ctx; /* the guest's */
}

static bool const_can_copy(size_t len)
{
	return len == 8 || len == 64;
}

static inlined int read_8(void *ctx, uint64_t gpa, void *buf, size_t len)
{
	(void)len;
	return vas_read(ctx, gpa, buf, 8, NULL);
}

static inlined int read_64(void *ctx, uint64_t gpa, void *buf, size_t len)
{
	(void)len;
	return vas_read(ctx, gpa, buf, 64, NULL);
}

static inlined int write_8(void *ctx, uint64_t gpa, void *buf, size_t len)
{
	(void)len;
	return vas_write(ctx, gpa, buf, 8, NULL);
}

static inlined int write_64(void *ctx, uint64_t gpa, void *buf, size_t len)
{
	(void)len;
	return vas_write(ctx, gpa, buf, 64, NULL);
}

static uint64_t const_read(void *ctx, const struct peer_copy *copy, uint64_t nr)
{
	if (copy->len == 8)
		return loop_copy(read_8, ctx, copy, nr);
	return loop_copy(read_64, ctx, copy, nr);
}

static uint64_t const_write(void *ctx, const struct peer_copy *copy, uint64_t nr)
{
	if (copy->len == 8)
		return loop_copy(write_8, ctx, copy, nr);
	return loop_copy(write_64, ctx, copy, nr);
}

const struct peer peer_vas_const = {
	.name = "vas-const",
	.open = const_open,
	.close = const_close,
	.can_copy = const_can_copy,
	.read = const_read,
	.write = const_write,
};
