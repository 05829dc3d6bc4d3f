// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Single fields through a cache: what a device does with its rings. */
#include <linux/err.h>

#include "session.h"

#define DEFINE_FIELD(bits)                                                             \
	static int field##bits(u##bits *p, struct vas_test_field *field)               \
	{                                                                              \
		u##bits value = field->value, expected = field->other;                 \
                                                                                       \
		switch (field->op) {                                                   \
		case VAS_TEST_LOAD_FIELD:                                              \
			field->value = smp_load_acquire(p);                            \
			return 0;                                                      \
		case VAS_TEST_STORE_FIELD:                                             \
			smp_store_release(p, value);                                   \
			return 0;                                                      \
		case VAS_TEST_EXCHANGE_FIELD:                                          \
			field->value = xchg(p, value);                                 \
			return 0;                                                      \
		case VAS_TEST_CMPXCHG_FIELD:                                           \
			field->other = cmpxchg(p, expected, value);                    \
			return field->other == expected ? 0 : -EAGAIN;                 \
		case VAS_TEST_ADD_FIELD:                                               \
			field->value = __atomic_fetch_add(p, value, __ATOMIC_SEQ_CST); \
			return 0;                                                      \
		case VAS_TEST_OR_FIELD:                                                \
			field->value = __atomic_fetch_or(p, value, __ATOMIC_SEQ_CST);  \
			return 0;                                                      \
		case VAS_TEST_AND_FIELD:                                               \
			field->value = __atomic_fetch_and(p, value, __ATOMIC_SEQ_CST); \
			return 0;                                                      \
		default:                                                               \
			return -EINVAL;                                                \
		}                                                                      \
	}

DEFINE_FIELD(8)
DEFINE_FIELD(16)
DEFINE_FIELD(32)
DEFINE_FIELD(64)

static int do_field(void *p, struct vas_test_field *field)
{
	switch (field->width) {
	case 1:
		return field8(p, field);
	case 2:
		return field16(p, field);
	case 4:
		return field32(p, field);
	default:
		return field64(p, field);
	}
}

static int try_field(struct session *s, struct vas_test_field *field)
{
	u32 flags = field->op == VAS_TEST_LOAD_FIELD ? 0 : VAS_PROT_WRITE;
	struct vas_section section;
	int err, changed;
	void *p;

	err = vas_enter(s->vas, flags, &section);
	if (err)
		return err;
	p = vas_cache_at(&s->cache, &section, field->gpa, field->width, flags);
	err = PTR_ERR_OR_ZERO(p);
	if (!err)
		err = do_field(p, field);
	if (!err && flags & VAS_PROT_WRITE)
		vas_mark(s->vas, field->gpa, field->width);
	changed = vas_leave(&section);
	return changed ? -ESTALE : err;
}

int session_field(struct session *s, void *arg)
{
	struct vas_test_field *field = arg;
	int err, tries = 0;

	if (!is_power_of_2(field->width) || field->width > sizeof(u64) ||
	    field->gpa & (field->width - 1))
		return -EINVAL;
	do {
		err = try_field(s, field);
	} while (err == -ESTALE && tries++ < 100);
	return err;
}
