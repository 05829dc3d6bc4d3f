// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../rebind.h"

RULE(an_unknown_version_is_refused, CAN_REBIND)
{
	struct vas_superblock *sb = superblock_map(s);

	sb->version = VAS_VERSION + 1;
	CHECK_EQ(subject_rebind(s, -1), -EOPNOTSUPP);
	sb->version = VAS_VERSION;
	sb->magic ^= 1ull << 40;
	CHECK_EQ(subject_rebind(s, -1), -EPROTO);
	sb->magic ^= 1ull << 40;
	CHECK_OK(subject_rebind(s, -1));
	superblock_unmap(s, sb);
}
