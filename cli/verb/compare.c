// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas compare: is this what guest memory holds? */
#include <stdlib.h>
#include <string.h>

#include "cli/target/argument.h"
#include "cli/target/copy.h"
#include "cli/target/name.h"
#include "cli/target/source.h"
#include "cli/ui/text.h"

struct comparison {
	struct user user;
	struct vas *vas;
	const char *name;
	uint64_t gpa;
	uint8_t *segment; /* of guest memory */
};

static size_t equal_part(const uint8_t *a, const uint8_t *b, size_t len)
{
	size_t i;

	for (i = 0; i < len && a[i] == b[i]; i++)
		;
	return i;
}

static int compare_segment(struct user *user, uint64_t at, const uint8_t *bytes, size_t len)
{
	const struct comparison *comparison = (const struct comparison *)user;
	const uint8_t *segment = comparison->segment;
	size_t done = 0, same;
	int err = vas_peek(comparison->vas, comparison->gpa + at, comparison->segment, len, &done);

	same = memcmp(segment, bytes, done) ? equal_part(segment, bytes, done) : done;
	if (same < done)
		return fail(EXIT_NOT_FOUND, "%s: differs at %s: %02x there, %02x given",
			    comparison->name, text_gpa(comparison->gpa + at + same).s,
			    segment[same], bytes[same]);
	if (err)
		return copy_stopped(comparison->name, err, comparison->gpa, at + done, at + len);
	return EXIT_OK;
}

static int compare_at(char **argv, struct source *source)
{
	struct comparison comparison = { .user.use = compare_segment, .name = argv[0] };
	int code = argument_gpa(argv[1], &comparison.gpa);

	if (!code)
		code = name_bind_to_read(comparison.name, &comparison.vas);
	if (code)
		return code;
	comparison.segment = malloc(SOURCE_SEGMENT);
	if (comparison.segment)
		code = source_each(source, &comparison.user);
	else
		code = fail(EXIT_REFUSED, "no memory");
	free(comparison.segment);
	vas_unbind(comparison.vas);
	return code;
}

static int run(int argc, char **argv)
{
	return source_run(argc, argv, "with what? vas compare NAME GPA --hex DIGITS", compare_at);
}

const struct verb verb_compare = {
	.name = "compare",
	.args = "NAME GPA [--hex DIGITS | --string TEXT | --file FILE]",
	.summary = "Compare guest memory with bytes of yours",
	.help = SOURCE_HELP
	"Exit code 0: equal, 1: different, and the message tells where first.\n",
	.run = run,
};
