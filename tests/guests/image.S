/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A guest image inside a test program: NAME is where it begins, NAME_size how long it is. */
#define PASTE(a, b) a##b
#define SIZE_OF(name) PASTE(name, _size)

	.section .rodata
	.balign	8
	.globl	NAME
NAME:
	.incbin	FILE
end:
	.balign	8
	.globl	SIZE_OF(NAME)
SIZE_OF(NAME):
	.quad	end - NAME

	.section .note.GNU-stack, "", @progbits
