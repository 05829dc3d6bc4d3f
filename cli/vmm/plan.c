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

#define FOUR_GIB  (4ull << 30)
#define ALIGNMENT (128ull << 20) /* of Linux's blocks of memory */

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
	    parse_size_n(colon + 1, (size_t)(end - colon - 1), &region.size) || !region.size ||
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

/* Of the RAM, in the order of its gpa, [from, from + size): it lies in a backing from its start. */
static int add_ram(struct plan *plan, uint64_t from, uint64_t size, uint32_t backing,
		   const char *name)
{
	const struct machine *machine = plan->machine;
	const int is_split = machine && plan->memory >= machine->split_from;
	const uint64_t end = is_split ? machine->below : UINT64_MAX;
	struct vas_region ram = { .gpa = from + (machine ? machine->base : 0),
				  .size = size,
				  .backing = backing };
	int code = EXIT_OK, is_cut;

	/* Below the hole, above it, or in two parts around it. */
	is_cut = from < end && size > end - from;
	snprintf(ram.name, sizeof(ram.name), "%s%s", name, is_cut && !backing ? "-below-4g" : "");
	if (is_cut)
		ram.size = end - from;
	if (from < end)
		code = add_region(plan, &ram);
	if (code || (from < end && !is_cut))
		return code;
	ram.offset = is_cut ? end - from : 0;
	ram.gpa = FOUR_GIB + (from + ram.offset - end);
	ram.size = size - ram.offset;
	snprintf(ram.name, sizeof(ram.name), "%s%s", name, is_cut ? "-above-4g" : "");
	return add_region(plan, &ram);
}

/* Of the NUMA nodes, one after the other: the first one's is in the vas's own file. */
static int add_nodes(struct plan *plan)
{
	uint64_t from = 0;
	int code = EXIT_OK;

	for (size_t i = 0; !code && i < plan->backends.nr_nodes; i++) {
		const struct backend *node = &plan->backends.at[i];

		if (node->size > plan->memory - from)
			return fail_usage("the NUMA nodes have more memory than the %s of -m",
					  text_size(plan->memory).s);
		code = add_ram(plan, from, node->size, (uint32_t)i, node->region);
		from += node->size;
	}
	if (!code && from != plan->memory)
		return fail_usage("the NUMA nodes have less memory than the %s of -m",
				  text_size(plan->memory).s);
	return code;
}

/* What devices have lies behind the RAM, unless they say where. */
static int add_devices(struct plan *plan)
{
	const struct backends *all = &plan->backends;
	uint64_t next = plan->machine ? machine_device_memory(plan->machine, plan->memory) : 0;
	int code = EXIT_OK;

	for (size_t i = all->nr_nodes; !code && i < all->nr; i++) {
		const struct backend *device = &all->at[i];
		struct vas_region region = { .gpa = device->gpa ? device->gpa : next,
					     .size = device->size,
					     .backing = (uint32_t)(i + !all->nr_nodes) };

		strcpy(region.name, device->region);
		next = (region.gpa + region.size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
		code = add_region(plan, &region);
	}
	return code;
}

/* The machine's RAM, behind the regions that were asked for one by one. */
static int add_memory(struct plan *plan)
{
	if (!plan->memory)
		return EXIT_OK;
	return plan->backends.nr_nodes ? add_nodes(plan) : add_ram(plan, 0, plan->memory, 0, "ram");
}

/* Files of their own, in the order of their numbers. */
static int create_backings(const struct plan *plan, struct vas *vas)
{
	const struct backends *all = &plan->backends;
	const uint32_t flags = plan->options.flags & VAS_CREATE_HUGETLB;
	int err = 0;

	for (size_t i = all->nr_nodes > 0; err >= 0 && i < all->nr; i++)
		err = vas_backing_create(vas, all->at[i].region, all->at[i].size, flags);
	return err < 0 ? fail_vas(err, "memory back ends") : EXIT_OK;
}

static uint64_t round_up(uint64_t size, const struct plan *plan)
{
	uint64_t page = plan->options.flags & VAS_CREATE_HUGETLB ? 2ull << 20 : VAS_PAGE_SIZE;

	return (size + page - 1) & ~(page - 1);
}

/* Offsets, and from them limit and ram_size. libvas checks what does not fit. */
static int place(struct plan *plan, size_t nr_asked)
{
	const int moved = plan->nr_regions > nr_asked + 1 || (plan->machine && plan->machine->base);
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
	if (!code)
		code = add_devices(plan);
	if (code)
		return code;
	err = vas_create(&plan->options, vas);
	if (err)
		return fail(EXIT_REFUSED, "cannot create the vas: %s", vas_error());
	code = create_backings(plan, *vas);
	if (!code)
		code = commit(plan, *vas);
	if (code)
		vas_destroy(*vas);
	return code;
}

void plan_clean(struct plan *plan)
{
	free(plan->regions);
	backends_clean(&plan->backends);
}
