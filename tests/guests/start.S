/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Entered in 32-bit protected mode with flat segments and paging off, at the first byte of the
 * image. Goes to long mode with the first 16 GiB mapped one to one, and calls guest_main().
 */
	.section .start, "ax"
	.code32
	.globl	_start
_start:
	lgdt	gdt_pointer
	movl	%cr4, %eax
	orl	$0x20, %eax		/* PAE */
	movl	%eax, %cr4
	movl	$pml4, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx	/* EFER */
	rdmsr
	orl	$0x100, %eax		/* LME */
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000001, %eax	/* PG, PE */
	movl	%eax, %cr0
	ljmp	$0x08, $long_mode

	.code64
long_mode:
	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$stack_end, %esp
	call	guest_main
	movzbl	%al, %edi
	jmp	guest_exit

/*
 * sti opens interrupts only after the next instruction: none comes between it and hlt. Where a
 * processor that is emulated forgets that (QEMU 7.2, for a guest of its guest that was just
 * interrupted there), the interrupt goes on behind hlt, below: else nobody would wake us.
 */
	.globl	guest_halt
guest_halt:
	sti
halt:
	hlt
	cli
	ret

/*
 * One entry a vector, 16 bytes each, for guest_interrupt(vector): exceptions that push an error code
 * end the guest there, so that the stack need not be evened out.
 */
	.globl	vectors
	.balign	16
vectors:
	.set	vector, 0
	.rept	48
	.balign	16
	pushq	$vector
	jmp	interrupt
	.set	vector, vector + 1
	.endr

interrupt:
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	leaq	halt(%rip), %rax
	cmpq	%rax, 80(%rsp)		/* where it goes on */
	jne	1f
	incq	80(%rsp)		/* hlt is one byte */
1:
	movq	72(%rsp), %rdi
	call	guest_interrupt
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rax
	addq	$8, %rsp
	iretq

	.section .rodata
	.balign	8
gdt:
	.quad	0
	.quad	0x00af9a000000ffff	/* 0x08: 64-bit code */
	.quad	0x00cf92000000ffff	/* 0x10: data */
gdt_pointer:
	.word	gdt_pointer - gdt - 1
	.long	gdt

	.section .tables, "aw"
	.balign	4096
pml4:
	.quad	pdpt + 0x3		/* present, writable */
	.fill	511, 8, 0
pdpt:
	.set	offset, 0x3
	.rept	16
	.quad	directories + offset
	.set	offset, offset + 0x1000
	.endr
	.fill	496, 8, 0
directories:
	.set	entry, 0x83		/* present, writable, 2 MiB */
	.rept	16 * 512
	.quad	entry
	.set	entry, entry + 0x200000
	.endr

	.section .bss
	.balign	16
	.skip	8192
stack_end:

	.section .note.GNU-stack, "", @progbits
