// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/live.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <vas/consumer.h>
#include <vas/migrate.h>

#include "cli/ui/verb.h"
#include "cli/vmm/dimm.h"

#define RAM	   "vas-ram" /* as qemu_argv() calls it */
#define PAGE	   VAS_PAGE_SIZE
#define WORD	   (64 * PAGE)
#define STALL_NS   60000000000ull
#define LOWEST_MS  1	/* is tried first, then ... */
#define LOWER	   8	/* ... so much less than it may */
#define UNSURE	   1024 /* pages at the end of the first round, about which nobody asks */
#define HURRIED_MS 300	/* QEMU's own default */
#define WORDS	   (LIVE_WORDS / 64) /* of QEMU's: each may become one a page, in other regions */

/* ---- memory that is not QEMU's RAM -------------------------------------------------------- */

static int is_ram(const struct live *live, const struct vas_region *region)
{
	return !region->backing && region->offset < live->memory;
}

/* The next region beside RAM that ends behind gpa. */
static const struct vas_region *other_region(const struct live *live, uint64_t gpa)
{
	for (size_t i = 0; i < live->regions.nr; i++) {
		const struct vas_region *region = &live->regions.at[i];

		if (!is_ram(live, region) && region->gpa + region->size > gpa)
			return region;
	}
	return NULL;
}

/* A word of it, from gpa on. */
static struct vas_dirty_word word_of(const struct vas_region *region, uint64_t gpa)
{
	struct vas_dirty_word word = { .gpa = gpa / WORD * WORD };

	for (; gpa < word.gpa + WORD && gpa < region->gpa + region->size; gpa += PAGE)
		word.bits |= 1ull << (gpa - word.gpa) / PAGE;
	return word;
}

/* Once: what is written to them from here on is marked, or seen. */
static size_t tell_others(struct live *live, struct vas_dirty_word *words, size_t nr)
{
	const struct vas_region *region;
	size_t n = 0;

	while (n < nr && (region = other_region(live, live->gpa))) {
		if (live->gpa < region->gpa)
			live->gpa = region->gpa;
		words[n] = word_of(region, live->gpa);
		live->gpa = words[n++].gpa + WORD;
		if (live->gpa > region->gpa + region->size)
			live->gpa = region->gpa + region->size;
	}
	return n;
}

/* ---- QEMU's RAM --------------------------------------------------------------------------- */

static int gpa_of(const struct live *live, uint64_t offset, uint64_t *gpa)
{
	for (size_t i = 0; i < live->regions.nr; i++) {
		const struct vas_region *region = &live->regions.at[i];

		if (is_ram(live, region) && offset - region->offset < region->size) {
			*gpa = region->gpa + (offset - region->offset);
			return 0;
		}
	}
	return -ENOENT;
}

/* A word of offsets as words of gpa, behind the nr that are there: how many there are then. */
static size_t translate(const struct live *live, const struct vas_dirty_word *from,
			struct vas_dirty_word *words, size_t nr)
{
	for (uint64_t bits = from->bits; bits; bits &= bits - 1) {
		uint64_t gpa, start, bit;

		/* RAM that no region shows is nobody's. */
		if (gpa_of(live, from->gpa + (uint64_t)__builtin_ctzll(bits) * PAGE, &gpa))
			continue;
		start = gpa / WORD * WORD;
		bit = 1ull << (gpa - start) / PAGE;
		if (nr && words[nr - 1].gpa == start)
			words[nr - 1].bits |= bit;
		else
			words[nr++] = (struct vas_dirty_word){ .gpa = start, .bits = bit };
	}
	return nr;
}

static int begin_stream(struct live *live)
{
	int sock, err = qemu_await_served(live->guest->qmp);

	if (!err)
		err = guest_record(live->guest, &live->record);
	if (!err)
		err = qemu_stream_begin(live->guest->qmp, &live->qemu, LOWEST_MS, &sock);
	if (err)
		return err;
	/* From here on QEMU may stop the guest at any time. */
	live->guest->is_stopped = 1;
	live->asks_at = live->memory / PAGE / 2;
	return ram_stream_open(sock, RAM, live->memory, &live->stream);
}

/* A guest that writes faster than it is copied stands longer, or at once. */
static int hurry(struct live *live)
{
	const uint64_t told = ram_stream_pages(live->stream), pages = live->memory / PAGE;
	const uint64_t times = told / pages;

	if (times >= 8 && live->haste != LIVE_STOPS) {
		live->haste = LIVE_STOPS;
		return qemu_stream_stop(&live->qemu);
	}
	if (told >= pages + pages / 2 && live->haste == LIVE_AIMS_LOWEST) {
		live->haste = LIVE_AIMS_LOWER;
		return qemu_stream_set_downtime(&live->qemu, live->downtime_ms / LOWER + 1);
	}
	if (times >= 2 && live->haste == LIVE_AIMS_LOWER) {
		live->haste = LIVE_CONVERGES;
		return qemu_stream_set_downtime(&live->qemu, live->downtime_ms);
	}
	if (times >= 4 && live->haste == LIVE_CONVERGES) {
		live->haste = LIVE_HURRIES;
		return live->downtime_ms < HURRIED_MS ?
			       qemu_stream_set_downtime(&live->qemu, HURRIED_MS) :
			       0;
	}
	return 0;
}

ssize_t live_next(struct live *live, struct vas_dirty_word *words, size_t nr)
{
	struct vas_dirty_word told[WORDS];
	size_t n = tell_others(live, words, nr);
	ssize_t got = 0;
	int err;

	if (n)
		return (ssize_t)n;
	err = live->stream ? hurry(live) : begin_stream(live);
	while (!err && !n) {
		got = ram_stream_next(live->stream, STALL_NS, told, WORDS);
		if (got <= 0)
			break;
		for (ssize_t i = 0; i < got; i++)
			n = translate(live, &told[i], words, n);
	}
	if (!err && got < 0)
		err = (int)got;
	return err ? err : (ssize_t)n;
}

/* ---- the whole ---------------------------------------------------------------------------- */

/* Of the host's memory, in bytes; all, if that cannot be told. */
static uint64_t available(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib = UINT64_MAX >> 10;
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return (uint64_t)kib << 10;
}

static int check_room(const struct live *live)
{
	struct vas_info info;
	uint64_t resident;
	int err = vas_info(live->guest->vas, &info);

	if (err)
		return err;
	resident = ram_resident(live->guest->vas, &info);
	if (live->memory < resident || live->memory - resident < available() / 2)
		return 0;
	return vas_error_set(-EOPNOTSUPP, "the host has not as much memory as the guest has not "
					  "touched, and would touch");
}

/* QEMU would send it as well, and it is not what is told here. */
static int check_plugged(const struct live *live)
{
	struct qemu_dimm dimm;

	for (size_t i = 0; i < live->regions.nr; i++)
		if (dimm_of(&live->regions.at[i], &dimm))
			return vas_error_set(-EOPNOTSUPP, "memory is plugged into it");
	return 0;
}

static int check(struct live *live)
{
	int is_ours, err = guest_memory(live->guest, &live->memory, &is_ours);

	if (!err && !is_ours)
		err = vas_error_set(-EOPNOTSUPP, "its RAM has back ends of its own names");
	if (!err)
		err = check_room(live);
	if (err)
		return err;
	err = regions_get(live->guest->vas, &live->regions);
	return err ? vas_error_set(err, "no memory for the regions") : check_plugged(live);
}

int live_begin(struct live *live, struct guest *guest, uint64_t downtime_ms)
{
	int err;

	*live = (struct live){ .guest = guest, .downtime_ms = downtime_ms };
	err = check(live);
	if (err == -EOPNOTSUPP)
		note("the guest stands meanwhile: %s", vas_error());
	return err == -EOPNOTSUPP ? 0 : err ? err : 1;
}

int live_stands(const struct live *live)
{
	return live->stream && ram_stream_stands(live->stream);
}

static int take_answer(struct live *live)
{
	const int got = qemu_stream_answer(&live->qemu);

	live->asks = !got;
	if (got < 0)
		live->asks_at = UINT64_MAX;
	return got > 0 ? VAS_MIGRATE_SURE : 0;
}

/* Now and then in the first round, and more often to its end: it costs QEMU a moment. */
int live_is_sure(struct live *live)
{
	const uint64_t pages = live->memory / PAGE;

	if (live->asks)
		return take_answer(live);
	if (!live->stream || ram_stream_pages(live->stream) < live->asks_at ||
	    !qemu_stream_ask(&live->qemu))
		return 0;
	live->asks = 1;
	live->asks_at += (pages - live->asks_at) / 2;
	if (pages - live->asks_at < UNSURE)
		live->asks_at = UINT64_MAX;
	return VAS_MIGRATE_ASKS;
}

int live_state(struct live *live, void **record, size_t *size)
{
	struct qemu_record saved = live->record;
	void *state = NULL;
	int err = ram_stream_state(live->stream, STALL_NS, &state, &saved.state_size);

	if (!err)
		err = qemu_stream_ended(&live->qemu);
	saved.with_ram = 1;
	saved.state = state;
	if (!err)
		err = qemu_record_pack(&saved, record, size);
	live->is_saved = !err;
	free(state);
	return err;
}

void live_end(struct live *live)
{
	ram_stream_close(live->stream);
	live->stream = NULL;
	if (qemu_stream_end(&live->qemu, live->is_saved ? 0 : -ECANCELED) && live->is_saved)
		note("QEMU keeps what was set for this migration: %s", vas_error());
	free(live->record.command);
	live->record.command = NULL;
	regions_clean(&live->regions);
}
