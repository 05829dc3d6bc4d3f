/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* One module's handle of one vas. */
#ifndef VAS_KERNEL_BINDING_H
#define VAS_KERNEL_BINDING_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <linux/vas.h>

#include "account.h"
#include "core/protocol/protocol.h"

#include "backing.h"
#include "pages.h"

struct vas_inode_info;

/**
 * struct vas - a binding
 * @refs: references; the last vas_put() ends it
 * @ops: the module's; constant
 * @priv: for @ops; constant
 * @readonly: an observer: the fd cannot write, or the file is sealed against new writers
 * @sb: private copy of the superblock, checked; constant
 * @account: of the process that bound, and its mm
 * @backings: files that hold memory; 0 is the vas's own. @file of one is set once, with release
 *	order, under @view_lock
 * @control_window: the control struct
 * @slots_window: the slots; binders only, as are the following
 * @binders_window: the binder table
 * @pins_window: the pins
 * @control: in @control_window; anybody may write it
 * @pid: of the process that bound; informational
 * @proto: who we are to the other binders, core/protocol
 * @pool: the slot pool: what sections take in turn, one shared slot each
 * @nr_pool: how many
 * @pool_wait: sections that may sleep wait here for a slot
 * @view: the layout in use: SRCU of @info, written under @view_lock
 * @view_lock: one builds a view at a time
 * @refresh: builds a view for those that cannot sleep
 * @locals: by region id, where local memory is; written under @view_lock
 * @log_pages: pages of the dirty log, by their number in the file; pinned once, until the end
 * @info: what all bindings to this file in this kernel share
 * @in_inode: link, under @info's lock
 */
struct vas {
	refcount_t refs;
	const struct vas_ops *ops;
	void *priv;
	bool readonly;
	struct vas_superblock *sb;
	struct vas_account account;
	struct vas_backing backings[VAS_MAX_BACKINGS];

	struct vas_pages control_window;
	struct vas_pages slots_window;
	struct vas_pages binders_window;
	struct vas_pages pins_window;
	struct vas_control *control;
	u32 pid;
	struct vas_proto proto;

	struct vas_slot_holder *pool;
	unsigned int nr_pool;
	wait_queue_head_t pool_wait;

	struct vas_view __rcu *view;
	struct mutex view_lock;
	struct work_struct refresh;

	struct xarray locals;
	struct xarray log_pages;

	struct vas_inode_info *info;
	struct list_head in_inode;
};

int vas_binding_add_backing(struct vas *vas, const struct vas_backing *backing);

#endif
