/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the guest's Linux kernel tells debuggers about itself. */
#ifndef CLI_VMCOREINFO_H
#define CLI_VMCOREINFO_H

#include <vas/vas.h>

struct vmcoreinfo {
	uint64_t gpa;  /* where it was */
	uint8_t *note; /* an ELF note, header first, or NULL: none was found */
	size_t size;   /* of all of it */
	size_t text_len;
	const char *text; /* "OSRELEASE=...\n...", in the note, without a NUL */
};

/*
 * Search [0, end) for the first such note, and copy it. 0, also if there is none; -errno if the
 * search could not be made. vmcoreinfo_clean() is due in all cases.
 *
 * The guest may have written anything there: what is copied is text, of a bounded length, and
 * whether it is true nobody can tell.
 */
int vmcoreinfo_find(struct vas *vas, uint64_t end, struct vmcoreinfo *info);
void vmcoreinfo_clean(struct vmcoreinfo *info);

/* Does the text have a line that begins so? */
int vmcoreinfo_has_line(const struct vmcoreinfo *info, const char *start);

/*
 * Where the kernel's image is: the virtual address of its first page, and the gpa of that. An image
 * is contiguous in both, and not larger than VMCOREINFO_MOST_IMAGE. 0 if the note does not say.
 */
#define VMCOREINFO_MOST_IMAGE (1ull << 30)
int vmcoreinfo_image(const struct vmcoreinfo *info, uint64_t *va, uint64_t *gpa);

#endif
