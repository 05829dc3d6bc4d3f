// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <stdio.h>
#include <string.h>

#include "cli/ui/json.h"
#include "cli/target/name.h"
#include "cli/ui/text.h"
#include "cli/top/top.h"

const char *const top_heads[TOP_COLUMNS] = { "NAME",	 "OWNER",     "SIZE",
					     "RESIDENT", "WRITTEN/s", "WORKING SET",
					     "BINDERS",	 "DEVICES",   "STATE" };
const char top_align[] = "lrrrrrrrl";
const char top_ranks[] = "053012674";

static void size_cell(char *cell, uint64_t size)
{
	snprintf(cell, TOP_CELL_SIZE, "%s", size == TOP_NONE ? "-" : text_size(size).s);
}

static void state_cell(char *cell, const struct top_entry *entry)
{
	const struct vas_info *info = &entry->info;
	size_t len = 0;

	*cell = '\0';
	if (entry->migration_round != TOP_NONE)
		len += (size_t)sprintf(cell + len, "migrating, round %llu; ",
				       (unsigned long long)entry->migration_round);
	if (info->state_flags & VAS_STATE_FROZEN)
		len += (size_t)sprintf(cell + len, "frozen; ");
	if (info->nr_lazy)
		len += (size_t)sprintf(cell + len, "%s to come; ",
				       text_size(info->nr_lazy * VAS_PAGE_SIZE).s);
	if (info->state_flags & VAS_STATE_TRACKING && entry->migration_round == TOP_NONE)
		len += (size_t)sprintf(cell + len, "tracked; ");
	if (*info->consumers)
		len += (size_t)sprintf(cell + len, "%s; ",
				       text_shown(info->consumers, VAS_CONSUMERS_LEN).s);
	if (len)
		cell[len - 2] = '\0';
}

/* Those that somebody serves, of all. */
static void devices_cell(char *cell, const struct top_entry *entry)
{
	if (entry->nr_devices)
		snprintf(cell, TOP_CELL_SIZE, "%u/%u", entry->nr_served, entry->nr_devices);
	else
		snprintf(cell, TOP_CELL_SIZE, "-");
}

/* Names come from whoever made the vas: nothing of them reaches the terminal but text. */
void top_cells(const struct top_entry *entry, char cells[TOP_COLUMNS][TOP_CELL_SIZE])
{
	const struct vas_info *info = &entry->info;

	if (*info->name)
		snprintf(cells[0], TOP_CELL_SIZE, "%s", text_shown(info->name, VAS_NAME_LEN).s);
	else
		snprintf(cells[0], TOP_CELL_SIZE, "%d/%d", entry->pid, entry->fd);
	if (info->owner_pid)
		snprintf(cells[1], TOP_CELL_SIZE, "%u", info->owner_pid);
	else
		snprintf(cells[1], TOP_CELL_SIZE, "none");
	size_cell(cells[2], entry->size);
	size_cell(cells[3], entry->resident);
	size_cell(cells[4], entry->dirty_rate);
	size_cell(cells[5], entry->working_set);
	snprintf(cells[6], TOP_CELL_SIZE, "%u", info->nr_binders);
	devices_cell(cells[7], entry);
	state_cell(cells[8], entry);
}

int top_print(const struct top *top)
{
	struct table table = TABLE("lrrrrrrrl");

	table.ranks = top_ranks;
	table.shown = top->shown;
	for (size_t i = 0; i < TOP_COLUMNS; i++)
		table_add(&table, "%s", top_heads[i]);
	for (size_t i = 0; i < top->nr; i++) {
		char cells[TOP_COLUMNS][TOP_CELL_SIZE];

		top_cells(&top->entries[i], cells);
		for (size_t j = 0; j < TOP_COLUMNS; j++)
			table_add(&table, "%s", cells[j]);
	}
	return table_print(&table, "");
}

static void json_known(const char *key, uint64_t number)
{
	if (number == TOP_NONE)
		json_null(key);
	else
		json_number(key, number);
}

static void print_entry(const struct top_entry *entry)
{
	const struct vas_info *info = &entry->info;
	char uuid[UUID_TEXT_LEN];

	name_format_uuid(info->uuid, uuid);
	json_open(NULL, '{');
	json_text("name", info->name, sizeof(info->name));
	json_text("uuid", uuid, sizeof(uuid));
	json_number("pid", (uint64_t)entry->pid);
	json_number("fd", (uint64_t)entry->fd);
	json_known("owner_pid", info->owner_pid ? info->owner_pid : TOP_NONE);
	json_number("size", entry->size);
	json_number("resident", entry->resident);
	json_known("written_per_second", entry->dirty_rate);
	json_known("working_set", entry->working_set);
	json_number("binders", info->nr_binders);
	json_number("holders", entry->nr_holders);
	json_number("devices", entry->nr_devices);
	json_number("devices_served", entry->nr_served);
	json_known("migration_round", entry->migration_round);
	json_boolean("tracking", !!(info->state_flags & VAS_STATE_TRACKING));
	json_boolean("frozen", !!(info->state_flags & VAS_STATE_FROZEN));
	json_number("lazy", info->nr_lazy * VAS_PAGE_SIZE);
	json_text("consumers", info->consumers, sizeof(info->consumers));
	json_close();
}

void top_print_json(const struct top *top)
{
	json_open(NULL, '[');
	for (size_t i = 0; i < top->nr; i++)
		print_entry(&top->entries[i]);
	json_close();
}
