// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/plan.h"

#include <inttypes.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/target/name.h"
#include "cli/target/parse.h"
#include "cli/ui/text.h"
#include "cli/ui/verb.h"

#define FOUR_GIB (4ull << 30)

static int take_size(const char *what, const char *value, uint64_t *size)
{
	int err = parse_size(value, size);

	if (!err && *size)
		return EXIT_OK;
	if (err == -ERANGE)
		return fail_usage("%s: '%s' is more than 64 bits hold", what, value);
	return fail_usage("%s: '%s' is no size: write 512M, 4G or 0x1000", what, value);
}

static int add_region(struct plan *plan, const struct vas_region *region)
{
	struct vas_region *regions;

	regions = realloc(plan->regions, (plan->nr_regions + 1) * sizeof(*regions));
	if (!regions)
		return fail(EXIT_REFUSED, "no memory for a list of regions");
	plan->regions = regions;
	regions[plan->nr_regions++] = *region;
	return EXIT_OK;
}

/* What follows GPA:SIZE: ":ro", ":NAME", both, or nothing. */
static int take_region_rest(struct vas_region *region, const char *rest)
{
	if (!strcmp(rest, ":ro") || !strncmp(rest, ":ro:", 4)) {
		region->flags |= VAS_REGION_READONLY;
		rest += 3;
	}
	if (!*rest)
		return 0;
	rest++;
	if (!*rest || strlen(rest) >= sizeof(region->name))
		return -EINVAL;
	strcpy(region->name, rest);
	return 0;
}

static int take_region(struct plan *plan, const char *value)
{
	struct vas_region region = { 0 };
	const char *colon = strchr(value, ':'), *end;

	if (!colon)
		goto err;
	end = colon + 1 + strcspn(colon + 1, ":");
	if (parse_size_n(value, (size_t)(colon - value), &region.gpa) ||
	    parse_size_n(colon + 1, (size_t)(end - colon - 1), &region.size) ||
	    take_region_rest(&region, end))
		goto err;
	return add_region(plan, &region);
err:
	return fail_usage("--region: '%s' is not GPA:SIZE[:ro][:NAME], with a NAME of up to %d "
			  "bytes: write 0xfffc0000:256K:ro:bios",
			  value, VAS_REGION_NAME_LEN - 1);
}

static int take_name(struct plan *plan, const char *name)
{
	plan->options.name = name;
	if (name_check(name) == 0)
		return EXIT_OK;
	return fail_usage("--name: '%s' will not do: 1 to %d bytes, no '/', no number, not fd:...",
			  text_shown(name, TEXT_CLEAN_LEN).s, VAS_NAME_LEN - 1);
}

static int take_machine(struct plan *plan, const char *name)
{
	plan->machine = machine_by_name(name, strlen(name));
	if (plan->machine)
		return EXIT_OK;
	return fail_usage("--machine: '%s' is not known: %s", name, machine_names);
}

int plan_option(struct plan *plan, int option, const char *value)
{
	switch (option) {
	case 'n':
		return take_name(plan, value);
	case 'l':
		return take_size("--limit", value, &plan->options.limit);
	case 'm':
		return take_size("--memory", value, &plan->memory);
	case PLAN_MACHINE:
		return take_machine(plan, value);
	case PLAN_REGION:
		return take_region(plan, value);
	case PLAN_HUGETLB:
		plan->options.flags |= VAS_CREATE_HUGETLB;
		return EXIT_OK;
	case PLAN_THP:
		plan->options.flags |= VAS_CREATE_THP;
		return EXIT_OK;
	case PLAN_RESERVE:
		plan->options.flags |= VAS_CREATE_RESERVE;
		return EXIT_OK;
	}
	return fail_usage("option %d is not understood", option);
}

/* The machine's RAM, behind the regions that were asked for one by one. */
static int add_memory(struct plan *plan)
{
	const struct machine *machine = plan->machine;
	struct vas_region ram = { .size = plan->memory, .name = "ram" };
	int code;

	if (!plan->memory)
		return EXIT_OK;
	if (!machine || plan->memory < machine->split_from)
		return add_region(plan, &ram);
	ram.size = machine->below;
	strcpy(ram.name, "ram-below-4g");
	code = add_region(plan, &ram);
	if (code)
		return code;
	ram = (struct vas_region){ .gpa = FOUR_GIB,
				   .size = plan->memory - machine->below,
				   .offset = machine->below,
				   .name = "ram-above-4g" };
	return add_region(plan, &ram);
}

static uint64_t round_up(uint64_t size, const struct plan *plan)
{
	uint64_t page = plan->options.flags & VAS_CREATE_HUGETLB ? 2ull << 20 : VAS_PAGE_SIZE;

	return (size + page - 1) & ~(page - 1);
}

/* Offsets, and from them limit and ram_size. libvas checks what does not fit. */
static int place(struct plan *plan, size_t nr_asked)
{
	const int moved = plan->nr_regions > nr_asked + 1;
	uint64_t end = plan->memory, top = 0;

	for (size_t i = 0; i < plan->nr_regions; i++) {
		struct vas_region *region = &plan->regions[i];
		uint64_t last;

		if (__builtin_add_overflow(region->gpa, region->size, &last) || last > VAS_MAX_GPA)
			return fail_usage("the region at %s"
					  " ends beyond the last gpa, %s",
					  text_gpa(region->gpa).s, text_gpa(VAS_MAX_GPA - 1).s);
		top = last > top ? last : top;
		if (i >= nr_asked)
			continue;
		region->offset = moved ? end : region->gpa;
		end += region->size;
	}
	if (!plan->options.limit)
		plan->options.limit = round_up(top, plan);
	if (moved)
		plan->options.ram_size = round_up(end, plan);
	return EXIT_OK;
}

static int commit(struct plan *plan, struct vas *vas)
{
	struct vas_layout *layout;
	int err = vas_layout_begin(vas, &layout);

	if (err)
		return fail_vas(err, "regions");
	for (size_t i = 0; i < plan->nr_regions; i++) {
		uint64_t id;

		err = vas_layout_add(layout, &plan->regions[i], &id);
		if (!err)
			continue;
		fail(EXIT_REFUSED, "region at %s of %s: %s", text_gpa(plan->regions[i].gpa).s,
		     text_size(plan->regions[i].size).s, vas_error());
		vas_layout_abort(layout);
		return EXIT_REFUSED;
	}
	err = vas_layout_commit(layout, VAS_TIMEOUT_DEFAULT_NS, NULL);
	return err ? fail_vas(err, "regions") : EXIT_OK;
}

int plan_create(struct plan *plan, struct vas **vas)
{
	size_t nr_asked = plan->nr_regions;
	int code = add_memory(plan), err;

	if (!code && !plan->nr_regions && !plan->options.limit)
		code = fail_usage("how large is it to be? Give --memory, --region or --limit");
	if (!code)
		code = place(plan, nr_asked);
	if (code)
		return code;
	err = vas_create(&plan->options, vas);
	if (err)
		return fail(EXIT_REFUSED, "cannot create the vas: %s", vas_error());
	code = commit(plan, *vas);
	if (code)
		vas_destroy(*vas);
	return code;
}

void plan_clean(struct plan *plan)
{
	free(plan->regions);
}
