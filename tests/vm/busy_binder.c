// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * busy_binder PATH GPA: bound to the vas that PATH leads to, write to the page at GPA and read it back, again and
 * again, until SIGTERM; then print how often. A freeze is waited for. An error, or anything else in the page, ends it
 * with 1. Of the page's words, the first is the round, and the others are the one before and 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vas/vas.h>

static volatile sig_atomic_t is_over;

static void end(int sig)
{
	(void)sig;
	is_over = 1;
}

static int failed(const char *what, uint64_t round)
{
	fprintf(stderr, "%s in round %" PRIu64 ": %s\n", what, round, vas_error());
	return 1;
}

int main(int argc, char **argv)
{
	uint64_t gpa = argc == 3 ? strtoull(argv[2], NULL, 0) : 0, round = 0;
	uint64_t page[VAS_PAGE_SIZE / sizeof(uint64_t)], got[VAS_PAGE_SIZE / sizeof(uint64_t)];
	int fd = argc == 3 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;
	struct vas *vas;
	int err;

	signal(SIGTERM, end);
	if (fd < 0 || vas_bind(fd, 0, &vas))
		return failed("no vas", 0);
	while (!is_over) {
		round++;
		for (size_t i = 0; i < sizeof(page) / sizeof(page[0]); i++)
			page[i] = round + i;
		while ((err = vas_write(vas, gpa, page, sizeof(page), NULL)) == -EAGAIN && !is_over)
			poll(NULL, 0, 1);
		if (err && !is_over)
			return failed("cannot write", round);
		if (vas_read(vas, gpa, got, sizeof(got), NULL))
			return failed("cannot read", round);
		if (!is_over && memcmp(page, got, sizeof(page)))
			return failed("another page is there", round);
	}
	printf("%" PRIu64 "\n", round);
	vas_unbind(vas);
	return 0;
}
