// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas info: all that a vas says of itself. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <vas/event.h>

#include "cli/verb/info.h"
#include "cli/target/name.h"
#include "cli/ui/verb.h"

static const struct option longs[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int get_events(struct facts *facts)
{
	ssize_t nr = vas_events(facts->vas, NULL, 0);

	if (nr < 0)
		return (int)nr;
	facts->events = calloc((size_t)nr + 1, sizeof(*facts->events));
	if (!facts->events)
		return -ENOMEM;
	facts->nr_events = (size_t)nr;
	nr = vas_events(facts->vas, facts->events, facts->nr_events);
	if (nr >= 0 && (size_t)nr < facts->nr_events)
		facts->nr_events = (size_t)nr;
	return nr < 0 ? (int)nr : 0;
}

/* Of the vas's file, and of the further ones as far as they are available. */
static uint64_t count_resident(const struct facts *facts)
{
	uint64_t resident = ram_resident(facts->vas, &facts->info);
	struct stat st;

	for (uint32_t i = 1; i < facts->info.nr_backings; i++) {
		int fd = vas_backing_fd(facts->vas, i);

		if (fd >= 0 && fstat(fd, &st) == 0)
			resident += (uint64_t)st.st_blocks * 512;
	}
	return resident;
}

static int get_facts(struct facts *facts)
{
	int err = vas_info(facts->vas, &facts->info);

	if (!err)
		err = regions_get(facts->vas, &facts->regions);
	if (!err)
		err = get_events(facts);
	if (!err)
		facts->resident = count_resident(facts);
	return err;
}

/* Who has it open is worth knowing, and no reason to fail. */
static void find_holders(struct facts *facts)
{
	struct stat st;

	if (fstat(vas_fd(facts->vas), &st) || scan_host(&facts->scan))
		return;
	for (size_t i = 0; i < facts->scan.nr_found; i++) {
		const struct found *found = &facts->scan.found[i];

		if (found->dev == st.st_dev && found->ino == st.st_ino)
			facts->found = found;
	}
}

static int tell(struct vas *vas, const char *name, int as_json)
{
	struct facts facts = { .vas = vas };
	int err = get_facts(&facts);

	if (!err)
		find_holders(&facts);
	if (!err && as_json)
		info_print_json(&facts);
	else if (!err)
		err = info_print(&facts);
	regions_clean(&facts.regions);
	free(facts.events);
	scan_clean(&facts.scan);
	return err ? fail_vas(err, name) : EXIT_OK;
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":jh", longs, 0 };
	struct vas *vas;
	int c, as_json = 0, code;

	while ((c = option_next(&options)) >= 0)
		as_json = 1;
	if (c == OPTION_STOP || option_rest(&options, 1, 1, "which vas? vas info NAME") < 0)
		return options.status;
	code = name_bind(argv[optind], VAS_ROLE_OBSERVER, &vas);
	if (code)
		return code;
	code = tell(vas, argv[optind], as_json);
	vas_unbind(vas);
	return code;
}

const struct verb verb_info = {
	.name = "info",
	.args = "NAME [--json]",
	.summary = "Tell all about a vas: its layout, who is bound, what may come",
	.help = "  -j, --json     as JSON\n",
	.run = run,
};
