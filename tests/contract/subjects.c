// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The subjects: each line is a column of the matrix. */
#include "tests/harness_hugetlb.h"
#include "subject.h"

/* A few regions, and the control area, which on hugetlb takes whole pages too. */
#define HUGETLB_PAGES 40

static void require_hugetlb(void)
{
	hugetlb_require(HUGETLB_PAGES);
}

#define BOUND (CAN_ALL_WRITE | CAN_PEEK | CAN_REBIND)

/* What comes at once: each unit of a subject that has such by itself. */
#define FILLED_AT_ONCE (64 * VAS_PAGE_SIZE)

const struct subject_kind subject_kinds[] = {
	{
		.name = "owner",
		.can = CAN_PEEK | CAN_ALL_WRITE | CAN_LOCAL | CAN_SPARSE | CAN_FREE,
		.ops = &subject_owner,
	},
	{
		.name = "handle",
		.can = BOUND | CAN_SPARSE | CAN_FREE,
		.ops = &subject_handle,
	},
	{
		.name = "process",
		.can = BOUND | CAN_SPARSE | CAN_FREE,
		.ops = &subject_process,
	},
	{
		.name = "sent",
		.can = CAN_PEEK | (CAN_ALL_WRITE & ~CAN_OFFER) | CAN_RECEIVE | CAN_SPARSE |
		       CAN_FREE,
		.ops = &subject_sent,
	},
	{
		.name = "observer",
		.can = CAN_PEEK | CAN_ALL_READ | CAN_REBIND | CAN_OBSERVE | CAN_SPARSE | CAN_FREE,
		.bind_flags = VAS_BIND_OBSERVE,
		.ops = &subject_process,
	},
	{
		.name = "no-window",
		.can = BOUND | CAN_SPARSE | CAN_FREE,
		.bind_flags = VAS_BIND_NO_WINDOW,
		.ops = &subject_handle,
	},
	{
		.name = "fence",
		.can = BOUND | CAN_SPARSE | CAN_FREE,
		.create_flags = VAS_CREATE_FENCE,
		.bind_flags = VAS_BIND_FENCE,
		.ops = &subject_process,
	},
	{
		.name = "hugetlb",
		.can = BOUND | CAN_FREE,
		.create_flags = VAS_CREATE_HUGETLB,
		.ops = &subject_process,
		.require = require_hugetlb,
	},
	{
		.name = "thp",
		.can = BOUND | CAN_SPARSE | CAN_FREE,
		.create_flags = VAS_CREATE_THP,
		.ops = &subject_process,
	},
	{
		.name = "reserved",
		.can = BOUND | CAN_SPARSE | CAN_FREE,
		.create_flags = VAS_CREATE_RESERVE,
		.ops = &subject_handle,
	},
	{
		.name = "compact",
		.can = BOUND | CAN_FREE,
		.file = FILE_COMPACT,
		.ops = &subject_process,
	},
	{
		.name = "ram-apart-owner",
		.can = CAN_PEEK | CAN_ALL_WRITE | CAN_LOCAL | CAN_SPARSE | CAN_FREE,
		.create_flags = VAS_CREATE_RAM_APART,
		.ops = &subject_owner,
	},
	{
		.name = "ram-apart",
		.can = BOUND | CAN_SPARSE | CAN_FREE,
		.create_flags = VAS_CREATE_RAM_APART,
		.ops = &subject_process,
	},
	{
		.name = "ram-apart-sent",
		.can = CAN_PEEK | (CAN_ALL_WRITE & ~CAN_OFFER) | CAN_RECEIVE | CAN_SPARSE |
		       CAN_FREE,
		.create_flags = VAS_CREATE_RAM_APART,
		.ops = &subject_sent,
	},
	{
		.name = "ram-apart-observer",
		.can = CAN_PEEK | CAN_ALL_READ | CAN_REBIND | CAN_OBSERVE | CAN_SPARSE | CAN_FREE,
		.create_flags = VAS_CREATE_RAM_APART,
		.bind_flags = VAS_BIND_OBSERVE,
		.ops = &subject_process,
	},
	{
		.name = "ram-apart-no-window",
		.can = BOUND | CAN_SPARSE | CAN_FREE,
		.create_flags = VAS_CREATE_RAM_APART,
		.bind_flags = VAS_BIND_NO_WINDOW,
		.ops = &subject_handle,
	},
	{
		.name = "backing",
		.can = BOUND | CAN_KEEP,
		.file = FILE_BACKING,
		.ops = &subject_process,
	},
	{
		.name = "backing-sent",
		.can = CAN_PEEK | (CAN_ALL_WRITE & ~CAN_OFFER) | CAN_RECEIVE | CAN_KEEP,
		.file = FILE_BACKING,
		.ops = &subject_sent,
	},
	{
		.name = "backing-no-window",
		.can = BOUND | CAN_KEEP,
		.file = FILE_BACKING,
		.bind_flags = VAS_BIND_NO_WINDOW,
		.ops = &subject_handle,
	},
	{
		/* Its pins are in the share, not the owner's; what moves is a hole on the way. */
		.name = "share",
		.can = CAN_PEEK | (CAN_ALL_WRITE & ~(CAN_PIN | CAN_WHOLE_CHANGE)) | CAN_KEEP,
		.file = FILE_SHARE,
		.ops = &subject_process,
	},
	{
		.name = "lazy-owner",
		.can = CAN_PEEK | (CAN_ALL_WRITE & ~CAN_WHOLE) | CAN_LOCAL | CAN_FREE,
		.ops = &subject_owner,
		.fills = FILLED_ON_TOUCH,
		.unit = FILLED_AT_ONCE,
	},
	{
		.name = "lazy",
		.can = (BOUND & ~CAN_WHOLE) | CAN_FREE,
		.ops = &subject_process,
		.fills = FILLED_ON_TOUCH,
		.unit = FILLED_AT_ONCE,
	},
	{
		.name = "lazy-ram-apart",
		.can = (BOUND & ~CAN_WHOLE) | CAN_FREE,
		.create_flags = VAS_CREATE_RAM_APART,
		.ops = &subject_process,
		.fills = FILLED_ON_TOUCH,
		.unit = FILLED_AT_ONCE,
	},
	{
		.name = "lazy-pages",
		.can = (BOUND & ~CAN_WHOLE) | CAN_SPARSE | CAN_FREE,
		.ops = &subject_process,
		.fills = FILLED_BY_ITSELF,
	},
	{
		.name = "lazy-no-window",
		.can = (BOUND & ~CAN_WHOLE) | CAN_FREE,
		.bind_flags = VAS_BIND_NO_WINDOW,
		.ops = &subject_handle,
		.fills = FILLED_ON_TOUCH,
		.unit = FILLED_AT_ONCE,
	},
	{
		.name = "lazy-sent",
		.can = CAN_PEEK | (CAN_ALL_WRITE & ~CAN_WHOLE & ~CAN_OFFER) | CAN_RECEIVE |
		       CAN_SPARSE | CAN_FREE,
		.ops = &subject_sent,
		.fills = FILLED_ON_TOUCH,
	},
	{
		.name = "lazy-observer",
		.can = CAN_PEEK | (CAN_ALL_READ & ~CAN_WHOLE) | CAN_REBIND | CAN_OBSERVE | CAN_FREE,
		.bind_flags = VAS_BIND_OBSERVE,
		.ops = &subject_process,
		.fills = FILLED_BY_ITSELF,
		.unit = FILLED_AT_ONCE,
	},
};

const size_t nr_subject_kinds = sizeof(subject_kinds) / sizeof(subject_kinds[0]);
