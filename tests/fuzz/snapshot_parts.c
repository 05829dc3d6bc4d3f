// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "snapshot_parts.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../harness.h"
#include "migrate/snapshot/snapshot.h"
#include "migrate/base/sum.h"

#define MAX_WORDS  64u
#define MAX_LAYOUT 16384u
#define MAX_FILE   (64ull << 20) /* what a header may ask for beyond its bytes: sparse */

struct parts {
	struct snapshot_header header;
	uint16_t layout_size;
	uint8_t layout[MAX_LAYOUT] __attribute__((aligned(8)));
	uint16_t nr_words;
	struct snapshot_word words[MAX_WORDS];
	const uint8_t *data;
	size_t data_size;
};

_Static_assert(offsetof(struct snapshot_header, parent) == PARTS_HEADER, "the head of a header");

/* ---- taking it apart ---------------------------------------------------------------------- */

static int take(void *to, size_t nr, const uint8_t **input, size_t *size)
{
	if (nr > *size)
		return -1;
	memcpy(to, *input, nr);
	*input += nr;
	*size -= nr;
	return 0;
}

static int parse(struct parts *p, const uint8_t *input, size_t size)
{
	memset(p, 0, offsetof(struct parts, layout));
	if (take(&p->header, PARTS_HEADER, &input, &size) ||
	    take(p->header.parent, PARTS_NAME, &input, &size) ||
	    take(&p->layout_size, 2, &input, &size) || p->layout_size > MAX_LAYOUT ||
	    take(p->layout, p->layout_size, &input, &size) ||
	    take(&p->nr_words, 2, &input, &size) || p->nr_words > MAX_WORDS ||
	    take(p->words, p->nr_words * sizeof(p->words[0]), &input, &size))
		return -1;
	p->data = input;
	p->data_size = size;
	return 0;
}

/* ---- making it right ---------------------------------------------------------------------- */

static uint64_t key_of(const struct snapshot_header *header)
{
	uint64_t key;

	memcpy(&key, header->id, sizeof(key));
	return key;
}

/* Where things are, as a saver puts them. */
static void place(struct parts *p)
{
	const struct stream_layout *layout = (const struct stream_layout *)p->layout;
	const struct vas_region_entry *regions = (const struct vas_region_entry *)(layout + 1);
	uint64_t at, i;

	p->header.layout_size = p->layout_size;
	p->header.nr_words = p->nr_words;
	p->header.data_offset = at = snapshot_data_offset(p->layout_size);
	for (i = 0; p->layout_size >= sizeof(*layout) + (i + 1) * sizeof(*regions); i++)
		at += regions[i].size;
	p->header.words_offset = at;
}

static void add_up(struct parts *p, int fd)
{
	static char raw[STREAM_WORD_SIZE];
	uint64_t key = key_of(&p->header);
	uint32_t i;

	/* Right for words of the first region at gpa 0; of others they may be wrong. */
	for (i = 0; i < p->nr_words; i++) {
		size_t nr = 0;
		uint64_t bits = p->words[i].data;

		memset(raw, 0, sizeof(raw));
		for (; bits; bits &= bits - 1, nr += VAS_PAGE_SIZE)
			if (pread(fd, raw + nr, VAS_PAGE_SIZE,
				  (off_t)(p->header.data_offset + p->words[i].gpa +
					  (uint64_t)__builtin_ctzll(bits) * VAS_PAGE_SIZE)) < 0)
				break;
		p->words[i].sum = sum_add(key, raw, nr);
	}
	p->header.layout_sum = sum_add(key, p->layout, p->layout_size);
	p->header.words_sum = sum_add(key, p->words, p->nr_words * sizeof(p->words[0]));
	p->header.header_sum =
		sum_add(key, &p->header, offsetof(struct snapshot_header, header_sum));
}

/* ---- the file ----------------------------------------------------------------------------- */

static void put(int fd, const void *bytes, size_t size, uint64_t offset)
{
	if (offset < MAX_FILE)
		CHECK_EQ(pwrite(fd, bytes, size, (off_t)offset), size);
}

int parts_write(const char *path, const uint8_t *input, size_t size)
{
	static struct parts p;
	uint8_t mode = input[0];
	int fd;

	if (parse(&p, input + 1, size - 1))
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK_OK(fd);
	if (!(mode & PARTS_BAD_PLACES))
		place(&p);
	put(fd, p.data, p.data_size, p.header.data_offset);
	if (!(mode & PARTS_BAD_SUMS))
		add_up(&p, fd);
	put(fd, p.words, p.nr_words * sizeof(p.words[0]), p.header.words_offset);
	if (p.header.words_offset < MAX_FILE && p.header.nr_words < MAX_FILE / 32)
		CHECK_OK(ftruncate(fd, (off_t)(p.header.words_offset + p.header.nr_words * 32)));
	put(fd, p.layout, p.layout_size, sizeof(p.header));
	put(fd, &p.header, sizeof(p.header), 0);
	close(fd);
	return 0;
}

size_t parts_collect(const char *path, uint8_t mode, uint8_t *buf)
{
	struct snapshot_header header;
	uint8_t *to = buf;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint16_t nr;

	CHECK_EQ(pread(fd, &header, sizeof(header), 0), sizeof(header));
	*to++ = mode;
	memcpy(to, &header, PARTS_HEADER + PARTS_NAME);
	to += PARTS_HEADER + PARTS_NAME;
	nr = (uint16_t)header.layout_size;
	memcpy(to, &nr, 2);
	CHECK_EQ(pread(fd, to + 2, nr, sizeof(header)), nr);
	to += 2 + nr;
	nr = (uint16_t)header.nr_words;
	memcpy(to, &nr, 2);
	CHECK_EQ(pread(fd, to + 2, nr * sizeof(struct snapshot_word), (off_t)header.words_offset),
		 nr * sizeof(struct snapshot_word));
	to += 2 + nr * sizeof(struct snapshot_word);
	CHECK_EQ(pread(fd, to, PARTS_DATA, (off_t)header.data_offset), PARTS_DATA);
	close(fd);
	return (size_t)(to - buf) + PARTS_DATA;
}

void parts_set_id(const char *path, uint8_t id, const char *parent)
{
	static uint8_t buf[65536];
	size_t size = parts_collect(path, 0, buf);
	uint8_t *header = buf + 1;

	if (*parent) {
		memset(header + offsetof(struct snapshot_header, parent_id), id, 16);
		memset(header + PARTS_HEADER, 0, PARTS_NAME);
		memcpy(header + PARTS_HEADER, parent, strlen(parent));
	} else {
		memset(header + offsetof(struct snapshot_header, id), id, 16);
	}
	CHECK_OK(parts_write(path, buf, size));
}
