// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../rebind.h"

RULE(an_unknown_optional_feature_is_ignored, CAN_REBIND | CAN_READ)
{
	struct vas_superblock *sb = superblock_map(s);
	uint8_t byte;

	place(s, 1, 1);
	sb->features_optional |= ~(VAS_FEATURE_THP | VAS_FEATURE_DEVICES);
	CHECK_OK(subject_rebind(s, -1));
	CHECK_OK(subject_read(s, s->unit, &byte, 1, NULL));
	superblock_unmap(s, sb);
}
