// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The other process: it is sent a vas over a socket, and serves the guest's echo device with what
 * came: memory, doorbells, an interrupt. It knows nothing of KVM.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <vas/access.h>
#include <vas/event.h>

#include "echo.h"

static const char usage[] = "usage: foo [--values] --socket PATH\n"
			    "Serve the guest of the tinyvmm at PATH, until that ends.\n"
			    "  --values  print the values that the guest writes, one a line\n";

struct foo {
	struct vas *vas;
	int socket;
	uint32_t echo;
	uint32_t echo_irq;
	uint32_t values;
	struct vas_mapping *ring; /* NULL: values are left alone */
};

static void check(const char *what, int64_t err)
{
	if (err >= 0)
		return;
	fprintf(stderr, "foo: %s: %s (%s)\n", what, vas_error(), strerror((int)-err));
	exit(1);
}

static int vmm_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		fprintf(stderr, "foo: %s: %s\n", path, strerror(errno));
		exit(1);
	}
	return fd;
}

static uint32_t event_id(struct foo *foo, const char *name)
{
	struct vas_event event;

	check(name, vas_event_find_by_name(foo->vas, name, &event));
	return event.id;
}

static void values_open(struct foo *foo)
{
	struct vas_region regions[64];
	ssize_t nr = vas_regions(foo->vas, regions, 64), i;

	for (i = 0; i < nr && i < 64; i++)
		if (!strcmp(regions[i].name, VALUES_REGION))
			check("values", vas_mapping_create(foo->vas, regions[i].gpa, VAS_PAGE_SIZE,
							   VAS_MAPPING_WRITE, &foo->ring));
	check("the vas has no region \"values\"", foo->ring ? 0 : -ENOENT);
	foo->values = event_id(foo, VALUES_DOORBELL);
}

/*
 * Answer the request in the page if it has none yet, which also serves what a foo before this one
 * left behind. The page may be frozen or gone for now: then the next notification tries again.
 */
static int echo_answer_pending(struct foo *foo)
{
	struct echo_page *page;
	int answered = 0;

	if (vas_enter(foo->vas))
		return 0;
	page = vas_translate(foo->vas, ECHO_GPA, sizeof(*page), VAS_PROT_WRITE);
	if (page) {
		uint32_t nr = __atomic_load_n(&page->request_nr, __ATOMIC_ACQUIRE);

		answered = nr != page->answer_nr;
		if (answered) {
			page->answer = echo_answer(page->request, nr);
			__atomic_store_n(&page->answer_nr, nr, __ATOMIC_RELEASE);
			vas_mark(foo->vas, ECHO_GPA, sizeof(*page));
		}
	}
	vas_leave(foo->vas);
	return answered;
}

static void echo_serve(struct foo *foo)
{
	if (echo_answer_pending(foo))
		check("irq", vas_irq_raise(foo->vas, foo->echo_irq));
}

/* Taking a value writes the ring: not while the vas is frozen, nor once the ring is wanted back. */
static int values_may_be_taken(struct foo *foo)
{
	enum vas_request asked = foo->ring ? vas_mapping_request(foo->ring) : VAS_REQUEST_UNMAP;

	if (asked == VAS_REQUEST_QUIESCE)
		vas_mapping_quiesce(foo->ring); /* fails if nobody asks any more: no matter */
	if (asked == VAS_REQUEST_UNMAP) {
		vas_mapping_destroy(foo->ring);
		foo->ring = NULL;
	}
	return asked == VAS_REQUEST_NONE;
}

static void values_print(struct foo *foo)
{
	uint64_t value;
	int err;

	if (!values_may_be_taken(foo))
		return;
	while (!(err = vas_value_ring_take(vas_mapping_addr(foo->ring), VALUES_NR, &value)))
		printf("%llu\n", (unsigned long long)value);
	if (err != -EAGAIN)
		fprintf(stderr, "foo: the ring of values is damaged: %s\n", strerror(-err));
	fflush(stdout);
}

static void serve(struct foo *foo)
{
	struct pollfd fds[] = {
		{ .fd = vas_event_fd(foo->vas, foo->echo), .events = POLLIN },
		{ .fd = foo->ring ? vas_event_fd(foo->vas, foo->values) : -1, .events = POLLIN },
		{ .fd = vas_notify_fd(foo->vas), .events = POLLIN },
		{ .fd = foo->socket, .events = POLLRDHUP },
	};

	check("notifications", fds[2].fd);
	/* A foo before this one may have answered and not come to raise. An extra one does no harm.
	 */
	echo_answer_pending(foo);
	check("irq", vas_irq_raise(foo->vas, foo->echo_irq));
	values_print(foo);
	while (!fds[3].revents) {
		if (poll(fds, sizeof(fds) / sizeof(*fds), -1) < 0)
			continue;
		if (fds[0].revents)
			vas_doorbell_wait(foo->vas, foo->echo, 0);
		if (fds[2].revents)
			vas_notifications(foo->vas);
		if (fds[0].revents | fds[2].revents)
			echo_serve(foo);
		if (fds[1].revents)
			vas_doorbell_wait(foo->vas, foo->values, 0);
		if (fds[1].revents | fds[2].revents)
			values_print(foo);
	}
	values_print(foo);
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "socket", 1, 0, 's' }, { "values", 0, 0, 'v' }, { "help", 0, 0, 'h' }, { 0 }
	};
	const char *path = NULL;
	struct foo foo = { 0 };
	int c, values = 0;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) >= 0) {
		if (c == 's') {
			path = optarg;
		} else if (c == 'v') {
			values = 1;
		} else {
			fputs(usage, c == 'h' ? stdout : stderr);
			return c == 'h' ? 0 : 2;
		}
	}
	if (!path || optind < argc) {
		fputs(usage, stderr);
		return 2;
	}
	foo.socket = vmm_connect(path);
	check("receive", vas_recv_fds(foo.socket, 0, &foo.vas));
	foo.echo = event_id(&foo, ECHO_DOORBELL);
	foo.echo_irq = event_id(&foo, ECHO_IRQ);
	if (values)
		values_open(&foo);
	fprintf(stderr, "foo: serving\n");
	serve(&foo);
	fprintf(stderr, "foo: the VMM is gone\n");
	vas_mapping_destroy(foo.ring);
	vas_unbind(foo.vas);
	return 0;
}
