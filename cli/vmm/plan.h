/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a vas that is to be created will look like. */
#ifndef CLI_PLAN_H
#define CLI_PLAN_H

#include "cli/vmm/backends.h"

/*
 * Where a kind of machine puts its RAM: it is whole from gpa 0 on while it is smaller than
 * `split_from`; a larger one ends at `below` there, and the rest is at 4 GiB.
 */
struct machine {
	const char *name;   /* as in QEMU's -machine */
	const char *prefix; /* of its versioned names, or NULL */
	uint64_t split_from;
	uint64_t below;
	uint64_t base; /* or, of one that is no PC, it is whole from here on */
};

/* By a name such as QEMU's -machine has it, versioned or not: NULL if it is unknown. */
const struct machine *machine_by_name(const char *name, size_t len);
extern const char machine_names[]; /* for messages and help */

/* pc or q35. */
int machine_is_pc(const struct machine *machine);

/* Where it puts memory that is plugged: behind so much RAM, at a GiB's border. */
uint64_t machine_device_memory(const struct machine *machine, uint64_t memory);

struct plan {
	struct vas_options options;
	char guest[VAS_NAME_LEN]; /* what options.name is, if QEMU's arguments say it */
	struct vas_region *regions;
	size_t nr_regions;
	uint64_t memory;	  /* bytes of the machine's RAM; 0: none asked for */
	uint64_t max_memory;	  /* with what may be plugged; 0: nothing may */
	uint64_t slots;		  /* for that */
	struct backends backends; /* in which QEMU has parts of the RAM, and memory beside it */
	const struct machine *machine;
};

/*
 * The options that create and run share; PLAN_OPTIONS go into the verb's table, PLAN_HELP into its
 * help. plan_option() takes one: an exit code, after a message if it is not EXIT_OK.
 */
#define PLAN_SHORTS "n:l:m:"
#define PLAN_OPTIONS                                                                         \
	{ "name", required_argument, NULL, 'n' }, { "limit", required_argument, NULL, 'l' }, \
		{ "memory", required_argument, NULL, 'm' },                                  \
		{ "machine", required_argument, NULL, PLAN_MACHINE },                        \
		{ "region", required_argument, NULL, PLAN_REGION },                          \
		{ "hugetlb", no_argument, NULL, PLAN_HUGETLB },                              \
		{ "thp", no_argument, NULL, PLAN_THP },                                      \
	{                                                                                    \
		"reserve", no_argument, NULL, PLAN_RESERVE                                   \
	}
#define PLAN_HELP                                                                               \
	"  -m, --memory SIZE    RAM, placed as the machine has it\n"                            \
	"      --machine TYPE   pc, q35, microvm (RAM split around the PCI hole), virt, flat\n" \
	"      --region GPA:SIZE[:ro][:NAME]   a further region; may be given often\n"          \
	"  -l, --limit SIZE     the first gpa that will never be used, for later growth\n"      \
	"  -n, --name NAME      a name for people\n"                                            \
	"      --hugetlb        2 MiB hugetlb pages\n"                                          \
	"      --thp            advise transparent huge pages\n"                                \
	"      --reserve        allocate all memory now, so that none can be missing later\n"
enum { PLAN_MACHINE = 1000, PLAN_REGION, PLAN_HUGETLB, PLAN_THP, PLAN_RESERVE };

int plan_option(struct plan *plan, int option, const char *value);

/*
 * Create it all, and own it. The machine's RAM is one extent at the start of the file, in the order
 * of its gpa, as a VMM has it that maps it in one; further regions lie behind it, or, as long as no
 * RAM is moved, at the offset that is their gpa. An exit code.
 */
int plan_create(struct plan *plan, struct vas **vas);
void plan_clean(struct plan *plan);

#endif
