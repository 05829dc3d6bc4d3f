// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A front end whose memory is a vas, such as a QEMU that 'vas run' has started. Addresses go by its
 * table, as ever. But where each of its regions shows the bytes that the vas has at that gpa, the
 * device takes part in the vas: it freezes with it, and marks what it writes in its log, too.
 */
#include <sys/stat.h>
#include <vas/vas.h>

#include "core/range.h"
#include "device/vhost_user/session.h"

static bool is_of(struct vas *vas, const struct stat *file, const struct memory_region *region)
{
	struct vas_region found;

	return region->dev == file->st_dev && region->ino == file->st_ino &&
	       !vas_region_at(vas, region->gpa, &found) && !found.backing &&
	       !(found.flags & (VAS_REGION_LOCAL | VAS_REGION_READONLY)) &&
	       vas_range_fits(region->gpa - found.gpa, region->size, found.size) &&
	       found.offset + (region->gpa - found.gpa) == region->offset;
}

static bool is_all_of(struct vas *vas, const struct memory *memory)
{
	struct stat file;
	uint32_t i;

	if (fstat(vas_fd(vas), &file))
		return false;
	for (i = 0; i < memory->nr; i++)
		if (!is_of(vas, &file, &memory->regions[i]))
			return false;
	return memory->nr > 0;
}

void binding_update(struct session *session, int fd)
{
	struct memory *memory = &session->memory;
	struct vas *vas;

	if (memory->vas && !is_all_of(memory->vas, memory))
		binding_end(session);
	if (memory->vas || fd < 0 || vas_bind(fd, 0, &vas))
		return;
	if (is_all_of(vas, memory))
		memory->vas = vas;
	else
		vas_unbind(vas);
}

void binding_end(struct session *session)
{
	vas_unbind(session->memory.vas);
	session->memory.vas = NULL;
}
