// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../rebind.h"

RULE(an_unknown_required_feature_is_refused, CAN_REBIND)
{
	struct vas_superblock *sb = superblock_map(s);

	for (int bit = 0; bit < 64; bit++) {
		test_note("feature bit %d", bit);
		if (VAS_FEATURES_REQUIRED_KNOWN >> bit & 1)
			continue;
		sb->features_required |= 1ull << bit;
		CHECK_EQ(subject_rebind(s, -1), -EOPNOTSUPP);
		sb->features_required &= ~(1ull << bit);
	}
	CHECK_OK(subject_rebind(s, -1));
	superblock_unmap(s, sb);
}
