// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas hold: as a service, hold a vas that outlives whoever holds it. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "cli/ui/verb.h"
#include "cli/vmm/hold.h"
#include "cli/vmm/plan.h"
#include "cli/vmm/service.h"

/* Until the holder before, or a command that it has lent the vas to, has ended. */
#define ADOPT_TRIES 500
#define ADOPT_MS    10

static const struct option longs[] = {
	PLAN_OPTIONS,
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* Own what the service manager has kept for us. */
static int adopt(int fd, struct vas **vas)
{
	int err, tries = ADOPT_TRIES;

	while ((err = vas_bind(fd, VAS_BIND_ADOPT, vas)) == -EBUSY && tries--)
		poll(NULL, 0, ADOPT_MS);
	close(fd);
	return err ? fail_vas(err, "the vas that the service manager has kept") : EXIT_OK;
}

/* Create it, and have it kept. */
static int create(struct plan *plan, struct vas **vas)
{
	int code = plan_create(plan, vas), err;

	if (code)
		return code;
	/* FDPOLL=0: there is nothing to poll, and it is not to be dropped for that. */
	err = service_tell("FDSTORE=1\nFDNAME=vas\nFDPOLL=0\n", vas_fd(*vas));
	if (!err)
		return EXIT_OK;
	vas_destroy(*vas);
	return fail(EXIT_REFUSED, "the service manager does not take the vas: %s", strerror(-err));
}

static int serve(struct vas *vas)
{
	struct held held;
	int err, code;

	/* Whoever hears that it is ready may end it at once. */
	held_init(&held, vas);
	held.is_kept = service_is_there();
	code = hold_tell(vas, 0);
	err = code ? 0 : service_tell("READY=1\n", -1);
	if (err)
		code = fail(EXIT_REFUSED, "the service manager cannot be told: %s", strerror(-err));
	if (!code)
		hold_serve(&held, 1);
	/* It was moved: nobody is to come back to it. */
	if (!code && held.is_over) {
		held.is_kept = 0;
		service_tell("FDSTOREREMOVE=1\nFDNAME=vas\n", -1);
	}
	held_end(&held);
	return code;
}

static int hold(struct plan *plan)
{
	int fd = service_kept_fd("vas"), code;
	struct vas *vas;

	if (fd < 0 && fd != -ENOENT)
		return fail(EXIT_REFUSED, "LISTEN_FDS promises an fd that is not there: %s",
			    strerror(-fd));
	code = fd < 0 ? create(plan, &vas) : adopt(fd, &vas);
	return code ? code : serve(vas);
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":" PLAN_SHORTS "h", longs, 0 };
	struct plan plan = { 0 };
	int c, code = EXIT_OK;

	while (!code && (c = option_next(&options)) >= 0)
		code = plan_option(&plan, c, optarg);
	if (!code && (c == OPTION_STOP || option_rest(&options, 0, 0, "") == OPTION_STOP))
		code = options.status;
	else if (!code)
		code = hold(&plan);
	plan_clean(&plan);
	return code;
}

const struct verb verb_hold = {
	.name = "hold",
	.args = "[OPTION...]",
	.summary = "As a service, hold a vas that outlives its holder",
	.help = PLAN_HELP
	"\n"
	"Makes a vas, and gives it to the service manager to keep (systemd's file descriptor store).\n"
	"Started again, it owns what was kept, and the options do not matter. The unit vas@.service\n"
	"does that. Without a service manager it is 'vas create'.\n",
	.run = run,
};
