// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What of the parent's layout is in a share: whatever lies in its files. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/handle/file.h"
#include "lib/layout/backing.h"
#include "lib/layout/publish.h"
#include "lib/share/share.h"

/* ---- files -------------------------------------------------------------------------------- */

static const struct shared_file *find_file(const struct share *share,
					   const struct vas_backing_entry *entry)
{
	uint32_t i;

	for (i = 0; i < share->nr_files; i++)
		if (share->files[i].dev == entry->dev && share->files[i].ino == entry->ino)
			return &share->files[i];
	return NULL;
}

/* The share's file that the parent's region lies in, whatever its number there; or NULL. */
static const struct shared_file *file_of(const struct share *share, const struct vas *parent,
					 const struct vas_region *region)
{
	if (region->flags & VAS_REGION_LOCAL)
		return NULL;
	return find_file(share, &parent->backings[region->backing].entry);
}

static int add_file(struct share *share, const struct backing *backing)
{
	bool is_readonly = share->flags & VAS_SHARE_READONLY;
	int fd = vas_file_reopen(backing->fd, is_readonly ? O_RDONLY : O_RDWR), i;

	if (fd < 0)
		return fd;
	i = vas_backing_add_any(share->vas, fd);
	close(fd);
	if (i < 0)
		return i;
	share->files[share->nr_files++] =
		(struct shared_file){ backing->entry.dev, backing->entry.ino, (uint32_t)i };
	return 0;
}

/* By whatever number it is a backing, too. */
static bool has_control_area(const struct vas *vas, const struct vas_backing_entry *entry)
{
	struct stat st;

	return fstat(vas_fd(vas), &st) || (entry->dev == st.st_dev && entry->ino == st.st_ino);
}

static int add_file_of(struct share *share, const struct vas *parent,
		       const struct vas_region *region)
{
	const struct backing *backing = &parent->backings[region->backing];

	if (region->flags & VAS_REGION_LOCAL)
		return vas_error_set(-EINVAL, "region %llu is local memory of this process",
				     (unsigned long long)region->id);
	if (has_control_area(parent, &backing->entry))
		return vas_error_set(-EINVAL,
				     "region %llu lies in the vas's own file: a region that is "
				     "shared needs a file of its own, vas_backing_create()",
				     (unsigned long long)region->id);
	return find_file(share, &backing->entry) ? 0 : add_file(share, backing);
}

static const struct vas_region *find_id(const struct vas *vas, uint64_t id)
{
	uint32_t i;

	for (i = 0; i < vas->own.nr; i++)
		if (vas->own.regions[i].id == id)
			return &vas->own.regions[i];
	vas_error_set(-ENOENT, "there is no region with the id %llu", (unsigned long long)id);
	return NULL;
}

static bool is_named(const uint64_t *ids, size_t nr, uint64_t id)
{
	size_t i;

	for (i = 0; i < nr && ids[i] != id; i++)
		;
	return i < nr;
}

/* A peer has the whole file, so all that lies in it is meant. */
static int check_others(const struct share *share, const struct vas *parent, const uint64_t *ids,
			size_t nr)
{
	uint32_t i;

	for (i = 0; i < parent->own.nr; i++) {
		const struct vas_region *r = &parent->own.regions[i];

		if (file_of(share, parent, r) && !is_named(ids, nr, r->id))
			return vas_error_set(-EINVAL,
					     "region %llu (%s) lies in the same file as one that "
					     "is shared: name it, too, or give it another file",
					     (unsigned long long)r->id, r->name);
	}
	return 0;
}

int vas_share_add_files(struct share *share, const struct vas *parent, const uint64_t *ids,
			size_t nr)
{
	const struct vas_region *region;
	size_t i;
	int err = 0;

	for (i = 0; !err && i < nr; i++) {
		region = find_id(parent, ids[i]);
		err = region ? add_file_of(share, parent, region) : -ENOENT;
	}
	return err ? err : check_others(share, parent, ids, nr);
}

/* ---- layouts ------------------------------------------------------------------------------ */

/* A list of regions, sorted by gpa. */
struct list {
	const struct vas_region *regions;
	size_t nr;
};

/* The first of the list if it begins at r's place or in it, after what lies before r is skipped. */
static const struct vas_region *match(struct list *list, const struct vas_region *r)
{
	while (list->nr && list->regions->gpa < r->gpa) {
		list->regions++;
		list->nr--;
	}
	return list->nr && list->regions->id == r->id ? list->regions : NULL;
}

/* The parent's region as the share has it: false, it is not in the share's files. */
static bool translate(const struct share *share, const struct vas_region *region,
		      struct vas_region *out)
{
	const struct shared_file *file = file_of(share, share->consumer.vas, region);

	if (!file)
		return false;
	*out = *region;
	out->backing = file->backing;
	if (share->flags & VAS_SHARE_READONLY)
		out->flags |= VAS_REGION_READONLY;
	return true;
}

/* What the share has, without `removed` and with what of `added` is in its files: how many. */
static uint32_t merge(const struct share *share, struct list removed, struct list added,
		      struct vas_region *out)
{
	const struct own_layout *own = &share->vas->own;
	uint32_t i, nr = 0;

	for (i = 0; i <= own->nr; i++) {
		const struct vas_region *r = &own->regions[i];

		for (; added.nr && (i == own->nr || added.regions->gpa < r->gpa + r->size);
		     added.regions++, added.nr--)
			nr += translate(share, added.regions, &out[nr]);
		if (i < own->nr && !match(&removed, r))
			out[nr++] = *r;
	}
	return nr;
}

/* What the share has, without what is gone; that is noted. */
static uint32_t keep(struct share *share, struct list gone, struct vas_region *out)
{
	const struct own_layout *own = &share->vas->own;
	uint32_t i, nr = 0;

	share->nr_gone = 0;
	for (i = 0; i < own->nr; i++) {
		const struct vas_region *r = &own->regions[i], *g = match(&gone, r);

		if (g)
			share->gone[share->nr_gone++] = *g;
		if (g && g->gpa == r->gpa)
			continue;
		out[nr] = *r;
		if (g)
			out[nr].size = g->gpa - r->gpa;
		nr++;
	}
	return nr;
}

/* Takes the regions over. */
static int publish(struct vas *vas, struct vas_region *regions, uint32_t nr)
{
	int err = vas_publish(vas, regions, nr);

	if (err)
		free(regions);
	return err;
}

static void forget_change(struct share *share)
{
	free(share->next);
	free(share->gone);
	share->next = share->gone = NULL;
	share->nr_gone = 0;
}

static int make_room(struct share *share, const struct vas_delta *delta)
{
	size_t own = share->vas->own.nr;

	share->gone = calloc(own + 1, sizeof(*share->gone));
	share->next = calloc(own + delta->nr_added + 1, sizeof(*share->next));
	if (share->gone && share->next)
		return 0;
	forget_change(share);
	return vas_error_set(-ENOMEM, "no memory for a layout of %zu regions", own);
}

int vas_share_prepare(struct share *share, const struct vas_delta *delta)
{
	struct vas_region *kept;
	uint32_t nr;
	int err = make_room(share, delta);

	if (err)
		return err;
	kept = calloc(share->vas->own.nr + 1, sizeof(*kept));
	if (!kept) {
		forget_change(share);
		return vas_error_set(-ENOMEM, "no memory for the layout of a share");
	}
	nr = keep(share, (struct list){ delta->gone, delta->nr_gone }, kept);
	if (!share->nr_gone) {
		free(kept);
		return 0;
	}
	err = publish(share->vas, kept, nr);
	if (err)
		forget_change(share);
	return err;
}

/* With nothing to do, no generation: peers need not look. */
static bool concerns(const struct share *share, const struct vas_delta *delta)
{
	struct list removed = { delta->removed, delta->nr_removed };
	struct vas_region region;
	size_t i;

	for (i = 0; i < share->vas->own.nr; i++)
		if (match(&removed, &share->vas->own.regions[i]))
			return true;
	for (i = 0; i < delta->nr_added; i++)
		if (translate(share, &delta->added[i], &region))
			return true;
	return false;
}

int vas_share_commit(struct share *share, const struct vas_delta *delta)
{
	const struct list removed = { delta->removed, delta->nr_removed };
	const struct list added = { delta->added, delta->nr_added };
	uint32_t nr;
	int err = 0;

	if (!share->next)
		err = make_room(share, delta);
	if (!err && concerns(share, delta)) {
		nr = merge(share, removed, added, share->next);
		err = publish(share->vas, share->next, nr);
		share->next = NULL;
	}
	forget_change(share);
	return err;
}

/* There is room: with what is gone, the share has been published before. */
void vas_share_abort(struct share *share, const struct vas_delta *delta)
{
	const struct list removed = { delta->removed, delta->nr_removed };

	if (share->nr_gone) {
		uint32_t nr = merge(share, removed, removed, share->next);

		publish(share->vas, share->next, nr);
		share->next = NULL;
	}
	forget_change(share);
}

int vas_share_follow(struct share *share)
{
	const struct own_layout *all = &share->consumer.vas->own;
	struct vas_region *regions = calloc(all->nr + 1, sizeof(*regions));
	uint32_t i, nr = 0;

	if (!regions)
		return vas_error_set(-ENOMEM, "no memory for the layout of a share");
	for (i = 0; i < all->nr; i++)
		nr += translate(share, &all->regions[i], &regions[nr]);
	return publish(share->vas, regions, nr);
}
