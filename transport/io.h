/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef TRANSPORT_IO_H
#define TRANSPORT_IO_H

#include <stdbool.h>

#include <vas/transport.h>

/* As processors make them. */
static inline bool io_is_valid(const struct vas_io *io)
{
	return io->len == 1 || io->len == 2 || io->len == 4 || io->len == 8;
}

#endif
