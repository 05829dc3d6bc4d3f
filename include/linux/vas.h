/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * vas in the kernel: what modules use to reach a guest's memory through the fd of its address
 * space.
 *
 * A module binds by fd, like any process, and is then one binder among others: the owner sees it,
 * waits for its sections when the layout changes, and asks it to destroy its mappings. vas.ko knows
 * nothing of KVM; whatever has a vas has this interface.
 *
 * Functions return 0 or a negative errno and hand out results through their last arguments. gpa is
 * a guest-physical address, len and size are bytes. All of them may be called from any thread at
 * once. "May sleep" is said where it holds; what does not say so can be called from any context but
 * NMI.
 */
#ifndef LINUX_VAS_H
#define LINUX_VAS_H

#include <linux/eventfd.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/refcount.h>
#include <linux/scatterlist.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <vas/format.h>

struct file;
struct folio;

struct vas;	    /* a binding */
struct vas_mapping; /* a long-lived mapping */
struct vas_slot_holder;
struct vas_view;

/**
 * struct vas_ops - what a module is called for
 * @owner: THIS_MODULE: cannot be unloaded while a binding with these ops lives
 * @name: shown in debugfs and trace events, and to the owner as the name of a blocker
 * @invalidate: The range of @mapping leaves the guest's address space. Stop every user of the
 *	mapping, and drop every reference with vas_mapping_destroy(), here or elsewhere, before
 *	@deadline (CLOCK_MONOTONIC). After it the change is abandoned and the owner is told the
 *	blocker; an owner that tries again asks again. NULL: the module's mappings stay.
 * @quiesce: The guest's memory is about to be frozen. Stop writing through @mapping, and return 0
 *	when nothing writes any more; a negative errno refuses. Destroying the mapping is an answer,
 *	too. Called for writable mappings only. NULL: refuses.
 * @resume: After a successful @quiesce: writing may go on. Not called for a mapping that is gone.
 *	May be NULL.
 * @release: The last reference to the binding is gone and no other op runs or will run: @priv can
 *	be freed. May be NULL.
 *
 * All ops run in process context and may sleep, on a work queue; several may run at once, but never
 * two for the same mapping. @release runs in the context of the last vas_put().
 */
struct vas_ops {
	struct module *owner;
	const char *name;
	void (*invalidate)(void *priv, struct vas_mapping *mapping, ktime_t deadline);
	int (*quiesce)(void *priv, struct vas_mapping *mapping, ktime_t deadline);
	void (*resume)(void *priv, struct vas_mapping *mapping);
	void (*release)(void *priv);
};

/* ---- bind.c: bindings ---------------------------------------------------------------------- */

int vas_bind(int fd, const struct vas_ops *ops, void *priv, struct vas **vas);
int vas_bind_file(struct file *file, const struct vas_ops *ops, void *priv, struct vas **vas);
struct vas *vas_get(struct vas *vas);
void vas_put(struct vas *vas);
bool vas_is_readonly(const struct vas *vas);
const struct vas_superblock *vas_superblock(const struct vas *vas);

/* ---- backing.c, local.c: memory that is not in the vas's own file ------------------------- */

int vas_backing_offer(struct vas *vas, int fd);
int vas_local_offer(struct vas *vas, u64 gpa, u64 size, unsigned long hva);

/* ---- section.c: accesses that a change of the layout waits for ----------------------------- */

#define VAS_PROT_READ  0u
#define VAS_PROT_WRITE 1u /* the access writes: refused when read-only or frozen, and marked */
#define VAS_NO_SLEEP   2u /* do not sleep: -EAGAIN instead */

/**
 * struct vas_section - a part of the code in which a layout holds
 *
 * On the caller's stack, filled by vas_enter(). The fields are private.
 */
struct vas_section {
	struct vas *vas;
	const struct vas_view *view;
	struct vas_slot_holder *slot_holder;
	int srcu_idx;
};

int vas_enter(struct vas *vas, u32 flags, struct vas_section *section);
int vas_leave(struct vas_section *section);

/* ---- region.c ------------------------------------------------------------------------------ */

int vas_region_at(struct vas *vas, u64 gpa, struct vas_region_entry *region);
int vas_regions(struct vas *vas, struct vas_region_entry *regions, u32 nr);

/* ---- copy.c -------------------------------------------------------------------------------- */

int vas_copy_to(struct vas *vas, u64 gpa, const void *buf, size_t len, size_t *done);
int vas_copy_from(struct vas *vas, u64 gpa, void *buf, size_t len, size_t *done);
int vas_copy_to_atomic(struct vas *vas, u64 gpa, const void *buf, size_t len, size_t *done);
int vas_copy_from_atomic(struct vas *vas, u64 gpa, void *buf, size_t len, size_t *done);

/* ---- cache.c: the caller-held cache, one a vCPU, queue or thread --------------------------- */

/**
 * struct vas_cache - the last range of guest memory that its holder used
 *
 * Makes a small access cost the same however many regions there are: one comparison against the
 * generation, one against the range. Never used by two at once: its holder sees to that. It keeps
 * one folio of guest memory referenced, and a reference to the binding. The fields are private.
 */
struct vas_cache {
	struct vas *vas;
	u64 generation;
	u64 gpa;
	u64 size;
	void *addr;
	struct folio *folio;
	const struct address_space *file; /* to which folio belongs, unless it was punched out */
	u32 flags;
};

void vas_cache_init(struct vas_cache *cache, struct vas *vas);
void vas_cache_clean(struct vas_cache *cache);
void *vas_cache_at(struct vas_cache *cache, struct vas_section *section, u64 gpa, size_t len,
		   u32 flags);
int vas_cache_read_in(struct vas_cache *cache, struct vas_section *section, u64 gpa, void *buf,
		      size_t len, u32 flags);
int vas_cache_write_in(struct vas_cache *cache, struct vas_section *section, u64 gpa,
		       const void *buf, size_t len, u32 flags);
int vas_cache_read(struct vas_cache *cache, u64 gpa, void *buf, size_t len, u32 flags);
int vas_cache_write(struct vas_cache *cache, u64 gpa, const void *buf, size_t len, u32 flags);

/* ---- mapping.c: long-lived mappings -------------------------------------------------------- */

#define VAS_MAPPING_WRITE 1u
#define VAS_MAPPING_MARKS 2u /* the holder calls vas_mark() after each write */
#define VAS_MAPPING_PAGES 4u /* no address, just the pages */

/* What the owner asks of a mapping's holder, as in user space. */
enum vas_request {
	VAS_REQUEST_NONE,    /* nothing; after a quiesce: writing may go on */
	VAS_REQUEST_UNMAP,   /* destroy it */
	VAS_REQUEST_QUIESCE, /* stop writing */
};

int vas_mapping_create(struct vas *vas, u64 gpa, u64 len, u32 flags, struct vas_mapping **mapping);
struct vas_mapping *vas_mapping_get(struct vas_mapping *mapping);
void vas_mapping_destroy(struct vas_mapping *mapping);
void *vas_mapping_addr(const struct vas_mapping *mapping);
u64 vas_mapping_gpa(const struct vas_mapping *mapping);
u64 vas_mapping_len(const struct vas_mapping *mapping);
enum vas_request vas_mapping_request(const struct vas_mapping *mapping);
bool vas_mapping_is_attached(const struct vas_mapping *mapping);

/* ---- sg.c: mappings as scatterlists -------------------------------------------------------- */

/* A range of guest-physical addresses. */
struct vas_range {
	u64 gpa;
	u64 len;
};

/**
 * struct vas_sg - ranges of guest memory as a scatterlist
 * @max_segment: bytes in an entry, as dma_get_max_seg_size() says; at least a page, 0: no limit.
 *	Set by the caller
 * @table: the list
 * @mappings: one a range, in their order; what the ops are called with
 * @nr_mappings: how many
 */
struct vas_sg {
	unsigned int max_segment;
	struct sg_table table;
	struct vas_mapping **mappings;
	unsigned int nr_mappings;
};

int vas_sg_map(struct vas *vas, const struct vas_range *ranges, unsigned int nr, u32 flags,
	       struct vas_sg *sg);
void vas_sg_unmap(struct vas_sg *sg);
bool vas_sg_has(const struct vas_sg *sg, const struct vas_mapping *mapping);

/* ---- event.c: doorbells and interrupts ----------------------------------------------------- */

#define VAS_DOORBELL_ATOMIC 1u /* ring() runs at once: interrupts off, the eventfd's lock held */
#define VAS_DOORBELL_SHARED 2u /* others read the eventfd, too: leave its count alone */

/**
 * struct vas_doorbell - a function that is called when the guest rings
 * @ring: called once or more often after each time the doorbell rang, never twice at once; set by
 *	the caller. In process context, unless VAS_DOORBELL_ATOMIC: then it may not sleep, nor touch
 *	eventfds but by vas_irq_raise()
 * @flags: VAS_DOORBELL_*; set by the caller
 *
 * Embedded in what it is for. The other fields are private.
 */
struct vas_doorbell {
	void (*ring)(struct vas_doorbell *doorbell);
	u32 flags;
	struct eventfd_ctx *ctx;
	wait_queue_head_t *head;
	wait_queue_entry_t wait;
	poll_table table;
	struct work_struct work;
};

int vas_doorbell_attach(struct vas_doorbell *doorbell, int fd);
void vas_doorbell_detach(struct vas_doorbell *doorbell);

/**
 * struct vas_irq - an interrupt that can be raised
 *
 * The fields are private.
 */
struct vas_irq {
	struct eventfd_ctx *ctx;
	struct work_struct work;
};

int vas_irq_attach(struct vas_irq *irq, int fd);
void vas_irq_raise(struct vas_irq *irq);
void vas_irq_detach(struct vas_irq *irq);

int vas_event_find(struct vas *vas, u32 id, struct vas_event_entry *entry);

/* ---- dirty.c ------------------------------------------------------------------------------- */

void vas_mark(struct vas *vas, u64 gpa, u64 len);

#endif
