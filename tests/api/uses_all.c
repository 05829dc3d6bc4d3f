// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Every function that is inlined, in C and C++; and one of each library, for those who link. */
#include <stdio.h>
#include <string.h>

#include <vas/migrate.h>
#include <vas/vas.h>

static int use_section(struct vas *vas)
{
	struct vas_thread *t = vas_thread_register(vas);
	struct vas_cache cache = { 0, 0, NULL, 0, 0 };
	uint64_t seq = vas_observe_begin(vas), *p, *q;
	void *ptr;
	int err = vas_enter_registered(vas, t);

	if (err)
		return err;
	p = (uint64_t *)vas_translate(vas, 0x1000, sizeof(*p), VAS_PROT_WRITE);
	q = (uint64_t *)vas_translate_cached(vas, &cache, 0x1000, sizeof(*p), VAS_PROT_WRITE);
	if (p && p == q)
		*p = 7;
	vas_mark(vas, 0x1000, sizeof(*p));
	err = vas_page_failed(vas) || p != q;
	vas_leave_registered(vas, t);
	if (err || vas_observe_retry(vas, seq))
		return -1;
	err = vas_write_begin(vas, 0x2000, 4, &ptr);
	if (err)
		return err;
	*(uint32_t *)ptr = 9;
	return vas_write_end(vas, 0x2000, 4);
}

static int use_fields(struct vas *vas)
{
	uint16_t old = 0, value = 0, expected = 5;
	int err = vas_store_le16(vas, 0x3000, 4, __ATOMIC_RELEASE);

	if (!err)
		err = vas_fetch_add_le16(vas, 0x3000, 1, &old, __ATOMIC_ACQ_REL);
	if (!err)
		err = vas_cmpxchg_le16(vas, 0x3000, &expected, 6, __ATOMIC_ACQ_REL);
	if (!err)
		err = vas_load_le16(vas, 0x3000, &value, __ATOMIC_ACQUIRE);
	return err ? err : value == 6 && old == 4 ? 0 : -1;
}

static int use_copies(struct vas *vas)
{
	char text[6] = "";
	uint64_t number = 0;
	int err = vas_write(vas, 0x4000, "hello", 6, NULL);

	if (!err)
		err = vas_read(vas, 0x4000, text, 6, NULL);
	if (!err)
		err = vas_read(vas, 0x1000, &number, sizeof(number), NULL);
	return err ? err : text[4] == 'o' && number == 7 ? 0 : -1;
}

int main(void)
{
	struct vas_options options;
	struct vas_region ram;
	struct vas *vas;
	int err;

	memset(&options, 0, sizeof(options));
	memset(&ram, 0, sizeof(ram));
	options.limit = 1u << 24;
	ram.size = 1u << 20;
	err = vas_create(&options, &vas);
	if (err)
		goto err_print;
	err = vas_region_add(vas, &ram, NULL);
	if (!err)
		err = use_section(vas);
	if (!err)
		err = use_fields(vas);
	if (!err)
		err = use_copies(vas);
	vas_destroy(vas);
	if (!err && vas_snapshot_restore("/nonexistent", 0, &vas) != -ENOENT)
		err = -1;
err_print:
	if (err)
		fprintf(stderr, "error %d: %s\n", err, vas_error());
	return err != 0;
}
