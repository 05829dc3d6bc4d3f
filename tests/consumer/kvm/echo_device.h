/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The echo device of the tests, for a thread or for another process. */
#ifndef TESTS_CONSUMER_KVM_ECHO_DEVICE_H
#define TESTS_CONSUMER_KVM_ECHO_DEVICE_H

#include "tests/consumer/kvm/fixture.h"

#define ECHO_DOORBELL_ID 1
#define ECHO_IRQ_ID	 2

/* The doorbell and the interrupt, tied; the mailbox says where they are. */
void echo_init(struct fixture *f, const struct vas_event *irq);

/* Answer what is in the page, if it is new: its number, 0 if it is not, or -errno. */
int64_t echo_answer_one(struct vas *vas);

/* Ring by ring, until sock is closed at the other end: 0, or -errno. */
int echo_serve(struct vas *vas, int sock);

#endif
