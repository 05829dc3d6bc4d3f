/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What tinyvmm, foo and their guests agree on: an echo device, which is a page that guest and
 * device share, a doorbell and an interrupt; and a doorbell whose values matter, with its ring.
 */
#ifndef ECHO_H
#define ECHO_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
#endif

#define ECHO_GPA      0x20000ull /* struct echo_page */
#define ECHO_PORT     0x500	 /* 32 bits: the round's number */
#define ECHO_GSI      5
#define ECHO_DOORBELL "echo"
#define ECHO_IRQ      "echo-irq"

#define VALUES_PORT	0x510 /* 32 bits: any value */
#define VALUES_DOORBELL "values"
#define VALUES_REGION	"values" /* a page with the ring, where the guest has no business */
#define VALUES_NR	256u

/* The number is written last, so whoever sees it sees what goes with it. */
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
