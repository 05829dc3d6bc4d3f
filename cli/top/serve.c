// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Metrics by HTTP. libmicrohttpd speaks it, without a thread; who is let in, and for how long, is
 * decided here: one request a connection, MAX_CALLERS at once of which the oldest goes for a new
 * one, and PATIENCE_MS for all of it. However many ask, the host is not looked at more often than
 * once in the age that a look may have.
 */
#include "cli/top/top.h"

#include "cli/ui/verb.h"

#ifdef HAVE_MICROHTTPD

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cli/endpoint/listener.h"
#include "cli/vmm/child.h"

#define MAX_CALLERS 64
#define PATIENCE_MS 10000 /* as long as Prometheus waits */
#define REQUEST_LEN 8192  /* its head, at most; a body is not read */
#define LOOK_MS	    50

struct caller {
	int fd; /* the daemon's */
	uint64_t until_ns;
};

struct server {
	struct top *top;
	uint64_t max_age_ns;
	struct listener listener;
	struct MHD_Daemon *daemon;
	struct caller callers[MAX_CALLERS]; /* the oldest first */
	int nr;
	struct MHD_Response *page; /* what the last look has found */
	uint64_t looked_ns;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

/* ---- a look, and its page ----------------------------------------------------------------- */

static char *format(const struct top *top, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	if (!out)
		return NULL;
	top_print_metrics(out, top);
	if (!fclose(out))
		return text;
	free(text);
	return NULL;
}

static struct MHD_Response *make_page(void *text, size_t len, enum MHD_ResponseMemoryMode mode,
				      const char *type)
{
	struct MHD_Response *page = MHD_create_response_from_buffer(len, text, mode);

	if (!page)
		return NULL;
	MHD_add_response_header(page, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(page, MHD_HTTP_HEADER_CONNECTION, "close");
	return page;
}

static void drop_page(struct server *server)
{
	if (server->page)
		MHD_destroy_response(server->page);
	server->page = NULL;
}

/* Callers that are still sent an older page keep it. What a look takes is not their time. */
static void refresh(struct server *server)
{
	uint64_t begin_ns = now_ns();
	size_t len = 0;
	char *text;

	if (server->looked_ns && begin_ns - server->looked_ns < server->max_age_ns)
		return;
	drop_page(server);
	text = top_look(server->top) ? NULL : format(server->top, &len);
	server->looked_ns = now_ns();
	for (int i = 0; i < server->nr; i++)
		server->callers[i].until_ns += server->looked_ns - begin_ns;
	if (!text)
		return;
	server->page = make_page(text, len, MHD_RESPMEM_MUST_FREE,
				 "text/plain; version=0.0.4; charset=utf-8");
	if (!server->page)
		free(text);
}

/* ---- requests ----------------------------------------------------------------------------- */

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned status,
				 const char *text)
{
	struct MHD_Response *page =
		make_page((void *)text, strlen(text), MHD_RESPMEM_PERSISTENT, "text/plain");
	enum MHD_Result is_queued = MHD_NO;

	if (!page)
		return MHD_NO;
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(page, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	is_queued = MHD_queue_response(connection, status, page);
	MHD_destroy_response(page);
	return is_queued;
}

static enum MHD_Result answer(void *data, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *body,
			      size_t *body_len, void **request)
{
	struct server *server = data;

	(void)version, (void)body, (void)body_len, (void)request;
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return send_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET or HEAD, please\n");
	if (strcmp(url, "/metrics"))
		return send_text(connection, MHD_HTTP_NOT_FOUND, "there is only /metrics\n");
	refresh(server);
	if (!server->page)
		return send_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "cannot look\n");
	return MHD_queue_response(connection, MHD_HTTP_OK, server->page);
}

/* ---- callers ------------------------------------------------------------------------------ */

static void forget(void *data, struct MHD_Connection *connection, void **context,
		   enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *info;
	struct server *server = data;

	(void)context;
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	for (int i = 0; code == MHD_CONNECTION_NOTIFY_CLOSED && i < server->nr; i++) {
		if (server->callers[i].fd != info->connect_fd)
			continue;
		server->nr--;
		memmove(&server->callers[i], &server->callers[i + 1],
			(size_t)(server->nr - i) * sizeof(server->callers[0]));
		return;
	}
}

/* The daemon finds that it is over, and forgets it. */
static void end_oldest(struct server *server)
{
	shutdown(server->callers[0].fd, SHUT_RDWR);
	MHD_run(server->daemon);
}

static void let_in(struct server *server, int listener)
{
	struct sockaddr_storage from = { 0 };
	socklen_t size = sizeof(from);
	int fd = accept4(listener, (struct sockaddr *)&from, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0) {
		poll(NULL, 0, LOOK_MS); /* with no fd left, it would be told at once */
		return;
	}
	if (server->nr == MAX_CALLERS)
		end_oldest(server);
	if (server->nr == MAX_CALLERS) {
		close(fd);
		return;
	}
	server->callers[server->nr++] =
		(struct caller){ .fd = fd, .until_ns = now_ns() + PATIENCE_MS * 1000000ull };
	/* It closes the fd if it does not take it. */
	if (MHD_add_connection(server->daemon, fd, (struct sockaddr *)&from, size) != MHD_YES)
		server->nr--;
}

/* ---- the loop ----------------------------------------------------------------------------- */

/* Until a caller's time is over, or the daemon has something to do. */
static int patience_ms(const struct server *server)
{
	MHD_UNSIGNED_LONG_LONG daemon_ms;
	uint64_t now = now_ns(), ms = PATIENCE_MS;

	if (server->nr)
		ms = server->callers[0].until_ns <= now ?
			     0 :
			     (server->callers[0].until_ns - now) / 1000000 + 1;
	if (MHD_get_timeout(server->daemon, &daemon_ms) == MHD_YES && daemon_ms < ms)
		ms = daemon_ms;
	return (int)ms;
}

static void serve(struct server *server, int signals)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	struct pollfd fds[2 + ADDRESS_MAX] = {
		{ .fd = signals, .events = POLLIN },
		{ .fd = info->epoll_fd, .events = POLLIN },
	};

	for (int i = 0; i < server->listener.nr; i++)
		fds[2 + i] = (struct pollfd){ .fd = server->listener.fds[i], .events = POLLIN };
	if (poll(fds, (nfds_t)(2 + server->listener.nr), patience_ms(server)) < 0)
		return;
	MHD_run(server->daemon);
	if (server->nr && server->callers[0].until_ns <= now_ns())
		end_oldest(server);
	for (int i = 0; i < server->listener.nr; i++)
		if (fds[2 + i].revents)
			let_in(server, server->listener.fds[i]);
}

/* Where it can be asked, as a URL. */
static void tell(const struct listener *listener)
{
	char host[INET6_ADDRSTRLEN];

	for (int i = 0; i < listener->nr; i++) {
		union {
			struct sockaddr any;
			struct sockaddr_in v4;
			struct sockaddr_in6 v6;
		} at = { .any.sa_family = AF_UNSPEC };
		socklen_t size = sizeof(at);

		getsockname(listener->fds[i], &at.any, &size);
		if (at.any.sa_family == AF_INET)
			printf("http://%s:%d/metrics\n",
			       inet_ntop(AF_INET, &at.v4.sin_addr, host, sizeof(host)),
			       ntohs(at.v4.sin_port));
		else if (at.any.sa_family == AF_INET6)
			printf("http://[%s]:%d/metrics\n",
			       inet_ntop(AF_INET6, &at.v6.sin6_addr, host, sizeof(host)),
			       ntohs(at.v6.sin6_port));
		else
			printf("unix:%s\n", listener->path);
	}
	fflush(stdout);
}

static int serve_all(struct server *server)
{
	int signals = signals_fd();

	if (signals < 0)
		return fail(EXIT_REFUSED, "signals: %s", strerror(errno));
	server->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL,
					  answer, server, MHD_OPTION_NOTIFY_CONNECTION, forget,
					  server, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
					  (size_t)REQUEST_LEN, MHD_OPTION_CONNECTION_LIMIT,
					  (unsigned)MAX_CALLERS, MHD_OPTION_END);
	if (server->daemon) {
		tell(&server->listener);
		while (!has_signal())
			serve(server, signals);
		MHD_stop_daemon(server->daemon);
	}
	close(signals);
	return server->daemon ? EXIT_OK : fail(EXIT_REFUSED, "libmicrohttpd does not start");
}

/* PORT is one of this host alone, as others write "tcp:localhost:PORT". */
static int open_listener(struct listener *listener, const char *address)
{
	const char *before = "tcp:";
	char text[300];

	if (!strchr(address, ':') && (!*address || address[strspn(address, "0123456789")]))
		return fail_usage("--listen: '%s' is no address: write PORT, HOST:PORT, :PORT or "
				  "unix:PATH",
				  address);
	if (address_is_meant(address))
		before = "";
	else if (address[strspn(address, "0123456789")] == '\0')
		before = "tcp:localhost:";
	if (snprintf(text, sizeof(text), "%s%s", before, address) >= (int)sizeof(text))
		return fail_usage("--listen: '%s' is too long", address);
	return listener_open(listener, text);
}

int top_serve(struct top *top, const char *address, uint64_t max_age_ns)
{
	static struct server server;
	int code;

	server = (struct server){ .top = top, .max_age_ns = max_age_ns };
	block_signals();
	code = open_listener(&server.listener, address);
	if (code)
		return code;
	code = serve_all(&server);
	drop_page(&server);
	listener_close(&server.listener);
	return code;
}

#else

int top_serve(struct top *top, const char *address, uint64_t max_age_ns)
{
	(void)top, (void)address, (void)max_age_ns;
	return fail(EXIT_REFUSED,
		    "this vas was built without libmicrohttpd: --listen is not there");
}

#endif
