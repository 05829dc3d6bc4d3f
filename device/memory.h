/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A guest's memory, in one of two ways, or both:
 *
 *	a table	as a VMM has sent it: regions of files, and the log of what was written. What lies
 *		in no region is not there, and is never touched. A file that is truncated yields
 *		zeros, and memory_has_failed() from then on.
 *	a vas	addresses are translated in sections, and what is written is marked in its log: it
 *		follows the layout, and freezes. With a table, that is of the same regions, and
 *		addresses go by it; what is written is marked in both logs.
 *
 * One thread changes it, while nobody else uses it. Used it is by any number of threads, each
 * between memory_enter() and memory_leave().
 */
#ifndef DEVICE_MEMORY_H
#define DEVICE_MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <vas/access.h>

#include "core/virtqueue/chain.h"
#include "device/shared_map.h"

#define MEMORY_MAX_REGIONS 509 /* as many slots as KVM had for long; QEMU counts with it */
#define MEMORY_LOG_PAGE	   4096u

struct memory_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t user;		/* its address in the front end, which is how that names rings */
	struct shared_map *map; /* NULL: the bytes are mapped by somebody else */
	uint8_t *bytes;
	/* Of what was sent: its file, and where in that it begins. */
	dev_t dev;
	ino_t ino;
	uint64_t offset;
};

struct memory {
	struct vas *vas;				  /* or NULL */
	struct memory_region regions[MEMORY_MAX_REGIONS]; /* by gpa */
	uint32_t nr;
	struct shared_map log; /* a bit a page of gpa */
	bool is_logging;       /* the table's log */
};

enum memory_access { MEMORY_READ, MEMORY_WRITE };

/*
 * The fd stays the caller's. -EINVAL, -EEXIST: the region makes no sense, or overlaps another one.
 */
int memory_add(struct memory *memory, const struct memory_region *region, int fd, uint64_t offset);

/* There is a region with this gpa, size and user address. */
bool memory_has(const struct memory *memory, const struct memory_region *region);

/* Such a region. -ENOENT: there is none. */
int memory_remove(struct memory *memory, const struct memory_region *region);
void memory_clear(struct memory *memory);

/* A region of a table's. The log is the front end's own business. */
bool memory_has_failed(const struct memory *memory);

/*
 * Before it is used by a thread, and after. -EAGAIN: it is frozen, or could not be had; try again.
 * Addresses hold until memory_leave(). While memory_has_moved(), others wait for that. Without a
 * vas all of this is nothing.
 */
static inline int memory_enter(const struct memory *memory, uint64_t *generation)
{
	if (!memory->vas)
		return 0;
	/* Before: what changes meanwhile is seen as moved, never as what was entered. */
	*generation = vas_generation(memory->vas);
	if (vas_enter(memory->vas))
		return -EAGAIN;
	if (!(vas_view_self(memory->vas)->flags & VAS_STATE_FROZEN))
		return 0;
	vas_leave(memory->vas);
	return -EAGAIN;
}

static inline void memory_leave(const struct memory *memory)
{
	if (memory->vas)
		vas_leave(memory->vas);
}

static inline bool memory_has_moved(const struct memory *memory, uint64_t generation)
{
	return memory->vas && vas_generation(memory->vas) != generation;
}

/* Of the addresses that memory_at() gives: while it is the same, so are they, inside of it. */
static inline uint64_t memory_serial(const struct memory *memory)
{
	return memory->vas && !memory->nr ? vas_view_self(memory->vas)->serial : 0;
}

/* What is written is to be marked. */
static inline bool memory_is_logging(const struct memory *memory)
{
	return memory->is_logging ||
	       (memory->vas && vas_view_self(memory->vas)->flags & VAS_STATE_TRACKING);
}

/* Where gpa is, and how much of *len is contiguous there; NULL: not in memory. */
uint8_t *memory_at(const struct memory *memory, uint64_t gpa, uint64_t *len,
		   enum memory_access access);

/* Of a table: all of [gpa, gpa + len) in one piece, or NULL. */
uint8_t *memory_range(const struct memory *memory, uint64_t gpa, uint64_t len);

/* The gpa of a user address of which len bytes lie in one region. -EFAULT: they don't. */
int memory_gpa_of_user(const struct memory *memory, uint64_t user, uint64_t len, uint64_t *gpa);

/*
 * Copy out of it, or into it and mark what was written. -EFAULT: not all of it is memory. What is
 * copied may be in it, too, where a guest sends to itself; a hostile one lets the two overlap.
 */
int memory_read(const struct memory *memory, uint64_t gpa, void *to, uint32_t len);
int memory_write(const struct memory *memory, uint64_t gpa, const void *from, uint32_t len);

/* After a write, before anybody is told of it. What the log has no room for is left out. */
void memory_mark(const struct memory *memory, uint64_t gpa, uint64_t len);

#endif
