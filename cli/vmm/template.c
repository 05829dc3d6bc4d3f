// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/template.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vas/consumer.h>
#include <vas/migrate.h>

static int begin(struct template *t, struct vas *vas)
{
	int err;

	*t = (struct template){ .fd = -1 };
	err = vas_info(vas, &t->info);
	if (err)
		return err;
	t->fd = fcntl(vas_backing_fd(vas, 0), F_DUPFD_CLOEXEC, 0);
	return t->fd < 0 ? vas_error_set(-errno, "no fd for a template: %s", strerror(errno)) : 0;
}

int template_map(struct template *t)
{
	t->hva = mmap(NULL, t->info.ram_size, PROT_READ, MAP_PRIVATE | MAP_NORESERVE, t->fd, 0);
	if (t->hva != MAP_FAILED)
		return 0;
	t->hva = NULL;
	return vas_error_set(-ENOMEM, "cannot map a template: %s", strerror(errno));
}

static int take_regions(struct template *t, struct vas *vas)
{
	int err = regions_get(vas, &t->regions);

	if (err)
		return err == -ENOMEM ? vas_error_set(err, "no memory for a template's regions") :
					err;
	for (size_t i = 0; i < t->regions.nr; i++)
		if (t->regions.at[i].backing)
			return vas_error_set(-EOPNOTSUPP,
					     "region %s is in a file of its own: private clones "
					     "have all of their memory in one",
					     t->regions.at[i].name);
	return template_map(t);
}

int template_of(struct template *t, struct vas *vas)
{
	int err = begin(t, vas);

	if (!err)
		err = take_regions(t, vas);
	if (err)
		template_clean(t);
	return err;
}

struct making {
	struct template *template;
	int (*begun)(void *arg);
	void *arg;
};

static int memory_is_there(void *arg, struct vas *vas)
{
	struct making *making = arg;
	int err = begin(making->template, vas);

	return err ? err : making->begun(making->arg);
}

int template_make(struct template *t, const char *file, uint32_t flags, int (*begun)(void *arg),
		  void *arg)
{
	struct making making = { t, begun, arg };
	const struct vas_restore_options options = { flags | VAS_RESTORE_RAM_APART, memory_is_there,
						     &making };
	struct vas *vas;
	int err = vas_snapshot_restore_with(file, &options, &vas);

	if (err)
		return err;
	err = take_regions(t, vas);
	/* Nobody is to find it, and its map is in the way: what is left of it is the RAM. */
	vas_unbind(vas);
	return err ? err : template_close(t->fd);
}

static int add_seals(int fd, int seals)
{
	if (!fcntl(fd, F_ADD_SEALS, seals))
		return 0;
	return vas_error_set(-errno, "a template cannot be sealed: %s", strerror(errno));
}

int template_close(int fd)
{
	return add_seals(fd, F_SEAL_FUTURE_WRITE);
}

int template_seal(int fd)
{
	return add_seals(fd, F_SEAL_WRITE | F_SEAL_SEAL);
}

int template_is_closed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
}

int template_open(pid_t pid, int fd)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	return open(path, O_RDWR | O_CLOEXEC);
}

void template_clean(struct template *t)
{
	if (t->hva)
		munmap(t->hva, t->info.ram_size);
	if (t->fd >= 0)
		close(t->fd);
	regions_clean(&t->regions);
	*t = (struct template){ .fd = -1 };
}

/* Nobody reads by these addresses: the owner does not, and others cannot. */
int template_lay_out(const struct template *t, struct vas *vas)
{
	struct vas_layout *layout;
	int err = vas_layout_begin(vas, &layout);

	if (err)
		return err;
	for (size_t i = 0; !err && i < t->regions.nr; i++) {
		struct vas_region region = { .gpa = t->regions.at[i].gpa,
					     .size = t->regions.at[i].size,
					     .flags = VAS_REGION_LOCAL | VAS_REGION_READONLY,
					     .hva = t->hva + t->regions.at[i].offset };

		memcpy(region.name, t->regions.at[i].name, sizeof(region.name));
		err = vas_layout_add(layout, &region, NULL);
	}
	if (!err)
		return vas_layout_commit(layout, VAS_TIMEOUT_DEFAULT_NS, NULL);
	vas_layout_abort(layout);
	return err;
}

int template_clone(const struct template *t, struct vas **vas)
{
	const struct vas_options options = { .limit = t->info.limit,
					     .ram_size = VAS_PAGE_SIZE,
					     .name = t->info.name };

	return vas_create(&options, vas);
}
