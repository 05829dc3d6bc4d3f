// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Fuzz vas_bind() and what follows: any superblock, control area, tables in a sealed memfd. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <vas/dirty.h>

#include "pieces.h"

#define PAGE 4096ull

static struct victim victim;
static char *pristine;
static int fd;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fd = pieces_make_orphan(&victim, &pristine);
	segments_count_fds();
	return 0;
}

static void use_section(struct vas *vas)
{
	struct iovec iov[4];
	char *p;

	if (vas_enter(vas))
		return;
	p = vas_translate(vas, PAGE, 64, VAS_PROT_WRITE);
	if (p)
		*(volatile char *)p += 1;
	if (vas_iov(vas, 2 * PAGE, 8 * PAGE, VAS_PROT_READ, iov, 4) > 0)
		(void)*(volatile char *)iov[0].iov_base;
	vas_leave(vas);
}

static void use(struct vas *vas)
{
	static char buf[2 * PAGE];
	struct vas_region regions[8];
	struct vas_event events[4];
	struct vas_mapping *mapping;
	struct vas_info info;
	uint64_t val;

	vas_info(vas, &info);
	vas_regions(vas, regions, 8);
	vas_events(vas, events, 4);
	vas_event_fd(vas, 1);
	vas_read(vas, 3 * PAGE - 8, buf, sizeof(buf), NULL);
	vas_write(vas, 31 * PAGE, buf, sizeof(buf), NULL);
	vas_load_le64(vas, 8 * PAGE, &val, __ATOMIC_ACQUIRE);
	use_section(vas);
	if (!vas_mapping_create(vas, 40 * PAGE, PAGE, VAS_MAPPING_WRITE, &mapping)) {
		memset(vas_mapping_addr(mapping), 1, 64);
		vas_mapping_destroy(mapping);
	}
}

/* The owner's own: nobody has to answer. */
static void track(struct vas *vas)
{
	const struct vas_dirty_word *words;
	struct vas_tracker *dirty;
	uint64_t gpa = 0;

	if (vas_tracker_attach(vas, "fuzz", VAS_TRACKER_ALL, &dirty))
		return;
	vas_write(vas, 2 * PAGE, "x", 1, NULL);
	if (!vas_tracker_begin(dirty)) {
		vas_tracker_harvest(dirty, &gpa, VICTIM_PAGES * PAGE, 4, &words);
		vas_tracker_abort(dirty);
	}
	if (!vas_freeze(vas, 0, NULL))
		vas_thaw(vas);
	vas_tracker_detach(dirty);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t flags;
	struct vas *vas;

	if (size < 2)
		return 0;
	memcpy(victim.control, pristine, victim.control_size);
	flags = data[0] & 7;
	segments_apply(&victim, data + 2, size - 2);
	if (!vas_bind(fd, flags, &vas)) {
		use(vas);
		/* The same bytes again, as news to one who is bound. */
		memcpy(victim.control, pristine, victim.control_size);
		segments_apply(&victim, data + 2, size - 2);
		victim.ctl->generation += data[1] & 3;
		use(vas);
		if (flags & VAS_BIND_ADOPT) {
			track(vas);
			pieces_change_layout(vas);
		}
		vas_unbind(vas);
	}
	segments_count_fds();
	return 0;
}
