// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/error.h"

#include <stdarg.h>
#include <stdio.h>

#include <vas/consumer.h> /* vas_fail() is public there */

static __thread char story[256];

int vas_fail(int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(story, sizeof(story), format, args);
	va_end(args);
	return err;
}

const char *vas_error(void)
{
	return story;
}

const char *vas_version(void)
{
	return VAS_LIBRARY_VERSION;
}
