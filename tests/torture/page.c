// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "torture.h"

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 31)) * 0x7fb5d329728ea185ull;
	x = (x ^ (x >> 27)) * 0x81dadef4bc2dd44dull;
	return x ^ (x >> 33);
}

void page_fill(struct page *page, unsigned int slot, unsigned int nr, uint64_t fresh)
{
	uint64_t tag = (uint64_t)(slot + 1) << 56 | (uint64_t)nr << 48 | (mix(fresh) >> 16);

	for (unsigned int i = 0; i < 255; i++)
		page->words[i] = mix(tag + i);
	memset(page->notes, 0, sizeof(page->notes));
	page->tag = tag;
}

void page_scribble(struct page *page)
{
	memset(page, 0xdd, sizeof(*page));
}

uint64_t page_note(uint64_t tag, uint32_t number)
{
	number |= 1; /* so that no note is 0 */
	return (uint64_t)number << 32 | (mix(tag ^ number) & 0xffffffff);
}

const char *page_check(const struct page *page)
{
	if (!page->tag)
		return "memory that was given back (zeros)";
	if (page->tag == 0xddddddddddddddddull)
		return "memory that was taken away (scribbled over)";
	for (unsigned int i = 0; i < 255; i++)
		if (page->words[i] != mix(page->tag + i))
			return "a page of two halves";
	for (unsigned int i = 0; i < 256; i++)
		if (page->notes[i] && page->notes[i] != page_note(page->tag, page->notes[i] >> 32))
			return "a note that was not written to this page";
	return NULL;
}

const char *page_check_next(const struct page *page, const struct page *next)
{
	uint64_t slot = page->tag >> 56, next_slot = next->tag >> 56;
	uint64_t nr = page->tag >> 48 & 0xff, next_nr = next->tag >> 48 & 0xff;

	if (next_nr == 0)
		return next_slot == slot ? "a slot that begins twice" : NULL;
	if (next_slot != slot || next_nr != nr + 1)
		return "two layouts in one access";
	return NULL;
}
