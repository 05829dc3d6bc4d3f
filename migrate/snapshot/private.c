// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A snapshot as local memory: private mappings of its file, which share what nobody writes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <vas/consumer.h>

#include "migrate/snapshot/image.h"
#include "migrate/snapshot/restore.h"

struct mapped {
	void *hva;
	size_t size;
};

/* The mappings of one vas; they go with its handle. */
struct mappings {
	struct vas_cleanup cleanup;
	uint32_t nr;
	struct mapped at[];
};

static void unmap(struct vas_cleanup *cleanup)
{
	struct mappings *m = (struct mappings *)cleanup;

	while (m->nr--)
		munmap(m->at[m->nr].hva, m->at[m->nr].size);
	free(m);
}

static int map_region(const struct image *image, uint32_t i, struct mappings *m,
		      struct vas_layout *layout)
{
	const struct vas_region_entry *entry = &image_regions(image)[i];
	struct vas_region region = { .gpa = entry->gpa,
				     .size = entry->size,
				     .flags = VAS_REGION_LOCAL |
					      (entry->flags & VAS_REGION_READONLY) };
	int err;

	region.hva = mmap(NULL, entry->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE,
			  image->fd, (off_t)image->offsets[i]);
	if (region.hva == MAP_FAILED)
		return vas_error_set(-ENOMEM, "cannot map a region of the snapshot: %s",
				     strerror(errno));
	madvise(region.hva, entry->size, MADV_DONTDUMP);
	m->at[m->nr++] = (struct mapped){ region.hva, entry->size };
	memcpy(region.name, entry->name, sizeof(region.name) - 1);
	err = vas_layout_add(layout, &region, NULL);
	return err == -EINVAL || err == -EEXIST ? -EPROTO : err;
}

static int map_regions(const struct image *image, struct vas *vas, struct mappings *m)
{
	struct vas_layout *layout;
	uint32_t i;
	int err = vas_layout_begin(vas, &layout);

	if (err)
		return err;
	for (i = 0; !err && i < image->layout->nr_regions; i++)
		err = map_region(image, i, m, layout);
	if (!err)
		return vas_layout_commit(layout, VAS_TIMEOUT_DEFAULT_NS, NULL);
	vas_layout_abort(layout);
	return err;
}

static int map_image(const struct image *image, struct vas **out)
{
	struct mappings *m;
	struct vas *vas;
	int err;

	if (image->header.parent[0])
		return vas_error_set(-EOPNOTSUPP,
				     "a snapshot with a parent is not in one piece: it cannot "
				     "be mapped");
	m = calloc(1, sizeof(*m) + image->layout->nr_regions * sizeof(m->at[0]));
	if (!m)
		return vas_error_set(-ENOMEM, "no memory for a layout");
	m->cleanup.end = unmap;
	err = restore_create(image, &vas);
	if (err) {
		free(m);
		return err;
	}
	/* From here on the mappings go with the vas, whatever happens. */
	vas_cleanup_add(vas, &m->cleanup);
	err = map_regions(image, vas, m);
	if (err)
		vas_destroy(vas);
	else
		*out = vas;
	return err;
}

int restore_privately(const char *path, struct vas **vas)
{
	struct image image;
	int err = image_open(&image, path, 0);

	if (err)
		return err;
	err = map_image(&image, vas);
	image_close(&image);
	return err;
}
