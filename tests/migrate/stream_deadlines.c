// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What a slow peer can make the other side wait for, and what does not end a migration. */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/migrate.h>

#include "../harness.h"
#include "forged.h"
#include "shadow.h"

#define SIZE   (4ull << 20)
#define SECOND 1000000000ull

struct destination {
	int fd;
	int takes_all; /* up to END; else nothing after READY */
	int sent;      /* atomic: the source has returned */
	int nr_bytes;  /* of DONE, that were dribbled until then */
};

/* One byte at a time, each well within what the source waits; never the last. */
static void dribble(struct destination *d, const struct stream_header *done)
{
	const char *bytes = (const char *)done;

	while (d->nr_bytes < (int)sizeof(*done) - 1 &&
	       !__atomic_load_n(&d->sent, __ATOMIC_ACQUIRE)) {
		if (send(d->fd, bytes + d->nr_bytes, 1, MSG_NOSIGNAL) != 1)
			return;
		d->nr_bytes++;
		poll(NULL, 0, 300);
	}
}

static void *be_destination(void *arg)
{
	struct destination *d = arg;
	struct stream_header header = { .type = STREAM_READY };
	struct stream_hello hello;
	struct forged back;

	forged_take(d->fd, &hello, sizeof(hello));
	forged_take(d->fd, NULL, 0);
	forged_init_back(&back, d->fd, hello.session);
	forged_put(&back, header, "");
	if (!d->takes_all)
		return NULL;
	while (forged_take(d->fd, NULL, 0).type != STREAM_END)
		;
	header = (struct stream_header){ .type = STREAM_DONE };
	forged_seal(&back, &header, "");
	dribble(d, &header);
	return NULL;
}

static int pauses, resumes;

static int pause_guest(void *arg)
{
	(void)arg;
	pauses++;
	return 0;
}

static void resume_guest(void *arg)
{
	(void)arg;
	resumes++;
}

static int send_to(struct destination *d, struct vas_migrate_options *options)
{
	static const struct vas_migrate_ops ops = { .pause = pause_guest, .resume = resume_guest };
	struct vas *vas = shadow_vas(SIZE);
	pthread_t thread;
	int pair[2], err;

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	CHECK_OK(vas_fill(vas, 0, 7, SIZE, NULL));
	d->fd = pair[1];
	options->fds = &pair[0];
	options->nr_fds = 1;
	options->ops = &ops;
	CHECK_EQ(pthread_create(&thread, NULL, be_destination, d), 0);
	err = vas_migrate_send(vas, options, NULL);
	__atomic_store_n(&d->sent, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	/* Here it runs on. */
	CHECK_EQ(pauses, 1);
	CHECK_EQ(resumes, 1);
	CHECK_OK(vas_store_le64(vas, 0, 1, __ATOMIC_RELAXED));
	vas_destroy(vas);
	close(pair[0]);
	close(pair[1]);
	return err;
}

TEST(a_destination_that_dribbles_is_not_waited_for)
{
	struct vas_migrate_options options = { .stall_ns = 2 * SECOND };
	struct destination d = { .takes_all = 1 };

	CHECK_EQ(send_to(&d, &options), -ETIMEDOUT);
	CHECK(d.nr_bytes < (int)sizeof(struct stream_header) - 1);
}

/* A stall alone would be waited for for a day. */
TEST(the_guest_stands_still_for_no_longer_than_it_may)
{
	struct vas_migrate_options options = { .stall_ns = 86400 * SECOND,
					       .max_downtime_ns = SECOND / 2,
					       .flags = VAS_MIGRATE_STOP_FIRST };
	struct destination d = { 0 };

	CHECK_EQ(send_to(&d, &options), -ETIMEDOUT);
	CHECK_HAS(vas_error(), "stood still");
}

struct lazy {
	struct vas_migrate_target target;
	struct vas *vas;
	int err;
};

static void *receive(void *arg)
{
	struct lazy *a = arg;
	struct vas_migrate_result result;

	a->err = vas_migrate_recv(&a->target, &a->vas, &result);
	if (!a->err)
		free(result.state);
	return NULL;
}

/*
 * All words are channel 1's, and one is sent each five seconds: for longer than either side waits
 * for a silent peer there is nothing for channel 0, and nothing at all.
 */
TEST(a_slow_rate_and_an_idle_channel_end_nothing)
{
	struct vas *vas = shadow_vas(SIZE);
	struct vas_migrate_options options = { .nr_fds = 2,
					       .rate = 50 << 10,
					       .stall_ns = 4 * SECOND };
	struct lazy a = { .target = { .nr_fds = 2, .stall_ns = 4 * SECOND } };
	int pair[2], out[2], in[2], i;
	pthread_t thread;

	for (i = 0; i < 2; i++) {
		CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
		out[i] = pair[0];
		in[i] = pair[1];
	}
	options.fds = out;
	a.target.fds = in;
	CHECK_OK(vas_fill(vas, 2 << 20, 7, 2 * STREAM_WORD_SIZE, NULL));
	CHECK_EQ(pthread_create(&thread, NULL, receive, &a), 0);
	CHECK_OK(vas_migrate_send(vas, &options, NULL));
	pthread_join(thread, NULL);
	CHECK_OK(a.err);
	vas_destroy(a.vas);
	vas_destroy(vas);
}
