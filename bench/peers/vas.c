// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * libvas, in the ways a program may use it: one section around many translations, a section for
 * each load, and a handle without a window that translates through a cache of its own.
 */
#include <errno.h>
#include <stdlib.h>
#include <vas/access.h>

#include "../loops.h"

static int vas_peer_open(const struct guest *guest, void **ctx)
{
	*ctx = guest->vas;
	return 0;
}

static void vas_peer_close(void *ctx)
{
	(void)ctx; /* the guest's */
}

static inlined const void *vas_peer_translate(void *ctx, uint64_t gpa)
{
	return vas_translate(ctx, gpa, sizeof(uint64_t), VAS_PROT_READ);
}

static uint64_t vas_peer_chase(void *ctx, uint64_t gpa, uint64_t nr)
{
	if (vas_enter(ctx))
		return PEER_REFUSED;
	gpa = loop_chase(vas_peer_translate, ctx, gpa, nr);
	vas_leave(ctx);
	return gpa;
}

static uint64_t vas_peer_gather(void *ctx, const struct peer_gpas *at, uint64_t nr)
{
	uint64_t sum;

	if (vas_enter(ctx))
		return PEER_REFUSED;
	sum = loop_gather(vas_peer_translate, ctx, at, nr);
	vas_leave(ctx);
	return sum;
}

static inlined int vas_peer_copy_out(void *ctx, uint64_t gpa, void *buf, size_t len)
{
	return vas_read(ctx, gpa, buf, len, NULL);
}

static inlined int vas_peer_copy_in(void *ctx, uint64_t gpa, void *buf, size_t len)
{
	return vas_write(ctx, gpa, buf, len, NULL);
}

static uint64_t vas_peer_read(void *ctx, const struct peer_copy *copy, uint64_t nr)
{
	return loop_copy(vas_peer_copy_out, ctx, copy, nr);
}

static uint64_t vas_peer_write(void *ctx, const struct peer_copy *copy, uint64_t nr)
{
	return loop_copy(vas_peer_copy_in, ctx, copy, nr);
}

const struct peer peer_vas = {
	.name = "vas",
	.open = vas_peer_open,
	.close = vas_peer_close,
	.chase = vas_peer_chase,
	.gather = vas_peer_gather,
	.read = vas_peer_read,
	.write = vas_peer_write,
};

static uint64_t vas_load_chase(void *ctx, uint64_t gpa, uint64_t nr)
{
	while (nr--) {
		if (vas_load_le64(ctx, gpa, &gpa, __ATOMIC_RELAXED))
			return PEER_REFUSED;
	}
	return gpa;
}

static uint64_t vas_load_gather(void *ctx, const struct peer_gpas *at, uint64_t nr)
{
	const struct peer_gpas local = *at;
	uint64_t sum = 0;
	uint64_t word = 0;

	for (uint64_t i = local.start; i != local.start + nr; i++) {
		if (vas_load_le64(ctx, local.gpas[i & local.mask], &word, __ATOMIC_RELAXED))
			return PEER_REFUSED;
		sum += word;
	}
	return sum;
}

const struct peer peer_vas_load = {
	.name = "vas-load",
	.open = vas_peer_open,
	.close = vas_peer_close,
	.chase = vas_load_chase,
	.gather = vas_load_gather,
};

struct cached {
	struct vas *vas;
	struct vas_cache cache;
};

static int vas_cached_open(const struct guest *guest, void **ctx)
{
	struct cached *cached = calloc(1, sizeof(*cached));
	int ret;

	if (!cached)
		return -ENOMEM;
	ret = vas_bind(vas_fd(guest->vas), VAS_BIND_NO_WINDOW, &cached->vas);
	if (ret) {
		free(cached);
		return ret;
	}
	*ctx = cached;
	return 0;
}

static void vas_cached_close(void *ctx)
{
	struct cached *cached = ctx;

	vas_unbind(cached->vas);
	free(cached);
}

static inlined const void *vas_cached_translate(void *ctx, uint64_t gpa)
{
	struct cached *cached = ctx;

	return vas_translate_cached(cached->vas, &cached->cache, gpa, sizeof(uint64_t),
				    VAS_PROT_READ);
}

static uint64_t vas_cached_chase(void *ctx, uint64_t gpa, uint64_t nr)
{
	struct cached *cached = ctx;

	if (vas_enter(cached->vas))
		return PEER_REFUSED;
	gpa = loop_chase(vas_cached_translate, ctx, gpa, nr);
	vas_leave(cached->vas);
	return gpa;
}

static uint64_t vas_cached_gather(void *ctx, const struct peer_gpas *at, uint64_t nr)
{
	struct cached *cached = ctx;
	uint64_t sum;

	if (vas_enter(cached->vas))
		return PEER_REFUSED;
	sum = loop_gather(vas_cached_translate, ctx, at, nr);
	vas_leave(cached->vas);
	return sum;
}

const struct peer peer_vas_cached = {
	.name = "vas-cached",
	.open = vas_cached_open,
	.close = vas_cached_close,
	.chase = vas_cached_chase,
	.gather = vas_cached_gather,
};
