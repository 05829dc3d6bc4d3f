// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas receive: what vas send sends becomes a vas here, and is held. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <vas/migrate.h>

#include "cli/endpoint/endpoint.h"
#include "cli/vmm/hold.h"
#include "cli/target/parse.h"
#include "cli/ui/text.h"
#include "cli/ui/verb.h"

static const struct option longs[] = {
	{ "channels", required_argument, NULL, 'c' },
	{ "wait", required_argument, NULL, 'w' },
	{ "max", required_argument, NULL, 'm' },
	{ "populate", no_argument, NULL, 'p' },
	{ "hugetlb", no_argument, NULL, 'H' },
	{ "thp", no_argument, NULL, 't' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

struct receipt {
	struct vas_migrate_target target;
	int channels;
	int wait_s;
	int as_json;
};

static int receive(const char *from, struct receipt *receipt)
{
	struct vas_migrate_result result;
	struct endpoint endpoint;
	struct vas *vas;
	int code = endpoint_accept(&endpoint, from, receipt->channels, receipt->wait_s), err;

	if (code)
		return code;
	receipt->target.fds = endpoint.fds;
	receipt->target.nr_fds = (uint32_t)endpoint.nr;
	err = vas_migrate_recv(&receipt->target, &vas, &result);
	endpoint_close(&endpoint);
	if (err == -E2BIG)
		return fail(EXIT_REFUSED, "%s: %s: --max=SIZE allows more", from, vas_error());
	if (err)
		return fail_vas(err, from);
	free(result.state);
	if (result.source_gone)
		note("all has arrived, but the source could not be told: make sure that it is gone");
	note("%s of memory in %u rounds", text_size(result.pages * VAS_PAGE_SIZE).s, result.rounds);
	code = hold_until_signal(vas, receipt->as_json);
	vas_destroy(vas);
	return code;
}

/* Half of the host's memory is as much as somebody gets who connects. */
static uint64_t max_by_default(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) / 2 * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int take_option(struct receipt *r, int c)
{
	if (c == 'c' &&
	    (parse_number(optarg, &r->channels) || r->channels < 1 || r->channels > ENDPOINT_MAX))
		return fail_usage("'%s' is no number of channels: write 1 to %d", optarg,
				  ENDPOINT_MAX);
	if (c == 'w' && (parse_number(optarg, &r->wait_s) || !r->wait_s))
		return fail_usage("--wait: '%s' is no number of seconds", optarg);
	if (c == 'm' && parse_size(optarg, &r->target.max_ram))
		return fail_usage("'%s' is no size: write 4G", optarg);
	if (c == 'p')
		r->target.flags |= VAS_MIGRATE_POPULATE;
	if (c == 'H')
		r->target.create_flags |= VAS_CREATE_HUGETLB;
	if (c == 't')
		r->target.create_flags |= VAS_CREATE_THP;
	if (c == 'j')
		r->as_json = 1;
	return EXIT_OK;
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":c:w:m:pHtjh", longs, 0 };
	struct receipt receipt = { .channels = 1, .target.max_ram = max_by_default() };
	int c, code;

	while ((c = option_next(&options)) >= 0) {
		code = take_option(&receipt, c);
		if (code)
			return code;
	}
	if (c == OPTION_STOP ||
	    option_rest(&options, 1, 1, "where from? vas receive ENDPOINT") == OPTION_STOP)
		return options.status;
	return receive(argv[optind], &receipt);
}

const struct verb verb_receive = {
	.name = "receive",
	.args = "[OPTION...] ENDPOINT",
	.summary = "Wait for a vas that is sent, and hold it open",
	.help = "  -c, --channels=N   as many as 'vas send' has\n"
		"  -w, --wait=SECONDS end if no stream has begun by then; for ever unless given\n"
		"  -m, --max=SIZE     refuse a vas with more memory; half of the host's unless given; 0: any\n"
		"  -p, --populate     allocate its memory before it arrives\n"
		"  -H, --hugetlb      in pages of 2 MiB\n"
		"  -t, --thp          advise transparent huge pages\n"
		"  -j, --json         print what arrived as JSON\n"
		"\n"
		"ENDPOINT is unix:PATH, tcp:HOST:PORT or tcp::PORT to listen at, fd:N, a file's path, or -. An\n"
		"IPv6 address is written in brackets. Connections that are no stream end nothing. When all of it\n"
		"has arrived, PID/FD of the vas is printed, and it is held until a signal ends this.\n",
	.run = run,
};
