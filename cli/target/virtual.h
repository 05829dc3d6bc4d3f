/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Guest-virtual addresses as arguments: of which page tables, and what is there. */
#ifndef CLI_VIRTUAL_H
#define CLI_VIRTUAL_H

#include <vas/vas.h>

#include "cli/target/page_walk.h"

struct virtual_space {
	struct page_walk walk;
	int is_chosen; /* addresses are virtual */
	int is_named;  /* there was --virtual */
	int is_la57;
};

enum { OPTION_VIRTUAL = 3000, OPTION_CR3, OPTION_LA57, OPTION_TTBR };

#define VIRTUAL_OPTIONS                                         \
	{ "virtual", no_argument, NULL, OPTION_VIRTUAL },       \
		{ "cr3", required_argument, NULL, OPTION_CR3 }, \
		{ "la57", no_argument, NULL, OPTION_LA57 },     \
	{                                                       \
		"ttbr", required_argument, NULL, OPTION_TTBR    \
	}
#define VIRTUAL_HELP                                                                           \
	"      --virtual        addresses are the guest's virtual ones, by its page tables:\n" \
	"      --cr3 ADDR       x86-64, and where the register points to\n"                    \
	"      --la57           of five levels, not four\n"                                    \
	"      --ttbr ADDR      arm64 with pages of 4 KiB, and the register for the address\n"

/* Take one of these options: an exit code. */
int virtual_option(struct virtual_space *space, int option, const char *value);

/* After all options: do they fit together? An exit code. */
int virtual_check(const struct virtual_space *space);

/* Are all addresses of this range canonical? An exit code. */
int virtual_range_check(const struct virtual_space *space, uint64_t va, uint64_t len);

/* As page_walk(), in this vas. */
int virtual_walk(const struct virtual_space *space, struct vas *vas, uint64_t va,
		 struct page_walk_result *result);

/* Say why the walk of an access to va failed, after `done` bytes of it. Returns EXIT_STOPPED. */
int virtual_stopped(const char *name, int err, uint64_t va, const struct page_walk_result *result,
		    uint64_t done, uint64_t len);

#endif
