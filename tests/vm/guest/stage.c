// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <string.h>
#include "kmsg.h"
#include "report.h"
#include "stage.h"

bool stage_end(const char *name, int err)
{
	int alarms = kmsg_check();

	if (alarms)
		report("not ok %s # the kernel logged the %d lines above", name, alarms);
	else if (err)
		report("not ok %s # %s", name, strerror(-err));
	return !alarms && !err;
}
