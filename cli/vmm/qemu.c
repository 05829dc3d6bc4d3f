// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/qemu.h"

#include <inttypes.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/target/parse.h"
#include "cli/ui/text.h"
#include "cli/ui/verb.h"

#define QEMU_DEFAULT_MEMORY (128ull << 20)
#define BACKEND_ID	    "vas-ram"
#define MONITOR_ID	    "vas-monitor"

struct refused {
	const char *option;
	const char *part; /* of its value; NULL: it has none */
	const char *advice;
};

/* Options that would put RAM elsewhere. */
static const struct refused elsewhere[] = {
	{ "-machine", "memory-backend=", "the RAM is the vas: drop memory-backend=" },
	{ "-machine", "max-ram-below-4g=", "it moves the RAM: drop max-ram-below-4g=" },
	{ "-m", "slots=", "plugged memory would not be in the vas: drop slots= and maxmem=" },
	{ "-m", "maxmem=", "plugged memory would not be in the vas: drop slots= and maxmem=" },
	{ "-numa", "mem=", "the RAM is one piece: drop mem=" },
	{ "-numa", "memdev=", "the RAM is the vas: drop memdev=" },
	{ "-mem-path", "", "the RAM is the vas: drop -mem-path" },
	{ "-mem-prealloc", NULL, "give --reserve to 'vas run' instead" },
	{ 0 },
};

/* A back end would map the template, and see nothing of what the clone writes. */
#define NO_BACK_END "another process cannot see the memory of a private clone: drop it"

static const struct refused not_private[] = {
	{ "-device", "vhost-user", NO_BACK_END },
	{ "-netdev", "vhost-user", NO_BACK_END },
	{ "-net", "vhost-user", NO_BACK_END },
	{ "-object", "vhost-user", NO_BACK_END },
	{ "-daemonize", NULL,
	  "a private clone does not go into the background by itself: drop it" },
	{ 0 },
};

int qemu_is(const char *command)
{
	const char *name = strrchr(command, '/');

	name = name ? name + 1 : command;
	return !strncmp(name, "qemu-system-", 12) || !strcmp(name, "qemu-kvm") ||
	       !strcmp(name, "kvm");
}

/* QEMU takes an option with one dash or with two, and -M for -machine. */
int qemu_is_option(const char *arg, const char *option)
{
	if (arg[0] == '-' && arg[1] == '-')
		arg++;
	return strcmp(strcmp(arg, "-M") ? arg : "-machine", option) == 0;
}

/* The part of a value such as "q35,accel=tcg" that is named, or comes first without a name. */
static const char *value_part(const char *value, const char *name, size_t *len)
{
	size_t name_len = strlen(name);

	for (const char *part = value; part; part = strchr(part, ',')) {
		part += *part == ',';
		*len = strcspn(part, ",");
		if (*len > name_len && !strncmp(part, name, name_len)) {
			*len -= name_len;
			return part + name_len;
		}
		if (part == value && *len && !memchr(part, '=', *len))
			return part;
	}
	return NULL;
}

static int check_refused(const struct refused *refused, char *const *argv, size_t at)
{
	for (; refused->option; refused++) {
		const char *part = refused->part;

		if (!qemu_is_option(argv[at], refused->option))
			continue;
		if (part && (!argv[at + 1] || !strstr(argv[at + 1], part)))
			continue;
		return fail_usage("%s%s%s: %s", argv[at], part ? " " : "", part ? argv[at + 1] : "",
				  refused->advice);
	}
	return EXIT_OK;
}

/* -m: in MiB if it has no unit, and rounded up to 8 KiB. */
static int read_memory(const char *value, struct plan *plan)
{
	uint64_t size;
	size_t len;
	const char *part = value_part(value, "size=", &len);
	int plain = part && strspn(part, "0123456789") == len;

	if (!part || parse_size_n(part, len, &size) || !size ||
	    (plain && __builtin_mul_overflow(size, 1ull << 20, &size)))
		return fail_usage("-m %s: the size is not understood: write -m 512M or -m 4G",
				  value);
	size = (size + 8191) & ~8191ull;
	if (plan->memory && plan->memory != size)
		return fail_usage("-m %s contradicts the %s of --memory: drop one of them", value,
				  text_size(plan->memory).s);
	plan->memory = size;
	return EXIT_OK;
}

static int read_machine(const char *value, const struct machine **machine)
{
	size_t len;
	const char *name = value_part(value, "type=", &len);

	if (!name)
		return EXIT_OK; /* an option of the machine, but not which */
	*machine = machine_by_name(name, len);
	if (*machine)
		return EXIT_OK;
	return fail_usage("-machine %.*s: where it has its RAM is not known here, but for %s: "
			  "drop it, or say how it does by --machine",
			  (int)len, name, machine_names);
}

static int read_arg(char *const *argv, size_t at, struct plan *plan, const struct machine **machine)
{
	const char *value = argv[at + 1];
	int code = check_refused(elsewhere, argv, at);

	if (!code && value && qemu_is_option(argv[at], "-m"))
		code = read_memory(value, plan);
	if (!code && value && !plan->machine && qemu_is_option(argv[at], "-machine"))
		code = read_machine(value, machine);
	return code;
}

/*
 * Near 1 TiB lies what AMD's HyperTransport keeps for itself. For a CPU of AMD's, QEMU moves all
 * RAM above 4 GiB to 1 TiB if RAM and the 64-bit PCI hole behind it would reach there.
 */
static int check_end(const struct plan *plan)
{
	const uint64_t most = 0xfd00000000 - (64ull << 30);

	if (plan->memory < most || !plan->machine->prefix)
		return EXIT_OK;
	return fail_usage(
		"%s: where QEMU has so much RAM depends on the CPU, and is not known here: "
		"%s is the most",
		text_size(plan->memory).s, text_size(most).s);
}

static const struct machine *default_machine(const char *command)
{
	const char *target = strrchr(command, '-');

	if (target && strcmp(target, "-x86_64") && strcmp(target, "-i386") &&
	    strcmp(target, "-kvm"))
		return NULL;
	return machine_by_name("pc", 2);
}

int qemu_read_args(char *const *argv, struct plan *plan)
{
	const struct machine *machine = NULL;

	for (size_t i = 1; argv[i]; i++) {
		int code = read_arg(argv, i, plan, &machine);

		if (code)
			return code;
	}
	if (!plan->memory)
		plan->memory = QEMU_DEFAULT_MEMORY;
	if (!plan->machine)
		plan->machine = machine ? machine : default_machine(argv[0]);
	if (plan->machine)
		return check_end(plan);
	return fail_usage("where %s has its RAM is not known here: say by --machine which of %s it "
			  "is like",
			  argv[0], machine_names);
}

/* The first with it were 2.9 and pc-q35-2.9: before, firmware could not be told where it lies. */
static int is_older_than_genid(const char *name, size_t len)
{
	const char *version = memrchr(name, '-', len);

	return version && !strncmp(version, "-2.", 3) && version[3] < '9' &&
	       version + 4 == name + len;
}

int qemu_takes_genid(char *const *argv)
{
	const struct machine *machine = default_machine(argv[0]);

	for (size_t i = 1; argv[i] && argv[i + 1]; i++) {
		size_t len;
		const char *name = qemu_is_option(argv[i], "-machine") ?
					   value_part(argv[i + 1], "type=", &len) :
					   NULL;

		if (name)
			machine =
				is_older_than_genid(name, len) ? NULL : machine_by_name(name, len);
		if (qemu_is_option(argv[i], "-device") && strstr(argv[i + 1], "vmgenid"))
			return 0;
	}
	return machine && machine->prefix;
}

int qemu_check_private(char *const *argv)
{
	int code = EXIT_OK;

	for (size_t i = 1; !code && argv[i]; i++)
		code = check_refused(not_private, argv, i);
	return code;
}

int qemu_is_daemon(char *const *argv)
{
	while (*argv && !qemu_is_option(*argv, "-daemonize"))
		argv++;
	return *argv != NULL;
}

/* Where the guest comes from: two arguments that are left out if it comes from elsewhere. */
static int is_origin(const char *arg)
{
	return qemu_is_option(arg, "-incoming") || qemu_is_option(arg, "-loadvm");
}

static void describe(struct qemu_more *more)
{
	snprintf(more->object, sizeof(more->object),
		 "memory-backend-file,id=" BACKEND_ID
		 ",mem-path=/proc/self/fd/@FD@,share=%s,size=%" PRIu64,
		 more->is_private ? "off" : "on", more->memory);
	snprintf(more->backend, sizeof(more->backend), "%s%smemory-backend=" BACKEND_ID,
		 more->machine ? more->machine : "", more->machine ? "," : "");
	snprintf(more->size, sizeof(more->size), "%" PRIu64 "K", more->memory >> 10);
	snprintf(more->chardev, sizeof(more->chardev),
		 "socket,id=" MONITOR_ID ",fd=%d,server=on,wait=off", more->monitor);
	snprintf(more->device, sizeof(more->device), "vmgenid,guid=%s", more->genid);
}

/* Behind those that are there, which `all` has room for. */
static void add(char **all, char *const *words, size_t nr)
{
	while (*all)
		all++;
	memcpy(all, words, nr * sizeof(*words));
}

char **qemu_argv(char *const *argv, struct qemu_more *more)
{
	static char object[] = "-object", machine[] = "-machine", memory[] = "-m";
	static char chardev[] = "-chardev", mon[] = "-mon", incoming[] = "-incoming";
	static char defer[] = "defer", mode[] = "chardev=" MONITOR_ID ",mode=control";
	static char device[] = "-device";
	char *const ram[] = { object, more->object, machine, more->backend, memory, more->size };
	char *const monitor[] = { chardev, more->chardev, mon, mode };
	char *const genid[] = { device, more->device };
	char *const origin[] = { incoming, defer };
	char **all;
	size_t nr = 0;

	while (argv[nr])
		nr++;
	all = calloc(nr + 15, sizeof(*all));
	if (!all)
		return NULL;
	describe(more);
	for (nr = 0; *argv; argv++)
		if (more->is_incoming && is_origin(*argv) && argv[1])
			argv++;
		else
			all[nr++] = *argv;
	add(all, ram, 6);
	if (more->genid)
		add(all, genid, 2);
	if (more->monitor >= 0)
		add(all, monitor, 4);
	if (more->is_incoming)
		add(all, origin, 2);
	return all;
}
