// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas write: change guest memory by guest-physical address. */
#include "cli/target/argument.h"
#include "cli/target/copy.h"
#include "cli/target/name.h"
#include "cli/target/source.h"

struct writer {
	struct user user;
	struct vas *vas;
	const char *name;
	uint64_t gpa;
};

static int write_segment(struct user *user, uint64_t at, const uint8_t *bytes, size_t len)
{
	const struct writer *writer = (const struct writer *)user;
	size_t done = 0;
	int err = vas_poke(writer->vas, writer->gpa + at, bytes, len, &done);

	return err ? copy_stopped(writer->name, err, writer->gpa, at + done, at + len) : EXIT_OK;
}

static int write_at(char **argv, struct source *source)
{
	struct writer writer = { .user.use = write_segment, .name = argv[0] };
	int code = argument_gpa(argv[1], &writer.gpa);

	if (!code)
		code = name_bind(writer.name, VAS_ROLE_BINDER, &writer.vas);
	if (code)
		return code;
	code = source_each(source, &writer.user);
	vas_unbind(writer.vas);
	return code;
}

static int run(int argc, char **argv)
{
	return source_run(argc, argv, "where to? vas write NAME GPA --hex DIGITS", write_at);
}

const struct verb verb_write = {
	.name = "write",
	.args = "NAME GPA [--hex DIGITS | --string TEXT | --file FILE]",
	.summary = "Change guest memory",
	.help = SOURCE_HELP
	"A hole in the layout, or a read-only region, ends it; the message tells how far it got.\n",
	.run = run,
};
