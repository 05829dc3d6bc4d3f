// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

static void check(struct subject *s, unsigned int width, uint64_t val, const char *want)
{
	uint8_t got[16];

	owner_write(s, s->unit, "################", 16);
	CHECK_OK(subject_store(s, s->unit + 8 - width, width, val));
	owner_read(s, s->unit, got, sizeof(got));
	CHECK_EQ(got[8 - width - 1], '#');
	CHECK_MEM(got + 8 - width, want, width);
	CHECK_EQ(got[8], '#');
}

RULE(typed_stores_are_little_endian, CAN_FIELD | CAN_WRITE)
{
	place(s, 1, 1);
	check(s, 1, 0xfe, "\xfe");
	check(s, 2, 0x1234, "\x34\x12");
	check(s, 4, 0x89abcdef, "\xef\xcd\xab\x89");
	owner_write(s, s->unit + 1, "\0", 1);
	CHECK_OK(subject_store(s, s->unit + 8, 8, 0x0123456789abcdefull));
	uint8_t got[8];
	owner_read(s, s->unit + 8, got, sizeof(got));
	CHECK_MEM(got, "\xef\xcd\xab\x89\x67\x45\x23\x01", 8);
}
