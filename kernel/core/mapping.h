/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A long-lived map, its pin in the control area, and the requests to its holder. */
#ifndef VAS_KERNEL_MAPPING_H
#define VAS_KERNEL_MAPPING_H

#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include <linux/vas.h>

#include "pages.h"

/**
 * struct vas_mapping - a range of guest memory, pinned and contiguous in the kernel
 * @users: what vas_mapping_create(), vas_mapping_get() and vas_mapping_destroy() count; at 0 the
 *	range is let go
 * @refs: keep the struct: one for @users, one while @request_work is queued or runs
 * @vas: the binding; a reference, as long as @users
 * @gpa: start of the range, as asked for; constant, as are the following
 * @len: its length
 * @flags: VAS_MAPPING_*
 * @window: the pages
 * @pin: number of the pin record; VAS_NO_ENTRY for observers. Set once, and taken back under the
 *	info's lock, as others look at the record
 * @generation: of the layout that the pages are of; 0: of more than one
 * @in_inode: link in the mappings of @vas->info; like the following, under its lock
 * @is_live: vas_mapping_create() is done with it; before, there are no requests
 * @request: what the owner wants; the holder reads it without the lock, too
 * @nr_requests: counts what the holder is to be told
 * @nr_told: of those, what it was told or is being told
 * @is_quiet: the holder has promised not to write, and that is what is wanted
 * @is_by_owner: @request came through /dev/vas, so the pin does not change it
 * @notify: the owner's count of notifications when the pin was looked at last
 * @deadline: for @request
 * @request_work: tells the holder, invalidate.c
 * @has_promised: the holder waits to be told that it may go on; for @request_work only
 */
struct vas_mapping {
	refcount_t users;
	refcount_t refs;
	struct vas *vas;
	u64 gpa;
	u64 len;
	u32 flags;
	struct vas_pages window;
	u32 pin;
	u64 generation;

	struct list_head in_inode;
	bool is_live;
	enum vas_request request;
	u32 nr_requests;
	u32 nr_told;
	bool is_quiet;
	bool is_by_owner;
	u32 notify;
	ktime_t deadline;
	struct work_struct request_work;
	bool has_promised;
};

/* mapping.c */
void vas_mapping_put(struct vas_mapping *mapping);

/* pin.c */
int vas_mapping_claim_pin(struct vas_mapping *mapping);
void vas_mapping_tell_generation(struct vas_mapping *mapping);
void vas_mapping_release_pin_locked(struct vas_mapping *mapping);
u32 vas_mapping_pin_state(const struct vas_mapping *mapping);
enum vas_request vas_mapping_pin_request(const struct vas_mapping *mapping);
void vas_mapping_answer(struct vas_mapping *mapping);

/* invalidate.c */
void vas_invalidate_exit(void);
void vas_invalidate_begin(struct vas_mapping *mapping);
void vas_invalidate_end(void);
void vas_mapping_request_locked(struct vas_mapping *mapping, enum vas_request request,
				ktime_t deadline);

#endif
