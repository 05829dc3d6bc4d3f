// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas receive: what vas send sends becomes a vas here, and is held. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vas/consumer.h>
#include <vas/migrate.h>

#include "cli/endpoint/endpoint.h"
#include "cli/target/parse.h"
#include "cli/ui/text.h"
#include "cli/ui/verb.h"
#include "cli/vmm/qemu.h"
#include "cli/vmm/start.h"

enum { RECEIVE_PAUSED = 2000 };

static const struct option longs[] = {
	{ "channels", required_argument, NULL, 'c' },
	{ "wait", required_argument, NULL, 'w' },
	{ "max", required_argument, NULL, 'm' },
	{ "populate", no_argument, NULL, 'p' },
	{ "hugetlb", no_argument, NULL, 'H' },
	{ "thp", no_argument, NULL, 't' },
	{ "paused", no_argument, NULL, RECEIVE_PAUSED },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

struct receipt {
	struct vas_migrate_target target;
	int channels;
	int wait_s;
	int as_json;
	int stays_paused;
	char *const *command; /* the QEMU for a guest that comes with the memory; NULL: none */
	struct held held;
	int has_begun;	 /* the guest's QEMU: it waits for the state */
	int with_ram;	 /* which is of that kind, as the source says */
	int has_guest;	 /* it is loaded, and stands */
	int was_running; /* the guest, and is to again */
};

static int parse(const struct receipt *receipt, const void *bytes, size_t size,
		 struct qemu_record *record)
{
	if (!receipt->command)
		return vas_error_set(-EOPNOTSUPP,
				     "a guest of QEMU's comes with the memory: what is "
				     "to run it stands behind --");
	return qemu_record_parse(bytes, size, record);
}

static int not_started(void)
{
	return vas_error_set(-ECANCELED, "its QEMU could not be started");
}

/*
 * What is to be started is said here: nobody who connects chooses a command. Until the guest is in
 * it, it ends with us.
 */
static int start_guest(struct receipt *receipt, struct vas *vas, const struct qemu_record *record)
{
	held_init(&receipt->held, vas);
	receipt->held.attaches = 1;
	return start_recorded(&receipt->held, record, receipt->command) ? not_started() : 0;
}

/* One in the background is no child of ours; one that fills memory would do so with what comes. */
static int can_start_early(char *const *command)
{
	int can = command && !qemu_is_daemon(command);

	for (; can && *command; command++)
		can = !strstr(*command, "prealloc");
	return can;
}

/* Its QEMU starts while its memory comes. */
static int begin_guest(void *arg, struct vas *vas, const void *description, size_t size)
{
	struct receipt *receipt = arg;
	struct qemu_record record;
	int err = parse(receipt, description, size, &record);

	if (err)
		return err;
	if (can_start_early(receipt->command)) {
		err = start_guest(receipt, vas, &record);
		receipt->has_begun = !err;
		receipt->with_ram = record.with_ram;
	}
	qemu_record_clean(&record);
	return err;
}

static int load_guest(struct receipt *receipt, struct vas *vas, const struct qemu_record *record)
{
	int err = receipt->has_begun ? 0 : start_guest(receipt, vas, record);

	if (receipt->with_ram && !record->with_ram)
		return vas_error_set(-EPROTO, "the guest's state is of another kind than was said");
	if (!err && start_load(&receipt->held, record))
		err = not_started();
	if (!err)
		start_detach(&receipt->held);
	receipt->has_guest = !err;
	return err;
}

static int accept_guest(void *arg, struct vas *vas, const void *state, size_t size)
{
	struct receipt *receipt = arg;
	struct qemu_record record;
	int err;

	if (!size && receipt->command)
		return vas_error_set(-EPROTO, "no guest of QEMU's comes with the memory");
	if (!size) {
		held_init(&receipt->held, vas);
		return 0;
	}
	err = parse(receipt, state, size, &record);
	if (err)
		return err;
	receipt->was_running = record.is_running;
	err = load_guest(receipt, vas, &record);
	qemu_record_clean(&record);
	return err;
}

/* It reads from the socket by which its state is to come, if it is known of which kind that is. */
static int prepare(struct receipt *receipt)
{
	const struct qemu_record record = { .with_ram = 1 };

	return receipt->with_ram ? start_await(&receipt->held, &record) :
				   start_connect(&receipt->held);
}

/* Signals wait from where a QEMU is started, which may end before it is needed. */
static int look_around(void *arg)
{
	struct receipt *receipt = arg;
	struct held *held = &receipt->held;
	int code;

	if (!receipt->has_begun)
		return has_signal();
	if (!child_has_ended(&held->child, held->name, &code))
		return has_signal() || prepare(receipt);
	note("%s has ended with %d before its guest had come", held->name, code);
	return 1;
}

/* The source goes on. */
static void withdraw_guest(void *arg)
{
	struct receipt *receipt = arg;

	start_kill(&receipt->held);
}

static const struct vas_migrate_target_ops ops = { .begin = begin_guest,
						   .accept = accept_guest,
						   .withdraw = withdraw_guest,
						   .progress = look_around };

static int go_on(struct receipt *receipt, int source_gone)
{
	if (!receipt->has_guest)
		return EXIT_OK;
	if (receipt->was_running && !receipt->stays_paused && !source_gone)
		return start_go_on(&receipt->held);
	start_stand(&receipt->held);
	if (receipt->was_running && !receipt->stays_paused)
		note("the guest stands still: 'vas resume' lets it go on");
	return EXIT_OK;
}

static int hold(struct receipt *receipt, int source_gone)
{
	struct held *held = &receipt->held;
	int code = go_on(receipt, source_gone);

	if (!code)
		code = hold_tell(held->vas, receipt->as_json);
	if (code)
		return code;
	hold_serve(held, 1);
	return held->code;
}

static int receive(const char *from, struct receipt *receipt)
{
	struct vas_migrate_result result;
	struct endpoint endpoint;
	struct vas *vas;
	int code = endpoint_accept(&endpoint, from, receipt->channels, receipt->wait_s), err;

	if (code)
		return code;
	held_init(&receipt->held, NULL);
	receipt->target.fds = endpoint.fds;
	receipt->target.nr_fds = (uint32_t)endpoint.nr;
	receipt->target.ops = &ops;
	receipt->target.arg = receipt;
	err = vas_migrate_recv(&receipt->target, &vas, &result);
	endpoint_close(&endpoint);
	if (err) {
		/* The library has ended the vas. */
		receipt->held.vas = NULL;
		held_end(&receipt->held);
	}
	if (err == -E2BIG)
		return fail(EXIT_REFUSED, "%s: %s: --max=SIZE allows more", from, vas_error());
	if (err)
		return fail_vas(err, from);
	free(result.state);
	if (result.source_gone)
		note("all has arrived, but the source could not be told: make sure that it is gone");
	note("%s of memory in %u rounds", text_size(result.pages * VAS_PAGE_SIZE).s, result.rounds);
	code = hold(receipt, result.source_gone);
	held_end(&receipt->held);
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
	r->as_json |= c == 'j';
	r->stays_paused |= c == RECEIVE_PAUSED;
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
	if (c == OPTION_STOP)
		return options.status;
	if (optind + 1 < argc && !strcmp(argv[optind - 1], "--"))
		receipt.command = argv + optind + 1;
	if (option_rest(&options, 1, receipt.command ? argc : 1,
			"where from? vas receive ENDPOINT") == OPTION_STOP)
		return options.status;
	return receive(argv[optind], &receipt);
}

const struct verb verb_receive = {
	.name = "receive",
	.args = "[OPTION...] ENDPOINT [-- QEMU [ARGUMENT...]]",
	.summary = "Wait for a guest or a vas that is sent, and hold it open",
	.help = "  -c, --channels=N   as many as 'vas send' has\n"
		"  -w, --wait=SECONDS end if no stream has begun by then; for ever unless given\n"
		"  -m, --max=SIZE     refuse a vas with more memory; half of the host's unless given; 0: any\n"
		"  -p, --populate     allocate its memory before it arrives\n"
		"  -H, --hugetlb      in pages of 2 MiB\n"
		"  -t, --thp          advise transparent huge pages\n"
		"      --paused       let a guest that comes with it stand until 'vas resume'\n"
		"  -j, --json         print what arrived as JSON\n"
		"\n"
		"ENDPOINT is unix:PATH, tcp:HOST:PORT or tcp::PORT to listen at, fd:N, a file's path, or -. An\n"
		"IPv6 address is written in brackets. Connections that are no stream end nothing. When all of it\n"
		"has arrived, PID/FD of the vas is printed, and it is held until a signal ends this. A guest of\n"
		"QEMU's that comes with it goes on in the QEMU that stands behind --.\n",
	.run = run,
};
