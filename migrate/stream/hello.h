/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The first chunk of a channel. */
#ifndef MIGRATE_HELLO_H
#define MIGRATE_HELLO_H

#include "migrate/stream/wire.h"

/* Does a stream begin so? Sets wire's key, which HELLO brings. -EPROTO, -EOPNOTSUPP. */
int hello_check(struct wire *wire, const struct stream_header *header,
		const struct stream_hello *hello);

#endif
