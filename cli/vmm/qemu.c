// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/qemu.h"

#include <inttypes.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <linux/magic.h>

#include "cli/target/name.h"
#include "cli/target/parse.h"
#include "cli/ui/text.h"
#include "cli/ui/verb.h"
#include "cli/vmm/arguments.h"
#include "qemu/backend.h"

#define QEMU_DEFAULT_MEMORY (128ull << 20)
#define MAX_SLOTS	    256 /* of QEMU's */
#define BACKEND_ID	    "vas-ram"
#define RAM_PATH	    "/proc/self/fd/@FD@"
#define MONITOR_ID	    "vas-monitor"
#define CONSOLE		    "vas-console-" /* and the place of the argument that it is for */

struct refused {
	const char *option;
	const char *part; /* of its value; NULL: it has none */
	const char *advice;
};

/* Options that would put RAM elsewhere. */
static const struct refused elsewhere[] = {
	{ "-machine", "max-ram-below-4g=", "it moves the RAM: drop max-ram-below-4g=" },
	{ "-numa", "mem=", "say by memdev= which memory a node has" },
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

static int check_refused(const struct refused *refused, char *const *argv, size_t at)
{
	for (; refused->option; refused++) {
		const char *part = refused->part;

		if (!argument_is(argv[at], refused->option))
			continue;
		if (part && (!argv[at + 1] || !strstr(argv[at + 1], part)))
			continue;
		return fail_usage("%s%s%s: %s", argv[at], part ? " " : "", part ? argv[at + 1] : "",
				  refused->advice);
	}
	return EXIT_OK;
}

/* In MiB if it has no unit: 0 or -EINVAL. */
static int take_size(const char *part, size_t len, uint64_t *size)
{
	int plain = strspn(part, "0123456789") == len;

	if (parse_size_n(part, len, size) || !*size ||
	    (plain && __builtin_mul_overflow(*size, 1ull << 20, size)))
		return -EINVAL;
	return 0;
}

/* What may be plugged later. */
static int read_max(const char *value, struct plan *plan)
{
	size_t max_len, slots_len;
	const char *max = argument_part(value, "maxmem=", &max_len);
	const char *slots = argument_part(value, "slots=", &slots_len);

	if ((!max || !take_size(max, max_len, &plan->max_memory)) &&
	    (!slots || !parse_size_n(slots, slots_len, &plan->slots)) && plan->slots <= MAX_SLOTS)
		return EXIT_OK;
	return fail_usage(
		"-m %s: slots= or maxmem= is not understood: write -m 1G,slots=4,maxmem=8G", value);
}

/* -m: rounded up to 8 KiB. */
static int read_memory(const char *value, struct plan *plan)
{
	uint64_t size;
	size_t len;
	const char *part = argument_first(value, "size=", &len);

	if (!part || take_size(part, len, &size))
		return fail_usage("-m %s: the size is not understood: write -m 512M or -m 4G",
				  value);
	if (read_max(value, plan))
		return EXIT_USAGE;
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
	const char *name = argument_first(value, "type=", &len);

	if (!name)
		return EXIT_OK; /* an option of the machine, but not which */
	*machine = machine_by_name(name, len);
	if (*machine)
		return EXIT_OK;
	return fail_usage("-machine %.*s: where it has its RAM is not known here, but for %s: "
			  "drop it, or say how it does by --machine",
			  (int)len, name, machine_names);
}

/* A name for people is the guest's, where it can be one. */
static void read_name(const char *value, struct plan *plan)
{
	size_t len;
	const char *name = argument_first(value, "guest=", &len);

	if (!name || plan->options.name)
		return;
	snprintf(plan->guest, sizeof(plan->guest), "%.*s", (int)len, name);
	if (len < sizeof(plan->guest) && !name_check(plan->guest))
		plan->options.name = plan->guest;
}

/* The value of the -object that backs the machine's RAM: an index, or 0 if there is none. */
static size_t find_backend(char *const *argv, struct qemu_backend *backend)
{
	const char *id = NULL;
	size_t len = 0;

	for (size_t i = 1; !id && argv[i] && argv[i + 1]; i++)
		if (argument_is(argv[i], "-machine"))
			id = argument_part(argv[i + 1], "memory-backend=", &len);
	for (size_t i = 1; id && argv[i] && argv[i + 1]; i++)
		if (argument_is(argv[i], "-object") && qemu_backend_parse(argv[i + 1], backend) &&
		    strlen(backend->id) == len && !strncmp(backend->id, id, len))
			return i + 1;
	return 0;
}

/* Of a file that is to be made: its folder's. */
static int is_in_hugetlbfs(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[256];
	struct statfs fs;

	snprintf(folder, sizeof(folder), "%.*s/", (int)(slash ? slash - path : 0), path);
	return slash && !statfs(folder, &fs) && fs.f_type == HUGETLBFS_MAGIC;
}

/* Where RAM is said to lie is where the vas is going to be. */
static int read_backend(char *const *argv, size_t at, struct plan *plan)
{
	struct qemu_backend backend;
	size_t len;

	if (!argument_part(argv[at + 1], "memory-backend=", &len))
		return EXIT_OK;
	if (!find_backend(argv, &backend))
		return fail_usage("-machine %s: there is no -object memory-backend-... of that id",
				  argv[at + 1]);
	if (backend.is_huge || is_in_hugetlbfs(backend.path))
		plan->options.flags |= VAS_CREATE_HUGETLB;
	return EXIT_OK;
}

static int read_arg(char *const *argv, size_t at, struct plan *plan, const struct machine **machine)
{
	const char *value = argv[at + 1];
	int code = check_refused(elsewhere, argv, at);

	if (value && argument_is(argv[at], "-name"))
		read_name(value, plan);
	if (!code && value && argument_is(argv[at], "-machine"))
		code = read_backend(argv, at, plan);

	if (!code && value && argument_is(argv[at], "-m"))
		code = read_memory(value, plan);
	if (!code && value && !plan->machine && argument_is(argv[at], "-machine"))
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

	if ((plan->memory < most && plan->options.limit < most) || !machine_is_pc(plan->machine))
		return EXIT_OK;
	return fail_usage(
		"%s: where QEMU has so much RAM depends on the CPU, and is not known here: "
		"%s is the most",
		text_size(plan->memory < most ? plan->options.limit : plan->memory).s,
		text_size(most).s);
}

/* What is plugged gets room behind the RAM, and a GiB a slot, to begin at a border of one. */
static void make_room(struct plan *plan)
{
	uint64_t end;

	if (plan->max_memory <= plan->memory || plan->options.limit)
		return;
	end = machine_device_memory(plan->machine, plan->memory);
	plan->options.limit = end + (plan->max_memory - plan->memory) + (plan->slots << 30);
}

static const struct machine *default_machine(const char *command)
{
	const char *target = strrchr(command, '-');

	if (target && strcmp(target, "-x86_64") && strcmp(target, "-i386") &&
	    strcmp(target, "-kvm"))
		return NULL;
	return machine_by_name("pc", 2);
}

static int is_for(const char *command, const char *target)
{
	const char *end = strrchr(command, '-');

	return end && !strcmp(end, target);
}

int qemu_read_args(char *const *argv, struct plan *plan)
{
	const struct machine *machine = NULL;
	int code;

	for (size_t i = 1; argv[i]; i++) {
		code = read_arg(argv, i, plan, &machine);

		if (code)
			return code;
	}
	code = backends_read(argv, &plan->backends);
	if (code)
		return code;
	if (!plan->memory)
		plan->memory = QEMU_DEFAULT_MEMORY;
	if (!plan->machine)
		plan->machine = machine ? machine : default_machine(argv[0]);
	if (machine && machine->base && !is_for(argv[0], "-aarch64"))
		return fail_usage(
			"%s -machine virt: where it has its RAM is known of aarch64's alone",
			argv[0]);
	if (plan->machine) {
		make_room(plan);
		return check_end(plan);
	}
	return fail_usage("where %s has its RAM is not known here: say by --machine which of %s it "
			  "is like",
			  argv[0], machine_names);
}

static int is_word(const char *word, const char *const *list)
{
	while (*list && strcmp(word, *list))
		list++;
	return *list != NULL;
}

int qemu_has_guest(char *const *argv)
{
	static const char *const asks[] = {
		"-h", "-help", "--help", "-version", "--version", NULL
	};
	static const char *const tell[] = { "-machine", "-M",	   "-cpu",     "-device", "-accel",
					    "-object",	"-netdev", "-chardev", NULL };
	static const char *const what[] = { "help", "?", "none", NULL };

	for (size_t i = 1; argv[i]; i++) {
		char value[8];

		if (is_word(argv[i], asks))
			return 0;
		if (!argv[i + 1] || !is_word(argv[i], tell))
			continue;
		snprintf(value, sizeof(value), "%.*s", (int)strcspn(argv[i + 1], ","), argv[i + 1]);
		if (is_word(value, what))
			return 0;
	}
	return 1;
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
		const char *name = argument_is(argv[i], "-machine") ?
					   argument_first(argv[i + 1], "type=", &len) :
					   NULL;

		if (name)
			machine =
				is_older_than_genid(name, len) ? NULL : machine_by_name(name, len);
		if (argument_is(argv[i], "-device") && strstr(argv[i + 1], "vmgenid"))
			return 0;
	}
	return machine && machine_is_pc(machine);
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
	while (*argv && !argument_is(*argv, "-daemonize"))
		argv++;
	return *argv != NULL;
}

/* Where the guest comes from: two arguments that are left out if it comes from elsewhere. */
static int is_origin(const char *arg)
{
	return argument_is(arg, "-incoming") || argument_is(arg, "-loadvm");
}

static void describe(struct qemu_more *more, const char *backend)
{
	snprintf(more->object, sizeof(more->object),
		 "memory-backend-file,id=" BACKEND_ID ",mem-path=" RAM_PATH
		 ",share=%s,size=%" PRIu64,
		 more->is_private ? "off" : "on", more->memory);
	snprintf(more->backend, sizeof(more->backend), "%s%smemory-backend=%s",
		 more->machine ? more->machine : "", more->machine ? "," : "", backend);
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
	if (nr)
		memcpy(all, words, nr * sizeof(*words));
}

/* ---- arguments of ours in the place of others ---------------------------------------------- */

/* The text is taken over; NULL: there was no memory for it. */
static int put(struct qemu_more *more, size_t at, char *text)
{
	struct qemu_word *given = realloc(more->given, (more->nr_given + 1) * sizeof(*given));

	if (!text || !given) {
		free(text);
		more->given = given ? given : more->given;
		return -ENOMEM;
	}
	more->given = given;
	given[more->nr_given++] = (struct qemu_word){ at, text };
	return 0;
}

static int put_backend(struct qemu_more *more, char *const *argv, const struct backend *backend)
{
	char path[40] = RAM_PATH;
	int err;

	if (backend->fd >= 0)
		snprintf(path, sizeof(path), "/proc/self/fd/%d", backend->fd);
	err = put(more, backend->object,
		  qemu_backend_at(argv[backend->object], path, !more->is_private));
	if (!err && backend->device)
		err = put(more, backend->device,
			  qemu_device_at(argv[backend->device], backend->gpa));
	return err;
}

/* ---- files that a guest goes on to write to ----------------------------------------------- */

/* "-serial file:PATH" empties the file; only a character device of its own can continue one. */
static int put_console(struct qemu_more *more, size_t at, const char *path)
{
	char **words = realloc(more->consoles, (more->nr_consoles + 2) * sizeof(*words)), *to,
	     *text;

	if (!words)
		return -ENOMEM;
	more->consoles = words;
	/* Each comma may become two. */
	words[0 + more->nr_consoles] = strdup("-chardev");
	words[1 + more->nr_consoles] = to = malloc(2 * strlen(path) + sizeof(CONSOLE) + 48);
	more->nr_consoles += 2;
	if (!words[more->nr_consoles - 2] || !to)
		return -ENOMEM;
	to += sprintf(to, "file,id=" CONSOLE "%zu,append=on,path=", at);
	for (; *path; path++) {
		if (*path == ',')
			*to++ = ',';
		*to++ = *path;
	}
	*to = '\0';
	return put(more, at, asprintf(&text, "chardev:" CONSOLE "%zu", at) < 0 ? NULL : text);
}

static int put_appended(struct qemu_more *more, size_t at, const char *chardev)
{
	char *text;

	return put(more, at, asprintf(&text, "%s,append=on", chardev) < 0 ? NULL : text);
}

static int put_consoles(struct qemu_more *more, char *const *argv)
{
	static const char *const outputs[] = { "-serial", "-parallel", "-debugcon" };
	int err = 0;

	for (size_t i = 1; !err && argv[i] && argv[i + 1]; i++) {
		const char *value = argv[i + 1];

		for (size_t k = 0; !err && k < sizeof(outputs) / sizeof(outputs[0]); k++)
			if (argument_is(argv[i], outputs[k]) && !strncmp(value, "file:", 5))
				err = put_console(more, i + 1, value + 5);
		if (!err && argument_is(argv[i], "-chardev") && !strncmp(value, "file,", 5) &&
		    !strstr(value, ",append="))
			err = put_appended(more, i + 1, value);
	}
	return err;
}

/* ---- all of them -------------------------------------------------------------------------- */

static int put_all(struct qemu_more *more, char *const *argv, size_t ram)
{
	int err = 0;

	if (ram)
		err = put(more, ram, qemu_backend_at(argv[ram], RAM_PATH, !more->is_private));
	for (size_t i = 0; !err && i < more->backends.nr; i++)
		err = put_backend(more, argv, &more->backends.at[i]);
	return err || !more->goes_on ? err : put_consoles(more, argv);
}

static char *word_at(const struct qemu_more *more, char *const *argv, size_t at)
{
	for (size_t i = 0; i < more->nr_given; i++)
		if (more->given[i].at == at)
			return more->given[i].text;
	return argv[at];
}

/* The arguments, without those that others take the place of. */
static char **copy_args(char *const *argv, const struct qemu_more *more)
{
	char **all;
	size_t nr = 0;

	while (argv[nr])
		nr++;
	all = calloc(nr + 16 + more->nr_dimms + more->nr_consoles, sizeof(*all));
	nr = 0;
	for (size_t i = 0; all && argv[i]; i++)
		if (more->is_incoming && is_origin(argv[i]) && argv[i + 1])
			i++;
		else
			all[nr++] = word_at(more, argv, i);
	return all;
}

/* Nodes have the RAM in parts, each in a back end of its own: the machine has none. */
static void add_ram(char **all, struct qemu_more *more, int has_own)
{
	static char object[] = "-object", machine[] = "-machine", memory[] = "-m";
	char *const ram[] = { object, more->object };
	char *const place[] = { machine, more->backend };
	char *const size[] = { memory, more->size };

	if (!has_own && !more->backends.nr_nodes)
		add(all, ram, 2);
	if (!more->backends.nr_nodes)
		add(all, place, 2);
	else if (more->machine)
		add(all, (char *const[]){ machine, (char *)more->machine }, 2);
	add(all, size, 2);
	add(all, more->dimms, more->nr_dimms);
}

char **qemu_argv(char *const *argv, struct qemu_more *more)
{
	static char chardev[] = "-chardev", mon[] = "-mon", incoming[] = "-incoming";
	static char defer[] = "defer", mode[] = "chardev=" MONITOR_ID ",mode=control";
	static char device[] = "-device", stands[] = "-S";
	char *const monitor[] = { chardev, more->chardev, mon, mode };
	char *const genid[] = { device, more->device };
	/* A guest that ran when its state was taken would run as soon as that is loaded. */
	char *const origin[] = { incoming, defer, stands };
	struct qemu_backend own;
	size_t backend = find_backend(argv, &own);
	char **all = put_all(more, argv, backend) ? NULL : copy_args(argv, more);

	if (!all)
		return NULL;
	describe(more, backend ? own.id : BACKEND_ID);
	add_ram(all, more, backend != 0);
	add(all, more->consoles, more->nr_consoles);
	if (more->genid)
		add(all, genid, 2);
	if (more->monitor >= 0)
		add(all, monitor, 4);
	if (more->is_incoming)
		add(all, origin, 3);
	return all;
}

int qemu_more_dimm(struct qemu_more *more, const struct qemu_dimm *dimm, int fd)
{
	char **words = realloc(more->dimms, (more->nr_dimms + 4) * sizeof(*words)), **at;

	if (!words)
		return -ENOMEM;
	more->dimms = words;
	at = words + more->nr_dimms;
	at[0] = strdup("-object");
	at[2] = strdup("-device");
	if (asprintf(&at[1],
		     "memory-backend-file,id=" QEMU_DIMM_BACKEND("%s") ",mem-path=/proc/self/fd/%d,"
								       "share=on,size=%" PRIu64,
		     dimm->id, fd, dimm->size) < 0)
		at[1] = NULL;
	if (asprintf(&at[3],
		     "pc-dimm,id=%s,memdev=" QEMU_DIMM_BACKEND("%s") ",addr=%#" PRIx64 ",slot=%d",
		     dimm->id, dimm->id, dimm->gpa, dimm->slot) < 0)
		at[3] = NULL;
	more->nr_dimms += 4;
	return at[0] && at[1] && at[2] && at[3] ? 0 : -ENOMEM;
}

void qemu_more_clean(struct qemu_more *more)
{
	for (size_t i = 0; i < more->nr_dimms; i++)
		free(more->dimms[i]);
	free(more->dimms);
	for (size_t i = 0; i < more->nr_consoles; i++)
		free(more->consoles[i]);
	free(more->consoles);
	for (size_t i = 0; i < more->nr_given; i++)
		free(more->given[i].text);
	free(more->given);
	backends_clean(&more->backends);
}
