// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <sys/stat.h>

#include "cli/verb/info.h"
#include "cli/ui/json.h"
#include "cli/target/name.h"

static void print_region(const struct vas_region *region)
{
	json_open(NULL, '{');
	json_number("id", region->id);
	json_text("name", region->name, sizeof(region->name));
	json_number("gpa", region->gpa);
	json_number("size", region->size);
	json_number("backing", region->backing);
	json_number("offset", region->offset);
	json_boolean("readonly", !!(region->flags & VAS_REGION_READONLY));
	json_boolean("local", !!(region->flags & VAS_REGION_LOCAL));
	json_boolean("device", !!(region->flags & VAS_REGION_DEVICE));
	json_boolean("alias", !!(region->flags & VAS_REGION_ALIAS));
	json_close();
}

static void print_backing(struct vas *vas, uint32_t nr)
{
	int fd = vas_backing_fd(vas, nr);
	struct stat st;

	json_open(NULL, '{');
	json_number("backing", nr);
	json_boolean("available", fd >= 0);
	if (fd >= 0 && fstat(fd, &st) == 0) {
		json_number("size", (uint64_t)st.st_size);
		json_number("inode", st.st_ino);
		json_number("resident", (uint64_t)st.st_blocks * 512);
	}
	json_close();
}

static void print_event(const struct vas_event *event)
{
	const int is_doorbell = event->kind == VAS_EVENT_DOORBELL;

	json_open(NULL, '{');
	json_number("id", event->id);
	json_text("name", event->name, sizeof(event->name));
	json_text("kind", is_doorbell ? "doorbell" : "irq", 16);
	if (is_doorbell) {
		json_number("addr", event->addr);
		json_number("len", event->len);
		json_boolean("pio", !!(event->flags & VAS_EVENT_PIO));
		if (event->flags & VAS_EVENT_DATAMATCH)
			json_number("data", event->data);
	} else {
		json_number("gsi", event->gsi);
		json_boolean("resample", !!(event->flags & VAS_EVENT_RESAMPLE));
		if (event->flags & VAS_EVENT_MSI) {
			json_number("msi_addr", event->addr);
			json_number("msi_data", event->data);
		}
	}
	json_close();
}

static void print_head(const struct facts *facts)
{
	const struct vas_info *info = &facts->info;
	char uuid[UUID_TEXT_LEN];

	name_format_uuid(info->uuid, uuid);
	json_text("name", info->name, sizeof(info->name));
	json_text("uuid", uuid, sizeof(uuid));
	json_number("size", regions_size(&facts->regions));
	json_number("resident", facts->resident);
	json_number("limit", info->limit);
	json_number("file_size", info->file_size);
	json_number("ram_size", info->ram_size);
	json_number("page_size", info->page_size);
	json_number("generation", info->generation);
	json_boolean("tracking", !!(info->state_flags & VAS_STATE_TRACKING));
	json_boolean("frozen", !!(info->state_flags & VAS_STATE_FROZEN));
	json_number("lazy", info->nr_lazy * VAS_PAGE_SIZE);
	if (info->owner_pid)
		json_number("owner_pid", info->owner_pid);
	else
		json_null("owner_pid");
	json_number("owner_epoch", info->owner_epoch);
	json_text("consumers", info->consumers, sizeof(info->consumers));
	json_number("binders", info->nr_binders);
	json_number("threads", info->nr_threads);
	json_number("pins", info->nr_pins);
	if (facts->found)
		holders_print_json(facts->found);
}

void info_print_json(const struct facts *facts)
{
	json_open(NULL, '{');
	print_head(facts);
	json_open("regions", '[');
	for (size_t i = 0; i < facts->regions.nr; i++)
		print_region(&facts->regions.at[i]);
	json_close();
	json_open("backings", '[');
	for (uint32_t i = 0; i < facts->info.nr_backings; i++)
		print_backing(facts->vas, i);
	json_close();
	json_open("events", '[');
	for (size_t i = 0; i < facts->nr_events; i++)
		print_event(&facts->events[i]);
	json_close();
	json_close();
}
