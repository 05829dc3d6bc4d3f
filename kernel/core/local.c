// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * "Can't you switch the mm temporarily?" For memory that only page tables know, yes: a kernel
 * thread borrows the binder's mm for the copy, and runs at the speed of copy_to_user(). A process
 * that has an mm of its own cannot, and goes page by page.
 */
#include "local.h"

#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>

#include <linux/vas.h>

#include "binding.h"
#include "../compat/compat.h"
#include "view.h"

/* What the process said of a region, which is what counts: the table anybody could write. */
struct local {
	u64 size;
	unsigned long hva;
};

void vas_local_init(struct vas *vas)
{
	xa_init(&vas->locals);
}

void vas_local_clean(struct vas *vas)
{
	struct local *local;
	unsigned long id;

	xa_for_each(&vas->locals, id, local)
		kfree(local);
	xa_destroy(&vas->locals);
}

/* Where a local region is; 0: not known. Under the view lock, as vas_local_offer() changes it. */
unsigned long vas_local_find(struct vas *vas, const struct vas_region_entry *region)
{
	const struct local *local = xa_load(&vas->locals, region->id);

	return local && local->size >= region->size ? local->hva : 0;
}

static ssize_t copy_here(unsigned long hva, void *buf, size_t len, u32 flags)
{
	void __user *user = (void __user *)hva;
	size_t left;

	if (flags & VAS_NO_SLEEP)
		pagefault_disable();
	if (flags & VAS_PROT_WRITE)
		left = copy_to_user(user, buf, len);
	else
		left = copy_from_user(buf, user, len);
	if (flags & VAS_NO_SLEEP)
		pagefault_enable();
	if (left < len)
		return len - left;
	return flags & VAS_NO_SLEEP ? -EAGAIN : -EIO;
}

static ssize_t copy_in_page(struct page *page, unsigned long hva, void *buf, size_t len, u32 flags)
{
	void *addr = page_address(page) + offset_in_page(hva);

	len = min_t(size_t, len, PAGE_SIZE - offset_in_page(hva));
	if (flags & VAS_PROT_WRITE) {
		memcpy(addr, buf, len);
		set_page_dirty_lock(page);
	} else {
		memcpy(buf, addr, len);
	}
	return len;
}

static ssize_t copy_remote(struct mm_struct *mm, unsigned long hva, void *buf, size_t len,
			   u32 flags)
{
	struct page *page;
	ssize_t done;

	if (vas_compat_pin_user(mm, hva & PAGE_MASK, 1, flags & VAS_PROT_WRITE ? FOLL_WRITE : 0,
				&page) != 1)
		return -EIO;
	done = copy_in_page(page, hva, buf, len, flags);
	unpin_user_page(page);
	return done;
}

static ssize_t copy_elsewhere(struct vas *vas, unsigned long hva, void *buf, size_t len, u32 flags)
{
	ssize_t done;

	if (!vas->account.mm || !mmget_not_zero(vas->account.mm))
		return -ENXIO;
	if (current->flags & PF_KTHREAD && !current->mm) {
		kthread_use_mm(vas->account.mm);
		done = copy_here(hva, buf, len, flags);
		kthread_unuse_mm(vas->account.mm);
	} else {
		done = copy_remote(vas->account.mm, hva, buf, len, flags);
	}
	mmput(vas->account.mm);
	return done;
}

/*
 * Copy between buf and the binder's memory: how much was copied, or -EIO: not there any more;
 * -ENXIO: the process is gone; -EAGAIN: VAS_NO_SLEEP, and it would sleep.
 */
ssize_t vas_local_copy(struct vas *vas, unsigned long hva, void *buf, size_t len, u32 flags)
{
	if (current->mm && current->mm == vas->account.mm)
		return copy_here(hva, buf, len, flags);
	if (flags & VAS_NO_SLEEP)
		return -EAGAIN;
	return copy_elsewhere(vas, hva, buf, len, flags);
}

static int find_region(struct vas *vas, u64 gpa, u64 *id)
{
	const struct vas_region_entry *region;
	const struct vas_region_map_entry *entry;
	struct vas_section section;
	int err;

	err = vas_enter(vas, 0, &section);
	if (err)
		return err;
	entry = vas_region_map_find(&section.view->map, gpa);
	err = -ENOENT;
	region = entry ? &section.view->regions[entry->region] : NULL;
	/* What a device has is no memory, whoever says where it is. */
	if (region && entry->gpa == gpa && region->flags & VAS_REGION_LOCAL &&
	    !(region->flags & VAS_REGION_DEVICE)) {
		*id = region->id;
		err = 0;
	}
	vas_leave(&section);
	return err;
}

/**
 * vas_local_offer - say where local memory is
 * @vas: a binding that the calling process made
 * @gpa: where a region with VAS_REGION_LOCAL begins
 * @size: of that memory
 * @hva: its address in the calling process
 *
 * From then on the region can be used through this binding, in any context, as long as the process
 * lives and has the memory mapped. Should the table ever name a larger size the region is out of
 * reach. May sleep.
 *
 * Return: 0; -EPERM: another process's binding; -ENOENT: no such region; -EEXIST: its memory is
 * known; -EINVAL: not a range of user addresses, page aligned; -ENOMEM; or as vas_enter().
 */
int vas_local_offer(struct vas *vas, u64 gpa, u64 size, unsigned long hva)
{
	struct local *local;
	u64 id;
	int err;

	if (!current->mm || current->mm != vas->account.mm)
		return -EPERM;
	if (!hva || offset_in_page(hva | size) || !access_ok((void __user *)hva, size))
		return -EINVAL;
	err = find_region(vas, gpa, &id);
	if (err)
		return err;
	local = kmalloc(sizeof(*local), GFP_KERNEL_ACCOUNT);
	if (!local)
		return -ENOMEM;
	*local = (struct local){ .size = size, .hva = hva };
	mutex_lock(&vas->view_lock);
	err = xa_insert(&vas->locals, id, local, GFP_KERNEL_ACCOUNT);
	mutex_unlock(&vas->view_lock);
	if (err) {
		kfree(local);
		return err == -EBUSY ? -EEXIST : err;
	}
	return vas_view_rebuild(vas);
}
EXPORT_SYMBOL_GPL(vas_local_offer);
