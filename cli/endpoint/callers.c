// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <signal.h>

#include "cli/endpoint/callers.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <vas/migrate.h>

#include "cli/vmm/child.h"
#include "cli/ui/verb.h"

#define MAX_CALLERS 64
#define PATIENCE_MS 30000 /* for a caller's hello, and then for its stream's other channels */
#define LOOK_MS	    50

struct caller {
	int fd;
	int has_begun; /* some bytes are there: poll() would say no more than that */
	int is_known;
	struct vas_migrate_hello hello;
	int64_t until_ms;
};

struct callers {
	const struct listener *listener;
	struct caller at[MAX_CALLERS];
	int nr;
	int wanted; /* channels */
	int was_told;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The others keep their order: the first has been here for longest. */
static void drop(struct callers *c, int i)
{
	close(c->at[i].fd);
	c->nr--;
	memmove(&c->at[i], &c->at[i + 1], (size_t)(c->nr - i) * sizeof(c->at[0]));
}

/* Once: a peer is not to fill a log. */
static void send_away(struct callers *c, int i, const char *why)
{
	if (!c->was_told)
		note("a connection was closed, which is no part of the stream: %s; others will be "
		     "without a word",
		     why);
	c->was_told = 1;
	drop(c, i);
}

static int is_there_already(const struct callers *c, int i)
{
	for (int j = 0; j < c->nr; j++)
		if (j != i && c->at[j].is_known &&
		    c->at[j].hello.channel == c->at[i].hello.channel &&
		    !memcmp(c->at[j].hello.session, c->at[i].hello.session,
			    sizeof(c->at[i].hello.session)))
			return 1;
	return 0;
}

static void ask_who(struct callers *c, int i)
{
	struct caller *caller = &c->at[i];
	int err = vas_migrate_peek(caller->fd, &caller->hello);

	if (err == -EAGAIN) {
		caller->has_begun = 1;
	} else if (!err && (int)caller->hello.nr_channels != c->wanted) {
		note("a stream of %u channels has come, and %d are wanted: see --channels",
		     caller->hello.nr_channels, c->wanted);
		drop(c, i);
	} else if (err || is_there_already(c, i)) {
		send_away(c, i, err ? vas_error() : "a channel that is there already");
	} else {
		caller->is_known = 1;
	}
}

static void look_at(struct callers *c, int i, short events)
{
	struct caller *caller = &c->at[i];

	if (now_ms() >= caller->until_ms)
		send_away(c, i, "it has said nothing in time");
	else if (caller->is_known && events & (POLLRDHUP | POLLHUP | POLLERR))
		drop(c, i);
	else if (!caller->is_known && (events || caller->has_begun))
		ask_who(c, i);
}

static void let_in(struct callers *c, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0) {
		poll(NULL, 0, LOOK_MS); /* with no fd left, it would be told at once */
		return;
	}
	if (c->nr == MAX_CALLERS)
		drop(c, 0);
	c->at[c->nr++] = (struct caller){ .fd = fd, .until_ms = now_ms() + PATIENCE_MS };
}

/* Those of the same stream as i; true if it is complete. */
static int take_stream(struct callers *c, int i, int *fds)
{
	int nr = 0;

	for (int j = 0; j < c->nr; j++)
		if (c->at[j].is_known && !memcmp(c->at[j].hello.session, c->at[i].hello.session,
						 sizeof(c->at[i].hello.session))) {
			fds[c->at[j].hello.channel] = c->at[j].fd;
			nr++;
		}
	return nr == c->wanted;
}

static int find_stream(struct callers *c, int *fds)
{
	for (int i = 0; i < c->nr; i++)
		if (c->at[i].is_known && take_stream(c, i, fds))
			return 1;
	return 0;
}

/* The signals' fd, listeners, callers. */
static int fill(const struct callers *c, int signals, struct pollfd *fds)
{
	int nr = 0;

	fds[nr++] = (struct pollfd){ .fd = signals, .events = POLLIN };
	for (int i = 0; i < c->listener->nr; i++)
		fds[nr++] = (struct pollfd){ .fd = c->listener->fds[i], .events = POLLIN };
	for (int i = 0; i < c->nr; i++) {
		int is_quiet = c->at[i].is_known || c->at[i].has_begun;

		fds[nr++] = (struct pollfd){ .fd = c->at[i].fd,
					     .events = is_quiet ? POLLRDHUP : POLLIN };
	}
	return nr;
}

/* One look at everybody. */
static void serve(struct callers *c, int signals)
{
	struct pollfd fds[1 + ADDRESS_MAX + MAX_CALLERS];
	int first = 1 + c->listener->nr, nr = fill(c, signals, fds);

	if (poll(fds, (nfds_t)nr, c->nr ? LOOK_MS : LOOK_MS * 10) < 0)
		return;
	/* From behind, since one may go. */
	for (int i = nr; i-- > first;)
		look_at(c, i - first, fds[i].revents);
	for (int i = 1; i < first; i++)
		if (fds[i].revents)
			let_in(c, fds[i].fd);
}

static void leave(struct callers *c, const int *fds, int is_complete)
{
	while (c->nr) {
		struct caller *last = &c->at[c->nr - 1];

		/* What was taken is its stream's. */
		if (is_complete && last->is_known && fds[last->hello.channel] == last->fd)
			c->nr--;
		else
			drop(c, c->nr - 1);
	}
}

int callers_collect(const struct listener *listener, int *fds, int nr, int wait_s)
{
	struct callers c = { .listener = listener, .wanted = nr };
	int64_t until_ms = wait_s ? now_ms() + wait_s * 1000ll : INT64_MAX;
	int signals = signals_fd(), is_complete = 0;

	while (!has_signal() && !is_complete && now_ms() < until_ms) {
		serve(&c, signals);
		is_complete = find_stream(&c, fds);
	}
	leave(&c, fds, is_complete);
	if (signals >= 0)
		close(signals);
	if (is_complete)
		return EXIT_OK;
	if (has_signal())
		return EXIT_REFUSED;
	return fail(EXIT_REFUSED, "no stream of %d channel%s has begun within %d s", nr,
		    nr == 1 ? "" : "s", wait_s);
}
