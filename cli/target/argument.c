// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/target/argument.h"

#include "cli/target/parse.h"
#include "cli/ui/verb.h"

int argument_gpa(const char *text, uint64_t *gpa)
{
	if (parse_size(text, gpa) == 0)
		return EXIT_OK;
	return fail_usage("'%s' is no address: write 0x1000, 4096 or 4K", text);
}

int argument_range(const char *gpa_text, const char *len_text, uint64_t *gpa, uint64_t *len)
{
	uint64_t end;
	int code = argument_gpa(gpa_text, gpa);

	if (code)
		return code;
	if (parse_size(len_text, len) || !*len)
		return fail_usage("'%s' is no length: write 256, 0x100 or 4K", len_text);
	if (__builtin_add_overflow(*gpa, *len, &end))
		return fail_usage("%s bytes from %s on go beyond the last address", len_text,
				  gpa_text);
	return EXIT_OK;
}
