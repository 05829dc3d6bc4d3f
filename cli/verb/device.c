// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas device: a device for guests whose VMM speaks vhost-user. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <vas/vas.h>

#include "cli/endpoint/front_ends.h"
#include "cli/target/parse.h"
#include "cli/verb/device.h"
#include "device/bus/bus.h"
#include "device/vhost_user/session.h"

#define POLL_US 32
#define BACKEND "vas-vhost-user-" /* and a kind: what VMMs start a back end of that kind by */

static const struct option longs[] = {
	{ "path", required_argument, NULL, DEVICE_PATH },
	{ "memory", required_argument, NULL, DEVICE_MEMORY },
	{ "null", optional_argument, NULL, DEVICE_NULL },
	{ "vhost-user", required_argument, NULL, DEVICE_VHOST_USER },
	{ "connect", required_argument, NULL, DEVICE_CONNECT },
	{ "fd", required_argument, NULL, DEVICE_FD },
	{ "guest", required_argument, NULL, DEVICE_GUEST },
	{ "take-over", no_argument, NULL, DEVICE_TAKE_OVER },
	{ "wait", no_argument, NULL, DEVICE_WAIT },
	{ "read-only", no_argument, NULL, 'r' },
	{ "serial", required_argument, NULL, DEVICE_SERIAL },
	{ "engine", required_argument, NULL, DEVICE_ENGINE },
	{ "num-queues", required_argument, NULL, DEVICE_QUEUES },
	{ "poll", required_argument, NULL, DEVICE_POLL },
	{ "tap", required_argument, NULL, DEVICE_TAP },
	{ "packet", required_argument, NULL, DEVICE_PACKET },
	{ "stream", required_argument, NULL, DEVICE_STREAM },
	{ "loopback", no_argument, NULL, DEVICE_LOOPBACK },
	{ "module", optional_argument, NULL, DEVICE_MODULE },
	{ "mac", required_argument, NULL, DEVICE_MAC },
	{ "mtu", required_argument, NULL, DEVICE_MTU },
	{ "counters", no_argument, NULL, DEVICE_COUNTERS },
	{ "guest-cid", required_argument, NULL, DEVICE_CID },
	{ "uds-path", required_argument, NULL, DEVICE_UDS },
	{ "to", required_argument, NULL, DEVICE_TO },
	{ "pty", required_argument, NULL, DEVICE_PTY },
	{ "listen", required_argument, NULL, DEVICE_LISTEN },
	/* As QEMU's conventions for back ends call them. */
	{ "socket-path", required_argument, NULL, DEVICE_VHOST_USER },
	{ "blk-file", required_argument, NULL, DEVICE_PATH },
	{ "print-capabilities", no_argument, NULL, DEVICE_CAPABILITIES },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static const struct device_kind *const kinds[] = { &device_blk, &device_console, &device_net,
						   &device_rng, &device_vsock };

#define NR_KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct job {
	const struct device_kind *kind;
	struct vas_device *device;
	struct vhost_user_options vhost_user;
	struct front_ends front_ends;
	struct bus_options bus; /* path: NULL, it is not for the bus */
	int nr_ways;		/* --vhost-user, --connect, --fd and --guest given */
	bool prints_counters;
	bool by_module;
};

/* ---- serving ------------------------------------------------------------------------------ */

/* What a front end does wrong ends its connection only. */
static void serve_one(const struct job *job, int sock, int stop_fd)
{
	int err = vhost_user_serve(sock, stop_fd, job->device, &job->vhost_user);

	if (err && err != -ECANCELED)
		note("%s: %s", front_ends_name(&job->front_ends),
		     *vas_error() ? vas_error() : strerror(-err));
	if (job->prints_counters)
		job->kind->print();
}

static int serve_all(struct job *job, int stop_fd)
{
	int sock;

	for (;;) {
		sock = front_ends_next(&job->front_ends, stop_fd);
		if (sock == -ECANCELED || sock == -ENODATA)
			return EXIT_OK;
		if (sock < 0)
			return fail(EXIT_REFUSED, "%s: %s", front_ends_name(&job->front_ends),
				    strerror(-sock));
		serve_one(job, sock, stop_fd);
		close(sock);
	}
}

/* Readable once one of these signals has come; threads that are made later don't get it either. */
static int open_signals(const int *signals)
{
	sigset_t set;

	sigemptyset(&set);
	for (; *signals; signals++)
		sigaddset(&set, *signals);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int serve_front_ends(struct job *job, int stop_fd)
{
	int code = front_ends_open(&job->front_ends);

	if (code)
		return code;
	code = serve_all(job, stop_fd);
	front_ends_close(&job->front_ends);
	return code;
}

static int serve_on_bus(const struct job *job, int stop_fd)
{
	int err = bus_serve(job->device, stop_fd, &job->bus);

	/* The guest has it no more, or has it from another: that is the end of the work. */
	if (err == -ENODEV || err == -ESHUTDOWN) {
		note("%s", vas_error());
		return EXIT_OK;
	}
	return err == -ECANCELED ? EXIT_OK : fail(EXIT_REFUSED, "%s", vas_error());
}

static int serve(struct job *job)
{
	static const int stops[] = { SIGINT, SIGTERM, SIGHUP, 0 }, looks[] = { SIGUSR1, 0 };
	int code, stop_fd = open_signals(stops), look_fd = open_signals(looks);

	job->vhost_user.look_fd = job->bus.look_fd = look_fd;
	if (stop_fd < 0 || look_fd < 0)
		code = fail(EXIT_REFUSED, "no signalfd: %s", strerror(errno));
	else
		code = job->bus.path ? serve_on_bus(job, stop_fd) : serve_front_ends(job, stop_fd);
	close(stop_fd);
	close(look_fd);
	return code;
}

static int open_and_serve(struct job *job)
{
	int code = job->kind->open(&job->device);

	if (code)
		return code;
	code = serve(job);
	job->kind->close();
	return code;
}

/* ---- options ------------------------------------------------------------------------------ */

int device_take_number(const char *option, int least, int most, uint32_t *number)
{
	int got;

	if (parse_number(optarg, &got) || got < least || got > most)
		return fail_usage("%s: '%s' is not %d to %d", option, optarg, least, most);
	*number = (uint32_t)got;
	return EXIT_OK;
}

static const char *name_of(int c)
{
	const struct option *option = longs;

	while (option->val != c)
		option++;
	return option->name;
}

static int take_poll(struct job *job)
{
	uint32_t us = 0;
	int code = device_take_number("--poll", 0, 1000000, &us);

	job->vhost_user.poll_ns = job->bus.poll_ns = (uint64_t)us * 1000;
	return code;
}

static int take_way(struct job *job, int c)
{
	uint32_t fd = 0;
	int code = EXIT_OK;

	job->nr_ways++;
	if (c == DEVICE_GUEST)
		job->bus.path = optarg;
	else if (c == DEVICE_FD)
		code = device_take_number("--fd", 0, INT_MAX, &fd);
	else
		job->front_ends.path = optarg;
	job->front_ends.connects = c == DEVICE_CONNECT;
	job->front_ends.fd = (int)fd;
	return code;
}

static int take_option(struct job *job, int c)
{
	int code;

	job->by_module |= c == DEVICE_MODULE;
	switch (c) {
	case DEVICE_VHOST_USER:
	case DEVICE_CONNECT:
	case DEVICE_FD:
	case DEVICE_GUEST:
		return take_way(job, c);
	case DEVICE_TAKE_OVER:
		job->bus.takes_over = true;
		return EXIT_OK;
	case DEVICE_WAIT:
		job->bus.waits = true;
		return EXIT_OK;
	case DEVICE_POLL:
		return take_poll(job);
	case DEVICE_COUNTERS:
		if (!job->kind->print)
			break;
		job->prints_counters = true;
		return EXIT_OK;
	default:
		code = job->kind->take(c);
		if (code != DEVICE_OPTION_UNKNOWN)
			return code;
	}
	return fail_usage("a device '%s' has no option --%s", job->kind->name, name_of(c));
}

/* The first word, which says what the options mean. */
static int take_kind(struct job *job, int argc, char **argv)
{
	size_t i;

	if (argc < 2 || argv[1][0] == '-')
		return fail_usage("which one? vas device blk --path=FILE --vhost-user=PATH");
	for (i = 0; i < NR_KINDS; i++)
		if (!strcmp(argv[1], kinds[i]->name)) {
			job->kind = kinds[i];
			return EXIT_OK;
		}
	return fail_usage("there is no device '%s': write blk, console, net, rng or vsock",
			  argv[1]);
}

static bool wants_help(int argc, char **argv)
{
	return argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"));
}

/* By which way, and by which name. */
static int check_way(struct job *job, int nr_words, const char *name)
{
	if (job->nr_ways != 1)
		return fail_usage(
			"to whom? Give one of --vhost-user=PATH (listen for a front end), "
			"--connect=PATH (connect to one), --fd=N (inherited) and "
			"--guest=PATH (a guest's bus)");
	if (!job->bus.path && (job->bus.takes_over || job->bus.waits))
		return fail_usage("--take-over and --wait are for a device on a bus: with "
				  "--guest=PATH");
	if (!job->bus.path && job->by_module)
		return fail_usage("a module of the kernel's serves a device on a bus: with "
				  "--guest=PATH");
	if (!job->bus.path && nr_words > 1)
		return fail_usage("a front end knows no names: what is '%s'?", name);
	if (!job->bus.path)
		return EXIT_OK;
	if (nr_words < 2)
		return fail_usage("which device of the guest's? vas device %s NAME --guest=PATH",
				  job->kind->name);
	job->bus.name = name;
	return EXIT_OK;
}

/* Whatever else is said, with this option that is all. */
static bool wants_capabilities(int argc, char **argv)
{
	for (int i = 2; i < argc; i++)
		if (!strcmp(argv[i], "--print-capabilities"))
			return true;
	return false;
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":rh", longs, 0 };
	struct job job = {
		.vhost_user.poll_ns = POLL_US * 1000,
		.bus.poll_ns = POLL_US * 1000,
	};
	int c, code = wants_help(argc, argv) ? EXIT_OK : take_kind(&job, argc, argv);

	if (!code && job.kind && wants_capabilities(argc, argv)) {
		puts(job.kind->capabilities);
		return EXIT_OK;
	}
	while (!code && (c = option_next(&options)) >= 0)
		code = take_option(&job, c);
	if (code)
		return code;
	if (c == OPTION_STOP || option_rest(&options, 1, 2, "which device?") == OPTION_STOP)
		return options.status;
	code = check_way(&job, argc - optind, argv[optind + 1]);
	return code ? code : open_and_serve(&job);
}

static const char *backend_kind(const char *program)
{
	const char *slash = strrchr(program, '/'), *name = slash ? slash + 1 : program;

	return strncmp(name, BACKEND, strlen(BACKEND)) ? NULL : name + strlen(BACKEND);
}

int device_is_backend(const char *program)
{
	return backend_kind(program) != NULL;
}

/* vas-vhost-user-blk WORD... is vas device blk WORD... */
int device_run_backend(int argc, char **argv)
{
	char **words = calloc((size_t)argc + 2, sizeof(*words));
	int code;

	verb_begin(&verb_device);
	if (!words)
		return fail(EXIT_REFUSED, "no memory for %d words", argc);
	words[0] = (char *)verb_device.name;
	words[1] = (char *)backend_kind(argv[0]);
	memcpy(words + 2, argv + 1, (size_t)(argc - 1) * sizeof(*words));
	code = run(argc + 1, words);
	free(words);
	return code;
}

const struct verb verb_device = {
	.name = "device",
	.args = "blk|console|net|rng|vsock [NAME] [OPTION...] --vhost-user=PATH|--connect=PATH|--fd=N|--guest=PATH",
	.summary = "Serve a virtio device, to a VMM that speaks vhost-user or on a vas's bus",
	.help = "Any:\n"
		"      --vhost-user=PATH   the socket at which one front end after the other is served\n"
		"      --connect=PATH      a socket at which a front end listens: it is connected to, again and again\n"
		"      --fd=N              a socket that is inherited: one that listens, or is connected\n"
		"      --guest=PATH        the socket of a guest's owner, which has a device NAME on its bus\n"
		"      --wait              until a guest with the device is served there, as where one is\n"
		"                          to move to, or the device is to be plugged\n"
		"      --take-over         ask the process that serves the device there to leave, and go on\n"
		"                          where it stops: an upgrade\n"
		"      --poll=MICROSECONDS look so long for a request before the thread of a queue sleeps;\n"
		"                          32 unless given, 0: not at all\n"
		"      --num-queues=N      as many as the front end may have: of a disk 64 unless given; of a\n"
		"                          network pairs, 1 unless given\n"
		"\n"
		"blk, a disk:\n"
		"      --path=FILE         its image, raw, or a block device\n"
		"      --memory=SIZE       zeros in memory, gone with the process\n"
		"      --null=SIZE         takes no bytes and gives none: for measuring\n"
		"  -r, --read-only         refuse what writes\n"
		"      --serial=TEXT       what the guest finds as its serial number: 20 bytes at most\n"
		"      --engine=NAME       auto, sync or io_uring; auto is sync on tmpfs, else io_uring\n"
		"      --module            vas_blk.ko serves the queues, in the kernel, for as long as the\n"
		"                          command lives: with --path and --guest\n"
		"\n"
		"net, a network interface:\n"
		"      --tap=NAME          the host's end is a tap, which is made if there is none\n"
		"      --packet=NAME       it is an interface that is there, by a packet socket\n"
		"      --stream=PATH       it is who listens at a Unix socket, as passt or a QEMU's -netdev\n"
		"                          stream does: no interface and no privilege is needed\n"
		"      --loopback          what the guest sends is what it receives\n"
		"      --module[=NAME]     it is an interface that vas_net.ko makes, which serves the queues in\n"
		"                          the kernel for as long as the command lives: with --guest\n"
		"      --null[=BYTES]      takes all frames, and gives none, or as many of that size as the\n"
		"                          guest has room for: for measuring\n"
		"      --mac=ADDRESS       what the guest finds as its address\n"
		"      --mtu=BYTES         what the guest finds as the largest packet\n"
		"      --counters          print what was sent and received whenever a front end has gone\n"
		"\n"
		"console, a terminal of the guest's (hvc0):\n"
		"      --to=FILE           its other end: a terminal, or a file that is appended to; -: stdin and\n"
		"                          stdout, where Ctrl-] ends the command if that is a terminal\n"
		"      --pty=LINK          a new pty, to which a symbolic link is made\n"
		"      --listen=PATH       a Unix socket: who connects is the other end, one after the other\n"
		"\n"
		"rng, random bytes of the host's, has no options of its own.\n"
		"\n"
		"vsock, sockets between guest and host:\n"
		"      --guest-cid=N       the guest's address, 3 or more\n"
		"      --uds-path=PATH     a Unix socket at which the host connects to the guest; the guest\n"
		"                          connects to those at PATH_PORT\n"
		"\n"
		"--print-capabilities, --socket-path=PATH and --blk-file=FILE are what QEMU's conventions for\n"
		"back ends ask for; vas-vhost-user-blk is 'vas device blk', and so are others.\n"
		"\n"
		"SIGUSR1 has it look at the disk's size, and tell the guest if that is another one.\n"
		"\n"
		"It runs until a signal ends it. Killed at any moment and started again, it does what the guest\n"
		"waits for: a front end that connects again (QEMU: reconnect=1 of the socket) goes on, as does a\n"
		"guest of the bus, and each request of a disk is answered once. QEMU's words are in\n"
		"vas-device(1).\n",
	.run = run,
};
