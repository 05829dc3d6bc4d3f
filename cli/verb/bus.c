// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas bus: the devices of a guest, who serves them, and how busy they are. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <vas/device.h>

#include "cli/target/devices.h"
#include "cli/target/name.h"
#include "cli/target/parse.h"
#include "cli/ui/json.h"
#include "cli/ui/text.h"
#include "cli/ui/verb.h"
#include "cli/vmm/child.h"

#define DELAY_NS 1000000000ull

static const struct option longs[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "delay", required_argument, NULL, 'd' },
	{ "columns", required_argument, NULL, 'o' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static const char *const heads[] = { "DEVICE",	"KIND",	   "STATE",  "SERVED BY",
				     "QUEUES",	"SIZE",	   "DEPTH",  "REQUESTS/s",
				     "KICKS/s", "CALLS/s", "ERRORS", "GRANTS" };

#define NR_COLUMNS (sizeof(heads) / sizeof(heads[0]))

/* All devices, twice. */
struct look {
	struct vas_device_info before[VAS_MAX_DEVICES], now[VAS_MAX_DEVICES];
	size_t nr_before, nr;
	uint64_t delay_ns;
};

static const struct vas_device_info *find_before(const struct look *look, const char *name)
{
	for (size_t i = 0; i < look->nr_before; i++)
		if (!strcmp(look->before[i].name, name))
			return &look->before[i];
	return NULL;
}

static uint64_t rate(const struct look *look, uint64_t before, uint64_t now)
{
	return look->delay_ns ? (uint64_t)((double)(now - before) * 1e9 / (double)look->delay_ns) :
				0;
}

static const char *state_of(uint32_t state)
{
	static const char *const names[] = { "none", "new", "served", "orphaned" };

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

static const char *queue_state_of(uint32_t state)
{
	static const char *const names[] = { "stopped", "running", "broken" };

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

/* ---- JSON --------------------------------------------------------------------------------- */

static void print_counters(const struct look *look, const struct vas_device_counters *before,
			   const struct vas_device_counters *now)
{
	json_number("depth", devices_depth(now));
	json_number("requests", now->answered);
	json_number("errors", now->errors);
	json_number("kicks", now->kicks);
	json_number("calls", now->calls);
	json_number("requests_per_second", rate(look, before->answered, now->answered));
}

static void print_queues(const struct look *look, const struct vas_device_info *before,
			 const struct vas_device_info *device)
{
	const struct vas_device_counters none = { 0 };

	json_open("queues", '[');
	for (uint32_t i = 0; i < device->nr_queues; i++) {
		const struct vas_device_queue_info *queue = &device->queues[i];

		if (!queue->size)
			continue;
		json_open(NULL, '{');
		json_number("queue", i);
		json_number("size", queue->size);
		json_text("state", queue_state_of(queue->state), 16);
		print_counters(look, before ? &before->queues[i].counters : &none,
			       &queue->counters);
		json_close();
	}
	json_close();
}

static void print_device(const struct look *look, const struct vas_device_info *device)
{
	const struct vas_device_info *before = find_before(look, device->name);
	struct vas_device_counters old = devices_sum(before), now = devices_sum(device);

	json_open(NULL, '{');
	json_text("name", device->name, sizeof(device->name));
	json_number("kind", device->kind);
	json_text("state", state_of(device->state), 16);
	if (device->provider_pid)
		json_number("provider_pid", device->provider_pid);
	else
		json_null("provider_pid");
	json_text("provider", device->provider, sizeof(device->provider));
	json_number("grants", device->grants);
	json_number("status", device->status);
	json_number("offered", device->offered);
	json_number("accepted", device->accepted);
	json_number("queue_size", device->queue_size);
	print_counters(look, &old, &now);
	print_queues(look, before, device);
	json_close();
}

static int print_json(const struct look *look)
{
	json_open(NULL, '[');
	for (size_t i = 0; i < look->nr; i++)
		print_device(look, &look->now[i]);
	json_close();
	return 0;
}

/* ---- a table ------------------------------------------------------------------------------ */

static void count_queues(const struct vas_device_info *device, uint32_t *running, uint32_t *made,
			 uint32_t *broken)
{
	*running = *made = *broken = 0;
	for (uint32_t i = 0; i < device->nr_queues; i++) {
		*made += device->queues[i].size > 0;
		*running += device->queues[i].state == VAS_DEVICE_QUEUE_RUNNING;
		*broken += device->queues[i].state == VAS_DEVICE_QUEUE_BROKEN;
	}
}

static void add_row(struct table *table, const struct look *look,
		    const struct vas_device_info *device)
{
	struct vas_device_counters before = devices_sum(find_before(look, device->name)),
				   now = devices_sum(device);
	uint32_t running, made, broken, size = 0;

	count_queues(device, &running, &made, &broken);
	for (uint32_t i = 0; i < device->nr_queues; i++)
		if (device->queues[i].size > size)
			size = device->queues[i].size;
	table_add(table, "%s", text_shown(device->name, sizeof(device->name)).s);
	table_add(table, "%s", devices_kind(device->kind).s);
	table_add(table, "%s%s", state_of(device->state), broken ? ", needs a reset" : "");
	if (device->provider_pid)
		table_add(table, "%u %s", device->provider_pid,
			  text_shown(device->provider, sizeof(device->provider)).s);
	else
		table_add(table, "-");
	table_add(table, "%u/%u", running, made);
	table_add(table, "%u", size);
	table_add(table, "%llu", (unsigned long long)devices_depth(&now));
	table_add(table, "%llu", (unsigned long long)rate(look, before.answered, now.answered));
	table_add(table, "%llu", (unsigned long long)rate(look, before.kicks, now.kicks));
	table_add(table, "%llu", (unsigned long long)rate(look, before.calls, now.calls));
	table_add(table, "%llu", (unsigned long long)now.errors);
	table_add(table, "%u", device->grants);
}

static int print_table(const struct look *look, const struct shown *shown)
{
	struct table table = TABLE("lllllrrrrrrr");

	if (!look->nr)
		return 0;
	table.ranks = "030014206578";
	table.shown = *shown;
	for (size_t i = 0; i < NR_COLUMNS; i++)
		table_add(&table, "%s", heads[i]);
	for (size_t i = 0; i < look->nr; i++)
		add_row(&table, look, &look->now[i]);
	return table_print(&table, "");
}

/* ---- the verb ----------------------------------------------------------------------------- */

static int show(struct vas *vas, struct look *look, int as_json, const struct shown *shown)
{
	int err;

	block_signals();
	look->nr_before = devices_look(vas, look->before);
	if (look->nr_before && wait_or_signal(look->delay_ns))
		return EXIT_OK;
	look->nr = devices_look(vas, look->now);
	if (!look->nr && !as_json)
		note("there is no device on its bus");
	err = as_json ? print_json(look) : print_table(look, shown);
	return err ? fail(EXIT_REFUSED, "cannot print: %s", strerror(-err)) : EXIT_OK;
}

static int run(int argc, char **argv)
{
	static struct look look = { .delay_ns = DELAY_NS };
	struct options options = { argc, argv, ":jd:o:h", longs, 0 };
	struct shown shown = { .nr = 0 };
	int c, as_json = 0, code = EXIT_OK;
	struct vas *vas;

	while (!code && (c = option_next(&options)) >= 0) {
		if (c == 'o')
			code = shown_take(&shown, optarg, heads, NR_COLUMNS);
		else if (c == 'd' && parse_seconds(optarg, &look.delay_ns))
			code = fail_usage("--delay: '%s' is no number of seconds from 0.1 to 3600",
					  optarg);
		as_json |= c == 'j';
	}
	if (code)
		return code;
	if (c == OPTION_STOP ||
	    option_rest(&options, 1, 1, "which guest? vas bus NAME") == OPTION_STOP)
		return options.status;
	if (as_json && shown.nr)
		return fail_usage("--columns are of the table: not with --json");
	code = name_bind(argv[optind], VAS_ROLE_OBSERVER, &vas);
	if (code)
		return code;
	code = show(vas, &look, as_json, &shown);
	vas_unbind(vas);
	return code;
}

const struct verb verb_bus = {
	.name = "bus",
	.args = "[OPTION...] NAME",
	.summary = "Show a guest's devices, who serves them, and how busy they are",
	.help = "  -j, --json           as JSON, with each queue\n"
		"  -d, --delay=SECONDS  over which requests, kicks and calls are counted: 1 unless given\n"
		"  -o, --columns=LIST   those, such as device,served-by,requests/s; on a terminal, as many as fit\n"
		"\n"
		"Devices on the bus of the vas NAME, which 'vas device NAME --guest' serves. QUEUES: those that run,\n"
		"and those that the guest has made. DEPTH: requests that were taken and not answered. GRANTS: how\n"
		"often somebody was given the device to serve. Counts are what providers say.\n",
	.run = run,
};
