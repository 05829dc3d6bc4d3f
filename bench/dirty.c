// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The dirty log: marking pages, and harvesting what was marked. */
#include "dirty.h"

static int run(struct bench_session *session)
{
	int ret = dirty_bench_marks(session);

	return ret ? ret : dirty_bench_harvests(session);
}

static const struct bench bench = {
	.name = "dirty",
	.summary = "The dirty log: marking a page, and harvesting what was marked.",
	.run = run,
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, &bench);
}
