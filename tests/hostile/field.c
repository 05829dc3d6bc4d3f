// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <string.h>

#include <vas/format.h>

#include "core/protocol/entries.h"
#include "field.h"

#define F(type, member)                                                                    \
	{                                                                                  \
#member, offsetof(struct type, member), sizeof(((struct type *)0)->member) \
	}
#define STRUCT(id, type)                                             \
	const struct struct_fields id##_fields = { #type, id##_list, \
						   sizeof(id##_list) / sizeof(id##_list[0]) }

static const struct field superblock_list[] = {
	F(vas_superblock, magic),
	F(vas_superblock, version),
	F(vas_superblock, page_size),
	F(vas_superblock, features_required),
	F(vas_superblock, features_optional),
	F(vas_superblock, uuid),
	F(vas_superblock, name),
	F(vas_superblock, file_size),
	F(vas_superblock, ram_size),
	F(vas_superblock, limit),
	F(vas_superblock, max_regions),
	F(vas_superblock, nr_slots),
	F(vas_superblock, nr_binders),
	F(vas_superblock, nr_pins),
	F(vas_superblock, nr_events),
	F(vas_superblock, nr_backings),
	F(vas_superblock, nr_trackers),
	F(vas_superblock, nr_devices),
	F(vas_superblock, pad1),
};
STRUCT(superblock, vas_superblock);

static const struct field extent_list[] = { F(vas_extent, offset), F(vas_extent, size) };
STRUCT(extent, vas_extent);

static const struct field control_list[] = {
	F(vas_control, generation),  F(vas_control, pad0),	     F(vas_control, notify),
	F(vas_control, answer),	     F(vas_control, owner_pid),	     F(vas_control, pad2),
	F(vas_control, owner_epoch), F(vas_control, next_region_id), F(vas_control, lazy_log),
	F(vas_control, lazy_wakeup), F(vas_control, lazy_request),   F(vas_control, lazy_failed),
	F(vas_control, lazy_left),   F(vas_control, pins_claimed),   F(vas_control, draining),
	F(vas_control, owner),
};
STRUCT(control, vas_control);

static const struct field state_list[] = {
	F(vas_state, generation), F(vas_state, regions_generation),
	F(vas_state, table),	  F(vas_state, nr_regions),
	F(vas_state, flags),	  F(vas_state, nr_backings),
	F(vas_state, pad),
};
STRUCT(state, vas_state);

static const struct field region_list[] = {
	F(vas_region_entry, gpa),     F(vas_region_entry, size),  F(vas_region_entry, offset),
	F(vas_region_entry, backing), F(vas_region_entry, flags), F(vas_region_entry, id),
	F(vas_region_entry, name),
};
STRUCT(region, vas_region_entry);

static const struct field backing_list[] = {
	F(vas_backing_entry, dev),   F(vas_backing_entry, ino),	      F(vas_backing_entry, size),
	F(vas_backing_entry, flags), F(vas_backing_entry, page_size), F(vas_backing_entry, pad),
};
STRUCT(backing, vas_backing_entry);

static const struct field event_list[] = {
	F(vas_event_entry, kind), F(vas_event_entry, id),	F(vas_event_entry, flags),
	F(vas_event_entry, len),  F(vas_event_entry, addr),	F(vas_event_entry, data),
	F(vas_event_entry, gsi),  F(vas_event_entry, sequence), F(vas_event_entry, name),
};
STRUCT(event, vas_event_entry);

static const struct field slot_list[] = {
	F(vas_slot, generation),
	F(vas_slot, tag),
	F(vas_slot, tid),
	F(vas_slot, pad),
};
STRUCT(slot, vas_slot);

static const struct field binder_list[] = {
	F(vas_binder, state), F(vas_binder, pid),    F(vas_binder, flags),
	F(vas_binder, comm),  F(vas_binder, claims),
};
STRUCT(binder, vas_binder);

static const struct field pin_list[] = {
	F(vas_pin, state), F(vas_pin, tag),   F(vas_pin, gpa),
	F(vas_pin, size),  F(vas_pin, flags), F(vas_pin, tid),
};
STRUCT(pin, vas_pin);

static const struct field tracker_list[] = {
	F(vas_tracker_entry, state),
	F(vas_tracker_entry, tag),
	F(vas_tracker_entry, epoch),
	F(vas_tracker_entry, name),
};
STRUCT(tracker, vas_tracker_entry);

static const uint64_t constants[] = {
	0,
	1,
	2,
	3,
	7,
	8,
	16,
	64,
	255,
	4095,
	4096,
	4097,
	1u << 20,
	2u << 20,
	0x7fffffff,
	0x80000000,
	0xffffffff,
	1ull << 32,
	1ull << 51,
	1ull << 52,
	(1ull << 52) + 4096,
	1ull << 63,
	(1ull << 63) - 1,
	(1ull << 63) - 4096,
	~0ull,
	~0ull - 1,
	~0ull - 4095,
	0x4141414141414141ull,
};

#define NR_CONSTANTS (sizeof(constants) / sizeof(constants[0]))
#define NR_RELATIVE  7

unsigned int field_nr_values(const struct field *field)
{
	return field->width <= 8 ? NR_CONSTANTS + NR_RELATIVE : 3;
}

static uint64_t relative(uint64_t old, unsigned int i)
{
	switch (i) {
	case 0:
		return old + 1;
	case 1:
		return old - 1;
	case 2:
		return old + 4096;
	case 3:
		return old - 4096;
	case 4:
		return old * 2;
	case 5:
		return ~old;
	}
	return __builtin_bswap64(old);
}

int field_mutate(void *object, const struct field *field, unsigned int i)
{
	static const int bytes[] = { 0, 0x41, 0xff };
	char *p = (char *)object + field->offset;
	uint64_t old = 0, value;

	if (field->width > 8) {
		memset(p, bytes[i % 3], field->width);
		return 1;
	}
	memcpy(&old, p, field->width);
	value = i < NR_CONSTANTS ? constants[i] : relative(old, i - NR_CONSTANTS);
	if (!memcmp(&value, &old, field->width))
		return 0;
	memcpy(p, &value, field->width);
	return 1;
}
