/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What 'vas info' tells, in its two forms. */
#ifndef CLI_INFO_H
#define CLI_INFO_H

#include <vas/event.h>

#include "cli/target/holders.h"
#include "cli/target/regions.h"

struct facts {
	struct vas *vas;
	struct vas_info info;
	struct regions regions;
	struct vas_event *events;
	size_t nr_events;
	uint64_t resident;
	struct scan scan;
	const struct found *found; /* in the scan; NULL: we may not look into who has it open */
};

void info_print_json(const struct facts *facts);
int info_print(const struct facts *facts); /* 0 or -ENOMEM */

#endif
