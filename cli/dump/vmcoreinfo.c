// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Linux keeps the note ready in contiguous physical memory, for the kernel that dumps it after a
 * crash: a header, the name, and lines of text of which OSRELEASE= is the first.
 */
#include "cli/dump/vmcoreinfo.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAME		"VMCOREINFO"
#define FIRST_LINE	"OSRELEASE="
#define PAGE		4096ull
#define X86_KERNEL_MAP	0xffffffff80000000ull /* __START_KERNEL_map */
#define MOST_TEXT	65536u		      /* Linux: a page, of 64 KiB at most */
#define MOST_CANDIDATES 64 /* places that look so; a guest can make any number of them */

struct head {
	Elf64_Nhdr note;
	char name[12]; /* its NUL, and one more to a multiple of 4 */
};

struct start {
	struct head head;
	char line[sizeof(FIRST_LINE) - 1];
} __attribute__((packed));

static const struct head proper_head = {
	.note = { .n_namesz = sizeof(NAME), .n_type = 0 },
	.name = NAME,
};

/* What follows on the first line that begins so, or NULL. */
static const char *rest_of_line(const struct vmcoreinfo *info, const char *start)
{
	const size_t len = strlen(start);
	const char *at = info->text, *end = at + info->text_len;

	while (at && (size_t)(end - at) >= len) {
		if (memcmp(at, start, len) == 0)
			return at + len;
		at = memchr(at, '\n', (size_t)(end - at));
		at = at ? at + 1 : NULL;
	}
	return NULL;
}

int vmcoreinfo_has_line(const struct vmcoreinfo *info, const char *start)
{
	return rest_of_line(info, start) != NULL;
}

static int number_of(const struct vmcoreinfo *info, const char *start, int base, uint64_t *number)
{
	const char *rest = rest_of_line(info, start);
	char text[24] = "";

	if (!rest)
		return 0;
	/* The text does not end with a NUL. */
	for (size_t i = 0; i < sizeof(text) - 1 && rest + i < info->text + info->text_len; i++)
		text[i] = rest[i];
	*number = *text == '-' ? (uint64_t)strtoll(text, NULL, base) : strtoull(text, NULL, base);
	return 1;
}

int vmcoreinfo_image(const struct vmcoreinfo *info, uint64_t *va, uint64_t *gpa)
{
	uint64_t stext, phys_base, offset;

	if (!number_of(info, "SYMBOL(_stext)=", 16, &stext))
		return 0;
	if (number_of(info, "NUMBER(phys_base)=", 10, &phys_base))
		offset = X86_KERNEL_MAP - phys_base;
	else if (!number_of(info, "NUMBER(kimage_voffset)=", 16, &offset))
		return 0;
	*va = stext & ~(PAGE - 1);
	*gpa = *va - offset;
	return 1;
}

static int is_text(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] != '\n' && (text[i] < ' ' || text[i] > '~'))
			return 0;
	return 1;
}

/* The note of that much text at gpa: 1, 0 if it is none after all, or -ENOMEM. */
static int copy_note(struct vas *vas, uint64_t gpa, uint32_t len, struct vmcoreinfo *info)
{
	const size_t size = sizeof(struct head) + ((len + 3u) & ~3u);
	struct head head = proper_head;

	if (len <= strlen(FIRST_LINE) || len > MOST_TEXT)
		return 0;
	*info = (struct vmcoreinfo){ .gpa = gpa, .note = calloc(1, size), .size = size };
	if (!info->note)
		return -ENOMEM;
	head.note.n_descsz = len;
	memcpy(info->note, &head, sizeof(head));
	info->text = (char *)info->note + sizeof(head);
	info->text_len = len;
	if (vas_peek(vas, gpa + sizeof(head), info->note + sizeof(head), len, NULL) == 0 &&
	    is_text(info->text, len) && vmcoreinfo_has_line(info, FIRST_LINE) &&
	    vmcoreinfo_has_line(info, "PAGESIZE="))
		return 1;
	vmcoreinfo_clean(info);
	return 0;
}

int vmcoreinfo_find(struct vas *vas, uint64_t end, struct vmcoreinfo *info)
{
	struct start start = { .head = proper_head }, mask;
	const struct vas_pattern pattern = { &start, &mask, sizeof(start) };
	uint64_t gpa = 0, found;
	uint32_t len;

	*info = (struct vmcoreinfo){ 0 };
	memcpy(start.line, FIRST_LINE, sizeof(start.line));
	memset(&mask, 0xff, sizeof(mask));
	mask.head.note.n_descsz = 0; /* any */
	for (int i = 0; i < MOST_CANDIDATES && gpa < end; i++) {
		int err = vas_search(vas, gpa, end - gpa, &pattern, &found);

		if (err)
			return err == -ENOENT ? 0 : err;
		err = 0;
		if (!vas_peek(vas, found + offsetof(Elf64_Nhdr, n_descsz), &len, sizeof(len), NULL))
			err = copy_note(vas, found, len, info);
		if (err)
			return err < 0 ? err : 0;
		gpa = found + 1;
	}
	return 0;
}

void vmcoreinfo_clean(struct vmcoreinfo *info)
{
	free(info->note);
	*info = (struct vmcoreinfo){ 0 };
}
