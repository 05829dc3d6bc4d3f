// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Binding: from an fd of which nothing is known to a file that was checked. Each step below has its
 * undo in vas_put() and, in reverse, at the end of init_binding().
 */
#include <linux/file.h>
#include <linux/module.h>
#include <linux/slab.h>

#include <linux/vas.h>

#include "binding.h"
#include "core/layout.h"
#include "counters.h"
#include "dirty.h"
#include "local.h"
#include "proto.h"
#include "section.h"
#include "inode.h"
#include "trace.h"
#include "view.h"

/* Not VAS_FEATURE_RAM_APART: backing 0 is one file here. */
#define FEATURES_KNOWN 0

static int read_superblock(struct vas *vas)
{
	const struct vas_backing *file = &vas->backings[0];
	int err;

	if (file->size < sizeof(*vas->sb))
		return -EPROTO;
	vas->sb = kmalloc(sizeof(*vas->sb), GFP_KERNEL_ACCOUNT);
	if (!vas->sb)
		return -ENOMEM;
	err = vas_backing_read(file, file->size - sizeof(*vas->sb), vas->sb, sizeof(*vas->sb));
	if (!err)
		err = vas_superblock_check(vas->sb, file->size, FEATURES_KNOWN);
	if (!err && vas->sb->page_size != 1ull << file->shift)
		err = -EPROTO;
	if (err)
		kfree(vas->sb);
	return err;
}

static int open_file(struct vas *vas, struct file *file)
{
	int err;

	err = vas_backing_open(&vas->backings[0], file, VAS_OPEN_SEALED);
	if (err)
		return err;
	vas->readonly = vas_backing_is_readonly(&vas->backings[0]);
	err = read_superblock(vas);
	if (err)
		vas_backing_close(&vas->backings[0]);
	return err;
}

static void close_file(struct vas *vas)
{
	unsigned int i;

	kfree(vas->sb);
	for (i = 0; i < ARRAY_SIZE(vas->backings); i++)
		vas_backing_close(&vas->backings[i]);
}

static int open_window(struct vas *vas, struct vas_pages *window, enum vas_extent_id id)
{
	const struct vas_extent *extent = &vas->sb->extents[id];
	u64 len = PAGE_ALIGN(extent->size);
	int err;

	err = vas_pages_init(window, &vas->account, len >> PAGE_SHIFT);
	if (err)
		return err;
	err = vas_pages_add(window, &vas->backings[0], extent->offset, len);
	if (!err)
		err = vas_pages_map(window, vas->readonly ? VAS_PAGES_READONLY : 0);
	if (err)
		vas_pages_clean(window);
	return err;
}

static void close_windows(struct vas *vas)
{
	vas_pages_clean(&vas->pins_window);
	vas_pages_clean(&vas->binders_window);
	vas_pages_clean(&vas->slots_window);
	vas_pages_clean(&vas->control_window);
}

static int open_windows(struct vas *vas)
{
	int err;

	err = open_window(vas, &vas->control_window, VAS_EXT_CONTROL);
	if (!err && !vas->readonly)
		err = open_window(vas, &vas->slots_window, VAS_EXT_SLOTS);
	if (!err && !vas->readonly)
		err = open_window(vas, &vas->binders_window, VAS_EXT_BINDERS);
	if (!err && !vas->readonly)
		err = open_window(vas, &vas->pins_window, VAS_EXT_PINS);
	if (err)
		close_windows(vas);
	vas->control = vas->control_window.addr;
	vas_proto_init(vas);
	return err;
}

static void refresh_work(struct work_struct *work)
{
	struct vas *vas = container_of(work, struct vas, refresh);

	vas_view_refresh(vas);
	vas_put(vas);
}

static struct vas *alloc_binding(const struct vas_ops *ops, void *priv)
{
	struct vas *vas = kvzalloc(sizeof(*vas), GFP_KERNEL_ACCOUNT);

	if (!vas)
		return NULL;
	refcount_set(&vas->refs, 1);
	vas->ops = ops;
	vas->priv = priv;
	mutex_init(&vas->view_lock);
	INIT_WORK(&vas->refresh, refresh_work);
	vas_account_init(&vas->account);
	vas_dirty_init(vas);
	vas_local_init(vas);
	return vas;
}

static void free_binding(struct vas *vas)
{
	vas_local_clean(vas);
	vas_account_clean(&vas->account);
	kvfree(vas);
}

/* Become a binder, unless we only observe. */
static int join(struct vas *vas)
{
	int err;

	if (!vas->readonly) {
		err = vas_proto_join(vas);
		if (err)
			return err;
	}
	err = vas_slot_pool_init(vas);
	if (err && !vas->readonly)
		vas_binder_release(&vas->proto);
	return err;
}

static void leave(struct vas *vas)
{
	vas_slot_pool_clean(vas);
	if (!vas->readonly)
		vas_binder_release(&vas->proto);
}

static int init_binding(struct vas *vas, struct file *file)
{
	int err;

	err = open_file(vas, file);
	if (err)
		return err;
	err = open_windows(vas);
	if (err)
		goto err_close_file;
	err = -ENOMEM;
	vas->info = vas_inode_get(file_inode(vas->backings[0].file));
	if (!vas->info)
		goto err_close_windows;
	err = join(vas);
	if (err)
		goto err_put_inode;
	err = vas_view_rebuild(vas);
	if (err)
		goto err_leave;
	vas_inode_add(vas->info, vas);
	return 0;
err_leave:
	leave(vas);
err_put_inode:
	vas_dirty_clean(vas);
	vas_inode_put(vas->info);
err_close_windows:
	close_windows(vas);
err_close_file:
	close_file(vas);
	return err;
}

/* Nobody has a reference any more: no section, no map, no work. */
static void destroy_binding(struct vas *vas)
{
	vas_inode_remove(vas->info, vas);
	vas_view_free(rcu_dereference_protected(vas->view, true));
	leave(vas);
	vas_dirty_clean(vas);
	vas_inode_put(vas->info);
	close_windows(vas);
	close_file(vas);
}

/**
 * vas_bind_file - bind to the vas that is an open file
 * @file: any open file description of it; not kept, it is opened again
 * @ops: see struct vas_ops; kept
 * @priv: passed to the ops
 * @result: the binding, with one reference, which vas_put() drops
 *
 * Everything in the file is checked, as its other users are not trusted: kind, seals, size,
 * superblock, layout. A file that cannot be written gives a binding that only observes. The binding
 * keeps the file, the calling process's mm_struct and @ops->owner for as long as a reference lives;
 * the end of the process, of the VMM or of the guest does not invalidate it. May sleep.
 *
 * The pages that the binding pins (parts of the control area, maps, the dirty log's pages that it
 * writes) count as pinned by the calling process, which without CAP_IPC_LOCK may pin as much as its
 * RLIMIT_MEMLOCK says when it binds. A kernel thread that has no process's mm may pin anything.
 *
 * Return: 0; -EPERM: seals are missing; -EPROTO: not a vas, or a damaged one; -EOPNOTSUPP: a
 * version or required feature that is not known; -EAGAIN: as many binders or threads as there can
 * be; -EBUSY: its memory is lazy, and not all of it is filled; -ENODEV: @ops->owner is being
 * unloaded; -EBADF: not open for reading; -EINVAL: not a regular file; -ENOMEM: no memory, or more
 * than the process may pin; -EINTR: a fatal signal came first; -EIO.
 */
int vas_bind_file(struct file *file, const struct vas_ops *ops, void *priv, struct vas **result)
{
	struct vas *vas;
	int err;

	if (!try_module_get(ops->owner))
		return -ENODEV;
	err = -ENOMEM;
	vas = alloc_binding(ops, priv);
	if (!vas)
		goto err_put_module;
	err = init_binding(vas, file);
	if (err)
		goto err_free;
	vas_count(VAS_COUNT_BINDINGS, 1);
	vas_count(VAS_COUNT_BINDS, 1);
	trace_vas_bind(vas);
	*result = vas;
	return 0;
err_free:
	free_binding(vas);
err_put_module:
	module_put(ops->owner);
	return err;
}
EXPORT_SYMBOL_GPL(vas_bind_file);

/**
 * vas_bind - bind to the vas behind an fd of the calling process
 * @fd: may be closed once this returns
 * @ops: as for vas_bind_file()
 * @priv: as for vas_bind_file()
 * @vas: as for vas_bind_file()
 *
 * Return: as vas_bind_file(); -EBADF: @fd is not open.
 */
int vas_bind(int fd, const struct vas_ops *ops, void *priv, struct vas **vas)
{
	struct file *file = fget(fd);
	int err;

	if (!file)
		return -EBADF;
	err = vas_bind_file(file, ops, priv, vas);
	fput(file);
	return err;
}
EXPORT_SYMBOL_GPL(vas_bind);

/**
 * vas_get - one more reference
 * @vas: a binding to which the caller has one
 *
 * Return: @vas
 */
struct vas *vas_get(struct vas *vas)
{
	refcount_inc(&vas->refs);
	return vas;
}
EXPORT_SYMBOL_GPL(vas_get);

/**
 * vas_put - drop a reference
 * @vas: the binding; NULL is allowed
 *
 * With the last one the binding ends: its place in the control area is given back, ops->release()
 * is called, then the module that bound may be unloaded. Maps and caches have references of their
 * own. May sleep.
 */
void vas_put(struct vas *vas)
{
	const struct vas_ops *ops;

	if (!vas || !refcount_dec_and_test(&vas->refs))
		return;
	ops = vas->ops;
	trace_vas_unbind(vas);
	vas_count(VAS_COUNT_BINDINGS, -1);
	destroy_binding(vas);
	if (ops->release)
		ops->release(vas->priv);
	free_binding(vas);
	module_put(ops->owner);
}
EXPORT_SYMBOL_GPL(vas_put);

/**
 * vas_is_readonly - the binding only observes
 * @vas: the binding
 *
 * Return: true if nothing can be written through it.
 */
bool vas_is_readonly(const struct vas *vas)
{
	return vas->readonly;
}
EXPORT_SYMBOL_GPL(vas_is_readonly);

/**
 * vas_superblock - the facts that never change
 * @vas: the binding
 *
 * Return: a checked private copy, which lives as long as the binding.
 */
const struct vas_superblock *vas_superblock(const struct vas *vas)
{
	return vas->sb;
}
EXPORT_SYMBOL_GPL(vas_superblock);

static int take_backing(struct vas *vas, u32 number, const struct vas_backing *backing)
{
	struct vas_backing *place = &vas->backings[number];
	int err = -EEXIST;

	mutex_lock(&vas->view_lock);
	if (!place->file) {
		place->kind = backing->kind;
		place->shift = backing->shift;
		place->size = backing->size;
		place->memcg = backing->memcg;
		/* Pairs with entry_flags() in view.c. */
		smp_store_release(&place->file, backing->file);
		err = 0;
	}
	mutex_unlock(&vas->view_lock);
	return err;
}

/* Make a backing one of the binding's, if the table names it: its number, or -ENOENT, -EEXIST. */
int vas_binding_add_backing(struct vas *vas, const struct vas_backing *backing)
{
	const struct vas_extent *extent = &vas->sb->extents[VAS_EXT_BACKINGS];
	struct vas_backing_entry entry;
	int err = -ENOENT;
	u32 i;

	for (i = 1; i < vas->sb->nr_backings; i++) {
		err = vas_backing_read(&vas->backings[0], extent->offset + i * sizeof(entry),
				       &entry, sizeof(entry));
		if (err)
			return err;
		if (vas_backing_is(backing, &entry))
			break;
	}
	if (i == vas->sb->nr_backings)
		return -ENOENT;
	err = take_backing(vas, i, backing);
	return err ? err : i;
}
