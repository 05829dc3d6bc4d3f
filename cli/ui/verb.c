// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/ui/verb.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vas/vas.h>

#include "cli/ui/text.h"

static const struct verb *verb_now;

void verb_begin(const struct verb *verb)
{
	verb_now = verb;
}

void verb_print_help(const struct verb *verb)
{
	printf("usage: vas %s %s\n\n%s.\n\n%s", verb->name, verb->args, verb->summary, verb->help);
}

static void print_message(const char *format, va_list args)
{
	char *line;

	/* One write for the whole line: lines of several processes do not mix. */
	if (vasprintf(&line, format, args) < 0)
		return;
	/* What it speaks of (names, arguments, what libvas says of them) may hold anything. */
	text_show_all(line);
	fflush(stdout);
	text_clear_progress();
	fprintf(stderr, "vas%s%s: %s\n", verb_now ? " " : "", verb_now ? verb_now->name : "", line);
	free(line);
}

int fail(int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_message(format, args);
	va_end(args);
	return code;
}

int fail_usage(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_message(format, args);
	va_end(args);
	fprintf(stderr, "Try 'vas %s%s--help'.\n", verb_now ? verb_now->name : "",
		verb_now ? " " : "");
	return EXIT_USAGE;
}

int fail_vas(int err, const char *name)
{
	const char *message = vas_error();
	int code = EXIT_REFUSED;

	if (err == -EFAULT || err == -EIO || err == -ENXIO)
		code = EXIT_STOPPED;
	return fail(code, "%s: %s", name, *message ? message : strerror(-err));
}

void note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_message(format, args);
	va_end(args);
}

static int option_bad(struct options *options, int c)
{
	const char *word = options->argv[optind - 1];

	options->status = EXIT_USAGE;
	if (c == ':')
		fail_usage("%s needs a value", word);
	else if (optopt && word[1] == '-')
		fail_usage("%s takes no value", word);
	else if (optopt)
		fail_usage("there is no option -%c", optopt);
	else
		fail_usage("there is no option %s", word);
	return OPTION_STOP;
}

int option_next(struct options *options)
{
	int c;

	opterr = 0;
	c = getopt_long(options->argc, options->argv, options->shorts, options->longs, NULL);
	if (c == '?' || c == ':')
		return option_bad(options, c);
	if (c != 'h')
		return c;
	verb_print_help(verb_now);
	options->status = EXIT_OK;
	return OPTION_STOP;
}

int option_rest(struct options *options, int min, int max, const char *missing)
{
	int nr = options->argc - optind;

	if (nr >= min && nr <= max)
		return nr;
	options->status = EXIT_USAGE;
	if (nr < min)
		fail_usage("%s", missing);
	else
		fail_usage("'%s' is one argument too many", options->argv[optind + max]);
	return OPTION_STOP;
}
