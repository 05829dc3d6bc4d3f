// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The copies that headers inline, for callers that are not compiled: other languages' bindings. */
#include <vas/vas.h>

VAS_API int vas_read_symbol(struct vas *vas, uint64_t gpa, void *buf, size_t len,
			    size_t *done) __asm__("vas_read");
VAS_API int vas_write_symbol(struct vas *vas, uint64_t gpa, const void *buf, size_t len,
			     size_t *done) __asm__("vas_write");

int vas_read_symbol(struct vas *vas, uint64_t gpa, void *buf, size_t len, size_t *done)
{
	return vas_read(vas, gpa, buf, len, done);
}

int vas_write_symbol(struct vas *vas, uint64_t gpa, const void *buf, size_t len, size_t *done)
{
	return vas_write(vas, gpa, buf, len, done);
}
