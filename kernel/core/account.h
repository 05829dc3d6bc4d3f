/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Who pays for pages that are kept from being reclaimed: the process that bound. */
#ifndef VAS_KERNEL_ACCOUNT_H
#define VAS_KERNEL_ACCOUNT_H

#include <linux/types.h>

struct mm_struct;

/**
 * struct vas_account - the pages that one binding pins, with those that its process pins otherwise
 * @mm: of the process, grabbed: its pinned_vm (VmPin in /proc/PID/status) counts; NULL: a kernel
 *	thread has bound, and nobody pays
 * @max_pages: RLIMIT_MEMLOCK of the process as it bound; U64_MAX with CAP_IPC_LOCK
 */
struct vas_account {
	struct mm_struct *mm;
	u64 max_pages;
};

void vas_account_init(struct vas_account *account);
void vas_account_clean(struct vas_account *account);
int vas_account_charge(const struct vas_account *account, unsigned long nr_pages);
void vas_account_uncharge(const struct vas_account *account, unsigned long nr_pages);

#endif
