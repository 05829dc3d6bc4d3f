// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Pins are made in any thread, those of modules included, so what counts is what the process was
 * allowed when it bound. mm->pinned_vm is where RDMA counts, too, and needs no mmap lock, which the
 * process could hold for as long as it likes.
 */
#include "account.h"

#include <linux/atomic.h>
#include <linux/capability.h>
#include <linux/mm_types.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

/* The calling process pays. */
void vas_account_init(struct vas_account *account)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK);

	account->max_pages = U64_MAX;
	if (limit != RLIM_INFINITY && !capable(CAP_IPC_LOCK))
		account->max_pages = limit >> PAGE_SHIFT;
	account->mm = current->mm;
	if (account->mm)
		mmgrab(account->mm);
}

void vas_account_clean(struct vas_account *account)
{
	if (account->mm)
		mmdrop(account->mm);
}

/* Before the pages are pinned. -ENOMEM: more than the process may pin. From any context. */
int vas_account_charge(const struct vas_account *account, unsigned long nr_pages)
{
	if (!account->mm)
		return 0;
	if ((u64)atomic64_add_return(nr_pages, &account->mm->pinned_vm) <= account->max_pages)
		return 0;
	vas_account_uncharge(account, nr_pages);
	return -ENOMEM;
}

/* After they have been let go. From any context. */
void vas_account_uncharge(const struct vas_account *account, unsigned long nr_pages)
{
	if (account->mm)
		atomic64_sub(nr_pages, &account->mm->pinned_vm);
}
