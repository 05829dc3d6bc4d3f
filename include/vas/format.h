/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The file format of a vas, shared by user space and the kernel; vas-format(5) tells it in prose.
 *
 *   0 ............ ram_size        guest RAM; by default file offset = guest-physical address (gpa)
 *   ram_size ..... size - 4096     control area: everything below but the superblock
 *   last 4096 bytes                struct vas_superblock, written once, never changed
 *
 * With VAS_FEATURE_RAM_APART the RAM is a second file, and the control area begins at 0.
 *
 * All integers are little endian, all structs are padded by hand, all extents are page aligned.
 * Whoever may write guest RAM may write the control area: copy an entry once, check the copy, use
 * the copy. Only the owner writes what is not marked "binders write".
 */
#ifndef VAS_FORMAT_H
#define VAS_FORMAT_H

#ifdef __KERNEL__
#include <linux/build_bug.h>
#include <linux/types.h>
#else
#include <assert.h>
#include <stdint.h>
#endif

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the control area is little endian and used in place: this machine cannot"
#endif

#define VAS_MAGIC   0x0a0d1a6466736176ull /* "vasfd", then the bytes that a text transfer mangles */
#define VAS_VERSION 1u

#define VAS_PAGE_SHIFT 12
#define VAS_PAGE_SIZE  (1ull << VAS_PAGE_SHIFT)

#define VAS_MAX_GPA	 (1ull << 52)
#define VAS_MAX_REGIONS	 (1u << 20)
#define VAS_MAX_SLOTS	 (1u << 16)
#define VAS_MAX_BINDERS	 (1u << 14)
#define VAS_MAX_PINS	 (1u << 16)
#define VAS_MAX_BACKINGS 64u  /* with the events below, all fds fit in one SCM_RIGHTS message: */
#define VAS_MAX_EVENTS	 188u /* 1 + 63 + 188 = 252 of the kernel's SCM_MAX_FD, 253 */
#define VAS_MAX_TRACKERS 8u
#define VAS_MAX_DEVICES	 64u

#define VAS_NAME_LEN	    64 /* of a vas, with its NUL */
#define VAS_REGION_NAME_LEN 24 /* of a region or event, with its NUL */
#define VAS_CONSUMERS_LEN   32 /* names of consumers, with the NUL */

/* A binder refuses a file with a required feature that it does not know. */
#define VAS_FEATURE_RAM_APART	    1ull /* RAM is a file of its own: backing 0, ram_size bytes */
#define VAS_FEATURES_REQUIRED_KNOWN 1ull
/* Optional ones may be ignored. */
#define VAS_FEATURE_THP	    1ull /* advise transparent huge pages on maps of the file */
#define VAS_FEATURE_DEVICES 2ull /* there is VAS_EXT_DEVICES; without it that extent is nothing */

/* Part of the file, in bytes. */
struct vas_extent {
	uint64_t offset;
	uint64_t size;
};

enum vas_extent_id {
	VAS_EXT_CONTROL,  /* struct vas_control */
	VAS_EXT_SLOTS,	  /* struct vas_slot[nr_slots] */
	VAS_EXT_BINDERS,  /* struct vas_binder[nr_binders]; byte i of it is also binder i's lock */
	VAS_EXT_PINS,	  /* struct vas_pin[nr_pins] */
	VAS_EXT_EVENTS,	  /* struct vas_event_entry[nr_events] */
	VAS_EXT_BACKINGS, /* struct vas_backing_entry[nr_backings] */
	VAS_EXT_TABLE0,	  /* struct vas_region_entry[max_regions], sorted by gpa */
	VAS_EXT_TABLE1,
	VAS_EXT_TRACKERS, /* struct vas_tracker_entry[nr_trackers] */
	VAS_EXT_LOG,	  /* the dirty log, then one log a tracker: each as vas_log_layout() says */
	VAS_EXT_DEVICES,  /* struct vas_device_entry[nr_devices] */
	VAS_EXT_COUNT
};

struct vas_superblock {
	uint64_t magic;
	uint32_t version;
	uint32_t page_size; /* of the file: 4096, or 2 MiB on hugetlb */
	uint64_t features_required;
	uint64_t features_optional;
	uint8_t uuid[16];
	char name[VAS_NAME_LEN];
	uint64_t file_size;
	uint64_t ram_size; /* bytes that are guest RAM */
	uint64_t limit; /* no gpa is at or above it; ram_size == limit unless the file is compact */
	uint32_t max_regions;
	uint32_t nr_slots;
	uint32_t nr_binders;
	uint32_t nr_pins;
	uint32_t nr_events;
	uint32_t nr_backings;
	uint32_t nr_trackers;
	uint32_t nr_devices;
	struct vas_extent extents[VAS_EXT_COUNT];
	uint8_t pad1[4096 - 344];
};

/* vas_state.flags */
#define VAS_STATE_TRACKING 1u /* writers mark the dirty log */
#define VAS_STATE_FROZEN   2u /* writers stay out */
#define VAS_STATE_FENCE	   4u /* the owner has no membarrier: sections begin with a full fence */
#define VAS_STATE_LAZY	   8u /* pages are not filled yet: ask before touching one */
#define VAS_STATE_KNOWN	   15u

/*
 * What holds for one generation. Copied and checked as a whole, then vas_control.generation again.
 */
struct vas_state {
	uint64_t generation;
	uint64_t regions_generation; /* the generation in which the table last changed */
	uint32_t table;		     /* 0 or 1 */
	uint32_t nr_regions;
	uint32_t flags;
	uint32_t nr_backings; /* entries in use, from 0; entry 0 is the RAM */
	uint64_t pad[4];
};

struct vas_control {
	/*
	 * The one word that a section looks at. Every change (layout, tracking, freeze) publishes
	 * state[generation & 1] and then stores generation with release order. Never 0.
	 */
	uint64_t generation;
	uint64_t pad0[7];

	uint32_t notify; /* futex: counts what a waiting binder may want to know */
	uint32_t answer; /* futex: counts what the owner may wait for; binders write */

	/*
	 * The dirty log; binders write. A tracker of another process counts `tracking_request` up
	 * and waits until the owner has copied it to `tracking_reply`: by then the owner has
	 * switched tracking as the trackers in use need it, and moved its consumers' logs into the
	 * log.
	 */
	uint32_t tracking_request;
	uint32_t tracking_reply;
	/* Counts up when marks may be missing: each tracker repairs the log and takes all as dirty.
	 */
	uint32_t log_incomplete;
	uint32_t draining; /* the drain lock: tag of the binder that may take words; 0: nobody */

	/*
	 * Memory that is filled on first touch. lazy_log is 0, or 1 + the index of the tracker
	 * entry whose log has a bit for each page that is not filled yet. Who wants a page stores
	 * its word's gpa | 1 in lazy_request if that is 0, and wakes lazy_wakeup; binders write
	 * these two.
	 */
	uint32_t lazy_log;
	uint32_t lazy_wakeup; /* futex */
	uint64_t lazy_request;
	uint64_t lazy_failed; /* gpa | 1 of the last word that cannot be had; 0: none; ~0: any */
	uint64_t lazy_left;   /* pages; informational */

	uint32_t pins_claimed; /* or of the numbers of all pins that were ever claimed */
	/*
	 * Tag of the owner: who owns is who has the lock on the superblock's first byte *and* has
	 * put its tag here. The lock alone decides while nobody but writers can keep it from an
	 * adopter.
	 */
	uint32_t owner;
	uint32_t owner_pid; /* informational */
	uint32_t pad1;
	uint64_t owner_epoch; /* how often the vas was adopted */
	uint64_t next_region_id;
	uint64_t pad2[5];

	struct vas_state state[2];
};

/* vas_region_entry.flags */
#define VAS_REGION_READONLY 1u /* ROM to the guest and to binders */
#define VAS_REGION_LOCAL \
	2u /* memory of the owner's process: others see the range, not the bytes \
				*/
/*
 * With LOCAL: not RAM, but a device's registers or memory (a BAR), as the owner's process has it
 * mapped. Nobody accesses its bytes but consumers that ask for such regions: it is never saved,
 * logged or sent.
 */
#define VAS_REGION_DEVICE 4u
/* May name bytes that another region has, too. Informational to all but the owner. */
#define VAS_REGION_ALIAS 8u
#define VAS_REGION_KNOWN 15u

struct vas_region_entry {
	uint64_t gpa;
	uint64_t size;
	uint64_t offset; /* in the backing; 0 if local */
	uint32_t backing;
	uint32_t flags;
	uint64_t id; /* never 0, never used twice in one vas */
	char name[VAS_REGION_NAME_LEN];
};

/* vas_backing_entry.flags */
#define VAS_BACKING_USED 1u
#define VAS_BACKING_UNSEALED \
	2u /* may shrink under us: a failing page is an error, not a promise \
				 */
#define VAS_BACKING_KNOWN 3u

/* Which file a backing is; whoever is sent an fd compares. */
struct vas_backing_entry {
	uint64_t dev;
	uint64_t ino;
	uint64_t size;
	uint32_t flags;
	uint32_t page_size;
	uint64_t pad[4];
};

/*
 * Slots, binders, pins and trackers: shared memory that binders write by rules that are written
 * once, in core/protocol. Their fields are private to it; the sizes are part of the format.
 */
struct vas_slot;	  /* a thread's place for its sections */
struct vas_binder;	  /* one bound handle: byte i of the extent is its lock */
struct vas_pin;		  /* a long-lived map that everyone can see */
struct vas_tracker_entry; /* a consumer of the dirty log */
#define VAS_SLOT_SIZE	 64
#define VAS_BINDER_SIZE	 64
#define VAS_PIN_SIZE	 64
#define VAS_TRACKER_SIZE 64

/* Of a binder. */
#define VAS_BINDER_OWNER    1u
#define VAS_BINDER_READONLY 2u

/* State of a pin. */
enum vas_pin_state {
	VAS_PIN_FREE, /* or being written by its holder */
	VAS_PIN_HELD,
	VAS_PIN_INVALIDATE, /* the owner wants the range back: the holder unmaps it */
	VAS_PIN_QUIESCE,    /* the owner freezes: the holder stops writing and answers */
	VAS_PIN_QUIESCED,   /* the answer; writing may go on when the state is HELD again */
};

/* Of a pin. */
#define VAS_PIN_WRITABLE 1u
#define VAS_PIN_MARKS	 2u /* the holder marks the dirty log itself */

/* vas_event_entry.kind */
enum vas_event_kind { VAS_EVENT_NONE, VAS_EVENT_DOORBELL, VAS_EVENT_IRQ };

/* vas_event_entry.flags */
#define VAS_EVENT_PIO	    1u /* doorbell: addr is an I/O port, not a gpa */
#define VAS_EVENT_DATAMATCH 2u /* doorbell: only writes of this value ring */
#define VAS_EVENT_MSI	    4u /* irq: the route is addr/data, not an interrupt controller's pin */
#define VAS_EVENT_RESAMPLE \
	8u /* irq: level-triggered; a second eventfd tells of the guest's EOI \
				*/
#define VAS_EVENT_KNOWN 15u

struct vas_event_entry {
	uint32_t kind;
	uint32_t id; /* never 0, unique among the events */
	uint32_t flags;
	uint32_t len;  /* doorbell: 0 (any), 1, 2, 4, 8 */
	uint64_t addr; /* doorbell: gpa or port; MSI: address */
	uint64_t data; /* doorbell: value to match; MSI: data */
	uint32_t gsi;  /* irq */
	/* Odd while the owner writes the entry: a reader copies, then compares, and tries again. */
	uint32_t sequence;
	char name[VAS_REGION_NAME_LEN];
};

/*
 * The virtual bus: virtio devices that others than the owner serve. Of an entry the owner writes
 * one part, and the device's provider the other: core/protocol/device.h. The sizes are part of the
 * format.
 */
struct vas_device_entry;
#define VAS_DEVICE_MAX_QUEUES	 64u
#define VAS_DEVICE_QUEUE_SIZE	 1024u /* entries of a queue, at most */
#define VAS_DEVICE_CONFIG_SIZE	 256u
#define VAS_DEVICE_KEPT_SIZE	 48u /* bytes in which it keeps what belongs to the device itself */
#define VAS_DEVICE_INFLIGHT_SIZE 36864u /* bytes in which a provider keeps a queue's requests */
#define VAS_DEVICE_SIZE		 (5 * 4096ull + VAS_DEVICE_MAX_QUEUES * VAS_DEVICE_INFLIGHT_SIZE)

enum vas_device_state {
	VAS_DEVICE_NONE,
	VAS_DEVICE_NEW,	     /* nobody has offered to serve it yet */
	VAS_DEVICE_SERVED,   /* it has a provider */
	VAS_DEVICE_ORPHANED, /* its provider is gone; whoever offers next goes on */
};

/* What a queue's providers count, all of them together; each wraps. */
struct vas_device_counters {
	uint64_t taken;	   /* requests */
	uint64_t answered; /* what was taken and not answered is in flight */
	uint64_t errors;   /* of these, with an error */
	uint64_t kicks;	   /* wakeups by the driver */
	uint64_t calls;	   /* interrupts */
};

/*
 * A dirty log for `limit` bytes of gpa: bit n of the words is the page n, the layout of vhost's
 * log. Bit n of the summary says that word n may be other than 0, bit n of the top the same of the
 * summary's word n.
 */
#define VAS_LOG_PAGES_PER_WORD 64u

/* A word of a log, as a harvest tells of it. */
struct vas_dirty_word {
	uint64_t gpa;  /* of the page that bit 0 stands for: a multiple of 256 KiB */
	uint64_t bits; /* bit n: the page at gpa + n * 4096; not 0 */
};

#ifdef __cplusplus
#define VAS_FORMAT_ASSERT(c) static_assert(c, #c)
#else
#define VAS_FORMAT_ASSERT(c) _Static_assert(c, #c)
#endif
VAS_FORMAT_ASSERT(sizeof(struct vas_superblock) == 4096);
VAS_FORMAT_ASSERT(sizeof(struct vas_state) == 64);
VAS_FORMAT_ASSERT(sizeof(struct vas_control) == 320);
VAS_FORMAT_ASSERT(sizeof(struct vas_region_entry) == 64);
VAS_FORMAT_ASSERT(sizeof(struct vas_backing_entry) == 64);
VAS_FORMAT_ASSERT(sizeof(struct vas_event_entry) == 64);

#endif
