/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Single fields in guest memory, of 8 to 64 bits: what a guest and a device both change, such as
 * the indices of a virtqueue.
 */
#ifndef VAS_FIELD_H
#define VAS_FIELD_H

#include <vas/access.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Enter, and translate an aligned field. NULL: no section was entered, and *err says why. */
VAS_INLINE void *vas_field(struct vas *vas, uint64_t gpa, uint64_t len, uint32_t prot, int *err)
{
	void *p;

	if (vas_unlikely(gpa & (len - 1))) {
		*err = vas_field_error(gpa, len);
		return NULL;
	}
	*err = vas_enter(vas);
	if (vas_unlikely(*err))
		return NULL;
	p = vas_translate(vas, gpa, len, prot);
	if (vas_likely(p))
		return p;
	*err = vas_translate_error(vas, gpa, len, prot);
	vas_leave(vas);
	return NULL;
}

/*
 * Load, store or modify a little-endian field of 8, 16, 32 or 64 bits (vas_load_le8() to
 * vas_cmpxchg_le64()), in one access of that width: a guest that changes the field meanwhile leaves
 * the old or the new value. `order` is an __ATOMIC_* constant. load stores 0 in *val on an
 * error. fetch_or, fetch_and, fetch_add and exchange store the old value in *old. cmpxchg stores
 * `desired` if the field equals *expected.
 *
 *	int vas_load_le16(vas, gpa, &val, order)	int vas_store_le16(vas, gpa, val, order)
 *	int vas_fetch_or_le16(vas, gpa, val, &old, order)	... fetch_and, fetch_add, exchange
 *	int vas_cmpxchg_le16(vas, gpa, &expected, desired, order)
 *
 * -EINVAL: gpa is not a multiple of the width. -EAGAIN of cmpxchg: the field was not *expected,
 * which has its value now; or as any access. Other errors as vas_read() and vas_write(). Called by
 * symbol, not inlined, each is __ATOMIC_SEQ_CST.
 */
#define VAS_DEFINE_RMW(op, name, bits)                                                          \
	VAS_INLINE int vas_##name##_le##bits(struct vas *vas, uint64_t gpa, uint##bits##_t val, \
					     uint##bits##_t *old, int order)                    \
	{                                                                                       \
		int err;                                                                        \
		uint##bits##_t *p =                                                             \
			(uint##bits##_t *)vas_field(vas, gpa, bits / 8, VAS_PROT_WRITE, &err);  \
                                                                                                \
		if (vas_unlikely(!p))                                                           \
			return err;                                                             \
		*old = op(p, val, order);                                                       \
		return vas_write_end(vas, gpa, bits / 8);                                       \
	}

#define VAS_DEFINE_FIELD(bits)                                                                  \
	VAS_INLINE int vas_load_le##bits(struct vas *vas, uint64_t gpa, uint##bits##_t *val,    \
					 int order)                                             \
	{                                                                                       \
		int err;                                                                        \
		uint##bits##_t loaded = 0, copied = 0;                                          \
		uint##bits##_t *p =                                                             \
			(uint##bits##_t *)vas_field(vas, gpa, bits / 8, VAS_PROT_READ, &err);   \
                                                                                                \
		if (vas_likely(p)) {                                                            \
			loaded = __atomic_load_n(p, order);                                     \
			err = vas_page_failed(vas);                                             \
			vas_leave(vas);                                                         \
			/* Into a variable of its own: then *val may live in a register. */     \
			if (vas_unlikely(err)) {                                                \
				err = vas_copy_slow(vas, gpa, &copied, bits / 8, VAS_PROT_READ, \
						    NULL);                                      \
				loaded = copied;                                                \
			}                                                                       \
		}                                                                               \
		*val = loaded;                                                                  \
		return err;                                                                     \
	}                                                                                       \
	VAS_INLINE int vas_store_le##bits(struct vas *vas, uint64_t gpa, uint##bits##_t val,    \
					  int order)                                            \
	{                                                                                       \
		int err;                                                                        \
		uint##bits##_t *p =                                                             \
			(uint##bits##_t *)vas_field(vas, gpa, bits / 8, VAS_PROT_WRITE, &err);  \
                                                                                                \
		if (vas_unlikely(!p))                                                           \
			return err;                                                             \
		__atomic_store_n(p, val, order);                                                \
		return vas_write_end(vas, gpa, bits / 8);                                       \
	}                                                                                       \
	VAS_INLINE int vas_cmpxchg_le##bits(struct vas *vas, uint64_t gpa,                      \
					    uint##bits##_t *expected, uint##bits##_t desired,   \
					    int order)                                          \
	{                                                                                       \
		int err, swapped;                                                               \
		uint##bits##_t *p =                                                             \
			(uint##bits##_t *)vas_field(vas, gpa, bits / 8, VAS_PROT_WRITE, &err);  \
                                                                                                \
		if (vas_unlikely(!p))                                                           \
			return err;                                                             \
		swapped = __atomic_compare_exchange_n(p, expected, desired, 0, order,           \
						      __ATOMIC_RELAXED);                        \
		err = vas_write_end(vas, gpa, bits / 8);                                        \
		return err ? err : swapped ? 0 : -EAGAIN;                                       \
	}                                                                                       \
	VAS_DEFINE_RMW(__atomic_fetch_or, fetch_or, bits)                                       \
	VAS_DEFINE_RMW(__atomic_fetch_and, fetch_and, bits)                                     \
	VAS_DEFINE_RMW(__atomic_fetch_add, fetch_add, bits)                                     \
	VAS_DEFINE_RMW(__atomic_exchange_n, exchange, bits)

VAS_DEFINE_FIELD(8)
VAS_DEFINE_FIELD(16)
VAS_DEFINE_FIELD(32)
VAS_DEFINE_FIELD(64)

#undef VAS_DEFINE_FIELD
#undef VAS_DEFINE_RMW

#ifdef __cplusplus
}
#endif

#endif
