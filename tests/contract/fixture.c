// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A vas to try a rule on, and the owner's hand in it. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "subject.h"
#include "tests/patient.h"

#define LIMIT_UNITS  128
#define STORE_UNITS  64 /* of a compact file or a backing */
#define SPACER_UNITS 2	/* between regions in those, so that one can grow */

static int make_backing(uint64_t size)
{
	int fd = memfd_create("contract-backing", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CHECK(fd >= 0);
	CHECK_OK(ftruncate(fd, (off_t)size));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
	return fd;
}

static bool has_backing(const struct subject *s)
{
	return s->kind->file == FILE_BACKING || s->kind->file == FILE_SHARE;
}

static void open_store(struct subject *s)
{
	if (s->kind->file == FILE_SPARSE)
		return;
	s->next_offset = STORE_UNITS * s->unit;
	if (!has_backing(s))
		return;
	s->backing_fd = make_backing(STORE_UNITS * s->unit);
	s->backing = (uint32_t)vas_backing_add(s->owner, s->backing_fd);
	CHECK_EQ(s->backing, 1);
}

/* Of the file, by a region in it that goes again. */
static void open_share(struct subject *s)
{
	const struct vas_region region = { .size = s->unit, .backing = s->backing };
	uint64_t id;

	if (s->kind->file != FILE_SHARE)
		return;
	CHECK_OK(patient_add(s->owner, &region, &id));
	CHECK_OK(vas_share(s->owner, &id, 1, 0, &s->share));
	CHECK_OK(patient_remove(s->owner, id));
}

static void bring_backing(struct subject *s)
{
	/* The owner has it already, and whoever was sent the vas got it in the same message. */
	if (s->kind->ops == &subject_owner || s->kind->ops == &subject_sent)
		return;
	if (s->kind->create_flags & VAS_CREATE_RAM_APART)
		CHECK_EQ(subject_offer(s, vas_backing_fd(s->owner, 0)), 0);
	if (has_backing(s))
		CHECK_EQ(subject_offer(s, s->backing_fd), 1);
}

void subject_open(struct subject *s, const struct subject_kind *kind)
{
	struct vas_options options = { .name = kind->name, .flags = kind->create_flags };

	memset(s, 0, sizeof(*s));
	if (kind->require)
		kind->require();
	s->kind = kind;
	s->backing_fd = -1;
	s->unit = kind->create_flags & VAS_CREATE_HUGETLB ? 2u << 20 : VAS_PAGE_SIZE;
	if (kind->unit)
		s->unit = kind->unit;
	s->limit = LIMIT_UNITS * s->unit;
	s->data = malloc(REQUEST_DATA_MAX);
	CHECK(s->data);
	options.limit = s->limit;
	options.ram_size = kind->file == FILE_COMPACT ? STORE_UNITS * s->unit : 0;
	options.max_regions = 256;
	options.nr_slots = 64;
	CHECK_OK(vas_create(&options, &s->owner));
	open_store(s);
	lazy_open(s);
	open_share(s);
	CHECK_OK(kind->ops->bind(s, vas_fd(s->share ? s->share : s->owner)));
	bring_backing(s);
}

void subject_close(struct subject *s)
{
	s->kind->ops->unbind(s);
	vas_destroy(s->share);
	vas_destroy(s->owner);
	lazy_close(s);
	if (s->backing_fd >= 0)
		close(s->backing_fd);
	free(s->data);
}

int subject_rebind(struct subject *s, int fd)
{
	struct subject try = *s;
	int err = s->kind->ops->bind(&try, fd < 0 ? vas_fd(s->owner) : fd);

	if (err)
		return err;
	s->kind->ops->unbind(s);
	*s = try;
	bring_backing(s);
	return 0;
}

struct vas_region place_prepare(struct subject *s, uint64_t at, uint64_t nr)
{
	struct vas_region region = {
		.gpa = at * s->unit,
		.size = nr * s->unit,
		.offset = at * s->unit,
		.backing = s->backing,
	};

	if (s->kind->file != FILE_SPARSE) {
		s->next_offset -= (nr + SPACER_UNITS) * s->unit;
		region.offset = s->next_offset;
	}
	return region;
}

uint64_t place_flags(struct subject *s, uint64_t at, uint64_t nr, uint32_t flags)
{
	struct vas_region region = place_prepare(s, at, nr);
	uint64_t id = 0;

	region.flags = flags;
	if (s->lazy)
		return lazy_place(s, &region);
	CHECK_OK(patient_add(s->owner, &region, &id));
	CHECK(id);
	return id;
}

uint64_t place(struct subject *s, uint64_t at, uint64_t nr)
{
	return place_flags(s, at, nr, 0);
}

void arranged(struct subject *s)
{
	lazy_settle(s);
}

void owner_write(struct subject *s, uint64_t gpa, const void *buf, size_t len)
{
	if (!lazy_keep(s, gpa, buf, len))
		CHECK_OK(vas_write(s->owner, gpa, buf, len, NULL));
}

void owner_read(struct subject *s, uint64_t gpa, void *buf, size_t len)
{
	lazy_settle(s);
	CHECK_OK(vas_read(s->owner, gpa, buf, len, NULL));
}

void owner_store8(struct subject *s, uint64_t gpa, uint8_t byte)
{
	owner_write(s, gpa, &byte, 1);
}

uint8_t owner_load8(struct subject *s, uint64_t gpa)
{
	uint8_t byte;

	owner_read(s, gpa, &byte, 1);
	return byte;
}

/* Never 0, so that memory nobody wrote stands out. */
void pattern_make(uint8_t *buf, uint64_t gpa, size_t len, uint64_t salt)
{
	for (size_t i = 0; i < len; i++) {
		uint64_t x = (gpa + i + 1) * 0x9e3779b97f4a7c15ull + salt * 0xd1b54a32d192ed03ull;

		buf[i] = (uint8_t)(1 + (x >> 32) % 255);
	}
}

void owner_pattern(struct subject *s, uint64_t gpa, uint64_t len, uint64_t salt)
{
	uint8_t buf[4096];

	for (uint64_t n, at = 0; at < len; at += n) {
		n = len - at < sizeof(buf) ? len - at : sizeof(buf);
		pattern_make(buf, gpa + at, n, salt);
		owner_write(s, gpa + at, buf, n);
	}
}
