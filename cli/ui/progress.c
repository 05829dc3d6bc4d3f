// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/ui/text.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define PROGRESS_PAUSE_NS 100000000ull
#define BAR_WIDTH	  24

static int is_shown;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

int text_terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20)
		return size.ws_col;
	return 80;
}

void progress_begin(struct progress *progress, const char *what, uint64_t total)
{
	*progress = (struct progress){ .what = what, .total = total, .started_ns = now_ns() };
	/* What ends at once shows nothing. */
	progress->shown_ns = progress->started_ns;
}

uint64_t progress_ns(const struct progress *progress)
{
	uint64_t ns = now_ns() - progress->started_ns;

	return ns ? ns : 1;
}

void progress_show(struct progress *progress, uint64_t done, uint64_t nr_found)
{
	uint64_t now = now_ns();
	int filled = progress->total ? (int)(done * 1.0 / progress->total * BAR_WIDTH) : BAR_WIDTH;
	char bar[BAR_WIDTH + 1];

	if (now - progress->shown_ns < PROGRESS_PAUSE_NS || !isatty(STDERR_FILENO))
		return;
	progress->shown_ns = now;
	memset(bar, '.', BAR_WIDTH);
	memset(bar, '#', filled > BAR_WIDTH ? BAR_WIDTH : (size_t)filled);
	bar[BAR_WIDTH] = '\0';
	fprintf(stderr, "\r\033[K%s [%s] %s of %s, %.1f GB/s", progress->what, bar,
		text_size(done).s, text_size(progress->total).s,
		(double)done / (double)(now - progress->started_ns));
	if (nr_found)
		fprintf(stderr, ", %" PRIu64 " found", nr_found);
	is_shown = 1;
}

void text_clear_progress(void)
{
	if (is_shown)
		fputs("\r\033[K", stderr);
	is_shown = 0;
}
