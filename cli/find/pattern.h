/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What 'vas find' looks for. */
#ifndef CLI_PATTERN_H
#define CLI_PATTERN_H

#include <vas/vas.h>

struct patterns {
	struct vas_pattern *at;
	char **labels; /* as the user wrote them, fit for a terminal */
	size_t nr;
};

/* An exit code, after a message if it is not EXIT_OK. */
int patterns_add_hex(struct patterns *patterns, const char *digits);
int patterns_add_text(struct patterns *patterns, const char *text);
/* In the texts that were added, the case of ASCII letters does not matter. */
void patterns_ignore_case(struct patterns *patterns);

void patterns_clean(struct patterns *patterns);

#endif
