// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/base/error.h"

#include <stdarg.h>
#include <stdio.h>

#include <vas/consumer.h> /* vas_error_set() is public there */

static __thread char message[256];

int vas_error_set(int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	return err;
}

const char *vas_error(void)
{
	return message;
}

const char *vas_version(void)
{
	return VAS_LIBRARY_VERSION;
}
