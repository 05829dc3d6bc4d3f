// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <vas/vas.h>

#include "cli/verb/device.h"
#include "device/console/console.h"

/* The command ends as by the signal. */
static void end(void)
{
	kill(getpid(), SIGTERM);
}

static struct console console;
static struct console_options options = { .peer.escape = end, .queue_size = DEVICE_QUEUE_SIZE };
static int nr_ends; /* --to, --pty and --listen given */

static int take_end(enum console_peer_kind kind)
{
	options.peer.kind = kind;
	options.peer.path = optarg;
	nr_ends++;
	return EXIT_OK;
}

static int take(int c)
{
	switch (c) {
	case DEVICE_TO:
		return take_end(strcmp(optarg, "-") ? CONSOLE_FILE : CONSOLE_STDIO);
	case DEVICE_PTY:
		return take_end(CONSOLE_PTY);
	case DEVICE_LISTEN:
		return take_end(CONSOLE_SOCKET);
	default:
		return DEVICE_OPTION_UNKNOWN;
	}
}

static int open_console(struct vas_device **device)
{
	if (nr_ends != 1)
		return fail_usage("what is its other end? Give one of --to, --pty and --listen");
	if (console_open(&console, &options))
		return fail(EXIT_REFUSED, "%s", vas_error());
	*device = &console.device;
	return EXIT_OK;
}

static void close_console(void)
{
	console_close(&console);
}

const struct device_kind device_console = {
	.name = "console",
	.capabilities = "{ \"type\": \"console\" }",
	.take = take,
	.open = open_console,
	.close = close_console,
};
