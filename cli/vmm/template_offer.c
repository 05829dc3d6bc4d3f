// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Templates that commands have of each other. The offer is a file in the run folder of a clone: who
 * has the RAM open, under which number. A process that has ended, or another one with its pid, does
 * not have that file; and what is in it cannot have changed since, as it is sealed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "cli/ui/verb.h"
#include "cli/vmm/template.h"

#define MAGIC "vastmpl"
#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)

/* Behind it are the regions. */
struct offer {
	char magic[8];
	uint8_t stamp[16];
	uint64_t device, inode; /* of the RAM */
	int32_t pid, fd;
	uint64_t limit, ram_size, nr_regions;
	char name[VAS_NAME_LEN];
};

static int describe(struct offer *offer, const struct template *t, const uint8_t stamp[16])
{
	struct stat st;

	if (fstat(t->fd, &st))
		return -errno;
	*offer = (struct offer){ .magic = MAGIC,
				 .device = st.st_dev,
				 .inode = st.st_ino,
				 .pid = getpid(),
				 .fd = t->fd,
				 .limit = t->info.limit,
				 .ram_size = t->info.ram_size,
				 .nr_regions = t->regions.nr };
	memcpy(offer->stamp, stamp, sizeof(offer->stamp));
	memcpy(offer->name, t->info.name, sizeof(offer->name));
	return 0;
}

void template_offer(const struct template *t, const struct run_folder *folder,
		    const uint8_t stamp[16])
{
	const size_t size = t->regions.nr * sizeof(t->regions.at[0]);
	struct offer *offer = malloc(sizeof(*offer) + size);
	int err = offer ? describe(offer, t, stamp) : -ENOMEM;

	if (!err) {
		memcpy(offer + 1, t->regions.at, size);
		err = run_folder_put(folder, RUN_OFFER, offer, sizeof(*offer) + size);
	}
	free(offer);
	if (err)
		note("%s/" RUN_OFFER ": %s: the next clones take memory of their own", folder->path,
		     strerror(-err));
}

/* ---- finding one -------------------------------------------------------------------------- */

struct search {
	struct template *template;
	const uint8_t *stamp;
};

/* By another version of this command, it may be of another shape. */
static int is_meant(const struct offer *offer, size_t size, const uint8_t stamp[16])
{
	return size >= sizeof(*offer) && !memcmp(offer->magic, MAGIC, sizeof(offer->magic)) &&
	       !memcmp(offer->stamp, stamp, sizeof(offer->stamp)) &&
	       (size - sizeof(*offer)) / sizeof(struct vas_region) == offer->nr_regions &&
	       (size - sizeof(*offer)) % sizeof(struct vas_region) == 0 &&
	       memchr(offer->name, '\0', sizeof(offer->name));
}

static int is_it(int fd, const struct offer *offer)
{
	struct stat st;

	return !fstat(fd, &st) && st.st_dev == offer->device && st.st_ino == offer->inode &&
	       (uint64_t)st.st_size == offer->ram_size && (fcntl(fd, F_GET_SEALS) & SEALS) == SEALS;
}

static int copy_regions(struct template *t, const struct offer *offer)
{
	const struct vas_region *at = (const struct vas_region *)(offer + 1);

	for (uint64_t i = 0; i < offer->nr_regions; i++)
		if (at[i].offset > offer->ram_size || at[i].size > offer->ram_size - at[i].offset)
			return -EPROTO;
	t->regions.at = calloc(offer->nr_regions + 1, sizeof(*at));
	if (!t->regions.at)
		return -ENOMEM;
	t->regions.nr = offer->nr_regions;
	memcpy(t->regions.at, at, offer->nr_regions * sizeof(*at));
	return 0;
}

static int take(struct template *t, const struct offer *offer)
{
	int fd = template_open(offer->pid, offer->fd);

	*t = (struct template){ .fd = fd,
				.info = { .limit = offer->limit, .ram_size = offer->ram_size } };
	memcpy(t->info.name, offer->name, sizeof(offer->name));
	if (fd >= 0 && is_it(fd, offer) && !copy_regions(t, offer) && !template_map(t))
		return 1;
	template_clean(t);
	return 0;
}

static int look(void *arg, const struct run_folder *folder)
{
	const struct search *search = arg;
	size_t size;
	void *bytes;
	int found;

	if (run_folder_get(folder, RUN_OFFER, &bytes, &size))
		return 0;
	found = is_meant(bytes, size, search->stamp) && take(search->template, bytes);
	free(bytes);
	return found;
}

int template_find(struct template *t, const uint8_t stamp[16])
{
	struct search search = { t, stamp };

	return run_folder_each(look, &search);
}
