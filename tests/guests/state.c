// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * State keeper: puts something everywhere where a processor keeps state, and looks, over and over,
 * if it is still there (mailbox.done counts), until mailbox.turn is 2. Then it sleeps until an
 * interrupt comes, by controllers that it had programmed at the start. Status 1: mailbox.where says
 * what was lost: the index below, from 1; 100: a port that is nobody's did not read as such.
 */
#include "guest.h"

#define NOBODYS_PORT 0x610

static volatile uint32_t irq_came;

void guest_handle(unsigned int vector)
{
	(void)vector;
	irq_came = 1;
}

static const uint32_t msrs[] = {
	0x174,	    0x175,	0x176,			/* SYSENTER_CS, _ESP, _EIP */
	0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, /* STAR, LSTAR, CSTAR, FMASK */
	0xc0000101, 0xc0000102,				/* GS_BASE, KERNEL_GS_BASE */
};
#define NR_MSRS	  (sizeof(msrs) / sizeof(*msrs))
#define NR_OTHERS 4

/* Of each, something that it can hold: canonical, no reserved bits. */
static uint64_t value_of(unsigned int i, uint64_t seed)
{
	uint64_t val = (seed >> 32) + i * 0x1000;

	return i ? val : val & 0xfff8; /* SYSENTER_CS, a selector */
}

static void wrmsr(uint32_t index, uint64_t val)
{
	__asm__ volatile("wrmsr" : : "c"(index), "a"((uint32_t)val), "d"((uint32_t)(val >> 32)));
}

static uint64_t rdmsr(uint32_t index)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
	return low | (uint64_t)high << 32;
}

/*
 * The floating-point unit and SSE, as FXSAVE has them. There is no arithmetic here: a KVM that
 * emulates each instruction knows how to load and save, and no more.
 */
struct fxsave {
	uint16_t control, status;
	uint32_t tags_and_opcode;
	uint64_t instruction, data;
	uint32_t mxcsr, mxcsr_mask;
	uint64_t st[8][2];
	uint64_t xmm[16][2];
	uint64_t reserved[12];
} __attribute__((aligned(16)));

static struct fxsave fpu;

static void fpu_init(void)
{
	uint64_t cr;

	__asm__ volatile("mov %%cr0, %0" : "=r"(cr));
	cr = (cr & ~0xcull) | 2; /* neither EM nor TS; MP */
	__asm__ volatile("mov %0, %%cr0" : : "r"(cr));
	__asm__ volatile("mov %%cr4, %0" : "=r"(cr));
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr | 0x600)); /* OSFXSR, OSXMMEXCPT */
	__asm__ volatile("fninit");
}

static void set_fpu(uint64_t val)
{
	__asm__ volatile("fxsave64 %0" : "=m"(fpu));
	fpu.mxcsr = 0x7f80; /* towards zero */
	fpu.xmm[7][0] = val;
	fpu.xmm[15][1] = ~val;
	__asm__ volatile("fxrstor64 %0" : : "m"(fpu));
}

static int fpu_holds(uint64_t val)
{
	__asm__ volatile("fxsave64 %0" : "=m"(fpu));
	return fpu.mxcsr == 0x7f80 && fpu.xmm[7][0] == val && fpu.xmm[15][1] == ~val;
}

static void set_other(unsigned int i, uint64_t val)
{
	if (i == 0)
		set_fpu(val);
	else if (i == 1)
		__asm__ volatile("mov %0, %%dr1" : : "r"(val));
	else if (i == 2)
		__asm__ volatile("mov %0, %%cr2" : : "r"(val));
	else
		__asm__ volatile("mov %0, %%cr8"
				 :
				 : "r"(1ull)); /* lets vectors from 0x20 on come */
}

/* Its value, or what it should be if that is what there is in another form. */
static uint64_t get_other(unsigned int i, uint64_t val)
{
	uint64_t got;

	if (i == 0)
		return fpu_holds(val) ? val : 0;
	if (i == 1)
		__asm__ volatile("mov %%dr1, %0" : "=r"(got));
	else if (i == 2)
		__asm__ volatile("mov %%cr2, %0" : "=r"(got));
	else
		__asm__ volatile("mov %%cr8, %0" : "=r"(got));
	return i < 3 ? got : got == 1 ? val : got;
}

static int check(volatile struct guest_mailbox *box, uint64_t seed)
{
	unsigned int i;
	uint8_t byte;

	for (i = 0; i < NR_MSRS + NR_OTHERS; i++) {
		uint64_t val = value_of(i, seed);
		uint64_t got = i < NR_MSRS ? rdmsr(msrs[i]) : get_other(i - NR_MSRS, val);

		if (got != val) {
			box->where = i + 1;
			return 1;
		}
	}
	__asm__ volatile("inb %1, %0" : "=a"(byte) : "Nd"((uint16_t)NOBODYS_PORT));
	box->where = byte == 0xff ? 0 : 100;
	return byte != 0xff;
}

int guest_main(void)
{
	volatile struct guest_mailbox *box = guest_mailbox();
	uint64_t seed = box->seed;
	unsigned int i;

	guest_interrupts_init();
	guest_gsi_enable(box->gsi, 0);
	fpu_init();
	for (i = 0; i < NR_MSRS; i++)
		wrmsr(msrs[i], value_of(i, seed));
	for (i = 0; i < NR_OTHERS; i++)
		set_other(i, value_of(NR_MSRS + i, seed));
	while (box->turn != 2) {
		if (check(box, seed))
			return 1;
		box->done++;
	}
	guest_wait(&irq_came);
	return check(box, seed);
}
