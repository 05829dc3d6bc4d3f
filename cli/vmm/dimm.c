// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/dimm.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <vas/consumer.h>

#include "cli/target/parse.h"
#include "cli/target/regions.h"
#include "cli/ui/text.h"
#include "cli/ui/verb.h"
#include "cli/vmm/plan.h"

#define PREFIX	  "dimm"
#define MAX_SLOTS 256
#define ALIGNMENT (128ull << 20) /* of Linux's blocks of memory */
#define LOOK_MS	  20		 /* between two looks */

int dimm_of(const struct vas_region *region, struct qemu_dimm *dimm)
{
	if (!region->backing || strncmp(region->name, PREFIX, strlen(PREFIX)) ||
	    parse_number(region->name + strlen(PREFIX), &dimm->slot) || dimm->slot >= MAX_SLOTS)
		return 0;
	snprintf(dimm->id, sizeof(dimm->id), "%s", region->name);
	dimm->gpa = region->gpa;
	dimm->size = region->size;
	return 1;
}

/* ---- where one goes ----------------------------------------------------------------------- */

/* All that is there of both. */
struct there {
	struct qemu_memory_device *devices;
	size_t nr;
	struct regions regions;
};

static int look(struct guest *guest, struct there *there)
{
	int err;

	*there = (struct there){ 0 };
	err = qemu_memory_devices(guest->qmp, &there->devices, &there->nr);
	if (!err)
		err = regions_get(guest->vas, &there->regions);
	return err ? fail_vas(err, guest->name) : EXIT_OK;
}

static void there_clean(struct there *there)
{
	free(there->devices);
	regions_clean(&there->regions);
}

static const struct vas_region *find_region(const struct there *there, const char *id)
{
	struct qemu_dimm dimm;

	for (size_t i = 0; i < there->regions.nr; i++)
		if (dimm_of(&there->regions.at[i], &dimm) && !strcmp(dimm.id, id))
			return &there->regions.at[i];
	return NULL;
}

static int has_device(const struct there *there, const char *id)
{
	for (size_t i = 0; i < there->nr; i++)
		if (!strcmp(there->devices[i].id, id))
			return 1;
	return 0;
}

static int has_slot(const struct there *there, int slot)
{
	for (size_t i = 0; i < there->nr; i++)
		if (there->devices[i].slot == slot)
			return 1;
	return 0;
}

/* A name is a slot's, so that both are the same after a restore. */
static int choose_slot(const struct there *there, struct qemu_dimm *dimm)
{
	for (dimm->slot = 0; dimm->slot < MAX_SLOTS; dimm->slot++) {
		snprintf(dimm->id, sizeof(dimm->id), PREFIX "%d", dimm->slot);
		if (!has_slot(there, dimm->slot) && !has_device(there, dimm->id) &&
		    !find_region(there, dimm->id))
			return 0;
	}
	return -ENOSPC;
}

static uint64_t round_up(uint64_t gpa)
{
	return (gpa + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
}

/* Where it can be at the earliest, if it overlaps what is at `at`: else 0. */
static uint64_t move_behind(const struct qemu_dimm *dimm, uint64_t at, uint64_t size)
{
	return dimm->gpa < at + size && at < dimm->gpa + dimm->size ? round_up(at + size) : 0;
}

/* The first place that is free; each step goes up, by one of what is there. */
static void choose_gpa(const struct there *there, struct qemu_dimm *dimm)
{
	uint64_t next;

	do {
		next = 0;
		for (size_t i = 0; !next && i < there->nr; i++)
			next = move_behind(dimm, there->devices[i].gpa, there->devices[i].size);
		for (size_t i = 0; !next && i < there->regions.nr; i++)
			next = move_behind(dimm, there->regions.at[i].gpa,
					   there->regions.at[i].size);
		dimm->gpa = next ? next : dimm->gpa;
	} while (next);
}

/* The RAM that the guest started with. */
static uint64_t size_of_ram(const struct regions *regions)
{
	uint64_t size = 0;

	for (size_t i = 0; i < regions->nr; i++)
		if (!strncmp(regions->at[i].name, "ram", 3))
			size += regions->at[i].size;
	return size;
}

static int choose(struct guest *guest, const struct there *there, struct qemu_dimm *dimm)
{
	const struct machine *machine;
	struct qemu_kind kind;
	struct vas_info info;
	int err = vas_info(guest->vas, &info);

	if (!err)
		err = qemu_kind(guest->qmp, &kind);
	if (err)
		return fail_vas(err, guest->name);
	machine = machine_by_name(kind.machine, strlen(kind.machine));
	if (!machine || !machine_is_pc(machine))
		return fail(EXIT_REFUSED, "%s: into a machine %s, no memory can be plugged",
			    guest->name, kind.machine);
	if (choose_slot(there, dimm))
		return fail(EXIT_REFUSED, "%s: all slots for memory are in use", guest->name);
	dimm->gpa = machine_device_memory(machine, size_of_ram(&there->regions));
	choose_gpa(there, dimm);
	if (dimm->size <= info.limit && dimm->gpa <= info.limit - dimm->size)
		return EXIT_OK;
	return fail(EXIT_REFUSED,
		    "%s: there is no room for %s more below %s: how much can be plugged is said "
		    "when QEMU is started: -m 1G,slots=4,maxmem=8G",
		    guest->name, text_size(dimm->size).s, text_gpa(info.limit).s);
}

/* ---- plugging ----------------------------------------------------------------------------- */

static int add_region(struct vas *vas, const struct qemu_dimm *dimm, struct vas_region *region)
{
	struct vas_info info;
	uint32_t flags;
	int backing, err = vas_info(vas, &info);

	if (err)
		return err;
	flags = info.page_size > VAS_PAGE_SIZE ? VAS_CREATE_HUGETLB : 0;
	backing = vas_backing_create(vas, dimm->id, dimm->size, flags);
	if (backing < 0)
		return backing;
	*region = (struct vas_region){ .gpa = dimm->gpa,
				       .size = dimm->size,
				       .backing = (uint32_t)backing };
	snprintf(region->name, sizeof(region->name), "%s", dimm->id);
	err = vas_region_add(vas, region, &region->id);
	if (err)
		vas_backing_remove(vas, region->backing);
	return err;
}

static int remove_region(struct vas *vas, const struct vas_region *region)
{
	int err = vas_region_remove(vas, region->id);

	return err ? err : vas_backing_remove(vas, region->backing);
}

static int plug(struct guest *guest, const struct qemu_dimm *dimm)
{
	struct vas_region region;
	int err = add_region(guest->vas, dimm, &region), code;

	if (err)
		return fail_vas(err, guest->name);
	err = qemu_plug(guest->qmp, dimm, vas_backing_fd(guest->vas, region.backing));
	if (!err)
		return EXIT_OK;
	code = fail_vas(err, guest->name);
	err = remove_region(guest->vas, &region);
	if (err)
		fail_vas(err, dimm->id);
	return code;
}

static int check_qemu(const struct guest *guest)
{
	if (guest->qmp)
		return EXIT_OK;
	return fail(EXIT_REFUSED, "%s: no QEMU runs in it whose monitor is known: see 'vas run'",
		    guest->name);
}

int dimm_plug(struct guest *guest, uint64_t size, struct qemu_dimm *dimm)
{
	struct there there;
	int code = check_qemu(guest);

	if (code)
		return code;
	*dimm = (struct qemu_dimm){ .size = size };
	code = look(guest, &there);
	if (!code)
		code = choose(guest, &there, dimm);
	if (!code)
		code = plug(guest, dimm);
	there_clean(&there);
	return code;
}

/* ---- unplugging --------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

/* Until QEMU has it no more: an exit code. */
static int wait_for_guest(struct guest *guest, const char *id, uint64_t timeout_ns)
{
	const uint64_t end_ns = now_ns() + timeout_ns;
	int code = EXIT_OK, is_there = 1;

	while (!code && is_there && now_ns() < end_ns) {
		struct there there;

		poll(NULL, 0, LOOK_MS);
		code = look(guest, &there);
		is_there = has_device(&there, id);
		there_clean(&there);
	}
	if (code || !is_there)
		return code;
	return fail(EXIT_REFUSED,
		    "%s: the guest has not let go of %s: it needs the memory, or does not know how "
		    "to: if it does so later, say 'vas unplug' again",
		    guest->name, id);
}

/* It was asked before, and has neither obeyed nor refused: QEMU asks no twice. */
static int is_asked(int err)
{
	return err == -EREMOTEIO && strstr(vas_error(), "already in the process of unplug");
}

static int ask(struct guest *guest, const char *id, uint64_t timeout_ns)
{
	int err;

	if (!guest->was_running)
		return fail(EXIT_REFUSED,
			    "%s: a guest that stands lets go of nothing: 'vas resume'",
			    guest->name);
	err = qemu_unplug_begin(guest->qmp, id);
	if (err && !is_asked(err))
		return fail_vas(err, guest->name);
	return wait_for_guest(guest, id, timeout_ns);
}

int dimm_unplug(struct guest *guest, const char *id, uint64_t timeout_ns)
{
	const struct vas_region *region;
	struct there there;
	int code = check_qemu(guest), err;

	if (code)
		return code;
	code = look(guest, &there);
	region = code ? NULL : find_region(&there, id);
	if (!code && !region)
		code = fail(EXIT_NOT_FOUND,
			    "%s: no memory is called '%s' that 'vas plug' has "
			    "plugged: 'vas info' lists it",
			    guest->name, id);
	if (!code && has_device(&there, id))
		code = ask(guest, id, timeout_ns);
	if (!code) {
		/* Who was killed may have left one half of it. */
		qemu_unplug_end(guest->qmp, id);
		err = remove_region(guest->vas, region);
		code = err ? fail_vas(err, guest->name) : EXIT_OK;
	}
	there_clean(&there);
	return code;
}

/* ---- what QEMU is started with, and saved with --------------------------------------------- */

int dimm_start(struct vas *vas, struct child *child, struct qemu_more *more)
{
	struct regions regions;
	int err = regions_get(vas, &regions);

	for (size_t i = 0; !err && i < regions.nr; i++) {
		struct qemu_dimm dimm;
		int fd;

		if (!dimm_of(&regions.at[i], &dimm))
			continue;
		fd = vas_backing_fd(vas, regions.at[i].backing);
		fd = fd < 0 ? fd : child_inherit(child, fd);
		err = fd < 0 ? fd : qemu_more_dimm(more, &dimm, fd);
	}
	regions_clean(&regions);
	return err;
}

/* Memory that a region shows, whether it was plugged or there from the start. */
static int is_shown(const struct there *there, const struct qemu_memory_device *device)
{
	for (size_t i = 0; i < there->regions.nr; i++)
		if (there->regions.at[i].gpa == device->gpa &&
		    there->regions.at[i].size == device->size)
			return 1;
	return 0;
}

int dimm_check(struct qmp *qmp, struct vas *vas)
{
	struct there there = { 0 };
	struct qemu_dimm dimm;
	int err = qemu_memory_devices(qmp, &there.devices, &there.nr);

	if (!err)
		err = regions_get(vas, &there.regions);
	for (size_t i = 0; !err && i < there.nr; i++)
		if (!is_shown(&there, &there.devices[i]))
			err = vas_error_set(
				-EBUSY,
				"memory that is not the vas's was plugged into the guest "
				"(%s): unplug it first",
				there.devices[i].id);
	for (size_t i = 0; !err && i < there.regions.nr; i++)
		if (dimm_of(&there.regions.at[i], &dimm) && !has_device(&there, dimm.id))
			err = vas_error_set(-EBUSY,
					    "%s is no memory of the guest's any more: 'vas unplug' "
					    "takes it away",
					    dimm.id);
	there_clean(&there);
	return err;
}
