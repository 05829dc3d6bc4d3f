// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/dump/image.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"

/* That many regions, with holes between them. */
static struct regions many(size_t nr)
{
	struct regions regions = { calloc(nr, sizeof(*regions.at)), nr };

	for (size_t i = 0; i < nr; i++) {
		regions.at[i].gpa = i * 8192;
		regions.at[i].size = 4096;
	}
	return regions;
}

/* How many program headers a reader of the file finds, and whether the last is the last range's. */
static size_t headers(size_t nr)
{
	struct regions regions = many(nr);
	struct image image;
	const Elf64_Ehdr *ehdr;
	const Elf64_Phdr *last;
	size_t found;

	CHECK_EQ(image_plan(&image, IMAGE_ELF, &regions, NULL), 0);
	ehdr = (const Elf64_Ehdr *)image.head;
	found = ehdr->e_phnum;
	if (found == PN_XNUM) {
		CHECK_EQ(ehdr->e_shnum, 1);
		CHECK_EQ(ehdr->e_shoff + sizeof(Elf64_Shdr) <= image.head_size, 1);
		found = ((const Elf64_Shdr *)(image.head + ehdr->e_shoff))->sh_info;
	} else {
		CHECK_EQ(ehdr->e_shoff, 0);
	}
	last = (const Elf64_Phdr *)(image.head + ehdr->e_phoff) + found - 1;
	CHECK_EQ(last->p_type, PT_LOAD);
	CHECK_EQ(last->p_paddr, (nr - 1) * 8192);
	CHECK_EQ(last->p_offset + last->p_filesz, image.size);
	image_clean(&image);
	regions_clean(&regions);
	return found;
}

TEST(an_elf_image_counts_more_ranges_than_its_header_can)
{
	CHECK_EQ(headers(1), 1);
	CHECK_EQ(headers(65534), 65534);
	CHECK_EQ(headers(65535), 65535);
	CHECK_EQ(headers(65536), 65536);
	CHECK_EQ(headers(200000), 200000);
}

TEST(an_image_that_no_file_can_hold_is_refused)
{
	struct regions regions = many(2);
	struct image image;

	regions.at[1].gpa = (uint64_t)INT64_MAX - 4095;
	regions.at[1].size = 8192;
	CHECK_EQ(image_plan(&image, IMAGE_RAW, &regions, NULL), -EOVERFLOW);
	image_clean(&image);
	regions_clean(&regions);
}
