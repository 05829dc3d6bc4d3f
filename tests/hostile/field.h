/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The fields of the format, and the values that they should not have. */
#ifndef TESTS_HOSTILE_FIELD_H
#define TESTS_HOSTILE_FIELD_H

#include <stddef.h>
#include <stdint.h>

struct field {
	const char *name;
	size_t offset;
	size_t width;
};

struct struct_fields {
	const char *name;
	const struct field *fields;
	size_t nr;
};

extern const struct struct_fields superblock_fields, extent_fields, control_fields, state_fields,
	region_fields, backing_fields, event_fields, slot_fields, binder_fields, pin_fields,
	tracker_fields;

/* Number of values that field_mutate() knows for a field. */
unsigned int field_nr_values(const struct field *field);

/* Give the field in *object value i; 0 if that is what it holds already. */
int field_mutate(void *object, const struct field *field, unsigned int i);

#endif
