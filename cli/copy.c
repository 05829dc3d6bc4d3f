// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/copy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/text.h"
#include "cli/verb.h"

int copy_stopped(const char *name, int err, uint64_t gpa, uint64_t done, uint64_t len)
{
	int code = err == -EFAULT || err == -EIO || err == -ENXIO ? EXIT_STOPPED : EXIT_REFUSED;

	return fail(code, "%s: stopped at %s after %" PRIu64 " of %" PRIu64 " bytes: %s", name,
		    text_gpa(gpa + done).s, done, len, vas_error());
}

struct copy {
	struct vas *vas;
	const char *name;
	uint64_t gpa; /* of the whole range */
	uint64_t len;
	struct sink *sink;
	uint8_t *piece;
};

static int copy_data(struct copy *copy, uint64_t gpa, uint64_t len)
{
	while (len) {
		size_t nr = len < COPY_PIECE ? (size_t)len : COPY_PIECE, done = 0;
		int err = vas_read(copy->vas, gpa, copy->piece, nr, &done), code = EXIT_OK;

		if (done)
			code = copy->sink->take(copy->sink, gpa, copy->piece, done);
		if (code)
			return code;
		if (err)
			return copy_stopped(copy->name, err, copy->gpa, gpa + done - copy->gpa,
					    copy->len);
		gpa += nr;
		len -= nr;
	}
	return EXIT_OK;
}

static int copy_extents(struct copy *copy, const struct regions *regions)
{
	struct extents extents = {
		.vas = copy->vas, .regions = regions, .gpa = copy->gpa, .end = copy->gpa + copy->len
	};
	struct extent extent;
	int code = EXIT_OK;

	while (!code && extent_next(&extents, &extent)) {
		/* A hole is read as well: it is libvas that says what is wrong with it. */
		if (extent.kind == EXTENT_EMPTY)
			code = copy->sink->take(copy->sink, extent.gpa, NULL, extent.len);
		else
			code = copy_data(copy, extent.gpa, extent.len);
	}
	return code;
}

int copy_out(struct vas *vas, const char *name, uint64_t gpa, uint64_t len, struct sink *sink)
{
	struct copy copy = { vas, name, gpa, len, sink, malloc(COPY_PIECE) };
	struct regions regions;
	int err = regions_get(vas, &regions), code;

	if (!copy.piece)
		err = -ENOMEM;
	code = err ? fail(EXIT_REFUSED, "%s: %s", name, strerror(-err))
		   : copy_extents(&copy, &regions);
	regions_clean(&regions);
	free(copy.piece);
	return code;
}
