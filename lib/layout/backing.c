// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Further files that regions lie in. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "lib/access/view.h"
#include "lib/access/window.h"
#include "lib/layout/backing.h"
#include "lib/base/cancel.h"
#include "lib/base/error.h"
#include "lib/handle/file.h"
#include "lib/base/foreign.h"
#include "lib/handle/lock.h"
#include "lib/layout/publish.h"

static int free_entry(const struct vas *vas)
{
	/* With a RAM that is apart, one less: all fds fit in one message. */
	int i, nr = (int)VAS_MAX_BACKINGS - vas_has_ram_apart(vas);

	nr = nr < (int)vas->sb.nr_backings ? nr : (int)vas->sb.nr_backings;
	for (i = 1; i < nr; i++)
		if (!(vas->backings[i].entry.flags & VAS_BACKING_USED))
			return i;
	return vas_error_set(-ENOSPC, "this vas has %d further backings already", nr - 1);
}

/* Whether the fd allows the maps that its regions will need. */
static int check_mode(int fd)
{
	int mode = fcntl(fd, F_GETFL);

	if (mode < 0 || mode & O_PATH || (mode & O_ACCMODE) != O_RDWR)
		return vas_error_set(-EBADF, "a backing's fd must be open for reading and writing");
	return 0;
}

static int add(struct vas *vas, int fd)
{
	struct vas_backing_entry entry;
	int i, err = vas_file_describe(fd, &entry);

	if (err)
		return err;
	i = free_entry(vas);
	if (i < 0)
		return i;
	pthread_mutex_lock(&vas->lock);
	err = vas_backing_take(vas, &vas->backings[i], fd);
	if (!err)
		vas->backings[i].entry = entry;
	pthread_mutex_unlock(&vas->lock);
	if (!err)
		err = vas_publish(vas, NULL, 0);
	return err ? err : i;
}

int vas_backing_add_any(struct vas *vas, int fd)
{
	int i;

	pthread_mutex_lock(&vas->change);
	i = add(vas, fd);
	pthread_mutex_unlock(&vas->change);
	return i;
}

int vas_backing_add(struct vas *vas, int fd)
{
	NO_CANCEL;
	int err = vas_owner_check(vas, "adds backings to it");

	if (!err)
		err = check_mode(fd);
	return err ? err : vas_backing_add_any(vas, fd);
}

int vas_backing_create(struct vas *vas, const char *name, uint64_t size, uint32_t flags)
{
	NO_CANCEL;
	int fd, err = vas_owner_check(vas, "adds backings to it");

	if (err)
		return err;
	if (flags & ~VAS_CREATE_HUGETLB)
		return vas_error_set(-EINVAL, "unknown flags %#x of a backing", flags);
	if (!size || size > VAS_MAX_GPA)
		return vas_error_set(-EINVAL, "a backing has a size up to 2^52");
	fd = vas_file_create_backing(name, size, flags);
	if (fd < 0)
		return fd;
	err = vas_backing_add_any(vas, fd);
	close(fd);
	return err;
}

static bool is_used(const struct vas *vas, uint32_t backing)
{
	uint32_t i;

	for (i = 0; i < vas->own.nr; i++)
		if (vas->own.regions[i].backing == backing)
			return true;
	return false;
}

int vas_backing_remove(struct vas *vas, uint32_t backing)
{
	NO_CANCEL;
	int err = vas_owner_check(vas, "removes backings from it");

	if (err)
		return err;
	if (!backing || backing >= VAS_MAX_BACKINGS ||
	    !(vas->backings[backing].entry.flags & VAS_BACKING_USED))
		return vas_error_set(-ENOENT, "there is no further backing %u", backing);
	pthread_mutex_lock(&vas->change);
	if (is_used(vas, backing)) {
		err = vas_error_set(-EBUSY, "regions lie in backing %u", backing);
	} else {
		pthread_mutex_lock(&vas->lock);
		vas->backings[backing].entry.flags = 0;
		vas_backing_close(&vas->backings[backing]);
		pthread_mutex_unlock(&vas->lock);
		err = vas_publish(vas, NULL, 0);
	}
	pthread_mutex_unlock(&vas->change);
	return err;
}

int vas_backing_fd(const struct vas *vas, uint32_t backing)
{
	if (backing >= VAS_MAX_BACKINGS || vas->backings[backing].fd < 0)
		return vas_error_set(-ENXIO, "the fd of backing %u is not at hand", backing);
	return vas->backings[backing].fd;
}

static bool is_same_file(const struct vas_backing_entry *a, const struct vas_backing_entry *b)
{
	return a->flags & VAS_BACKING_USED && a->dev == b->dev && a->ino == b->ino &&
	       a->page_size == b->page_size && a->size <= b->size;
}

/* vas->lock is held. */
static int accept(struct vas *vas, int fd, const struct vas_backing_entry *entry)
{
	uint32_t i;
	int err;

	for (i = !vas_has_ram_apart(vas); i < VAS_MAX_BACKINGS; i++)
		if (is_same_file(&vas->backings[i].entry, entry))
			break;
	if (i == VAS_MAX_BACKINGS)
		return vas_error_set(-ENOENT, "the layout knows no backing that is this file");
	if (entry->flags & VAS_BACKING_UNSEALED &&
	    !(vas->backings[i].entry.flags & VAS_BACKING_UNSEALED))
		return vas_error_set(-EPERM,
				     "the layout says that this file is sealed, and it is not");
	if (vas->backings[i].fd >= 0)
		return (int)i;
	err = vas_backing_take(vas, &vas->backings[i], fd);
	if (err)
		return err;
	err = vas_view_rebuild(vas);
	if (err)
		vas_backing_close(&vas->backings[i]);
	return err ? err : (int)i;
}

int vas_backing_offer(struct vas *vas, int fd)
{
	NO_CANCEL;
	struct vas_backing_entry entry;
	int i = vas_foreign_check(fd, vas->bind_flags);

	/* What may wait for a file system waits without the lock. */
	if (!i)
		i = vas_file_describe(fd, &entry);
	if (i)
		return i;
	pthread_mutex_lock(&vas->lock);
	i = vas_view_refresh(vas);
	if (!i)
		i = accept(vas, fd, &entry);
	pthread_mutex_unlock(&vas->lock);
	return i;
}
