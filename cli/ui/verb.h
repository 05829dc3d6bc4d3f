/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a verb of the vas command is, how it reads its options, and how it ends. */
#ifndef CLI_VERB_H
#define CLI_VERB_H

#include <getopt.h>
#include <stddef.h>

struct verb {
	const char *name;
	const char *args;    /* what follows the verb, for the first line of its help */
	const char *summary; /* one line, for the list of verbs */
	const char *help;    /* what the options do */
	int (*run)(int argc, char **argv); /* returns an exit code */
};

/* Exit codes; vas(1) documents them. A command that was started passes on its own. */
enum exit_code {
	EXIT_OK = 0,
	EXIT_NOT_FOUND = 1, /* no such vas, no match, contents differ */
	EXIT_USAGE = 2,
	EXIT_REFUSED = 3, /* the vas or the system said no */
	EXIT_STOPPED = 4, /* a hole or a page that failed was in the way: not all was done */
	EXIT_OWN = 125,	  /* create and run with a command: vas failed before it was started */
	EXIT_CANNOT_RUN = 126,
	EXIT_NO_COMMAND = 127,
};

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* The verb at work, which begins every message. */
void verb_begin(const struct verb *verb);
void verb_print_help(const struct verb *verb);

/* Say on stderr what is wrong, in a sentence that also says what to do. Both return `code`. */
int fail(int code, const char *format, ...) PRINTF_LIKE(2, 3);
int fail_usage(const char *format, ...) PRINTF_LIKE(1, 2);

/* The same for a call of libvas that returned err: vas_error() is the sentence. */
int fail_vas(int err, const char *name);

/* Something worth knowing that is no failure. */
void note(const char *format, ...) PRINTF_LIKE(1, 2);

/*
 * The options of a verb, in any place among its arguments. A command line after them ("+" first in
 * shorts) ends them. --help is understood everywhere.
 */
struct options {
	int argc;
	char **argv;
	const char *shorts;
	const struct option *longs;
	int status; /* when option_next() says OPTION_STOP: the exit code */
};

#define OPTION_END  (-1)
#define OPTION_STOP (-2)

/* The next option's val, OPTION_END (the rest begins at argv[optind]), or OPTION_STOP. */
int option_next(struct options *options);

/* How many positional arguments there are, which must be min to max. OPTION_STOP: message printed.
 */
int option_rest(struct options *options, int min, int max, const char *missing);

extern const struct verb verb_create, verb_run, verb_ls, verb_info, verb_read, verb_write;
extern const struct verb verb_dump, verb_find, verb_map, verb_fill, verb_compare;
extern const struct verb verb_send, verb_receive, verb_snapshot, verb_restore, verb_clone, verb_top;
extern const struct verb verb_pause, verb_resume, verb_plug, verb_unplug, verb_upgrade;
extern const struct verb verb_metrics, verb_hold, verb_adopt, verb_device, verb_bus;

#endif
