/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a Linux kernel finds when it is entered without a firmware. A guest's memory:
 *
 *	0x6000	PVH's start info, the initrd, the map of RAM	0x7000	the command line
 *	0x8000	or boot_params, with the same			0x9fc00	MP table
 *	1 MiB	the kernel, or where an ELF file says		end	initrd
 */
#ifndef TINYVMM_LINUX_H
#define TINYVMM_LINUX_H

#include <stddef.h>

#include <vas/vas.h>

struct linux_guest {
	const char *image; /* the kernel's file, mapped */
	size_t size;
	const char *initrd; /* its path, or NULL */
	const char *command_line;
	uint64_t ram; /* from 0 on */
	unsigned int nr_cpus;
	/* What linux_load() says: the entry, in 32-bit protected mode, and its EBX, ESI. */
	uint64_t entry;
	uint64_t info;
};

/*
 * 0: this is no kernel, but something else; 1: it is loaded, a bzImage by the 32-bit boot protocol,
 * or an ELF file by PVH; or -errno.
 */
int linux_load(struct vas *vas, struct linux_guest *guest);

/* The entry that an ELF file has for PVH, or 0. */
uint64_t linux_pvh_entry(const char *image, size_t size);

/* Load an ELF file's segments. *entry (NULL: not wanted) is where it begins. */
int linux_load_elf(struct vas *vas, const char *image, size_t size, uint64_t *entry);

#endif
