// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "echo_device.h"

#include <poll.h>
#include <stddef.h>

#define FIELD(name) (ECHO_GPA + offsetof(struct echo_page, name))

void echo_init(struct fixture *f, const struct vas_event *irq)
{
	FIXTURE_LOAD(f, guest_echo);
	fixture_doorbell(f, ECHO_DOORBELL_ID, ECHO_PORT, 4, VAS_EVENT_PIO);
	fixture_attach_event(f, irq);
	f->box->buffer = ECHO_GPA;
	f->box->gsi = irq->gsi;
	f->box->level = !!(irq->flags & VAS_EVENT_RESAMPLE);
}

int64_t echo_answer_one(struct vas *vas)
{
	uint32_t nr, answered;
	uint64_t request;
	int err;

	err = vas_load_le32(vas, FIELD(request_nr), &nr, __ATOMIC_ACQUIRE);
	if (!err)
		err = vas_load_le32(vas, FIELD(answer_nr), &answered, __ATOMIC_RELAXED);
	if (err || nr == answered)
		return err;
	err = vas_load_le64(vas, FIELD(request), &request, __ATOMIC_RELAXED);
	if (!err)
		err = vas_store_le64(vas, FIELD(answer), echo_answer(request, nr),
				     __ATOMIC_RELAXED);
	if (!err)
		err = vas_store_le32(vas, FIELD(answer_nr), nr, __ATOMIC_RELEASE);
	return err ? err : (int64_t)nr;
}

int echo_serve(struct vas *vas, int sock)
{
	struct pollfd fds[] = {
		{ .fd = vas_event_fd(vas, ECHO_DOORBELL_ID), .events = POLLIN },
		{ .fd = sock, .events = POLLRDHUP },
	};
	int64_t nr;

	/* A server before this one may have answered and not come to raise. */
	nr = vas_irq_raise(vas, ECHO_IRQ_ID);
	if (nr < 0)
		return nr;
	for (;;) {
		nr = echo_answer_one(vas);
		if (nr > 0)
			nr = vas_irq_raise(vas, ECHO_IRQ_ID);
		if (nr < 0)
			return nr;
		if (poll(fds, 2, -1) < 0)
			return -errno;
		if (fds[1].revents)
			return 0;
		nr = vas_doorbell_wait(vas, ECHO_DOORBELL_ID, 0);
		if (nr < 0)
			return nr;
	}
}
