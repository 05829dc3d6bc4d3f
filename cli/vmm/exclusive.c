// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/exclusive.h"

#include <stddef.h>
#include <string.h>

#include "cli/vmm/arguments.h"

#define MOST 12

/*
 * Options that name something of the host, and how their values begin where two may have it. Disks
 * are not among them: a QEMU that takes a guest's state opens them, and takes their locks as the
 * guest goes on.
 */
struct option_kind {
	const char *option;
	const char *harmless[MOST];
};

static const struct option_kind kinds[] = {
	{ "-chardev", { "null,", "ringbuf,", "pty,", "vc,", "memory," } },
	{ "-serial", { "null", "none", "pty", "vc", "chardev:", "mon:chardev:" } },
	{ "-parallel", { "null", "none", "pty", "vc", "chardev:" } },
	{ "-debugcon", { "null", "none", "pty", "vc", "chardev:" } },
	{ "-monitor", { "null", "none", "pty", "vc", "chardev:" } },
	{ "-qmp", { "null", "none", "pty", "chardev:" } },
	{ "-qmp-pretty", { "null", "none", "pty", "chardev:" } },
	{ "-netdev", { "user,", "hubport," } },
	{ "-nic", { "none", "user" } },
	{ "-net", { "none", "nic", "user" } },
	{ "-object",
	  { "iothread,", "memory-backend-", "rng-", "secret,", "throttle-group,", "tls-c", "authz-",
	    "thread-context," } },
	{ "-display", { "none", "gtk", "sdl", "egl-headless" } },
	{ "-vnc", { "none" } },
	{ "-gdb", { "none" } },
	{ "-pidfile", { NULL } },
	{ "-spice", { NULL } },
	{ "-nographic", { NULL } },
	{ "-curses", { NULL } },
	{ "-s", { NULL } },
	{ "-add-fd", { NULL } },
	{ "-tpmdev", { NULL } },
	{ "-fsdev", { NULL } },
	{ "-virtfs", { NULL } },
	{ "-usbdevice", { NULL } },
	{ "-readconfig", { NULL } },
	{ "-semihosting-config", { NULL } },
	{ 0 },
};

/* In any value: ports and files that are one's own, fds, devices of the host's. */
static const char *const anywhere[] = { "hostfwd=", "guestfwd=",  "smb=",  "fd=",
					"fds=",	    "/dev/fdset", "vhost", "vfio",
					"usb-host", "logfile=",	  NULL };

static int is_harmless(const char *const *harmless, const char *value)
{
	while (*harmless && strncmp(value, *harmless, strlen(*harmless)))
		harmless++;
	return *harmless != NULL;
}

/* A file that is continued, and so has the output of both. */
static int is_appended(const char *value)
{
	return !strncmp(value, "file,", 5) && strstr(value, ",append=on");
}

static int has_exclusive_part(const char *value)
{
	const char *const *part = anywhere;

	while (*part && !strstr(value, *part))
		part++;
	return *part != NULL;
}

static int is_exclusive(const char *arg, const char *value)
{
	const struct option_kind *kind = kinds;

	while (kind->option && !argument_is(arg, kind->option))
		kind++;
	if (!kind->option)
		return arg[0] == '-' && has_exclusive_part(value);
	if (!kind->harmless[0])
		return 1;
	return has_exclusive_part(value) ||
	       (!is_harmless(kind->harmless, value) && !is_appended(value));
}

const char *exclusive_argument(char *const *argv, const char **value)
{
	for (argv++; *argv; argv++) {
		*value = argv[1] && argv[1][0] != '-' ? argv[1] : "";
		if (is_exclusive(*argv, *value))
			return *argv;
	}
	return NULL;
}
