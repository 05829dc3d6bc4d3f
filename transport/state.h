/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Registers as bytes, for another process or host; what is read may be anybody's. */
#ifndef TRANSPORT_STATE_H
#define TRANSPORT_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct state_writer {
	uint8_t *bytes; /* malloced */
	size_t size;
	bool is_lost; /* there was no memory: what is there is not all */
};

static inline void state_put(struct state_writer *to, const void *bytes, size_t size)
{
	uint8_t *more = to->is_lost ? NULL : realloc(to->bytes, to->size + size);

	to->is_lost = !more;
	if (!more)
		return;
	memcpy(more + to->size, bytes, size);
	to->bytes = more;
	to->size += size;
}

struct state_reader {
	const uint8_t *at;
	size_t left;
};

/* False: it ends before. */
static inline bool state_get(struct state_reader *from, void *to, size_t size)
{
	if (size > from->left)
		return false;
	memcpy(to, from->at, size);
	from->at += size;
	from->left -= size;
	return true;
}

#endif
