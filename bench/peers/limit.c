// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What no translation can beat: all of the memory mapped at once, one compare and an add. */
#include <errno.h>
#include <string.h>

#include "../loops.h"

/* The memory as the loops see it: each has only these two values to keep in registers. */
struct flat {
	uint8_t *base;
	uint64_t limit;
};

static struct flat flat;

static int limit_open(const struct guest *guest, void **ctx)
{
	flat = (struct flat){ .base = guest->flat, .limit = guest->limit };
	*ctx = &flat;
	return 0;
}

static void limit_close(void *ctx)
{
	(void)ctx;
}

static inlined const void *limit_translate(void *ctx, uint64_t gpa)
{
	const struct flat *f = ctx;

	if (gpa > f->limit - sizeof(uint64_t))
		return NULL;
	if (!f->base)
		__builtin_unreachable(); /* else the loop would look for that, too */
	return f->base + gpa;
}

static uint64_t limit_chase(void *ctx, uint64_t gpa, uint64_t nr)
{
	struct flat local = *(struct flat *)ctx;

	return loop_chase(limit_translate, &local, gpa, nr);
}

static uint64_t limit_gather(void *ctx, const struct peer_gpas *at, uint64_t nr)
{
	struct flat local = *(struct flat *)ctx;

	return loop_gather(limit_translate, &local, at, nr);
}

/*
 * A copy's limit is a call as well: the length is not known to the compiler, so this is not inlined
 * into the loop. The caller keeps len below the limit.
 */
static __attribute__((noinline)) int limit_copy_out(void *ctx, uint64_t gpa, void *buf, size_t len)
{
	const struct flat *f = ctx;

	if (gpa > f->limit - len)
		return -EFAULT;
	memcpy(buf, f->base + gpa, len);
	return 0;
}

static __attribute__((noinline)) int limit_copy_in(void *ctx, uint64_t gpa, void *buf, size_t len)
{
	const struct flat *f = ctx;

	if (gpa > f->limit - len)
		return -EFAULT;
	memcpy(f->base + gpa, buf, len);
	return 0;
}

static uint64_t limit_read(void *ctx, const struct peer_copy *copy, uint64_t nr)
{
	return loop_copy(limit_copy_out, ctx, copy, nr);
}

static uint64_t limit_write(void *ctx, const struct peer_copy *copy, uint64_t nr)
{
	return loop_copy(limit_copy_in, ctx, copy, nr);
}

const struct peer peer_limit = {
	.name = "limit",
	.open = limit_open,
	.close = limit_close,
	.chase = limit_chase,
	.gather = limit_gather,
	.read = limit_read,
	.write = limit_write,
};
