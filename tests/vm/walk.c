// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * walk RAM-FILE CR3: the gpa of each virtual address on stdin, a line each, or "Unmapped".
 * Offsets in the file are gpas.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/target/page_walk.h"

static int read_entry(void *context, uint64_t gpa, uint64_t *entry)
{
	const int *fd = context;

	return pread(*fd, entry, sizeof(*entry), (off_t)gpa) == sizeof(*entry) ? 0 : -EFAULT;
}

int main(int argc, char **argv)
{
	int fd = argc == 3 ? open(argv[1], O_RDONLY) : -1;
	struct page_walk walk = { PAGE_WALK_X86_4_LEVELS, 0, read_entry, &fd };
	uint64_t va;

	if (fd < 0)
		return 2;
	walk.root = strtoull(argv[2], NULL, 16);
	while (scanf("%" SCNx64, &va) == 1) {
		struct page_walk_result at;

		if (page_walk(&walk, va, &at))
			puts("Unmapped");
		else
			printf("0x%" PRIx64 "\n", at.gpa);
	}
	return 0;
}
