// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What a look has found as OpenMetrics text, which Prometheus and others take. All are gauges: a
 * counter's family is not called as its samples are, and in the older text format it must be.
 */
#include <stdio.h>
#include <string.h>

#include "cli/target/name.h"
#include "cli/top/top.h"
#include "cli/ui/text.h"

/* One quantity of every vas. What its value is not known of (TOP_NONE) is left out. */
struct family {
	const char *name; /* without "vas_" */
	const char *unit; /* the name's end, or NULL */
	const char *help;
	uint64_t (*value)(const struct top_entry *entry);
};

#define VALUE(function, expression)                             \
	static uint64_t function(const struct top_entry *entry) \
	{                                                       \
		return expression;                              \
	}

VALUE(size, entry->size)
VALUE(resident, entry->resident)
VALUE(lazy, entry->info.nr_lazy *VAS_PAGE_SIZE)
VALUE(dirty_rate, entry->dirty_rate)
VALUE(working_set, entry->working_set)
VALUE(round_of_migration, entry->migration_round)
VALUE(holders, entry->nr_holders)
VALUE(binders, entry->info.nr_binders)
VALUE(threads, entry->info.nr_threads)
VALUE(pins, entry->info.nr_pins)
VALUE(regions, entry->info.nr_regions)
VALUE(events, entry->info.nr_events)
VALUE(is_owned, entry->info.owner_pid != 0)
VALUE(is_frozen, !!(entry->info.state_flags & VAS_STATE_FROZEN))
VALUE(is_tracking, !!(entry->info.state_flags & VAS_STATE_TRACKING))
VALUE(generation, entry->info.generation)
VALUE(owner_epoch, entry->info.owner_epoch)

static const struct family families[] = {
	{ "size_bytes", "bytes", "Memory of all regions.", size },
	{ "resident_bytes", "bytes", "Of it, what takes memory of the host.", resident },
	{ "lazy_bytes", "bytes", "Memory of a snapshot that is not filled yet.", lazy },
	{ "written_bytes_per_second", NULL, "Written, in whole pages.", dirty_rate },
	{ "working_set_bytes", "bytes", "Written since the look before.", working_set },
	{ "migration_rounds", NULL, "Rounds of a migration under way.", round_of_migration },
	{ "holders", NULL, "Processes that have it open.", holders },
	{ "binders", NULL, "Bound handles that are alive.", binders },
	{ "threads", NULL, "Registered threads.", threads },
	{ "pins", NULL, "Long-lived maps.", pins },
	{ "regions", NULL, "Regions of the layout.", regions },
	{ "events", NULL, "Doorbells and interrupts.", events },
	{ "owned", NULL, "1: its owner is alive.", is_owned },
	{ "frozen", NULL, "1: writers are kept out.", is_frozen },
	{ "tracking", NULL, "1: writers mark what they write.", is_tracking },
	{ "generation", NULL, "Changes of layout, tracking and freeze so far.", generation },
	{ "owner_epoch", NULL, "How often it got a new owner.", owner_epoch },
};

/* Names come from whoever made the vas: printable text, with what the format escapes. */
static void print_label(const char *key, const char *text, size_t max)
{
	const struct clean_text clean = text_clean(text, max);

	printf("%s=\"", key);
	for (const char *c = clean.s; *c; c++) {
		if (*c == '"' || *c == '\\')
			putchar('\\');
		putchar(*c);
	}
	putchar('"');
}

/* The holder is in it so that no two vas are one series, whatever they say of themselves. */
static void print_labels(const struct top_entry *entry)
{
	char uuid[UUID_TEXT_LEN];

	name_format_uuid(entry->info.uuid, uuid);
	print_label("name", entry->info.name, sizeof(entry->info.name));
	printf(",uuid=\"%s\",holder=\"%d/%d\"", uuid, entry->pid, entry->fd);
}

static void print_head(const char *name, const char *unit, const char *help)
{
	printf("# TYPE vas_%s gauge\n", name);
	if (unit)
		printf("# UNIT vas_%s %s\n", name, unit);
	printf("# HELP vas_%s %s\n", name, help);
}

static void print_family(const struct top *top, const struct family *family)
{
	print_head(family->name, family->unit, family->help);
	for (size_t i = 0; i < top->nr; i++) {
		uint64_t value = family->value(&top->entries[i]);

		if (value == TOP_NONE)
			continue;
		printf("vas_%s{", family->name);
		print_labels(&top->entries[i]);
		printf("} %llu\n", (unsigned long long)value);
	}
}

/* "kvm,module!": an exclamation mark means out of step. One name is one sample. */
static void print_consumers_of(const struct top_entry *entry)
{
	char names[VAS_CONSUMERS_LEN + 1] = "", seen[VAS_CONSUMERS_LEN + 3] = ",", *rest = names;
	char *name;

	memcpy(names, entry->info.consumers, VAS_CONSUMERS_LEN);
	while ((name = strsep(&rest, ","))) {
		char *mark = strchr(name, '!'), once[VAS_CONSUMERS_LEN + 3];

		if (mark)
			*mark = '\0';
		snprintf(once, sizeof(once), ",%s,", name);
		if (!*name || strstr(seen, once))
			continue;
		strcat(strcat(seen, name), ",");
		fputs("vas_consumer_in_step{", stdout);
		print_labels(entry);
		putchar(',');
		print_label("consumer", name, VAS_CONSUMERS_LEN);
		printf("} %d\n", !mark);
	}
}

void top_print_metrics(const struct top *top)
{
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		print_family(top, &families[i]);
	print_head("consumer_in_step", NULL, "0: a consumer could not follow the layout.");
	for (size_t i = 0; i < top->nr; i++)
		print_consumers_of(&top->entries[i]);
	puts("# EOF");
}
