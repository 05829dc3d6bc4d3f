// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas top: every vas on this host, again and again. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/vmm/child.h"
#include "cli/target/parse.h"
#include "cli/top/top.h"
#include "cli/ui/verb.h"

static const struct option longs[] = {
	{ "batch", no_argument, NULL, 'b' },	     { "once", no_argument, NULL, '1' },
	{ "delay", required_argument, NULL, 'd' },   { "number", required_argument, NULL, 'n' },
	{ "sort", required_argument, NULL, 's' },    { "track", no_argument, NULL, 't' },
	{ "columns", required_argument, NULL, 'o' }, { "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },	     { 0 },
};

struct request {
	struct top top;
	uint64_t delay_ns;
	int is_batch;
	int as_json;
	int number; /* of looks; 0: until a signal */
};

static int print_once(struct request *request)
{
	int err = top_look(&request->top);

	if (!err && request->as_json)
		top_print_json(&request->top);
	else if (!err)
		err = top_print(&request->top);
	if (!err && !request->as_json && request->number != 1)
		putchar('\n');
	fflush(stdout);
	return err;
}

static int batch(struct request *request)
{
	int i, err = 0;

	block_signals();
	/* What is written in a time needs a look at its beginning. */
	if (request->top.tracks)
		err = top_look(&request->top);
	if (!err && request->top.tracks && wait_or_signal(request->delay_ns))
		return EXIT_OK;
	for (i = 0; !err && (!request->number || i < request->number) && !ferror(stdout); i++) {
		if (i && wait_or_signal(request->delay_ns))
			break;
		err = print_once(request);
	}
	if (err)
		return fail(EXIT_REFUSED, "cannot look: %s", strerror(-err));
	if (request->number && request->top.nr_names && !request->top.nr)
		return fail(EXIT_NOT_FOUND, "there is no vas '%s' that this user may see",
			    request->top.names[0]);
	return EXIT_OK;
}

static int take_order(const char *name, struct top *top)
{
	for (int i = 0; i < TOP_ORDERS; i++) {
		if (strcmp(top_order_name((enum top_order)i), name))
			continue;
		top->order = (enum top_order)i;
		return EXIT_OK;
	}
	return fail_usage("--sort: '%s' is none of resident, dirty, working-set, size, name", name);
}

static int take_option(struct request *request, int c)
{
	switch (c) {
	case 'd':
		if (parse_seconds(optarg, &request->delay_ns))
			return fail_usage("--delay: '%s' is no number of seconds from 0.1 to 3600",
					  optarg);
		break;
	case 'o':
		return shown_take(&request->top.shown, optarg, top_heads, TOP_COLUMNS);
	case 's':
		return take_order(optarg, &request->top);
	case 'n':
		if (parse_number(optarg, &request->number) || !request->number)
			return fail_usage("--number: '%s' is no number of looks", optarg);
		break;
	case 't':
		request->top.tracks = 1;
		break;
	case '1':
		request->number = 1;
		break;
	case 'j':
		request->as_json = 1;
		break;
	default:
		break;
	}
	request->is_batch |= !!strchr("b1nj", c);
	return EXIT_OK;
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":b1d:n:o:s:tjh", longs, 0 };
	struct request request = { .delay_ns = 2000000000ull };
	int c, code;

	while ((c = option_next(&options)) >= 0) {
		code = take_option(&request, c);
		if (code)
			return code;
	}
	if (c == OPTION_STOP)
		return options.status;
	if (request.as_json && request.top.shown.nr)
		return fail_usage("--columns are of the table: not with --json");
	request.top.names = argv + optind;
	request.top.nr_names = argc - optind;
	code = request.is_batch ? batch(&request) : top_screen(&request.top, request.delay_ns);
	top_clean(&request.top);
	return code;
}

const struct verb verb_top = {
	.name = "top",
	.args = "[OPTION...] [NAME...]",
	.summary = "Watch every vas on this host that you may see",
	.help = "  -b, --batch          print to stdout again and again, without a terminal\n"
		"  -1, --once           print once\n"
		"  -n, --number=N       print N times\n"
		"  -o, --columns=LIST   those, such as name,resident,state; on a terminal, as many as fit\n"
		"  -j, --json           print as JSON, an array a line\n"
		"  -d, --delay=SECONDS  between two looks: 2 unless given\n"
		"  -s, --sort=COLUMN    resident, dirty, working-set, size or name: the most first\n"
		"  -t, --track          count what is written, for which every writer has to mark it\n"
		"\n"
		"With NAMEs, only those are shown, and tracked.\n"
		"Keys: q ends it, s sorts by the next column, r reverses, t counts what is written or stops that,\n"
		"space looks at once. WORKING SET is what was written in the last 8 looks.\n",
	.run = run,
};
