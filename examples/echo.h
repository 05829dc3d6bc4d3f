/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The echo device: a page that guest and device share, a doorbell and an interrupt. */
#ifndef ECHO_H
#define ECHO_H

#include <stdint.h>

#define ECHO_GPA      0x20000ull /* struct echo_page */
#define ECHO_DOORBELL 1          /* id of the event; the guest writes the round's number to it */
#define ECHO_IRQ      2
#define ECHO_PORT     0x500
#define ECHO_GSI      5

/* A number is written last, so whoever sees it sees what goes with it. */
struct echo_page {
	uint64_t request;
	uint32_t request_nr;
	uint32_t pad0;
	uint64_t answer;
	uint32_t answer_nr;
	uint32_t pad1;
};

static inline uint64_t echo_answer(uint64_t request, uint32_t nr)
{
	return ~request + nr;
}

#endif
