// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/handle/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/handle/file.h"
#include "lib/handle/lock.h"

#define DRAIN_NS 1000000000ull /* as long as others may keep the log */
#define NAP_NS	 50000ull
#define BATCH	 512

void vas_tracker_log(const struct vas *vas, uint32_t i, struct vas_log *log)
{
	struct vas_log_layout layout;

	vas_log_layout(vas->sb.limit, &layout);
	vas_log_init(log, (char *)vas_extent(vas, VAS_EXT_LOG) + (1 + i) * layout.size,
		     vas->sb.limit);
}

int vas_log_is_broken(struct vas *vas)
{
	return __atomic_load_n(&vas->log_broken, __ATOMIC_RELAXED);
}

void vas_log_set_incomplete(struct vas *vas)
{
	__atomic_fetch_add(&vas->ctl->log_incomplete, 1, __ATOMIC_SEQ_CST);
}

/* ---- repairing ---------------------------------------------------------------------------- */

/*
 * The words that lie in [from, to) of the file: read, for looking at a hole in a map would fill it.
 */
static int repair_part(struct vas *vas, off_t from, off_t to)
{
	off_t start = (off_t)vas->sb.extents[VAS_EXT_LOG].offset;
	uint64_t words[512];

	while (from < to) {
		size_t len = to - from < (off_t)sizeof(words) ? (size_t)(to - from) : sizeof(words);
		ssize_t i, nr = pread(vas->lock_fd, words, len, from) / (ssize_t)sizeof(words[0]);

		if (nr <= 0)
			return vas_error_set(-EIO, "cannot read the dirty log");
		for (i = 0; i < nr; i++)
			if (words[i])
				vas_log_repair_word(&vas->log, (uint64_t)((from - start) / 8 + i));
		from += nr * (off_t)sizeof(words[0]);
	}
	return 0;
}

int vas_log_repair(struct vas *vas)
{
	off_t data, hole = (off_t)vas->sb.extents[VAS_EXT_LOG].offset, end;
	int err = 0;

	end = hole + (off_t)((vas->log.nr_pages + VAS_LOG_PAGES_PER_WORD - 1) /
			     VAS_LOG_PAGES_PER_WORD * sizeof(uint64_t));
	while (!err && hole < end) {
		data = lseek(vas->lock_fd, hole, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return 0;
		hole = data < 0 ? -1 : lseek(vas->lock_fd, data, SEEK_HOLE);
		if (hole < 0)
			return vas_error_set(-errno, "cannot find the dirty log's pages: %s",
					     strerror(errno));
		/* A page that went again meanwhile: on, whatever comes and goes. */
		if (hole < data + (off_t)VAS_PAGE_SIZE)
			hole = data + (off_t)VAS_PAGE_SIZE;
		err = repair_part(vas, data, hole < end ? hole : end);
	}
	return err;
}

/* ---- draining ----------------------------------------------------------------------------- */

/* H0. The word keeps others out, this mutex our own threads. */
int vas_drain_lock(struct vas *vas)
{
	uint64_t deadline_ns = vas_deadline_ns(DRAIN_NS);
	struct timespec nap = { .tv_nsec = NAP_NS };
	struct vas_scan scan;
	int err;

	vas_scan_begin(&scan, &vas->proto, deadline_ns);
	pthread_mutex_lock(&vas->drain);
	while ((err = vas_drain_trylock(&scan)) == -EBUSY && vas_now_ns() < deadline_ns)
		nanosleep(&nap, NULL);
	if (err < 0) {
		pthread_mutex_unlock(&vas->drain);
		return vas_error_set(err, "another tracker keeps the dirty log");
	}
	/* Somebody died between H1 and H2: summary bits are gone whose words are still there. */
	err = err ? vas_log_repair(vas) : 0;
	if (err) {
		/* Every tracker repairs, before it takes anything. */
		vas_log_set_incomplete(vas);
		vas_drain_unlock(vas);
	}
	return err;
}

void vas_drain_unlock(struct vas *vas)
{
	vas_drain_release(&vas->proto);
	pthread_mutex_unlock(&vas->drain);
}

static void find_others(const struct vas *vas, uint32_t self, struct vas_log_others *others)
{
	uint32_t i;

	others->nr = 0;
	for (i = 0; i < vas->sb.nr_trackers; i++)
		if (i != self && vas_tracker_is_in_use(&vas->proto, i))
			vas_tracker_log(vas, i, &others->logs[others->nr++]);
}

uint64_t vas_drain(struct vas *vas, uint32_t self, struct vas_log_range *range,
		   struct vas_dirty_word *words, uint64_t nr)
{
	struct vas_log_others others;

	find_others(vas, self, &others);
	return vas_log_move(&vas->log, range, &others, words, nr);
}

void vas_tracker_clear(struct vas *vas, uint32_t i)
{
	struct vas_log_range range;
	struct vas_dirty_word words[BATCH];
	struct vas_log_layout layout;
	struct vas_log log;
	uint64_t offset;

	vas_log_layout(vas->sb.limit, &layout);
	offset = vas->sb.extents[VAS_EXT_LOG].offset + (1 + i) * layout.size;
	if (fallocate(vas->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
		      (off_t)layout.size) == 0 &&
	    vas->sb.page_size == VAS_PAGE_SIZE)
		return;
	/* hugetlb: punched to whole pages only. */
	vas_tracker_log(vas, i, &log);
	range = vas_log_range_of(&log, 0, vas->sb.limit);
	while (vas_log_take(&log, &range, words, BATCH))
		;
}

/*
 * What a file that was cut has lost is no hole of it: marked, so that whoever reads it gets the
 * error.
 */
static void mark_cut(const struct vas_log *log, const struct vas_region *region, int fd)
{
	uint64_t size = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return;
	if ((uint64_t)st.st_size > region->offset)
		size = (uint64_t)st.st_size - region->offset;
	if (size < region->size)
		vas_log_mark_again(log, region->gpa + size, region->size - size);
}

/*
 * What the file has there: false if it cannot tell. Goes on page by page where holes come and go
 * under it.
 */
static bool mark_data(const struct vas_log *log, const struct vas_region *region, int fd)
{
	off_t data, hole = (off_t)region->offset, end = (off_t)(region->offset + region->size);

	while (hole < end) {
		data = lseek(fd, hole, SEEK_DATA);
		if (data < 0)
			return errno == ENXIO;
		if (data >= end)
			return true;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			return false;
		if (hole < data + (off_t)VAS_PAGE_SIZE)
			hole = data + (off_t)VAS_PAGE_SIZE;
		vas_log_mark_again(log, region->gpa + (uint64_t)(data - (off_t)region->offset),
				   (uint64_t)((hole < end ? hole : end) - data));
	}
	return true;
}

void vas_log_mark_touched(struct vas *vas, const struct vas_log *log,
			  const struct vas_region *region)
{
	int fd;

	if (region->flags & VAS_REGION_DEVICE)
		return;
	fd = region->flags & VAS_REGION_LOCAL ? -1 : vas_backing_dup(vas, region->backing);
	mark_cut(log, region, fd);
	if (fd < 0 || !mark_data(log, region, fd))
		vas_log_mark_again(log, region->gpa, region->size);
	if (fd >= 0)
		close(fd);
}
