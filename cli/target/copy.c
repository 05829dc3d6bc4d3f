// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/target/copy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "cli/ui/text.h"
#include "cli/ui/verb.h"

int copy_stopped(const char *name, int err, uint64_t gpa, uint64_t done, uint64_t len)
{
	int code = err == -EFAULT || err == -EIO || err == -ENXIO ? EXIT_STOPPED : EXIT_REFUSED;

	return fail(code, "%s: stopped at %s after %" PRIu64 " of %" PRIu64 " bytes: %s", name,
		    text_gpa(gpa + done).s, done, len, vas_error());
}

/* A part of a copy of [gpa, gpa + len): the bytes of an extent. */
struct part {
	const struct copy *copy;
	uint64_t gpa;
	uint64_t len;
	uint8_t *segment;
};

static int copy_data(const struct part *part, const struct extent *extent)
{
	const struct copy *copy = part->copy;
	uint64_t gpa = extent->gpa, left = extent->len;

	while (left) {
		size_t nr = left < COPY_SEGMENT ? (size_t)left : COPY_SEGMENT, done = 0;
		int err = vas_peek(copy->vas, gpa, part->segment, nr, &done), code = EXIT_OK;

		if (done)
			code = copy->sink->take(copy->sink, gpa, part->segment, done);
		if (code)
			return code;
		if (err)
			return copy_stopped(copy->name, err, part->gpa, gpa + done - part->gpa,
					    part->len);
		gpa += nr;
		left -= nr;
	}
	return EXIT_OK;
}

static int copy_extents(const struct part *part)
{
	const struct copy *copy = part->copy;
	struct extents extents = { .vas = copy->vas,
				   .regions = copy->regions,
				   .gpa = part->gpa,
				   .end = part->gpa + part->len };
	struct extent extent;
	int code = EXIT_OK;

	while (!code && extent_next(&extents, &extent)) {
		/* A hole is read as well: it is libvas that says what is wrong with it. */
		if (extent.kind == EXTENT_EMPTY)
			code = copy->sink->take(copy->sink, extent.gpa, NULL, extent.len);
		else
			code = copy_data(part, &extent);
	}
	return code;
}

int copy_out(const struct copy *copy, uint64_t gpa, uint64_t len)
{
	struct part part = { copy, gpa, len, malloc(COPY_SEGMENT) };
	int code = part.segment ? copy_extents(&part) : fail(EXIT_REFUSED, "no memory");

	free(part.segment);
	return code;
}
