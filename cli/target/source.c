// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/target/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/target/parse.h"

static const struct option longs[] = {
	{ "hex", required_argument, NULL, 'x' },
	{ "string", required_argument, NULL, 's' },
	{ "file", required_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int take_hex(struct source *source, const char *digits)
{
	if (parse_hex(digits, &source->bytes, NULL, &source->len) == 0)
		return EXIT_OK;
	return fail_usage("--hex: '%s' is not pairs of hex digits, such as \"de ad be ef\"",
			  digits);
}

static int take_string(struct source *source, const char *text)
{
	source->len = strlen(text);
	source->bytes = (uint8_t *)strdup(text);
	return source->bytes ? EXIT_OK : fail(EXIT_REFUSED, "no memory");
}

static int take_file(struct source *source, const char *path)
{
	source->path = path;
	source->fd = open(path, O_RDONLY | O_CLOEXEC);
	return source->fd >= 0 ? EXIT_OK : fail(EXIT_REFUSED, "%s: %s", path, strerror(errno));
}

static int take_option(struct source *source, int option, const char *value)
{
	if (source->bytes || source->fd)
		return fail_usage("--hex, --string and --file: one of them, and once");
	if (option == 'x')
		return take_hex(source, value);
	return option == 's' ? take_string(source, value) : take_file(source, value);
}

/* The next bytes, at most max: how many, 0 at the end, or -errno. */
static long source_read(struct source *source, uint8_t *bytes, size_t max)
{
	size_t nr = source->len - source->taken;
	ssize_t got;

	if (source->bytes) {
		nr = nr < max ? nr : max;
		memcpy(bytes, source->bytes + source->taken, nr);
		source->taken += nr;
		return (long)nr;
	}
	/* As much as fits: a pipe gives little at a time. */
	for (nr = 0; nr < max; nr += (size_t)got) {
		got = read(source->fd, bytes + nr, max - nr);
		if (got < 0 && errno == EINTR)
			got = 0;
		else if (got < 0)
			return -errno;
		else if (got == 0)
			break;
	}
	return (long)nr;
}

int source_each(struct source *source, struct user *user)
{
	uint8_t *segment = malloc(SOURCE_SEGMENT);
	int code = segment ? EXIT_OK : fail(EXIT_REFUSED, "no memory");
	uint64_t at = 0;
	long nr;

	for (; !code; at += (uint64_t)nr) {
		nr = source_read(source, segment, SOURCE_SEGMENT);
		if (nr < 0)
			code = fail(EXIT_REFUSED, "%s: %s", source->path, strerror((int)-nr));
		if (nr <= 0)
			break;
		code = user->use(user, at, segment, (size_t)nr);
	}
	free(segment);
	return code;
}

int source_run(int argc, char **argv, const char *missing,
	       int (*act)(char **argv, struct source *source))
{
	struct options options = { argc, argv, ":x:s:f:h", longs, 0 };
	struct source source = { .path = "stdin" };
	int c;

	while ((c = option_next(&options)) >= 0) {
		options.status = take_option(&source, c, optarg);
		if (options.status)
			break;
	}
	if (c == OPTION_END && option_rest(&options, 2, 2, missing) > 0)
		options.status = act(argv + optind, &source);
	free(source.bytes);
	if (source.fd > 0)
		close(source.fd);
	return options.status;
}
