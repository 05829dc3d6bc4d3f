// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas send: a vas goes to another host, process or file. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <vas/dirty.h>
#include <vas/migrate.h>

#include "cli/endpoint/endpoint.h"
#include "cli/vmm/hold.h"
#include "cli/ui/json.h"
#include "cli/target/parse.h"
#include "cli/ui/text.h"
#include "cli/ui/verb.h"

static const struct option longs[] = {
	{ "channels", required_argument, NULL, 'c' },
	{ "compress", required_argument, NULL, 'z' },
	{ "rate", required_argument, NULL, 'r' },
	{ "downtime", required_argument, NULL, 'd' },
	{ "max-downtime", required_argument, NULL, 'D' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int print_progress(void *arg, const struct vas_migrate_progress *p)
{
	(void)arg;
	json_open(NULL, '{');
	json_number("round", p->round);
	json_boolean("frozen", p->frozen != 0);
	json_number("elapsed_ns", p->elapsed_ns);
	json_number("sent", p->pages_sent * VAS_PAGE_SIZE);
	json_number("zero", p->pages_zero * VAS_PAGE_SIZE);
	json_number("left", p->pages_left * VAS_PAGE_SIZE);
	json_number("on_the_wire", p->bytes_sent);
	json_number("rate", p->rate);
	json_close();
	fflush(stdout);
	return 0;
}

static int show(void *arg, const struct vas_migrate_progress *p)
{
	uint64_t done = p->pages_sent * VAS_PAGE_SIZE;

	(void)arg;
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[Kround %u: %s sent, %s left, %s/s", p->round,
			text_size(done).s, text_size(p->pages_left * VAS_PAGE_SIZE).s,
			text_size(p->rate).s);
	return 0;
}

static int send_vas(const char *name, const struct endpoint *endpoint,
		    struct vas_migrate_options *options, int as_json)
{
	static const struct vas_migrate_ops shows = { .progress = show };
	static const struct vas_migrate_ops prints = { .progress = print_progress };
	struct vas_migrate_progress report;
	struct vas *vas;
	int code = hold_adopt(name, &vas), err;

	if (code)
		return code;
	options->fds = endpoint->fds;
	options->nr_fds = (uint32_t)endpoint->nr;
	options->ops = as_json ? &prints : &shows;
	if (endpoint->is_one_way)
		options->flags |= VAS_MIGRATE_ONE_WAY;
	err = vas_migrate_send(vas, options, &report);
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	if (err)
		code = fail_vas(err, name);
	else
		note("%s of memory in %u rounds, %s on the wire, %.2f s",
		     text_size(report.pages_sent * VAS_PAGE_SIZE).s, report.round,
		     text_size(report.bytes_sent).s, (double)report.elapsed_ns / 1e9);
	/* A file is a copy; what has moved elsewhere is no more here. */
	if (!err && endpoint->is_one_way)
		vas_thaw(vas);
	if (err || endpoint->is_one_way)
		vas_unbind(vas);
	else
		vas_destroy(vas);
	return code;
}

static int take_milliseconds(const char *option, uint64_t *ns)
{
	int ms;

	if (parse_number(optarg, &ms) || !ms)
		return fail_usage("%s: '%s' is no number of milliseconds", option, optarg);
	*ns = (uint64_t)ms * 1000000;
	return EXIT_OK;
}

static int take_option(struct vas_migrate_options *options, int *channels, int c)
{
	if (c == 'd')
		return take_milliseconds("--downtime", &options->downtime_ns);
	if (c == 'D')
		return take_milliseconds("--max-downtime", &options->max_downtime_ns);
	if (c == 'c' &&
	    (parse_number(optarg, channels) || *channels < 1 || *channels > ENDPOINT_MAX))
		return fail_usage("'%s' is no number of channels: write 1 to %d", optarg,
				  ENDPOINT_MAX);
	if (c == 'r' && parse_size(optarg, &options->rate))
		return fail_usage("'%s' is no rate: write bytes a second, 100M", optarg);
	if (c != 'z')
		return EXIT_OK;
	if (!strcmp(optarg, "lz4"))
		options->flags |= VAS_MIGRATE_LZ4;
	else if (!strcmp(optarg, "zstd"))
		options->flags |= VAS_MIGRATE_ZSTD;
	else
		return fail_usage("'%s' is no way to compress: write lz4 or zstd", optarg);
	return EXIT_OK;
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":c:z:r:d:D:jh", longs, 0 };
	struct vas_migrate_options migrate = { 0 };
	struct endpoint endpoint;
	int c, channels = 1, as_json = 0, code;

	while ((c = option_next(&options)) >= 0) {
		as_json |= c == 'j';
		code = take_option(&migrate, &channels, c);
		if (code)
			return code;
	}
	if (c == OPTION_STOP ||
	    option_rest(&options, 2, 2, "where to? vas send NAME ENDPOINT") == OPTION_STOP)
		return options.status;
	if (as_json && !strcmp(argv[optind + 1], "-"))
		return fail_usage("--json prints to stdout, which is the stream's here");
	code = endpoint_connect(&endpoint, argv[optind + 1], channels);
	if (code)
		return code;
	code = send_vas(argv[optind], &endpoint, &migrate, as_json);
	endpoint_close(&endpoint);
	return code;
}

const struct verb verb_send = {
	.name = "send",
	.args = "[OPTION...] NAME ENDPOINT",
	.summary = "Move a vas to another host or process, or copy it to a file",
	.help = "  -c, --channels=N      over N sockets at once, 1 to 8; 'vas receive' takes as many\n"
		"  -z, --compress=KIND   lz4 or zstd\n"
		"  -r, --rate=BYTES      a second, at most\n"
		"  -d, --downtime=MS     the last round, for which writers stop, may take so long; 300 unless given\n"
		"  -D, --max-downtime=MS give up when they have stood still for so long; 30000 unless given\n"
		"  -j, --json            print how far it is as JSON, an object ten times a second and a round\n"
		"\n"
		"ENDPOINT is unix:PATH, tcp:HOST:PORT (an IPv6 address in brackets), fd:N, a file's path, or -.\n"
		"The vas must have no living owner: a machine that runs is moved by the process that runs it.\n",
	.run = run,
};
