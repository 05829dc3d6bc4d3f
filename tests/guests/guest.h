/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What every test guest has: port I/O, the interrupt controllers, and a way out. */
#ifndef GUEST_H
#define GUEST_H

#include <stdint.h>

#include "mailbox.h"

/* The guest's program: its result is the exit status, 0 for success. */
int guest_main(void);

/* Leave the machine: the VMM sees a byte written to GUEST_PORT_EXIT. */
void guest_exit(int status) __attribute__((noreturn));

/* Print on the console port. */
void guest_print(const char *s);

/*
 * Take interrupts: GSIs 0 to 15 come as vectors 0x20 to 0x2f, by edge or by level. They are open
 * only inside guest_wait().
 */
void guest_interrupts_init(void);
void guest_gsi_enable(unsigned int gsi, int level);

/* Called with each interrupt, before it is acknowledged. A guest that enables none defines none. */
void guest_handle(unsigned int vector);

/* Sleep until *flag is not 0. */
void guest_wait(volatile uint32_t *flag);

static inline volatile struct guest_mailbox *guest_mailbox(void)
{
	return (volatile struct guest_mailbox *)GUEST_MAILBOX;
}

static inline void outb(uint16_t port, uint8_t val)
{
	__asm__ volatile("outb %0, %1" : : "a"(val), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t val)
{
	__asm__ volatile("outw %0, %1" : : "a"(val), "Nd"(port));
}

static inline void outl(uint16_t port, uint32_t val)
{
	__asm__ volatile("outl %0, %1" : : "a"(val), "Nd"(port));
}

/* Write a doorbell as the mailbox describes it. */
void guest_ring(uint64_t value);

#endif
