// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What a look has found as OpenMetrics text, which Prometheus and others take. All are gauges: a
 * counter's family is not called as its samples are, and in the older text format it must be.
 */
#include <stdio.h>
#include <string.h>

#include "cli/target/devices.h"
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
static void print_label(FILE *out, const char *key, const char *text, size_t max)
{
	const struct clean_text clean = text_clean(text, max);

	fprintf(out, "%s=\"", key);
	for (const char *c = clean.s; *c; c++) {
		if (*c == '"' || *c == '\\')
			putc('\\', out);
		putc(*c, out);
	}
	putc('"', out);
}

/* The holder is in it so that no two vas are one series, whatever they say of themselves. */
static void print_labels(FILE *out, const struct top_entry *entry)
{
	char uuid[UUID_TEXT_LEN];

	name_format_uuid(entry->info.uuid, uuid);
	print_label(out, "name", entry->info.name, sizeof(entry->info.name));
	fprintf(out, ",uuid=\"%s\",holder=\"%d/%d\"", uuid, entry->pid, entry->fd);
}

/*
 * What only counts up is a gauge as well: the two text formats that this is at once want another
 * name for a counter each.
 */
static void print_head(FILE *out, const char *name, const char *unit, const char *help)
{
	fprintf(out, "# TYPE vas_%s gauge\n", name);
	if (unit)
		fprintf(out, "# UNIT vas_%s %s\n", name, unit);
	fprintf(out, "# HELP vas_%s %s\n", name, help);
}

static void print_family(FILE *out, const struct top *top, const struct family *family)
{
	print_head(out, family->name, family->unit, family->help);
	for (size_t i = 0; i < top->nr; i++) {
		uint64_t value = family->value(&top->entries[i]);

		if (value == TOP_NONE)
			continue;
		fprintf(out, "vas_%s{", family->name);
		print_labels(out, &top->entries[i]);
		fprintf(out, "} %llu\n", (unsigned long long)value);
	}
}

/* "kvm,module!": an exclamation mark means out of step. One name is one sample. */
static void print_consumers_of(FILE *out, const struct top_entry *entry)
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
		fputs("vas_consumer_in_step{", out);
		print_labels(out, entry);
		putc(',', out);
		print_label(out, "consumer", name, VAS_CONSUMERS_LEN);
		fprintf(out, "} %d\n", !mark);
	}
}

/* ---- devices on the bus ------------------------------------------------------------------- */

/* One quantity of every device, or of every queue that a guest has made. */
struct device_family {
	const char *name; /* without "vas_" */
	const char *help;
	uint64_t (*of_device)(const struct vas_device_info *device);
	uint64_t (*of_queue)(const struct vas_device_queue_info *queue);
};

#define DEVICE_VALUE(function, expression)                             \
	static uint64_t function(const struct vas_device_info *device) \
	{                                                              \
		return expression;                                     \
	}

#define QUEUE_VALUE(function, expression)                                   \
	static uint64_t function(const struct vas_device_queue_info *queue) \
	{                                                                   \
		return expression;                                          \
	}

DEVICE_VALUE(is_served, device->state == VAS_DEVICE_SERVED)
DEVICE_VALUE(grants, device->grants)
QUEUE_VALUE(is_running, queue->state == VAS_DEVICE_QUEUE_RUNNING)
QUEUE_VALUE(queue_size, queue->size)
QUEUE_VALUE(queue_depth, devices_depth(&queue->counters))
QUEUE_VALUE(requests, queue->counters.answered)
QUEUE_VALUE(errors, queue->counters.errors)
QUEUE_VALUE(kicks, queue->counters.kicks)
QUEUE_VALUE(calls, queue->counters.calls)

static const struct device_family device_families[] = {
	{ "device_served", "1: a process serves it.", is_served, NULL },
	{ "device_grants", "Grows by one each time a process is given it to serve.", grants, NULL },
	{ "device_queue_running", "1: a queue is served.", NULL, is_running },
	{ "device_queue_size", "Its entries.", NULL, queue_size },
	{ "device_queue_depth", "Requests taken and not answered.", NULL, queue_depth },
	{ "device_requests", "Requests answered so far.", NULL, requests },
	{ "device_errors", "Of them, those answered with an error.", NULL, errors },
	{ "device_kicks", "Wakeups by the guest so far.", NULL, kicks },
	{ "device_calls", "Interrupts to the guest so far.", NULL, calls },
};

/* Whoever may write the vas may write a name twice; one sample that is there twice spoils all. */
static int is_twice(const struct top_entry *entry, uint32_t nr)
{
	const struct clean_text name = text_clean(entry->devices[nr].name, VAS_REGION_NAME_LEN);

	for (uint32_t i = 0; i < nr; i++)
		if (!strcmp(text_clean(entry->devices[i].name, VAS_REGION_NAME_LEN).s, name.s))
			return 1;
	return 0;
}

static void begin_sample(FILE *out, const struct top_entry *entry,
			 const struct vas_device_info *device, const char *name)
{
	fprintf(out, "vas_%s{", name);
	print_labels(out, entry);
	putc(',', out);
	print_label(out, "device", device->name, sizeof(device->name));
	fprintf(out, ",kind=\"%s\"", devices_kind(device->kind).s);
}

static void print_device(FILE *out, const struct top_entry *entry,
			 const struct vas_device_info *device, const struct device_family *family)
{
	if (family->of_device) {
		begin_sample(out, entry, device, family->name);
		fprintf(out, "} %llu\n", (unsigned long long)family->of_device(device));
		return;
	}
	for (uint32_t i = 0; i < device->nr_queues; i++) {
		if (!device->queues[i].size)
			continue;
		begin_sample(out, entry, device, family->name);
		fprintf(out, ",queue=\"%u\"} %llu\n", i,
			(unsigned long long)family->of_queue(&device->queues[i]));
	}
}

static void print_devices(FILE *out, const struct top *top, const struct device_family *family)
{
	print_head(out, family->name, NULL, family->help);
	for (size_t i = 0; i < top->nr; i++)
		for (uint32_t j = 0; j < top->entries[i].nr_devices; j++)
			if (!is_twice(&top->entries[i], j))
				print_device(out, &top->entries[i], &top->entries[i].devices[j],
					     family);
}

void top_print_metrics(FILE *out, const struct top *top)
{
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		print_family(out, top, &families[i]);
	print_head(out, "consumer_in_step", NULL, "0: a consumer could not follow the layout.");
	for (size_t i = 0; i < top->nr; i++)
		print_consumers_of(out, &top->entries[i]);
	for (size_t i = 0; i < sizeof(device_families) / sizeof(device_families[0]); i++)
		print_devices(out, top, &device_families[i]);
	fputs("# EOF\n", out);
}
