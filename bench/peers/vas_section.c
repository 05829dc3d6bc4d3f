// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A back end's way: one section round a burst, and in it a translation and a memcpy for each
 * buffer.
 */
#include <string.h>

#include <vas/vas.h>

#include "../loops.h"

static int section_open(const struct guest *guest, void **ctx)
{
	*ctx = guest->vas;
	return 0;
}

static void section_close(void *ctx)
{
	(void)ctx; /* the guest's */
}

static inlined int section_copy_out(void *ctx, uint64_t gpa, void *buf, size_t len)
{
	const void *p = vas_translate(ctx, gpa, len, VAS_PROT_READ);

	if (vas_unlikely(!p))
		return -1;
	memcpy(buf, p, len);
	return 0;
}

static inlined int section_copy_in(void *ctx, uint64_t gpa, void *buf, size_t len)
{
	void *p = vas_translate(ctx, gpa, len, VAS_PROT_WRITE);

	if (vas_unlikely(!p))
		return -1;
	memcpy(p, buf, len);
	vas_mark(ctx, gpa, len);
	return 0;
}

static uint64_t section_read(void *ctx, const struct peer_copy *copy, uint64_t nr)
{
	uint64_t ret;

	if (vas_enter(ctx))
		return PEER_REFUSED;
	ret = loop_copy(section_copy_out, ctx, copy, nr);
	ret |= vas_page_failed(ctx) ? PEER_REFUSED : 0;
	vas_leave(ctx);
	return ret;
}

static uint64_t section_write(void *ctx, const struct peer_copy *copy, uint64_t nr)
{
	uint64_t ret;

	if (vas_enter(ctx))
		return PEER_REFUSED;
	ret = loop_copy(section_copy_in, ctx, copy, nr);
	ret |= vas_page_failed(ctx) ? PEER_REFUSED : 0;
	vas_leave(ctx);
	return ret;
}

const struct peer peer_vas_section = {
	.name = "vas-section",
	.open = section_open,
	.close = section_close,
	.read = section_read,
	.write = section_write,
};
