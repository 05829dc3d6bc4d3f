// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas: the command. Each verb has a file of its own; this one finds it. */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <vas/vas.h>

#include "cli/ui/verb.h"
#include "cli/verb/device.h"
#include "cli/vmm/emulator.h"

static const struct verb *const verbs[] = {
	&verb_create,  &verb_run,      &verb_ls,      &verb_info,    &verb_map,	    &verb_read,
	&verb_write,   &verb_fill,     &verb_find,    &verb_compare, &verb_dump,    &verb_send,
	&verb_receive, &verb_snapshot, &verb_restore, &verb_clone,   &verb_pause,   &verb_resume,
	&verb_plug,    &verb_unplug,   &verb_upgrade, &verb_top,     &verb_metrics, &verb_hold,
	&verb_adopt,   &verb_device,   &verb_bus,
};

#define NR_VERBS (sizeof(verbs) / sizeof(verbs[0]))

static const struct verb *verb_find_by_name(const char *name)
{
	for (size_t i = 0; i < NR_VERBS; i++)
		if (strcmp(verbs[i]->name, name) == 0)
			return verbs[i];
	return NULL;
}

static void print_help(FILE *out)
{
	fputs("usage: vas VERB [ARGUMENT...]\n\n"
	      "A vas is a virtual machine's memory as a file descriptor.\n\n",
	      out);
	for (size_t i = 0; i < NR_VERBS; i++)
		fprintf(out, "  %-9s %s\n", verbs[i]->name, verbs[i]->summary);
	fputs("\nA vas is named by the name it was given, by PID/FD (a process that has it open), or by\n"
	      "fd:N or N (a file descriptor that the command inherits). Sizes and addresses are\n"
	      "decimal or 0x..., with K, M, G, T or P behind for powers of 1024.\n\n"
	      "'vas VERB --help' or 'vas help VERB' tells more of a verb; so does the page vas-VERB(1).\n",
	      out);
}

static int fail_surplus(const char *word)
{
	return fail_usage("'%s' is one argument too many", word);
}

static int help(int argc, char **argv)
{
	const struct verb *verb;

	if (argc > 3)
		return fail_surplus(argv[3]);
	if (argc < 3) {
		print_help(stdout);
		return EXIT_OK;
	}
	verb = verb_find_by_name(argv[2]);
	if (!verb)
		return fail_usage("there is no verb '%s'", argv[2]);
	verb_print_help(verb);
	return EXIT_OK;
}

static int dispatch(int argc, char **argv)
{
	const struct verb *verb;

	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return help(argc, argv);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		if (argc > 2)
			return fail_surplus(argv[2]);
		printf("vas %s\n", vas_version());
		return EXIT_OK;
	}
	verb = verb_find_by_name(argv[1]);
	if (!verb)
		return fail_usage("there is no verb '%s'", argv[1]);
	verb_begin(verb);
	return verb->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	int code;

	setlocale(LC_CTYPE, "");
	if (argc && emulator_is(argv[0]))
		code = emulator_run(argv);
	else if (argc && device_is_backend(argv[0]))
		code = device_run_backend(argc, argv);
	else
		code = dispatch(argc, argv);
	/*
	 * Output that was requested and could not be written (a full disk, for one) is a failure.
	 */
	if (ferror(stdout) | fflush(stdout))
		return fail(EXIT_REFUSED, "cannot write the output: %s", strerror(errno));
	return code;
}
