// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "control.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/harness.h"
#include "core/log.h"

static void *part(const struct control *c, const struct vas_superblock *sb, enum vas_extent_id id)
{
	return c->mapped + (sb->extents[id].offset - sb->extents[VAS_EXT_CONTROL].offset);
}

struct control control_open(int fd)
{
	struct control c = { .fd = fd };
	struct vas_superblock sb;
	struct stat stat;
	uint64_t start;

	CHECK_OK(fstat(fd, &stat));
	CHECK_EQ(pread(fd, &sb, sizeof(sb), stat.st_size - (off_t)sizeof(sb)), sizeof(sb));
	start = sb.extents[VAS_EXT_CONTROL].offset;
	c.mapped = mmap(NULL, stat.st_size - start, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_NORESERVE, fd, (off_t)start);
	CHECK(c.mapped != MAP_FAILED);
	c.sb = (struct vas_superblock *)(c.mapped + (stat.st_size - start) - sizeof(sb));
	c.control = part(&c, &sb, VAS_EXT_CONTROL);
	c.slots = part(&c, &sb, VAS_EXT_SLOTS);
	c.binders = part(&c, &sb, VAS_EXT_BINDERS);
	c.pins = part(&c, &sb, VAS_EXT_PINS);
	c.events = part(&c, &sb, VAS_EXT_EVENTS);
	c.table[0] = part(&c, &sb, VAS_EXT_TABLE0);
	c.table[1] = part(&c, &sb, VAS_EXT_TABLE1);
	c.log = part(&c, &sb, VAS_EXT_LOG);
	return c;
}

uint32_t control_owners_tag(const struct control *c)
{
	return c->binders[0].claims << VAS_TAG_INDEX_BITS;
}

void control_flags(struct control *c, uint32_t flags)
{
	uint64_t now = c->control->generation;
	struct vas_state state = c->control->state[now & 1];

	state.generation = now + 1;
	state.flags = flags;
	c->control->state[(now + 1) & 1] = state;
	__atomic_store_n(&c->control->generation, now + 1, __ATOMIC_SEQ_CST);
}

static struct vas_log log_of(const struct control *c)
{
	struct vas_log log;

	vas_log_init(&log, c->log, c->sb->limit);
	return log;
}

int control_is_dirty(const struct control *c, uint64_t gpa)
{
	uint64_t page = gpa >> VAS_PAGE_SHIFT;

	return __atomic_load_n(&c->log[page / 64], __ATOMIC_ACQUIRE) >> page % 64 & 1;
}

uint64_t control_nr_dirty(const struct control *c)
{
	uint64_t nr = 0;

	for (uint64_t word = 0; word < (c->sb->limit >> VAS_PAGE_SHIFT) / 64; word++)
		nr += (uint64_t)__builtin_popcountll(c->log[word]);
	return nr;
}

int control_clear_log(struct control *c)
{
	struct vas_log log = log_of(c);
	int err = 0;

	for (uint64_t word = 0; word < log.nr_pages / 64; word++) {
		if (!log.words[word])
			continue;
		if (!(log.summary[word / 64] >> word % 64 & 1) ||
		    !(log.top[word / 64 / 64] >> word / 64 % 64 & 1))
			err = -1;
		log.words[word] = 0;
	}
	for (uint64_t word = 0; word < log.nr_pages / 64; word += 64)
		log.summary[word / 64] = 0;
	for (uint64_t word = 0; word < log.nr_pages / 64; word += 4096)
		log.top[word / 4096] = 0;
	return err;
}
