// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* DPDK's vhost library: a walk over the regions, inline in its public header. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../loops.h"

#ifdef HAVE_RTE_VHOST
#include <rte_vhost.h>

static int dpdk_open(const struct guest *guest, void **ctx)
{
	struct rte_vhost_memory *mem;

	mem = calloc(1, sizeof(*mem) + guest->nr_regions * sizeof(mem->regions[0]));
	if (!mem)
		return -ENOMEM;
	mem->nregions = guest->nr_regions;
	for (uint32_t i = 0; i < mem->nregions; i++) {
		const struct guest_region *region = &guest->regions[i];

		mem->regions[i] = (struct rte_vhost_mem_region){
			.guest_phys_addr = region->gpa,
			.host_user_addr = (uintptr_t)guest->flat + region->gpa,
			.size = region->size,
			.fd = -1,
		};
	}
	*ctx = mem;
	return 0;
}

static void dpdk_close(void *ctx)
{
	free(ctx);
}

/* The call shortens a length that runs out of the region, so the caller has to compare. */
static inlined void *dpdk_range(void *ctx, uint64_t gpa, uint64_t len)
{
	uint64_t got = len;
	uint64_t va = rte_vhost_va_from_guest_pa(ctx, gpa, &got);

	return got == len ? (void *)(uintptr_t)va : NULL;
}

static inlined const void *dpdk_translate(void *ctx, uint64_t gpa)
{
	return dpdk_range(ctx, gpa, sizeof(uint64_t));
}

static uint64_t dpdk_chase(void *ctx, uint64_t gpa, uint64_t nr)
{
	return loop_chase(dpdk_translate, ctx, gpa, nr);
}

static uint64_t dpdk_gather(void *ctx, const struct peer_gpas *at, uint64_t nr)
{
	return loop_gather(dpdk_translate, ctx, at, nr);
}

static __attribute__((noinline)) int dpdk_copy_out(void *ctx, uint64_t gpa, void *buf, size_t len)
{
	const void *p = dpdk_range(ctx, gpa, len);

	if (!p)
		return -EFAULT;
	memcpy(buf, p, len);
	return 0;
}

static __attribute__((noinline)) int dpdk_copy_in(void *ctx, uint64_t gpa, void *buf, size_t len)
{
	void *p = dpdk_range(ctx, gpa, len);

	if (!p)
		return -EFAULT;
	memcpy(p, buf, len);
	return 0;
}

static uint64_t dpdk_read(void *ctx, const struct peer_copy *copy, uint64_t nr)
{
	return loop_copy(dpdk_copy_out, ctx, copy, nr);
}

static uint64_t dpdk_write(void *ctx, const struct peer_copy *copy, uint64_t nr)
{
	return loop_copy(dpdk_copy_in, ctx, copy, nr);
}

const struct peer peer_dpdk = {
	.name = "dpdk",
	.open = dpdk_open,
	.close = dpdk_close,
	.chase = dpdk_chase,
	.gather = dpdk_gather,
	.read = dpdk_read,
	.write = dpdk_write,
};

#else

static const char *dpdk_missing(void)
{
	return "built without rte_vhost.h (libdpdk-dev)";
}

const struct peer peer_dpdk = { .name = "dpdk", .missing = dpdk_missing };

#endif
