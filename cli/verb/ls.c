// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas ls: every vas on this host that the caller may see. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/ui/json.h"
#include "cli/target/holders.h"
#include "cli/target/name.h"
#include "cli/ui/text.h"
#include "cli/ui/verb.h"

static const struct option longs[] = {
	{ "columns", required_argument, NULL, 'o' },
	{ "json", no_argument, NULL, 'j' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static const char *const heads[] = { "NAME",	"PID/FD", "SIZE",     "RESIDENT", "REGIONS",
				     "BINDERS", "OWNER",  "ATTACHED", "EVENTS",	  "HELD BY" };

#define NR_COLUMNS (sizeof(heads) / sizeof(heads[0]))

static void print_json_one(const struct found *found)
{
	char uuid[UUID_TEXT_LEN];

	name_format_uuid(found->info.uuid, uuid);
	json_open(NULL, '{');
	json_text("name", found->info.name, sizeof(found->info.name));
	json_text("uuid", uuid, sizeof(uuid));
	holders_print_json(found);
	json_number("size", found->size);
	json_number("limit", found->info.limit);
	json_number("resident", found->resident);
	json_number("regions", found->info.nr_regions);
	if (found->info.owner_pid)
		json_number("owner_pid", found->info.owner_pid);
	else
		json_null("owner_pid");
	json_text("consumers", found->info.consumers, sizeof(found->info.consumers));
	json_number("events", found->info.nr_events);
	json_number("binders", found->info.nr_binders);
	json_close();
}

static int print_json(const struct scan *scan)
{
	json_open(NULL, '[');
	for (size_t i = 0; i < scan->nr_found; i++)
		print_json_one(&scan->found[i]);
	json_close();
	return 0;
}

/* What the command line takes: the name where there is one. */
static int print_names(const struct scan *scan)
{
	for (size_t i = 0; i < scan->nr_found; i++) {
		const struct found *found = &scan->found[i];
		const struct holder *first = found_holder(found);

		if (*found->info.name)
			puts(text_clean(found->info.name, sizeof(found->info.name)).s);
		else
			printf("%d/%d\n", first->pid, first->fd);
	}
	return 0;
}

static void add_row(struct table *table, const struct found *found)
{
	const struct vas_info *info = &found->info;
	const struct holder *first = found_holder(found);
	char text[HOLDERS_TEXT];

	table_add(table, "%s", *info->name ? text_shown(info->name, VAS_NAME_LEN).s : "-");
	table_add(table, "%d/%d", first->pid, first->fd);
	table_add(table, "%s", text_size(found->size).s);
	table_add(table, "%s", text_size(found->resident).s);
	table_add(table, "%u", info->nr_regions);
	table_add(table, "%u", info->nr_binders);
	table_add(table, info->owner_pid ? "%u" : "none", info->owner_pid);
	table_add(table, "%s",
		  *info->consumers ? text_shown(info->consumers, VAS_CONSUMERS_LEN).s : "-");
	table_add(table, "%u", info->nr_events);
	holders_describe(found, text);
	table_add(table, "%s", text);
}

static int print_table(const struct scan *scan, const struct shown *shown)
{
	struct table table = TABLE("llrrrrrlrl");

	if (!scan->nr_found)
		return 0;
	table.ranks = "0003576498";
	table.shown = *shown;
	for (size_t i = 0; i < NR_COLUMNS; i++)
		table_add(&table, "%s", heads[i]);
	for (size_t i = 0; i < scan->nr_found; i++)
		add_row(&table, &scan->found[i]);
	return table_print(&table, "");
}

static int list(int format, const struct shown *shown)
{
	struct scan scan;
	int err = scan_host(&scan);

	if (!err && format != 'q')
		err = scan_maps(&scan);
	if (!err && format == 'j')
		err = print_json(&scan);
	else if (!err && format == 'q')
		err = print_names(&scan);
	else if (!err)
		err = print_table(&scan, shown);
	if (!err && !scan.nr_found && !format)
		note("no vas is open in any process%s",
		     scan.nr_denied ? " that this user may look into" : " of this host");
	scan_clean(&scan);
	return err ? fail(EXIT_REFUSED, "cannot list: %s", strerror(-err)) : EXIT_OK;
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":o:jqh", longs, 0 };
	struct shown shown = { .nr = 0 };
	int c, format = 0, code = EXIT_OK;

	while (!code && (c = option_next(&options)) >= 0) {
		if (c == 'o')
			code = shown_take(&shown, optarg, heads, NR_COLUMNS);
		else if (format && format != c)
			code = fail_usage("--json and --quiet are two forms: choose one");
		else
			format = c;
	}
	if (code)
		return code;
	if (c == OPTION_STOP || option_rest(&options, 0, 0, "") == OPTION_STOP)
		return options.status;
	if (format && shown.nr)
		return fail_usage("--columns are of the table: not with --json or --quiet");
	return list(format, &shown);
}

const struct verb verb_ls = {
	.name = "ls",
	.args = "[--columns LIST | --json | --quiet]",
	.summary = "List every vas on this host that you may see",
	.help = "  -o, --columns LIST   those, such as name,pid/fd,held-by; on a terminal, as many as fit\n"
		"  -j, --json     as JSON, with everything that is known\n"
		"  -q, --quiet    only what names it, one a line\n"
		"\n"
		"SIZE is the memory of all regions, RESIDENT what of it takes memory now. PID/FD, or\n"
		"the name, names the vas to the other verbs. HELD BY: the processes that have it open\n"
		"or mapped; processes of other users are seen by root only.\n",
	.run = run,
};
