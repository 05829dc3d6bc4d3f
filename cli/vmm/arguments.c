// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/arguments.h"

#include <string.h>

int argument_is(const char *arg, const char *option)
{
	if (arg[0] == '-' && arg[1] == '-')
		arg++;
	return strcmp(strcmp(arg, "-M") ? arg : "-machine", option) == 0;
}

const char *argument_part(const char *value, const char *name, size_t *len)
{
	size_t name_len = strlen(name);

	for (const char *part = value; part; part = strchr(part, ',')) {
		part += *part == ',';
		*len = strcspn(part, ",");
		if (*len > name_len && !strncmp(part, name, name_len)) {
			*len -= name_len;
			return part + name_len;
		}
	}
	return NULL;
}

const char *argument_first(const char *value, const char *name, size_t *len)
{
	*len = strcspn(value, ",");
	if (*len && !memchr(value, '=', *len))
		return value;
	return argument_part(value, name, len);
}
