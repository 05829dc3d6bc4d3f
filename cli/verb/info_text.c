// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <inttypes.h>
#include <sys/stat.h>

#include "cli/verb/info.h"
#include "cli/target/name.h"
#include "cli/ui/text.h"

static void print_file(const struct facts *facts)
{
	const struct vas_info *info = &facts->info;
	const int is_compact = info->ram_size != info->limit;
	char uuid[UUID_TEXT_LEN];

	name_format_uuid(info->uuid, uuid);
	printf("name        %s\n", *info->name ? text_shown(info->name, VAS_NAME_LEN).s : "-");
	printf("uuid        %s\n", uuid);
	printf("memory      %s in %u region%s, %s resident\n",
	       text_size(regions_size(&facts->regions)).s, info->nr_regions,
	       info->nr_regions == 1 ? "" : "s", text_size(facts->resident).s);
	printf("limit       %s (%s)\n", text_gpa(info->limit).s, text_size(info->limit).s);
	printf("file        %s, %s pages, %s\n", text_size(info->file_size).s,
	       text_size(info->page_size).s,
	       is_compact ? "compact (offsets are not gpas)" : "sparse (offset = gpa)");
}

static void print_state(const struct vas_info *info)
{
	printf("generation  %" PRIu64 "%s%s\n", info->generation,
	       info->state_flags & VAS_STATE_TRACKING ? ", dirty tracking" : "",
	       info->state_flags & VAS_STATE_FROZEN ? ", frozen for writers" : "");
	if (info->nr_lazy)
		printf("             %s of a restored snapshot is not filled yet\n",
		       text_size(info->nr_lazy * VAS_PAGE_SIZE).s);
	if (info->owner_pid)
		printf("owner       process %u", info->owner_pid);
	else
		printf("owner       none: it can be adopted");
	printf("%s\n", info->owner_epoch ? ", adopted before" : "");
	if (*info->consumers)
		printf("attached    %s\n", text_shown(info->consumers, VAS_CONSUMERS_LEN).s);
	printf("bound       %u handle%s, %u thread%s, %u long-lived map%s\n", info->nr_binders,
	       info->nr_binders == 1 ? "" : "s", info->nr_threads, info->nr_threads == 1 ? "" : "s",
	       info->nr_pins, info->nr_pins == 1 ? "" : "s");
}

static void print_holders(const struct facts *facts)
{
	char text[HOLDERS_TEXT];

	if (!facts->found)
		return;
	holders_describe(facts->found, text);
	printf("held by     %s\n", text);
}

static const char *backing_name(const struct vas_region *region, char text[16])
{
	if (region->flags & VAS_REGION_DEVICE)
		return "device";
	if (region->flags & VAS_REGION_LOCAL)
		return "local";
	if (!region->backing)
		return "file";
	snprintf(text, 16, "%u", region->backing);
	return text;
}

static int print_regions(const struct regions *regions)
{
	static const char *const heads[] = { "ID", "GPA", "SIZE", "BACKING", "OFFSET", "", "NAME" };
	struct table table = TABLE("rrrlrll");
	char text[16];

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		table_add(&table, "%s", heads[i]);
	for (size_t i = 0; i < regions->nr; i++) {
		const struct vas_region *at = &regions->at[i];

		table_add(&table, "%" PRIu64, at->id);
		table_add(&table, "%s", text_gpa(at->gpa).s);
		table_add(&table, "%s", text_size(at->size).s);
		table_add(&table, "%s", backing_name(at, text));
		table_add(&table, "%s", text_gpa(at->offset).s);
		table_add(&table, "%s%s", at->flags & VAS_REGION_READONLY ? "ro" : "rw",
			  at->flags & VAS_REGION_ALIAS ? ",alias" : "");
		table_add(&table, "%s", text_shown(at->name, sizeof(at->name)).s);
	}
	printf("\nregions\n");
	return table_print(&table, "  ");
}

static void print_backings(const struct facts *facts)
{
	if (facts->info.nr_backings < 2)
		return;
	printf("\nfurther backings\n");
	for (uint32_t i = 1; i < facts->info.nr_backings; i++) {
		int fd = vas_backing_fd(facts->vas, i);
		struct stat st;

		if (fd >= 0 && fstat(fd, &st) == 0)
			printf("  %u  %s, %s resident, inode %" PRIu64 "\n", i,
			       text_size((uint64_t)st.st_size).s,
			       text_size((uint64_t)st.st_blocks * 512).s, st.st_ino);
		else
			printf("  %u  not at hand: its fd was not found\n", i);
	}
}

static void print_event(const struct vas_event *event)
{
	printf("  %u  %s  ", event->id, text_shown(event->name, sizeof(event->name)).s);
	if (event->kind == VAS_EVENT_DOORBELL) {
		printf("doorbell at %s %s", event->flags & VAS_EVENT_PIO ? "port" : "gpa",
		       text_gpa(event->addr).s);
		if (event->len)
			printf(", %u byte%s wide", event->len, event->len == 1 ? "" : "s");
		if (event->flags & VAS_EVENT_DATAMATCH)
			printf(", for writes of %s", text_gpa(event->data).s);
	} else {
		printf("irq, gsi %u", event->gsi);
		if (event->flags & VAS_EVENT_MSI)
			printf(", MSI %s = %s", text_gpa(event->addr).s, text_gpa(event->data).s);
		if (event->flags & VAS_EVENT_RESAMPLE)
			printf(", level-triggered");
	}
	putchar('\n');
}

int info_print(const struct facts *facts)
{
	int err = 0;

	print_file(facts);
	print_state(&facts->info);
	print_holders(facts);
	if (facts->regions.nr)
		err = print_regions(&facts->regions);
	if (err)
		return err;
	print_backings(facts);
	if (facts->nr_events)
		printf("\nevents\n");
	for (size_t i = 0; i < facts->nr_events; i++)
		print_event(&facts->events[i]);
	return 0;
}
