// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Ports, interrupt controllers, exit. */
#include "guest.h"

#define LAPIC	     0xfee00000ull
#define LAPIC_EOI    0x0b0
#define LAPIC_SVR    0x0f0
#define IOAPIC	     0xfec00000ull
#define IOAPIC_LEVEL (1u << 15)

#define FIRST_VECTOR 0x20
#define NR_VECTORS   48
#define SPURIOUS     0xff

struct gate {
	uint16_t offset_low;
	uint16_t selector;
	uint16_t attributes;
	uint16_t offset_middle;
	uint32_t offset_high;
	uint32_t pad;
};

extern const char vectors[];
static struct gate idt[NR_VECTORS];

__attribute__((weak)) void guest_handle(unsigned int vector)
{
	guest_exit(vector);
}

static void write32(uint64_t gpa, uint32_t val)
{
	*(volatile uint32_t *)gpa = val;
}

void guest_exit(int status)
{
	outb(GUEST_PORT_EXIT, status);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void guest_print(const char *s)
{
	while (*s)
		outb(GUEST_PORT_CONSOLE, *s++);
}

void guest_halt(void); /* start.S: with interrupts on */

/* From the entry code. An exception is a bug of the guest's: its status is 128 + vector. */
void guest_interrupt(unsigned int vector);
void guest_interrupt(unsigned int vector)
{
	if (vector < FIRST_VECTOR)
		guest_exit(128 + vector);
	guest_handle(vector);
	write32(LAPIC + LAPIC_EOI, 0);
}

void guest_interrupts_init(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer = { sizeof(idt) - 1, (uintptr_t)idt };
	unsigned int i;

	for (i = 0; i < NR_VECTORS; i++) {
		uint64_t offset = (uintptr_t)vectors + 16ull * i;

		idt[i].offset_low = offset;
		idt[i].selector = 0x08;
		idt[i].attributes = 0x8e00; /* present, interrupt gate */
		idt[i].offset_middle = offset >> 16;
	}
	__asm__ volatile("lidt %0" : : "m"(pointer));
	/* The old controllers stay silent. */
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	write32(LAPIC + LAPIC_SVR, 0x100 | SPURIOUS);
}

void guest_gsi_enable(unsigned int gsi, int level)
{
	write32(IOAPIC, 0x11 + 2 * gsi);
	write32(IOAPIC + 0x10, 0);
	write32(IOAPIC, 0x10 + 2 * gsi);
	write32(IOAPIC + 0x10, (FIRST_VECTOR + gsi) | (level ? IOAPIC_LEVEL : 0));
}

void guest_wait(volatile uint32_t *flag)
{
	/* Interrupts are off between the look and the halt. */
	while (!*flag)
		guest_halt();
}

static void ring_port(const volatile struct guest_mailbox *box, uint64_t value)
{
	if (box->doorbell_len == 1)
		outb(box->doorbell, value);
	else if (box->doorbell_len == 2)
		outw(box->doorbell, value);
	else
		outl(box->doorbell, value);
}

void guest_ring(uint64_t value)
{
	const volatile struct guest_mailbox *box = guest_mailbox();

	if (box->doorbell_pio)
		ring_port(box, value);
	else if (box->doorbell_len == 1)
		*(volatile uint8_t *)box->doorbell = value;
	else if (box->doorbell_len == 2)
		*(volatile uint16_t *)box->doorbell = value;
	else if (box->doorbell_len == 4)
		*(volatile uint32_t *)box->doorbell = value;
	else
		*(volatile uint64_t *)box->doorbell = value;
}
