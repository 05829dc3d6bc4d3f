// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <signal.h>

#include "cli/endpoint/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "cli/endpoint/address.h"
#include "cli/endpoint/callers.h"
#include "cli/vmm/child.h"
#include "cli/endpoint/listener.h"
#include "cli/target/parse.h"
#include "cli/ui/verb.h"

#define CONNECT_S 10 /* an address */

/* ---- files and fds ------------------------------------------------------------------------ */

static int open_fd(struct endpoint *e, const char *text, int is_output)
{
	int number, fd, code;
	struct stat st;

	if (!strcmp(text, "-"))
		fd = dup(is_output ? STDOUT_FILENO : STDIN_FILENO);
	else if (strncmp(text, "fd:", 3) && !is_output)
		fd = open(text, O_RDONLY | O_CLOEXEC);
	else if (strncmp(text, "fd:", 3) && (code = out_file_open(&e->file, text)))
		return code;
	else if (strncmp(text, "fd:", 3))
		fd = dup(e->file.fd);
	else if (parse_number(text + 3, &number))
		return fail_usage("'%s' names no fd: write fd:3", text);
	else
		fd = dup(number);
	if (fd < 0 || fstat(fd, &st))
		return fail(EXIT_REFUSED, "%s: %s", text, strerror(errno));
	e->fds[e->nr++] = fd;
	e->is_one_way = !S_ISSOCK(st.st_mode);
	return EXIT_OK;
}

/* HOST:PORT, say, without the word before it: nobody means a file of that name. */
static int is_no_path(const char *text)
{
	return strncmp(text, "fd:", 3) && text[strcspn(text, ":/")] == ':';
}

static int open_one(struct endpoint *e, const char *text, int nr, int is_output)
{
	if (is_no_path(text))
		return fail_usage("'%s' is no address: write tcp:HOST:PORT, unix:PATH, fd:N, or "
				  "./%s for a file",
				  text, text);
	if (nr != 1)
		return fail_usage("%s has one channel; several need unix: or tcp:", text);
	return open_fd(e, text, is_output);
}

/* ---- sockets ------------------------------------------------------------------------------ */

/* One that does not answer is not waited for as long as TCP would. */
static int connect_to(const struct address *address)
{
	const struct timeval patience = { .tv_sec = CONNECT_S }, none = { 0 };
	int fd = socket(address->family, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&address->storage, address->size)) {
		err = errno == EINPROGRESS || errno == EAGAIN ? -ETIMEDOUT : -errno;
		close(fd);
		return err;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none));
	return fd;
}

/* The first that answers is the one for all channels. */
static int connect_first(const struct addresses *addresses, int *answers)
{
	int fd = -EADDRNOTAVAIL;

	for (*answers = 0; *answers < addresses->nr; ++*answers) {
		fd = connect_to(&addresses->at[*answers]);
		if (fd >= 0)
			break;
	}
	return fd;
}

int endpoint_connect(struct endpoint *e, const char *text, int nr)
{
	struct addresses addresses;
	int code, answers = 0;

	*e = (struct endpoint){ .file = OUT_FILE_NONE };
	if (!address_is_meant(text))
		return open_one(e, text, nr, 1);
	code = address_take(text, &addresses);
	while (!code && e->nr < nr) {
		int fd = e->nr ? connect_to(&addresses.at[answers]) :
				 connect_first(&addresses, &answers);

		if (fd >= 0)
			e->fds[e->nr++] = fd;
		else
			code = fail(EXIT_REFUSED, "cannot connect to %s: %s", text, strerror(-fd));
	}
	if (code)
		endpoint_close(e);
	return code;
}

/* The signals are blocked meanwhile, for a socket's file is to go before we do. */
static int listen_and_collect(struct endpoint *e, const char *text, int nr, int wait_s)
{
	struct listener listener;
	int code = listener_open(&listener, text);

	if (code)
		return code;
	note("waiting for %d channel%s at %s", nr, nr == 1 ? "" : "s", text);
	code = callers_collect(&listener, e->fds, nr, wait_s);
	listener_close(&listener);
	if (!code)
		e->nr = nr;
	return code;
}

int endpoint_accept(struct endpoint *e, const char *text, int nr, int wait_s)
{
	sigset_t mask;
	int code;

	*e = (struct endpoint){ .file = OUT_FILE_NONE };
	if (!address_is_meant(text))
		return open_one(e, text, nr, 0);
	sigprocmask(SIG_SETMASK, NULL, &mask);
	block_signals();
	code = listen_and_collect(e, text, nr, wait_s);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	return code;
}

int endpoint_finish(struct endpoint *e)
{
	return out_file_finish(&e->file);
}

void endpoint_close(struct endpoint *e)
{
	out_file_clean(&e->file);
	while (e->nr)
		close(e->fds[--e->nr]);
}
