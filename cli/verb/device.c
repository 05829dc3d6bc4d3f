// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas device: a device for guests whose VMM speaks vhost-user. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/vas.h>

#include "cli/endpoint/listener.h"
#include "cli/target/parse.h"
#include "cli/ui/verb.h"
#include "device/blk/blk.h"
#include "device/vhost_user/session.h"

#define QUEUE_SIZE 1024
#define POLL_US	   32

enum {
	DEVICE_PATH = 2000,
	DEVICE_MEMORY,
	DEVICE_NULL,
	DEVICE_VHOST_USER,
	DEVICE_SERIAL,
	DEVICE_ENGINE,
	DEVICE_QUEUES,
	DEVICE_POLL,
};

static const struct option longs[] = {
	{ "path", required_argument, NULL, DEVICE_PATH },
	{ "memory", required_argument, NULL, DEVICE_MEMORY },
	{ "null", required_argument, NULL, DEVICE_NULL },
	{ "vhost-user", required_argument, NULL, DEVICE_VHOST_USER },
	{ "read-only", no_argument, NULL, 'r' },
	{ "serial", required_argument, NULL, DEVICE_SERIAL },
	{ "engine", required_argument, NULL, DEVICE_ENGINE },
	{ "num-queues", required_argument, NULL, DEVICE_QUEUES },
	{ "poll", required_argument, NULL, DEVICE_POLL },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

struct job {
	struct blk_options blk;
	struct vhost_user_options vhost_user;
	const char *socket;
	int nr_disks; /* --path, --memory and --null given */
};

/* ---- serving ------------------------------------------------------------------------------ */

/* One after the other. What a front end does wrong ends its connection only. */
static void serve_one(const struct job *job, struct blk *blk, int sock, int stop_fd)
{
	int err = vhost_user_serve(sock, stop_fd, &blk->device, &job->vhost_user);

	if (err && err != -ECANCELED)
		note("%s: %s", job->socket, *vas_error() ? vas_error() : strerror(-err));
}

static int serve_all(const struct job *job, struct blk *blk, int listener, int stop_fd)
{
	struct pollfd fds[] = {
		{ .fd = listener, .events = POLLIN },
		{ .fd = stop_fd, .events = POLLIN },
	};
	int sock;

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return fail(EXIT_REFUSED, "%s: %s", job->socket, strerror(errno));
		if (fds[1].revents)
			return EXIT_OK;
		sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (sock < 0)
			continue;
		serve_one(job, blk, sock, stop_fd);
		close(sock);
	}
}

/* Readable once a signal asks for the end; threads that are made later don't get it either. */
static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static int listen_and_serve(const struct job *job, struct blk *blk)
{
	char text[128];
	struct listener listener;
	int code, stop_fd;

	if (snprintf(text, sizeof(text), "unix:%s", job->socket) >= (int)sizeof(text))
		return fail_usage("'%s' is too long for the path of a socket", job->socket);
	stop_fd = open_signals();
	if (stop_fd < 0)
		return fail(EXIT_REFUSED, "no signalfd: %s", strerror(errno));
	code = listener_open(&listener, text);
	if (!code) {
		code = serve_all(job, blk, listener.fds[0], stop_fd);
		listener_close(&listener);
	}
	close(stop_fd);
	return code;
}

static int serve_disk(const struct job *job)
{
	struct blk blk;
	int code;

	if (blk_open(&blk, &job->blk))
		return fail(EXIT_REFUSED, "%s", vas_error());
	code = listen_and_serve(job, &blk);
	blk_close(&blk);
	return code;
}

/* ---- options ------------------------------------------------------------------------------ */

static int take_disk(struct job *job, enum disk_kind kind)
{
	job->blk.disk.kind = kind;
	job->blk.disk.path = optarg;
	job->nr_disks++;
	if (kind != DISK_FILE && parse_size(optarg, &job->blk.disk.size))
		return fail_usage("'%s' is no size: write 4G", optarg);
	return EXIT_OK;
}

static int take_number(const char *what, int least, int most, int *number)
{
	if (parse_number(optarg, number) || *number < least || *number > most)
		return fail_usage("%s: '%s' is not %d to %d", what, optarg, least, most);
	return EXIT_OK;
}

static int take_option(struct job *job, int c)
{
	int code = EXIT_OK, number = 0;

	switch (c) {
	case DEVICE_PATH:
		return take_disk(job, DISK_FILE);
	case DEVICE_MEMORY:
		return take_disk(job, DISK_MEMORY);
	case DEVICE_NULL:
		return take_disk(job, DISK_NULL);
	case DEVICE_VHOST_USER:
		job->socket = optarg;
		return code;
	case DEVICE_SERIAL:
		job->blk.serial = optarg;
		return code;
	case DEVICE_ENGINE:
		job->blk.disk.engine = optarg;
		return code;
	case DEVICE_QUEUES:
		code = take_number("--num-queues", 1, BLK_MAX_QUEUES, &number);
		job->blk.nr_queues = (uint32_t)number;
		return code;
	case DEVICE_POLL:
		code = take_number("--poll", 0, 1000000, &number);
		job->vhost_user.poll_ns = (uint64_t)number * 1000;
		return code;
	default:
		job->blk.disk.read_only |= c == 'r';
		return code;
	}
}

static int check(const struct job *job, const char *kind)
{
	if (strcmp(kind, "blk"))
		return fail_usage("there is no device '%s': write blk", kind);
	if (job->nr_disks != 1)
		return fail_usage("one of --path, --memory and --null says where its bytes are");
	if (!job->socket)
		return fail_usage("--vhost-user=PATH says which socket a front end connects to");
	return EXIT_OK;
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":rh", longs, 0 };
	struct job job = {
		.blk = { .nr_queues = BLK_MAX_QUEUES, .queue_size = QUEUE_SIZE },
		.vhost_user.poll_ns = POLL_US * 1000,
	};
	int c, code = EXIT_OK;

	while (!code && (c = option_next(&options)) >= 0)
		code = take_option(&job, c);
	if (code)
		return code;
	if (c == OPTION_STOP ||
	    option_rest(&options, 1, 1,
			"which one? vas device blk --path=FILE --vhost-user=PATH") == OPTION_STOP)
		return options.status;
	code = check(&job, argv[optind]);
	return code ? code : serve_disk(&job);
}

const struct verb verb_device = {
	.name = "device",
	.args = "blk [OPTION...] --path=FILE --vhost-user=PATH",
	.summary = "Serve a virtio device to a VMM that speaks vhost-user",
	.help = "      --path=FILE         a disk's image, raw, or a block device\n"
		"      --memory=SIZE       a disk of zeros in memory, gone with the process\n"
		"      --null=SIZE         a disk that takes no bytes and gives none: for measuring\n"
		"      --vhost-user=PATH   the socket at which one front end after the other is served\n"
		"  -r, --read-only         refuse what writes\n"
		"      --serial=TEXT       what the guest finds as its serial number: 20 bytes at most\n"
		"      --engine=NAME       auto, sync or io_uring; auto is sync on tmpfs, else io_uring\n"
		"      --num-queues=N      as many as the front end may have; 64 unless given\n"
		"      --poll=MICROSECONDS look so long for a request before the thread of a queue sleeps;\n"
		"                          32 unless given, 0: not at all\n"
		"\n"
		"It runs until a signal ends it. Killed at any moment and started again, it does what the guest\n"
		"waits for: a front end that connects again (QEMU: reconnect=1 of the socket) goes on, and with\n"
		"split rings each request is answered once. QEMU's words are in vas-device(1).\n",
	.run = run,
};
