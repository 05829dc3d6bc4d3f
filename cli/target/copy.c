// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/target/copy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vas/access.h>

#include "cli/ui/text.h"
#include "cli/ui/verb.h"

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
	uint8_t *segment;
	uint64_t generation; /* in which the regions were taken */
};

/*
 * Through the file, where reading does not allocate. True if the segment is complete, and the
 * layout is still the one that says where it is.
 */
static int read_file(const struct copy *copy, const struct extent *extent, uint64_t gpa, size_t len)
{
	const struct vas_region *region = extent->region;
	int fd = vas_backing_fd(copy->vas, region->backing);
	off_t offset = (off_t)(region->offset + (gpa - region->gpa));

	return pread(fd, copy->segment, len, offset) == (ssize_t)len &&
	       vas_still(copy->vas, copy->generation);
}

static int copy_data(struct copy *copy, const struct extent *extent)
{
	uint64_t gpa = extent->gpa, left = extent->len;

	while (left) {
		size_t nr = left < COPY_SEGMENT ? (size_t)left : COPY_SEGMENT, done = nr;
		int err = 0, code = EXIT_OK;

		if (extent->kind != EXTENT_UNKNOWN || !read_file(copy, extent, gpa, nr))
			err = vas_read(copy->vas, gpa, copy->segment, nr, &done);
		if (done)
			code = copy->sink->take(copy->sink, gpa, copy->segment, done);
		if (code)
			return code;
		if (err)
			return copy_stopped(copy->name, err, copy->gpa, gpa + done - copy->gpa,
					    copy->len);
		gpa += nr;
		left -= nr;
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
			code = copy_data(copy, &extent);
	}
	return code;
}

int copy_out(struct vas *vas, const char *name, uint64_t gpa, uint64_t len, struct sink *sink)
{
	struct copy copy = { .vas = vas, .name = name, .gpa = gpa, .len = len, .sink = sink };
	struct regions regions;
	int err, code;

	copy.generation = vas_generation(vas);
	copy.segment = malloc(COPY_SEGMENT);
	err = regions_get(vas, &regions);
	if (!copy.segment)
		err = -ENOMEM;
	code = err ? fail(EXIT_REFUSED, "%s: %s", name, strerror(-err)) :
		     copy_extents(&copy, &regions);
	regions_clean(&regions);
	free(copy.segment);
	return code;
}
