// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas metrics: what 'vas top' shows, for a monitoring system: once, or as often as it asks. */
#include <string.h>

#include "cli/target/parse.h"
#include "cli/top/top.h"
#include "cli/ui/verb.h"
#include "cli/vmm/child.h"

static const struct option longs[] = {
	{ "delay", required_argument, NULL, 'd' },
	{ "listen", required_argument, NULL, 'l' },
	{ "track", no_argument, NULL, 't' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* What is written in a time needs a look at its beginning, too. 1: a signal came. */
static int look(struct top *top, uint64_t delay_ns, int *err)
{
	*err = top_look(top);
	if (*err || !top->tracks)
		return 0;
	if (wait_or_signal(delay_ns))
		return 1;
	*err = top_look(top);
	return 0;
}

static int print(struct top *top, uint64_t delay_ns)
{
	int err;

	if (top->tracks)
		block_signals();
	if (look(top, delay_ns, &err))
		return fail(EXIT_REFUSED, "ended by a signal, before anything was printed");
	if (err)
		return fail(EXIT_REFUSED, "cannot look: %s", strerror(-err));
	if (top->nr_names && !top->nr)
		return fail(EXIT_NOT_FOUND, "there is no vas '%s' that this user may see",
			    top->names[0]);
	top_print_metrics(stdout, top);
	return EXIT_OK;
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":d:l:th", longs, 0 };
	struct top top = { .order = TOP_BY_NAME };
	uint64_t delay_ns = 1000000000ull;
	const char *address = NULL;
	int c, code;

	while ((c = option_next(&options)) >= 0) {
		if (c == 't')
			top.tracks = 1;
		else if (c == 'l')
			address = optarg;
		else if (parse_seconds(optarg, &delay_ns))
			return fail_usage("--delay: '%s' is no number of seconds from 0.1 to 3600",
					  optarg);
	}
	if (c == OPTION_STOP)
		return options.status;
	top.names = argv + optind;
	top.nr_names = argc - optind;
	code = address ? top_serve(&top, address, delay_ns) : print(&top, delay_ns);
	top_clean(&top);
	return code;
}

const struct verb verb_metrics = {
	.name = "metrics",
	.args = "[OPTION...] [NAME...]",
	.summary = "Print what 'vas top' shows as OpenMetrics text",
	.help = "  -l, --listen=ADDRESS serve it by HTTP: PORT (of localhost), HOST:PORT, :PORT or unix:PATH\n"
		"  -t, --track          count what is written, for which every writer has to mark it\n"
		"  -d, --delay=SECONDS  for how long that is counted, and how old what is served may be: 1\n"
		"                       unless given\n"
		"\n"
		"For Prometheus, by --listen or by way of node_exporter's textfile collector, and others. With\n"
		"NAMEs, only those; without --listen it is an error if none of them is there.\n",
	.run = run,
};
