// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 *	ELF:	Elf64_Ehdr | Elf64_Phdr... | Elf64_Shdr | note | to a page | range | range ...
 *	LiME:	header | range | header | range ...
 *
 * The section header is there only for its sh_info, the number of program headers, when that is too
 * big for e_phnum (PN_XNUM). All is little-endian, as what it is written on.
 */
#include "cli/dump/image.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE	   4096u
#define LIME_MAGIC 0x4c694d45u

struct lime_header {
	uint32_t magic;
	uint32_t version;
	uint64_t first; /* gpa */
	uint64_t last;	/* gpa, of the last byte that is in it */
	uint64_t reserved;
};

static int plan_ranges(struct image *image, const struct regions *regions)
{
	struct image_range *range = NULL;

	image->ranges = calloc(regions->nr + 1, sizeof(*image->ranges));
	if (!image->ranges)
		return -ENOMEM;
	for (size_t i = 0; i < regions->nr; i++) {
		const struct vas_region *region = &regions->at[i];

		if (range && range->gpa + range->size == region->gpa) {
			range->size += region->size;
			continue;
		}
		range = &image->ranges[image->nr_ranges++];
		*range = (struct image_range){ .gpa = region->gpa, .size = region->size };
	}
	return 0;
}

/* One range behind the other, each with `header` bytes before it. */
static int plan_offsets(struct image *image, uint64_t at, uint64_t header)
{
	for (size_t i = 0; i < image->nr_ranges; i++) {
		struct image_range *range = &image->ranges[i];

		if (image->format == IMAGE_RAW)
			at = range->gpa;
		range->offset = at + header;
		/* Neither wraps: gpas end far below, and ranges do not overlap. */
		at = range->offset + range->size;
	}
	image->size = at;
	return at > INT64_MAX ? -EOVERFLOW : 0;
}

static Elf64_Half machine_of(const struct vmcoreinfo *info)
{
	if (info && vmcoreinfo_has_line(info, "NUMBER(kimage_voffset)="))
		return EM_AARCH64;
	if (info && vmcoreinfo_has_line(info, "NUMBER(phys_base)="))
		return EM_X86_64;
#ifdef __aarch64__
	return EM_AARCH64;
#else
	return EM_X86_64;
#endif
}

/* Of a range, or all of it, under a virtual address. */
struct part {
	const struct image_range *range; /* NULL: there is none */
	uint64_t va, gpa, size;
};

/*
 * The kernel's image: its page tables are in it, by which all other virtual addresses are found.
 * Where it is, is the guest's word.
 */
static struct part find_kernel(const struct image *image, const struct vmcoreinfo *info)
{
	struct part kernel = { .range = NULL };

	if (!info || !vmcoreinfo_image(info, &kernel.va, &kernel.gpa))
		return kernel;
	for (size_t i = 0; i < image->nr_ranges && !kernel.range; i++) {
		const struct image_range *range = &image->ranges[i];

		if (kernel.gpa < range->gpa || kernel.gpa - range->gpa >= range->size)
			continue;
		kernel.range = range;
		kernel.size = range->size - (kernel.gpa - range->gpa);
	}
	if (kernel.size > VMCOREINFO_MOST_IMAGE)
		kernel.size = VMCOREINFO_MOST_IMAGE;
	if (kernel.va > UINT64_MAX - kernel.size)
		kernel.range = NULL;
	return kernel;
}

static Elf64_Phdr load(const struct image *image, const struct part *part)
{
	return (Elf64_Phdr){ .p_type = PT_LOAD,
			     .p_flags = PF_R | PF_W | PF_X,
			     .p_offset = part->range->offset + (part->gpa - part->range->gpa),
			     .p_vaddr = part->va,
			     .p_paddr = part->gpa,
			     .p_filesz = image->has_memory ? part->size : 0,
			     .p_memsz = part->size,
			     .p_align = PAGE };
}

static void write_program_headers(const struct image *image, Elf64_Phdr *to, uint64_t note,
				  size_t note_size, const struct part *kernel)
{
	if (note_size)
		*to++ = (Elf64_Phdr){ .p_type = PT_NOTE,
				      .p_offset = note,
				      .p_filesz = note_size,
				      .p_memsz = note_size,
				      .p_align = 4 };
	for (size_t i = 0; i < image->nr_ranges; i++) {
		const struct image_range *range = &image->ranges[i];

		/* Virtual = physical: gdb knows no others. */
		*to++ = load(image, &(struct part){ range, range->gpa, range->gpa, range->size });
	}
	if (kernel->range)
		*to = load(image, kernel);
}

static int plan_elf(struct image *image, const struct vmcoreinfo *info)
{
	const size_t note_size = info ? info->size : 0;
	const struct part kernel = find_kernel(image, info);
	const size_t nr = image->nr_ranges + !!note_size + !!kernel.range;
	const size_t sections = sizeof(Elf64_Ehdr) + nr * sizeof(Elf64_Phdr);
	const size_t note = sections + (nr >= PN_XNUM ? sizeof(Elf64_Shdr) : 0);
	Elf64_Ehdr ehdr = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
					 ELFDATA2LSB, EV_CURRENT },
			    .e_type = ET_CORE,
			    .e_machine = machine_of(info),
			    .e_version = EV_CURRENT,
			    .e_phoff = sizeof(Elf64_Ehdr),
			    .e_ehsize = sizeof(Elf64_Ehdr),
			    .e_phentsize = sizeof(Elf64_Phdr),
			    .e_phnum = nr < PN_XNUM ? (Elf64_Half)nr : PN_XNUM };
	const Elf64_Shdr count = { .sh_info = (Elf64_Word)nr };
	int err;

	image->head_size = (note + note_size + PAGE - 1) & ~(size_t)(PAGE - 1);
	image->head = calloc(1, image->head_size);
	err = image->head ? plan_offsets(image, image->head_size, 0) : -ENOMEM;
	if (err)
		return err;
	if (!image->has_memory)
		image->size = image->head_size;
	if (nr >= PN_XNUM) {
		ehdr.e_shoff = sections;
		ehdr.e_shentsize = sizeof(Elf64_Shdr);
		ehdr.e_shnum = 1;
		memcpy(image->head + sections, &count, sizeof(count));
	}
	memcpy(image->head, &ehdr, sizeof(ehdr));
	write_program_headers(image, (Elf64_Phdr *)(image->head + sizeof(ehdr)), note, note_size,
			      &kernel);
	if (note_size)
		memcpy(image->head + note, info->note, note_size);
	return 0;
}

int image_plan(struct image *image, enum image_format format, const struct regions *regions,
	       const struct vmcoreinfo *info)
{
	int err;

	*image = (struct image){ .format = format, .has_memory = format != IMAGE_ELF_HEADERS };
	err = plan_ranges(image, regions);
	if (err)
		return err;
	if (format == IMAGE_ELF || format == IMAGE_ELF_HEADERS)
		return plan_elf(image, info && info->note ? info : NULL);
	return plan_offsets(image, 0, format == IMAGE_LIME ? sizeof(struct lime_header) : 0);
}

void image_clean(struct image *image)
{
	free(image->ranges);
	free(image->head);
}

size_t image_header(const struct image *image, const struct image_range *range,
		    uint8_t header[IMAGE_MOST_HEADER])
{
	const struct lime_header lime = { .magic = LIME_MAGIC,
					  .version = 1,
					  .first = range->gpa,
					  .last = range->gpa + range->size - 1 };

	if (image->format != IMAGE_LIME)
		return 0;
	_Static_assert(sizeof(lime) == IMAGE_MOST_HEADER, "as LiME has it");
	memcpy(header, &lime, sizeof(lime));
	return sizeof(lime);
}
