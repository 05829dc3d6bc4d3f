// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/target/virtual.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "cli/target/argument.h"
#include "cli/ui/text.h"
#include "cli/ui/verb.h"

static int take_root(struct virtual_space *space, enum page_walk_mode mode, const char *value)
{
	if (space->is_chosen)
		return fail_usage("--cr3 and --ttbr: one of them, once");
	space->is_chosen = 1;
	space->walk.mode = mode;
	return argument_gpa(value, &space->walk.root);
}

int virtual_option(struct virtual_space *space, int option, const char *value)
{
	switch (option) {
	case OPTION_CR3:
		return take_root(space, PAGE_WALK_X86_4_LEVELS, value);
	case OPTION_TTBR:
		return take_root(space, PAGE_WALK_ARM64, value);
	case OPTION_LA57:
		space->is_la57 = 1;
		return EXIT_OK;
	}
	space->is_named = 1;
	return EXIT_OK;
}

int virtual_check(const struct virtual_space *space)
{
	if (space->is_named && !space->is_chosen)
		return fail_usage("--virtual: by which page tables? Give --cr3 ADDR (x86-64) or "
				  "--ttbr ADDR (arm64)");
	if (space->is_la57 && (!space->is_chosen || space->walk.mode == PAGE_WALK_ARM64))
		return fail_usage("--la57 goes with --cr3");
	return EXIT_OK;
}

static enum page_walk_mode mode_of(const struct virtual_space *space)
{
	return space->is_la57 ? PAGE_WALK_X86_5_LEVELS : space->walk.mode;
}

static int read_nothing(void *context, uint64_t gpa, uint64_t *entry)
{
	(void)context;
	(void)gpa;
	*entry = 0;
	return 0;
}

int virtual_range_check(const struct virtual_space *space, uint64_t va, uint64_t len)
{
	const uint64_t last = va + len - 1;
	struct page_walk walk = space->walk;
	struct page_walk_result result;

	walk.read_entry = read_nothing;
	walk.mode = mode_of(space);
	if (page_walk(&walk, va, &result) != -EINVAL &&
	    page_walk(&walk, last, &result) != -EINVAL && va >> 63 == last >> 63)
		return EXIT_OK;
	return fail_usage("not all addresses from %s to %s are canonical", text_gpa(va).s,
			  text_gpa(last).s);
}

static int read_entry(void *context, uint64_t gpa, uint64_t *entry)
{
	return vas_peek(context, gpa, entry, sizeof(*entry), NULL);
}

int virtual_walk(const struct virtual_space *space, struct vas *vas, uint64_t va,
		 struct page_walk_result *result)
{
	struct page_walk walk = space->walk;

	walk.read_entry = read_entry;
	walk.context = vas;
	walk.mode = mode_of(space);
	return page_walk(&walk, va, result);
}

int virtual_stopped(const char *name, int err, uint64_t va, const struct page_walk_result *result,
		    uint64_t done, uint64_t len)
{
	char why[256];

	if (err == -EINVAL)
		snprintf(why, sizeof(why), "no canonical address");
	else if (err == -ENOENT || err == -EBADMSG)
		snprintf(why, sizeof(why), "%s at level %d, entry 0x%" PRIx64 " at gpa %s",
			 err == -ENOENT ? "not mapped" : "no proper page table", result->level,
			 result->entry, text_gpa(result->entry_gpa).s);
	else
		snprintf(why, sizeof(why), "the page table's entry of level %d cannot be read: %s",
			 result->level, vas_error());
	return fail(EXIT_STOPPED,
		    "%s: stopped at virtual address %s after %" PRIu64 " of %" PRIu64 " bytes: %s",
		    name, text_gpa(va).s, done, len, why);
}
