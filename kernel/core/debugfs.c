// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * /sys/kernel/debug/vas: bindings, maps, counters. Informational, and for tests that look for
 * leaks.
 */
#include "debugfs.h"

#include <linux/debugfs.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>

#include "binding.h"
#include "counters.h"
#include "mapping.h"
#include "section.h"
#include "inode.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

atomic64_t vas_counters[VAS_NR_COUNTERS];

static struct dentry *folder;

static const char *const counter_names[VAS_NR_COUNTERS] = {
	[VAS_COUNT_BINDINGS] = "bindings",
	[VAS_COUNT_MAPPINGS] = "maps",
	[VAS_COUNT_PINNED_FOLIOS] = "pinned_folios",
	[VAS_COUNT_LOG_PAGES] = "log_pages",
	[VAS_COUNT_CACHED_FOLIOS] = "cached_folios",
	[VAS_COUNT_BINDS] = "total_binds",
	[VAS_COUNT_MAPS] = "total_maps",
	[VAS_COUNT_VIEWS] = "total_views",
	[VAS_COUNT_INVALIDATES] = "total_invalidates",
	[VAS_COUNT_QUIESCES] = "total_quiesces",
	[VAS_COUNT_FREEZES] = "total_freezes",
};

static int counters_show(struct seq_file *seq, void *unused)
{
	int i;

	for (i = 0; i < VAS_NR_COUNTERS; i++)
		seq_printf(seq, "%s %lld\n", counter_names[i], atomic64_read(&vas_counters[i]));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(counters);

static void show_binding(struct seq_file *seq, const struct vas *vas)
{
	seq_printf(seq, "%llu %pU %s %s binder=%u slots=%u generation=%llu refs=%u\n",
		   (u64)vas->info->inode->i_ino, vas->sb->uuid, vas->ops->name,
		   vas->readonly ? "observer" : "binder", vas->proto.index, vas->nr_pool,
		   READ_ONCE(vas->control->generation), refcount_read(&vas->refs));
}

static void show_mapping(struct seq_file *seq, const struct vas_mapping *mapping)
{
	seq_printf(seq, "%llu %s gpa=0x%llx len=0x%llx flags=%u request=%u%s users=%u\n",
		   (u64)mapping->vas->info->inode->i_ino, mapping->vas->ops->name, mapping->gpa,
		   mapping->len, mapping->flags, mapping->request,
		   mapping->is_quiet ? " quiet" : "", refcount_read(&mapping->users));
}

static int bindings_show(struct seq_file *seq, void *unused)
{
	struct vas_inode_info *info;
	struct vas *vas;

	mutex_lock(&vas_inodes_lock);
	list_for_each_entry(info, &vas_inodes, node) {
		spin_lock(&info->lock);
		list_for_each_entry(vas, &info->bindings, in_inode)
			show_binding(seq, vas);
		spin_unlock(&info->lock);
	}
	mutex_unlock(&vas_inodes_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(bindings);

static int maps_show(struct seq_file *seq, void *unused)
{
	struct vas_mapping *mapping;
	struct vas_inode_info *info;

	mutex_lock(&vas_inodes_lock);
	list_for_each_entry(info, &vas_inodes, node) {
		spin_lock(&info->lock);
		list_for_each_entry(mapping, &info->mappings, in_inode)
			show_mapping(seq, mapping);
		spin_unlock(&info->lock);
	}
	mutex_unlock(&vas_inodes_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(maps);

/* Nothing depends on it: errors are left alone. */
void vas_debugfs_init(void)
{
	folder = debugfs_create_dir("vas", NULL);
	debugfs_create_file("bindings", 0400, folder, NULL, &bindings_fops);
	debugfs_create_file("maps", 0400, folder, NULL, &maps_fops);
	debugfs_create_file("counters", 0444, folder, NULL, &counters_fops);
}

void vas_debugfs_exit(void)
{
	debugfs_remove(folder);
}
