// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas send: a vas goes to another host, process or file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vas/dirty.h>
#include <vas/migrate.h>

#include "cli/endpoint/endpoint.h"
#include "cli/vmm/guest.h"
#include "cli/vmm/live.h"
#include "cli/ui/json.h"
#include "cli/target/parse.h"
#include "cli/ui/text.h"
#include "cli/ui/verb.h"

enum { SEND_FORCE = 2000 };

#define DOWNTIME_NS 300000000ull /* the library's default, which is QEMU's own */

static const struct option longs[] = {
	{ "channels", required_argument, NULL, 'c' },
	{ "compress", required_argument, NULL, 'z' },
	{ "rate", required_argument, NULL, 'r' },
	{ "downtime", required_argument, NULL, 'd' },
	{ "max-downtime", required_argument, NULL, 'D' },
	{ "force", no_argument, NULL, SEND_FORCE },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

struct job {
	struct vas_migrate_options options;
	struct guest guest;
	const struct endpoint *endpoint;
	int as_json;
	int force;
	struct live live; /* of a guest that runs meanwhile */
	int is_live;
	int is_paused; /* by stop_guest() */
	/* of a QEMU, from its stop to where the stream takes it */
	void *record;
	size_t record_size;
};

/* ---- what libvas-migrate asks for --------------------------------------------------------- */

/*
 * The state comes before the last of the memory: QEMU might write to that when it saves. A guest
 * that was live stands, and its state comes behind what is told.
 */
static int stop_guest(void *arg)
{
	struct job *job = arg;
	int err = job->is_live ? 0 : guest_stop(&job->guest);

	job->is_paused = !err;
	if (!err && job->guest.qmp && !job->is_live)
		err = guest_save(&job->guest, &job->record, &job->record_size);
	return err;
}

static ssize_t told(void *arg, struct vas_dirty_word *words, size_t nr)
{
	struct job *job = arg;

	if (live_stands(&job->live) && !job->is_paused)
		return 0;
	return live_next(&job->live, words, nr);
}

static int is_sure(void *arg)
{
	return live_is_sure(&((struct job *)arg)->live);
}

static void let_go_on(void *arg)
{
	struct job *job = arg;

	live_end(&job->live);
	if (guest_go_on(&job->guest))
		note("the guest stands still: %s", vas_error());
}

static int describe(void *arg, void **description, size_t *size)
{
	struct job *job = arg;

	return guest_describe(&job->guest, job->is_live, description, size);
}

/* QEMU has saved it meanwhile; and while it is asked whether it has, there is time to look. */
static int take_state(struct job *job)
{
	struct guest_look look;
	int err = 0, looked = 0;

	if (!job->force)
		guest_look_begin(&look, &job->guest);
	if (job->is_live)
		err = live_state(&job->live, &job->record, &job->record_size);
	if (!job->force)
		looked = guest_look_end(&look);
	return looked ? looked : err;
}

/* All memory is sent, and the receiver has not been told so. */
static int save(void *arg, void **state, size_t *size)
{
	struct job *job = arg;
	int err = take_state(job);

	if (!err && !job->endpoint->is_one_way)
		err = guest_may_move(&job->guest);
	if (err)
		return err;
	*state = job->record;
	*size = job->record_size;
	job->record = NULL;
	return 0;
}

static void print_progress(const struct vas_migrate_progress *p)
{
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
}

static int show(void *arg, const struct vas_migrate_progress *p)
{
	uint64_t done = p->pages_sent * VAS_PAGE_SIZE;
	struct job *job = arg;

	if (job->as_json)
		print_progress(p);
	else if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[Kround %u: %s sent, %s left, %s/s", p->round,
			text_size(done).s, text_size(p->pages_left * VAS_PAGE_SIZE).s,
			text_size(p->rate).s);
	return 0;
}

static const struct vas_migrate_ops vas_ops = { .save = save, .progress = show };
static const struct vas_migrate_ops guest_ops = { .pause = stop_guest,
						  .resume = let_go_on,
						  .save = save,
						  .progress = show,
						  .describe = describe };
static const struct vas_migrate_ops live_ops = { .pause = stop_guest,
						 .resume = let_go_on,
						 .save = save,
						 .progress = show,
						 .told = told,
						 .is_sure = is_sure,
						 .describe = describe };

/* ---- sending ------------------------------------------------------------------------------ */

/* QEMU's writes are in no dirty log: it is asked, or stopped first. */
static int prepare_guest(struct job *job)
{
	struct vas_migrate_options *options = &job->options;
	uint64_t downtime_ns = options->downtime_ns ? options->downtime_ns : DOWNTIME_NS;
	int sees_all, is_live = 0;

	if (job->guest.was_running)
		is_live = live_begin(&job->live, &job->guest, downtime_ns / 1000000);
	if (is_live < 0)
		return is_live;
	if (!is_live) {
		options->ops = &guest_ops;
		options->flags |= VAS_MIGRATE_STOP_FIRST;
		return 0;
	}
	job->is_live = 1;
	options->ops = &live_ops;
	sees_all = qemu_sees_all_writes(job->guest.qmp);
	if (!sees_all)
		options->flags |= VAS_MIGRATE_COMPARE_TOLD;
	return sees_all < 0 ? sees_all : 0;
}

static int migrate(struct job *job, struct vas_migrate_progress *report)
{
	int err;

	job->options.fds = job->endpoint->fds;
	job->options.nr_fds = (uint32_t)job->endpoint->nr;
	job->options.ops = &vas_ops;
	job->options.arg = job;
	if (job->endpoint->is_one_way)
		job->options.flags |= VAS_MIGRATE_ONE_WAY;
	err = job->guest.qmp ? prepare_guest(job) : 0;
	if (!err)
		err = vas_migrate_send(job->guest.vas, &job->options, report);
	live_end(&job->live);
	free(job->record);
	return err;
}

static int send_vas(struct job *job)
{
	struct vas_migrate_progress report;
	int err = migrate(job, &report);

	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	if (err)
		return fail_vas(err, job->guest.name);
	note("%s of memory in %u rounds, %s on the wire, %.2f s",
	     text_size(report.pages_sent * VAS_PAGE_SIZE).s, report.round,
	     text_size(report.bytes_sent).s, (double)report.elapsed_ns / 1e9);
	return EXIT_OK;
}

static int send_named(struct job *job, const char *name)
{
	int code = guest_open(name, &job->guest), err;

	if (code)
		return code;
	code = guest_check_writers(&job->guest, job->force ? GUEST_FORCED : GUEST_UNLESS_FORCED);
	if (!code && job->guest.qmp && (err = qemu_check_devices(job->guest.qmp)))
		code = fail_vas(err, name);
	if (!code)
		code = send_vas(job);
	/* A file is a copy; what has moved elsewhere is no more here. */
	if (!code && !job->endpoint->is_one_way) {
		guest_end(&job->guest);
		return code;
	}
	if (!code)
		vas_thaw(job->guest.vas);
	guest_close(&job->guest);
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

static int take_option(struct job *job, int *channels, int c)
{
	struct vas_migrate_options *options = &job->options;

	job->as_json |= c == 'j';
	job->force |= c == SEND_FORCE;
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
	struct job job = { 0 };
	struct endpoint endpoint;
	int c, channels = 1, code;

	while ((c = option_next(&options)) >= 0) {
		code = take_option(&job, &channels, c);
		if (code)
			return code;
	}
	if (c == OPTION_STOP ||
	    option_rest(&options, 2, 2, "where to? vas send NAME ENDPOINT") == OPTION_STOP)
		return options.status;
	if (job.as_json && !strcmp(argv[optind + 1], "-"))
		return fail_usage("--json prints to stdout, which is the stream's here");
	code = endpoint_connect(&endpoint, argv[optind + 1], channels);
	if (code)
		return code;
	job.endpoint = &endpoint;
	code = send_named(&job, argv[optind]);
	if (!code)
		code = endpoint_finish(&endpoint);
	endpoint_close(&endpoint);
	return code;
}

const struct verb verb_send = {
	.name = "send",
	.args = "[OPTION...] NAME ENDPOINT",
	.summary = "Move a guest or a vas to another host or process, or copy it to a file",
	.help = "  -c, --channels=N      over N sockets at once, 1 to 8; 'vas receive' takes as many\n"
		"  -z, --compress=KIND   lz4 or zstd\n"
		"  -r, --rate=BYTES      a second, at most\n"
		"  -d, --downtime=MS     the last round, for which writers stop, may take so long; 300 unless given\n"
		"  -D, --max-downtime=MS give up when they have stood still for so long; 30000 unless given\n"
		"      --force           send although somebody may write to the memory meanwhile\n"
		"  -j, --json            print how far it is as JSON, an object ten times a second and a round\n"
		"\n"
		"ENDPOINT is unix:PATH, tcp:HOST:PORT (an IPv6 address in brackets), fd:N, a file's path, or -.\n"
		"A guest in a QEMU that 'vas run' started is sent while it runs, stands for what it wrote last,\n"
		"and goes on where it is received ('vas receive ... -- QEMU'); the QEMU here ends.\n",
	.run = run,
};
